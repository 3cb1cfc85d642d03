"""Filters on metadata as values: a small tree that prints, compares, and travels as JSON.

Two-valued logic: a condition on a field that a passage does not have is false, whatever the operator, and
``not`` is the plain complement. So ``not (year = 2020)`` holds for passages without a year;
``year != 2020`` does not. Values are compared within their kind (numbers with numbers, exactly; text with text by
code points, so ISO dates by time; truth values with truth values); across kinds every condition is false.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from twindex.indexing.errors import FilterError

Scalar: TypeAlias = "str | int | float | bool"
#: Comparison operators, as printed.
OPERATORS: Final = ("=", "!=", "<", "<=", ">", ">=")
#: Other spellings of them.
SAME_OPERATOR: Final = {"==": "=", "<>": "!="}
#: Deeper or wider filters are refused: nobody writes them by hand, and they would exhaust the stack.
MAX_DEPTH: Final = 32
MAX_VALUES: Final = 10_000
#: Words that are part of the language; as field names they need back quotes.
RESERVED: Final = frozenset({
    "and", "or", "not", "in", "is", "null", "between", "contains", "starts", "with", "exists", "true", "false",
})  # fmt: skip


class Filter:
    """Base of all conditions.

    ``str(f)`` is an expression that parses to an equal filter; two filters are equal if they print the same (so
    ``x = 1`` and ``x = true``, whose values Python takes for equal, are not).
    """

    __slots__ = ()

    @property
    def depth(self) -> int:
        """Levels of nesting: 1 for a plain condition."""
        return 1

    def fields(self) -> frozenset[str]:
        """Names of all fields that the condition looks at."""
        return frozenset(leaf.field for leaf in self.conditions())

    def conditions(self) -> Iterator[Condition]:
        """The plain conditions, from left to right."""
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        """The JSON form, as the REST API takes it."""
        raise NotImplementedError

    @staticmethod
    def from_dict(value: Any) -> Filter:
        """The filter that a JSON object stands for: what :meth:`to_dict` writes, and every operator of expressions.

        Raises:
            FilterError: If the object has another form.
        """
        return _from_dict(value, 1)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash((type(self).__name__, str(self)))


@dataclass(frozen=True, slots=True, eq=False)
class Condition(Filter):
    """A condition on one field: a leaf of the tree."""

    field: str

    def __post_init__(self) -> None:
        if not isinstance(self.field, str) or not self.field:
            raise FilterError(f"field {self.field!r}", expected="the name of a field")

    def conditions(self) -> Iterator[Condition]:
        """Only itself."""
        yield self


@dataclass(frozen=True, slots=True, eq=False)
class Compare(Condition):
    """``field op value``, with one of the six operators."""

    op: str
    value: Scalar

    def __post_init__(self) -> None:
        Condition.__post_init__(self)
        if self.op not in OPERATORS:
            raise FilterError(f"operator {self.op!r}", expected=" ".join(OPERATORS))
        _check_value(self.value)
        if isinstance(self.value, bool) and self.op not in ("=", "!="):
            raise FilterError(f"{self.op} with a truth value", expected="= or !=")

    def __str__(self) -> str:
        return f"{print_field(self.field)} {self.op} {print_value(self.value)}"

    def to_dict(self) -> dict[str, Any]:
        return {"field": self.field, "op": self.op, "value": self.value}


@dataclass(frozen=True, slots=True, eq=False)
class In(Condition):
    """``field in (value, ...)``: equal to one of them."""

    values: tuple[Scalar, ...]

    def __post_init__(self) -> None:
        Condition.__post_init__(self)
        if not isinstance(self.values, tuple) or not 1 <= len(self.values) <= MAX_VALUES:
            raise FilterError(
                f"in with {len(self.values)} values ({type(self.values).__name__})",
                expected=f"a tuple of 1 to {MAX_VALUES}",
            )
        for value in self.values:
            _check_value(value)

    def __str__(self) -> str:
        return f"{print_field(self.field)} in ({', '.join(map(print_value, self.values))})"

    def to_dict(self) -> dict[str, Any]:
        return {"field": self.field, "op": "in", "value": list(self.values)}


@dataclass(frozen=True, slots=True, eq=False)
class Contains(Condition):
    """``field contains value``: a member of a list, or a part of a text."""

    value: Scalar

    def __post_init__(self) -> None:
        Condition.__post_init__(self)
        _check_value(self.value)

    def __str__(self) -> str:
        return f"{print_field(self.field)} contains {print_value(self.value)}"

    def to_dict(self) -> dict[str, Any]:
        return {"field": self.field, "op": "contains", "value": self.value}


@dataclass(frozen=True, slots=True, eq=False)
class StartsWith(Condition):
    """``field starts with 'text'``."""

    value: str

    def __post_init__(self) -> None:
        Condition.__post_init__(self)
        if not isinstance(self.value, str):
            raise FilterError(f"starts with {self.value!r}", expected="a text")

    def __str__(self) -> str:
        return f"{print_field(self.field)} starts with {print_value(self.value)}"

    def to_dict(self) -> dict[str, Any]:
        return {"field": self.field, "op": "starts with", "value": self.value}


@dataclass(frozen=True, slots=True, eq=False)
class Exists(Condition):
    """``field exists``: the passage has a value for it."""

    def __str__(self) -> str:
        return f"{print_field(self.field)} exists"

    def to_dict(self) -> dict[str, Any]:
        return {"field": self.field, "op": "exists"}


@dataclass(frozen=True, slots=True, eq=False)
class Not(Filter):
    """The complement."""

    part: Filter
    depth: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "depth", _checked_depth((self.part,)))

    def __str__(self) -> str:
        return f"not {_bracketed(self.part)}"

    def conditions(self) -> Iterator[Condition]:
        return self.part.conditions()

    def to_dict(self) -> dict[str, Any]:
        return {"not": self.part.to_dict()}


@dataclass(frozen=True, slots=True, eq=False)
class Joined(Filter):
    """Several conditions as one."""

    parts: tuple[Filter, ...]
    depth: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.parts, tuple) or not 2 <= len(self.parts) <= MAX_VALUES:
            raise FilterError(
                f"{self.word} of {len(self.parts)} conditions ({type(self.parts).__name__})",
                expected=f"a tuple of 2 to {MAX_VALUES}",
            )
        object.__setattr__(self, "depth", _checked_depth(self.parts))

    @property
    def word(self) -> str:
        """The word that joins them."""
        return type(self).__name__.lower()

    def __str__(self) -> str:
        return f" {self.word} ".join(map(_bracketed, self.parts))

    def conditions(self) -> Iterator[Condition]:
        for part in self.parts:
            yield from part.conditions()

    def to_dict(self) -> dict[str, Any]:
        return {self.word: [part.to_dict() for part in self.parts]}


@dataclass(frozen=True, slots=True, eq=False)
class And(Joined):
    """All parts hold."""


@dataclass(frozen=True, slots=True, eq=False)
class Or(Joined):
    """At least one part holds."""


def print_field(name: str) -> str:
    """The name as an expression writes it: plain, or in back quotes."""
    plain = name.isascii() and name[0] != "." and name.replace(".", "_").isidentifier()
    if plain and name.lower() not in RESERVED:
        return name
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def print_value(value: Scalar) -> str:
    """The value as an expression writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return repr(value)


