"""A filter tree as parameterised SQL over the typed columns of one segment's metadata.

A metadata field is kept in one column for each kind of value that it takes (see FORMAT.md), so that
conditions mean the same in every segment, whatever the other values there are. Values reach SQL as
parameters only; identifiers come from the segment's own schema, never from the expression.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

from twindex.indexing.errors import FilterError
from twindex.indexing.filter_ast import (
    And,
    Compare,
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
PREFIX: Final = "metadata."
INT64: Final = 2**63


def column_name(field: str, kind: str) -> str:
    """The column that holds the field's values of that kind."""
    return f"{kind}:{field}"


def columns_of(field: str, columns: Iterable[str]) -> dict[str, str]:
    """Kind -> column, of a field as an expression names it."""
    if field in BUILT_IN:
        return {"str": field}
    bare = field.removeprefix(PREFIX)
    known = set(columns)
    names = {kind: column_name(bare, kind) for kind in SQL_TYPES}
    return {kind: name for kind, name in names.items() if name in known}


def field_kinds(columns: Iterable[str]) -> dict[str, list[str]]:
    """Field -> the kinds of its values, from the columns of a segment."""
    kinds: dict[str, list[str]] = {name: ["str"] for name in BUILT_IN}
    for column in columns:
        kind, colon, field = column.partition(":")
        if colon and kind in SQL_TYPES:
            kinds.setdefault(PREFIX + field if field in BUILT_IN else field, []).append(kind)
    return kinds


def check_fields(filter_: Filter, known: Iterable[str]) -> None:
    """Refuse a filter on a field that no segment has.

    Raises:
        FilterError: The message lists the fields that there are.
    """
    names = set(known) | {PREFIX + name for name in known}
    unknown = sorted(filter_.fields() - names)
    if unknown:
        raise FilterError(
            f"filter on {', '.join(map(repr, unknown))}, which no document of this index has",
            expected=f"one of: {', '.join(sorted(known))}",
        )


def compile_filter(filter_: Filter, columns: Iterable[str]) -> tuple[str, list[Any]]:
    """The SQL condition, and its parameters in order."""
    compiler = _Compiler(frozenset(columns))
    return compiler.sql(filter_), compiler.parameters


class _Compiler:
    def __init__(self, columns: frozenset[str]) -> None:
        self.columns = columns
        self.parameters: list[Any] = []

    def sql(self, part: Filter) -> str:
        match part:
            case And(parts):
                return "(" + " AND ".join(map(self.sql, parts)) + ")"
            case Or(parts):
                return "(" + " OR ".join(map(self.sql, parts)) + ")"
            case Not(inner):
                return f"(NOT {self.sql(inner)})"
            case In(field, values):
                return self.either([self.compare(field, "=", value) for value in values])
            case Compare(field, op, value):
                return self.compare(field, op, value)
            case Contains(field, value):
                return self.contains(field, value)
            case StartsWith(field, value):
                return self.over(field, ("str",), "starts_with({}, ?)", value)
            case Exists(field):
                found = columns_of(field, self.columns).values()
                return self.either([f"{quoted(column)} IS NOT NULL" for column in found])
        raise FilterError(f"a filter of type {type(part).__name__}", expected="a condition, and, or, not")

    def compare(self, field: str, op: str, value: Scalar) -> str:
        template = "{} " + ("<>" if op == "!=" else op) + " ?"
        if isinstance(value, bool):
            return self.over(field, ("bool",), template, value)
        if isinstance(value, str):
            return self.over(field, ("str",), template, value)
        whole = (
            self.over(field, ("int",), template, value)
            if -INT64 <= value < INT64
            else self.beyond(field, op, value)
        )
        return self.either([whole, self.over(field, ("float",), template, float(value))])

    def beyond(self, field: str, op: str, value: float) -> str:
        """A comparison of 64-bit integers with a number outside their range: known without looking."""
        holds = op == "!=" or (op != "=" and (op in ("<", "<=")) == (value > 0))
        if not holds or "int" not in columns_of(field, self.columns):
            return "FALSE"
        return f"{quoted(columns_of(field, self.columns)['int'])} IS NOT NULL"

    def contains(self, field: str, value: Scalar) -> str:
        if isinstance(value, bool):
            return "FALSE"
        if isinstance(value, str):
            inside = self.over(field, ("str",), "contains({}, ?)", value)
            return self.either([inside, self.over(field, ("strs",), "list_contains({}, ?)", value)])
        parts = []
        if -INT64 <= value < INT64 and value == int(value):
            parts.append(self.over(field, ("ints",), "list_contains({}, ?::BIGINT)", int(value)))
        parts.append(self.over(field, ("floats",), "list_contains({}, ?)", float(value)))
        return self.either(parts)

    def over(self, field: str, kinds: tuple[str, ...], template: str, value: Scalar) -> str:
        """The condition on each column of those kinds; a missing value makes it false, not unknown."""
        parts = []
        for kind, column in columns_of(field, self.columns).items():
            if kind in kinds:
                parts.append(f"coalesce({template.format(quoted(column))}, FALSE)")
                self.parameters.append(storable(value) if isinstance(value, str) else value)
        return self.either(parts)

    @staticmethod
    def either(parts: list[str]) -> str:
        real = [part for part in parts if part != "FALSE"]
        return "(" + " OR ".join(real) + ")" if real else "FALSE"


def quoted(identifier: str) -> str:
    """An SQL identifier."""
    return '"' + identifier.replace('"', '""') + '"'


_UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")


def storable(text: str) -> str:
    """The text as metadata columns hold it: NUL and lone surrogates, which SQL has not, become U+FFFD."""
    return _UNSTORABLE.sub("\ufffd", text)
