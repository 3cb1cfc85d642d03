"""Filters on metadata as values: a small tree that prints, compares, and travels as JSON.

Two-valued logic: a condition on a field that a passage does not have is false, whatever the operator, and
``not`` is the plain complement. So ``not (year = 2020)`` holds for passages without a year;
``year != 2020`` does not. Values are compared within their kind (numbers with numbers, text with text by
code points, truth values with truth values); across kinds every condition is false.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from twindex.indexing.errors import FilterError

Scalar: TypeAlias = "str | int | float | bool"
#: Comparison operators, as printed.
OPERATORS: Final = ("=", "!=", "<", "<=", ">", ">=")
#: Deeper or wider filters are refused: nobody writes them by hand, and they would exhaust the stack.
MAX_DEPTH: Final = 50
MAX_VALUES: Final = 10_000


class Filter:
    """Base of all conditions. ``str(f)`` is an expression that parses to an equal filter."""

    __slots__ = ()

    def fields(self) -> frozenset[str]:
        """Names of all fields that the condition looks at."""
        return frozenset(self._fields())

    def to_dict(self) -> dict[str, Any]:
        """The JSON form, as the REST API takes it."""
        raise NotImplementedError

    def _fields(self) -> Iterator[str]:
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Compare(Filter):
    """``field op value``, with one of the six operators."""

    field: str
    op: str
    value: Scalar

    def __post_init__(self) -> None:
        if self.op not in OPERATORS:
            raise FilterError(f"operator {self.op!r}", expected=" ".join(OPERATORS))
        _check_value(self.value)
        if isinstance(self.value, bool) and self.op not in ("=", "!="):
            raise FilterError(f"{self.op} with a truth value", expected="= or !=")

    def __str__(self) -> str:
        return f"{print_field(self.field)} {self.op} {print_value(self.value)}"

    def _fields(self) -> Iterator[str]:
        yield self.field

    def to_dict(self) -> dict[str, Any]:
        return {"field": self.field, "op": self.op, "value": self.value}


@dataclass(frozen=True, slots=True)
class In(Filter):
    """``field in (value, ...)``: equal to one of them."""

    field: str
    values: tuple[Scalar, ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.values) <= MAX_VALUES:
            raise FilterError(f"in with {len(self.values)} values", expected=f"1 to {MAX_VALUES}")
        for value in self.values:
            _check_value(value)

    def __str__(self) -> str:
        return f"{print_field(self.field)} in ({', '.join(map(print_value, self.values))})"

    def _fields(self) -> Iterator[str]:
        yield self.field

    def to_dict(self) -> dict[str, Any]:
        return {"field": self.field, "op": "in", "value": list(self.values)}


@dataclass(frozen=True, slots=True)
class Contains(Filter):
    """``field contains value``: a member of a list, or a part of a text."""

    field: str
    value: Scalar

    def __post_init__(self) -> None:
        _check_value(self.value)

    def __str__(self) -> str:
        return f"{print_field(self.field)} contains {print_value(self.value)}"

    def _fields(self) -> Iterator[str]:
        yield self.field

    def to_dict(self) -> dict[str, Any]:
        return {"field": self.field, "op": "contains", "value": self.value}


@dataclass(frozen=True, slots=True)
class StartsWith(Filter):
    """``field starts with 'text'``."""

    field: str
    value: str

    def __post_init__(self) -> None:
        if not isinstance(self.value, str):
            raise FilterError(f"starts with {self.value!r}", expected="a text")

    def __str__(self) -> str:
        return f"{print_field(self.field)} starts with {print_value(self.value)}"

    def _fields(self) -> Iterator[str]:
        yield self.field

    def to_dict(self) -> dict[str, Any]:
        return {"field": self.field, "op": "starts with", "value": self.value}


@dataclass(frozen=True, slots=True)
class Exists(Filter):
    """``field exists``: the passage has a value for it."""

    field: str

    def __str__(self) -> str:
        return f"{print_field(self.field)} exists"

    def _fields(self) -> Iterator[str]:
        yield self.field

    def to_dict(self) -> dict[str, Any]:
        return {"field": self.field, "op": "exists"}


@dataclass(frozen=True, slots=True)
class Not(Filter):
    """The complement."""

    part: Filter

    def __str__(self) -> str:
        return f"not {_bracketed(self.part)}"

    def _fields(self) -> Iterator[str]:
        yield from self.part.fields()

    def to_dict(self) -> dict[str, Any]:
        return {"not": self.part.to_dict()}


@dataclass(frozen=True, slots=True)
class And(Filter):
    """All parts hold."""

    parts: tuple[Filter, ...]

    def __post_init__(self) -> None:
        _check_parts(self.parts, "and")

    def __str__(self) -> str:
        return " and ".join(map(_bracketed, self.parts))

    def _fields(self) -> Iterator[str]:
        for part in self.parts:
            yield from part.fields()

    def to_dict(self) -> dict[str, Any]:
        return {"and": [part.to_dict() for part in self.parts]}


@dataclass(frozen=True, slots=True)
class Or(Filter):
    """At least one part holds."""

    parts: tuple[Filter, ...]

    def __post_init__(self) -> None:
        _check_parts(self.parts, "or")

    def __str__(self) -> str:
        return " or ".join(map(_bracketed, self.parts))

    def _fields(self) -> Iterator[str]:
        for part in self.parts:
            yield from part.fields()

    def to_dict(self) -> dict[str, Any]:
        return {"or": [part.to_dict() for part in self.parts]}


def print_field(name: str) -> str:
    """The name as an expression writes it: plain, or in back quotes."""
    plain = name.replace(".", "_").replace("-", "_")
    if plain.isascii() and plain.isidentifier() and "-" not in name and name.lower() not in RESERVED:
        return name
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def print_value(value: Scalar) -> str:
    """The value as an expression writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return repr(value)


#: Words that are part of the language; as field names they need back quotes.
RESERVED: Final = frozenset(
    "and or not in is null between contains starts with exists true false".split()  # noqa: SIM905, RUF100
)


def _bracketed(part: Filter) -> str:
    return f"({part})" if isinstance(part, And | Or | Not) else str(part)


def _check_value(value: object) -> None:
    if not isinstance(value, str | int | float | bool) or (isinstance(value, float) and value != value):
        raise FilterError(f"value {value!r}", expected="a text, a number, true or false")


def _check_parts(parts: tuple[Filter, ...], word: str) -> None:
    if not 2 <= len(parts) <= MAX_VALUES:
        raise FilterError(f"{word} of {len(parts)} conditions", expected="2 or more")