def _bracketed(part: Filter) -> str:
    return str(part) if isinstance(part, Condition) else f"({part})"


def _check_value(value: object) -> None:
    if isinstance(value, int | float):
        try:
            if float(value) - float(value) == 0:
                return
        except OverflowError:
            pass
        raise FilterError("a number beyond the range of doubles, or none at all", expected="a finite number")
    if not isinstance(value, str):
        raise FilterError(f"value {value!r}", expected="a text, a number, true or false")


def _checked_depth(parts: tuple[Filter, ...]) -> int:
    for part in parts:
        if not isinstance(part, Filter):
            raise FilterError(f"a condition of type {type(part).__name__}", expected="a Filter")
    depth = 1 + max(part.depth for part in parts)
    if depth > MAX_DEPTH:
        raise FilterError(f"a filter nested deeper than {MAX_DEPTH}", expected="a flatter one")
    return depth


def _from_dict(value: Any, depth: int) -> Filter:
    if depth > MAX_DEPTH:
        raise FilterError(f"a filter nested deeper than {MAX_DEPTH}", expected="a flatter one")
    if isinstance(value, dict):
        if set(value) == {"not"}:
            return Not(_from_dict(value["not"], depth + 1))
        for word, join in (("and", And), ("or", Or)):
            if set(value) == {word} and isinstance(value[word], list):
                return join(tuple(_from_dict(part, depth + 1) for part in value[word]))
        if {"field", "op"} <= set(value) <= {"field", "op", "value"} and isinstance(value["op"], str):
            return _condition(value["field"], value["op"].lower().replace("_", " "), value)
    raise FilterError(
        f"a filter of the form {str(value)[:100]!r}",
        expected='{"field": ..., "op": ..., "value": ...}, {"and": [...]}, {"or": [...]} or {"not": ...}',
    )


def _condition(name: str, op: str, given: dict[str, Any]) -> Filter:
    if op.startswith("not "):
        return Not(_condition(name, op[4:], given))
    if op in ("exists", "is null", "is not null"):
        if "value" in given:
            raise FilterError(f"{op} with a value", expected="no value")
        return Not(Exists(name)) if op == "is null" else Exists(name)
    if "value" not in given:
        raise FilterError(f"operator {op!r} without a value", expected='{"field": ..., "op": ..., "value": ...}')
    value = given["value"]
    if op == "in" and isinstance(value, list):
        return In(name, tuple(value))
    if op == "between" and isinstance(value, list) and len(value) == 2:
        return between(name, *value)
    if op == "contains":
        return Contains(name, value)
    if op == "starts with":
        return StartsWith(name, value)
    return Compare(name, SAME_OPERATOR.get(op, op), value)


def between(name: str, low: Scalar, high: Scalar) -> Filter:
    """``low <= field <= high``."""
    return And((Compare(name, ">=", low), Compare(name, "<=", high)))
