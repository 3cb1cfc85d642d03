"""A filter tree as parameterised SQL over the typed columns of one segment's metadata.

A metadata field is kept in one column for each kind of value that it takes, so that conditions mean the same in
every segment, whatever the other values there are. Values reach SQL as parameters only; identifiers come from the
segment's own schema, never from the expression.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from twindex.indexing.errors import FilterError
from twindex.indexing.filter_ast import (
    And,
    Compare,
    Condition,
    Contains,
    Exists,
    Filter,
    In,
    Not,
    Or,
    Scalar,
    StartsWith,
)

#: Columns of every segment that an expression reaches by their own names.
BUILT_IN: Final = ("id", "doc_id", "title")
#: Kinds of values, and the SQL type of their columns.
SQL_TYPES: Final = {
    "bool": "BOOLEAN",
    "int": "BIGINT",
    "float": "DOUBLE",
    "str": "VARCHAR",
    "ints": "BIGINT[]",
    "floats": "DOUBLE[]",
    "strs": "VARCHAR[]",
}
#: Before a field's name: the one in the metadata, though a built-in field has the same name.
PREFIX: Final = "metadata."
INT64: Final = 2**63
#: Values of an "in" that are written out; more of them are joined as a table, which is quicker then.
FEW: Final = 8
_WORDS: Final = {
    "bool": "true and false",
    "int": "numbers",
    "float": "numbers",
    "str": "texts",
    "ints": "lists of numbers",
    "floats": "lists of numbers",
    "strs": "lists of texts",
}


def column_name(field: str, kind: str) -> str:
    """The column that holds the field's values of that kind.

    SQL names do not tell upper from lower case, fields do: a capital letter is written with "^" before it.
    """
    return f"{kind}:" + re.sub(r"[A-Z^]", r"^\g<0>", storable(field))


def columns_of(field: str, columns: Collection[str]) -> dict[str, str]:
    """Kind -> column, of a field as an expression names it."""
    if field in BUILT_IN:
        return {"str": field}
    names = {kind: column_name(field.removeprefix(PREFIX), kind) for kind in SQL_TYPES}
    return {kind: name for kind, name in names.items() if name in columns}


def field_kinds(columns: Iterable[str]) -> dict[str, list[str]]:
    """Field, as an expression names it -> the kinds of its values, from the columns of a segment."""
    kinds: dict[str, list[str]] = {name: ["str"] for name in BUILT_IN}
    for column in columns:
        kind, colon, escaped = column.partition(":")
        if colon and kind in SQL_TYPES:
            kinds.setdefault(_canonical(PREFIX + re.sub(r"\^(.)", r"\1", escaped)), []).append(kind)
    return kinds


def merge_fields(segments: Iterable[Mapping[str, Collection[str]]]) -> dict[str, list[str]]:
    """The fields of several segments as one mapping, sorted."""
    merged: dict[str, set[str]] = {}
    for fields in segments:
        for name, kinds in fields.items():
            merged.setdefault(name, set()).update(kinds)
    return {name: sorted(merged[name]) for name in sorted(merged)}


def check_fields(filter_: Filter, known: Mapping[str, Collection[str]] | Iterable[str]) -> None:
    """Refuse a filter that can match nothing in any segment because of what its fields are.

    Args:
        filter_: The filter.
        known: Fields of all segments, with the kinds of their values (see :func:`merge_fields`); with names alone
            only unknown fields are refused.

    Raises:
        FilterError: If no segment has a field, and the message lists those that there are; or if a field holds no
            value of a kind that its condition could match.
    """
    kinds = known if isinstance(known, Mapping) else dict.fromkeys(known, ())
    unknown = sorted(field for field in filter_.fields() if _canonical(field) not in kinds)
    if unknown:
        raise FilterError(
            f"filter on {', '.join(map(repr, unknown))}, which no document of this index has",
            expected=f"one of: {', '.join(sorted(kinds))}",
        )
    for condition in filter_.conditions():
        held = kinds[_canonical(condition.field)]
        if held and not any(_may_match(condition, kind) for kind in held):
            raise FilterError(
                f"filter {str(condition)[:200]!r} can match nothing",
                expected=f"a condition that fits {condition.field!r}, "
                f"which holds {' and '.join(sorted({_WORDS[kind] for kind in held}))}",
                remedy="texts need quotes, numbers none; lists are asked with: contains",
            )


def compile_filter(filter_: Filter, columns: Iterable[str]) -> tuple[str, list[Any]]:
    """The SQL condition, never NULL, and its parameters in order."""
    compiler = _Compiler(frozenset(columns))
    return compiler.sql(filter_), compiler.parameters


def quoted(identifier: str) -> str:
    """An SQL identifier."""
    return '"' + identifier.replace('"', '""') + '"'


_UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")


def storable(text: str) -> str:
    """The text as metadata columns hold it: NUL and lone surrogates, which SQL has not, become U+FFFD."""
    return _UNSTORABLE.sub("\ufffd", text)


def _canonical(field: str) -> str:
    """The shortest name by which an expression reaches the field."""
    bare = field.removeprefix(PREFIX)
    return field if bare in BUILT_IN or bare.startswith(PREFIX) else storable(bare)


def _may_match(condition: Condition, kind: str) -> bool:
    """Whether the condition can hold for a value of that kind."""
    match condition:
        case Compare(value=value):
            return kind in _kinds_of(value)
        case In(values=values):
            return any(kind in _kinds_of(value) for value in values)
        case Contains(value=value):
            lists = {f"{one}s" for one in _kinds_of(value)}
            return kind in lists or (kind == "str" and isinstance(value, str))
        case StartsWith():
            return kind == "str"
    return True


def _kinds_of(value: Scalar) -> tuple[str, ...]:
    if isinstance(value, bool):
        return ("bool",)
    return ("str",) if isinstance(value, str) else ("int", "float")


class _Compiler:
    def __init__(self, columns: frozenset[str]) -> None:
        self.columns = columns
        self.parameters: list[Any] = []

    def sql(self, part: Filter) -> str:
        match part:
            case And(parts=parts):
                return "(" + " AND ".join(map(self.sql, parts)) + ")"
            case Or(parts=parts):
                return "(" + " OR ".join(map(self.sql, parts)) + ")"
            case Not(part=inner):
                return f"(NOT {self.sql(inner)})"
            case In(field=field, values=values):
                return self.one_of(field, values)
            case Compare(field=field, op=op, value=value):
                return self.compare(field, op, value)
            case Contains(field=field, value=value):
                return self.contains(field, value)
            case StartsWith(field=field, value=value):
                return self.over(field, "str", "starts_with({}, ?)", storable(value))
            case Exists(field=field):
                return either(f"{quoted(column)} IS NOT NULL" for column in columns_of(field, self.columns).values())
        raise FilterError(f"a filter of type {type(part).__name__}", expected="a condition, and, or, not")

    def compare(self, field: str, op: str, value: Scalar) -> str:
        if isinstance(value, bool | str):
            stored = storable(value) if isinstance(value, str) else value
            return self.over(field, _kinds_of(value)[0], _template(op), stored)
        return either((self.whole(field, op, value), self.real(field, op, value)))

    def whole(self, field: str, op: str, value: float) -> str:
        """Integers against any number, exactly: the bound is moved to an integer on the right side of it."""
        bound = math.floor(value) if op in ("<=", ">") else math.ceil(value)
        if op in ("=", "!=") and bound != value:
            return self.known(field, "int", op == "!=")
        if -INT64 <= bound < INT64:
            return self.over(field, "int", _template(op), bound)
        return self.known(field, "int", op == "!=" or (op != "=" and (op[0] == "<") == (bound > 0)))

    def real(self, field: str, op: str, value: float) -> str:
        """Doubles against any number, exactly: an integer that no double equals is replaced by a neighbour."""
        bound = float(value)
        if op in ("=", "!=") and bound != value:
            return self.known(field, "float", op == "!=")
        if op in ("<=", ">") and bound > value:
            bound = math.nextafter(bound, -math.inf)
        elif op in ("<", ">=") and bound < value:
            bound = math.nextafter(bound, math.inf)
        return self.over(field, "float", _template(op), bound)

    def one_of(self, field: str, values: tuple[Scalar, ...]) -> str:
        texts = [storable(value) for value in values if isinstance(value, str)]
        truths = [value for value in values if isinstance(value, bool)]
        numbers = [value for value in values if not isinstance(value, str | bool)]
        whole = [int(value) for value in numbers if -INT64 <= value < INT64 and value == int(value)]
        real = [float(value) for value in numbers if float(value) == value]
        lists: dict[str, Sequence[Scalar]] = {"str": texts, "bool": truths, "int": whole, "float": real}
        return either(self.among(field, kind, items) for kind, items in lists.items() if items)

    def among(self, field: str, kind: str, values: Sequence[Scalar]) -> str:
        if len(values) <= FEW:
            return self.over(field, kind, f"{{}} IN ({', '.join('?' * len(values))})", *values)
        return self.over(field, kind, f"{{}} IN (SELECT unnest(?::{SQL_TYPES[kind]}[]))", list(values))

    def contains(self, field: str, value: Scalar) -> str:
        if isinstance(value, bool):
            return "FALSE"
        if isinstance(value, str):
            inside = self.over(field, "str", "contains({}, ?)", storable(value))
            return either((inside, self.over(field, "strs", "list_contains({}, ?)", storable(value))))
        parts = []
        if -INT64 <= value < INT64 and value == int(value):
            parts.append(self.over(field, "ints", "list_contains({}, ?::BIGINT)", int(value)))
        if float(value) == value:
            parts.append(self.over(field, "floats", "list_contains({}, ?::DOUBLE)", float(value)))
        return either(parts)

    def over(self, field: str, kind: str, template: str, *values: Scalar | list[Scalar]) -> str:
        """The condition on the column of that kind; a missing value makes it false, not unknown."""
        column = columns_of(field, self.columns).get(kind)
        if column is None:
            return "FALSE"
        self.parameters += values
        return f"coalesce({template.format(quoted(column))}, FALSE)"

    def known(self, field: str, kind: str, holds: bool) -> str:
        """A comparison that comes out the same for every value of that kind."""
        column = columns_of(field, self.columns).get(kind)
        return f"({quoted(column)} IS NOT NULL)" if holds and column is not None else "FALSE"


def either(parts: Iterable[str]) -> str:
    """One condition that holds if any of them does."""
    real = [part for part in parts if part != "FALSE"]
    return "(" + " OR ".join(real) + ")" if real else "FALSE"


def _template(op: str) -> str:
    return "{} " + ("<>" if op == "!=" else op) + " ?"
