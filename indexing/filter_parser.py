"""The filter language: text or JSON to a filter tree.

::

    expression = conjunction { "or" conjunction }
    conjunction = term { "and" term }
    term        = "not" term | "(" expression ")" | condition
    condition   = field ( op value | ["not"] "in" "(" value { "," value } ")" | "between" value "and" value
                  | ["not"] "contains" value | "starts" "with" text | "exists" | "is" ["not"] "null" )
    op          = "=" | "==" | "!=" | "<>" | "<" | "<=" | ">" | ">="
    field       = name with letters, digits, "_" and "." | any text in back quotes
    value       = text in single or double quotes (backslash escapes) | number | "true" | "false"

Keywords in any case. ``between`` includes both ends.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from twindex.indexing.errors import FilterError
from twindex.indexing.filter_ast import (
    MAX_DEPTH,
    RESERVED,
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

#: Characters of an expression, at most.
MAX_LENGTH: Final = 100_000
EXAMPLE: Final = "see the example: year >= 2020 and lang in ('en', 'de') and not (title contains 'draft')"

_TOKEN: Final = re.compile(
    r"""\s*(?:
      (?P<number>[+-]?(?:\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)(?![\w.]))
    | (?P<name>[^\W\d][\w.]*)
    | (?P<quoted>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|`(?:[^`\\]|\\.)+`)
    | (?P<sign><=|>=|!=|<>|==|[=<>(),])
    )""",
    re.VERBOSE | re.DOTALL,
)


class _Token(NamedTuple):
    kind: str
    text: str
    at: int


def parse_filter(expression: str) -> Filter:
    """The filter that the expression stands for.

    Raises:
        FilterError: If it cannot be read; the message says at which character, and what was expected there.
    """
    if len(expression) > MAX_LENGTH:
        raise FilterError(f"a filter of {len(expression)} characters", expected=f"at most {MAX_LENGTH}")
    return _Parser(expression).parse()


def filter_from_dict(value: Any) -> Filter:
    """The filter that a JSON object stands for, as :meth:`Filter.to_dict` writes it.

    Raises:
        FilterError: If the object has another form.
    """
    return _from_dict(value, 0)


def _from_dict(value: Any, depth: int) -> Filter:
    if depth > MAX_DEPTH:
        raise FilterError(f"a filter nested deeper than {MAX_DEPTH}", expected="a flatter one")
    if isinstance(value, dict) and len(value) == 1:
        key, content = next(iter(value.items()))
        if key == "not":
            return Not(_from_dict(content, depth + 1))
        if key in ("and", "or") and isinstance(content, list):
            parts = tuple(_from_dict(part, depth + 1) for part in content)
            return And(parts) if key == "and" else Or(parts)
    if (
        isinstance(value, dict)
        and set(value) <= {"field", "op", "value"}
        and isinstance(value.get("field"), str)
    ):
        return _condition_from_dict(value["field"], value.get("op"), value.get("value"))
    raise FilterError(
        f"a filter of the form {str(value)[:100]!r}",
        expected='{"field": ..., "op": ..., "value": ...}, {"and": [...]}, {"or": [...]} or {"not": ...}',
    )


def _condition_from_dict(field: str, op: Any, value: Any) -> Filter:
    if op == "exists":
        return Exists(field)
    if op == "in" and isinstance(value, list):
        return In(field, tuple(value))
    if op == "contains":
        return Contains(field, value)
    if op == "starts with":
        return StartsWith(field, value)
    return Compare(field, {"==": "=", "<>": "!="}.get(op, op) if isinstance(op, str) else repr(op), value)


class _Parser:
    """Recursive descent over the tokens; ``depth`` guards the stack."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = _tokens(text)
        self.position = 0
        self.depth = 0

    def parse(self) -> Filter:
        if self.peek().kind == "end":
            raise FilterError("an empty filter", expected="a condition", remedy=EXAMPLE)
        found = self.expression()
        if self.peek().kind != "end":
            raise self.error("'and', 'or' or the end")
        return found

    def expression(self) -> Filter:
        return self.chain("or", self.conjunction, Or)

    def conjunction(self) -> Filter:
        return self.chain("and", self.term, And)

    def chain(self, word: str, part: Callable[[], Filter], join: type[And] | type[Or]) -> Filter:
        parts = [part()]
        while self.accept(word):
            parts.append(part())
        return parts[0] if len(parts) == 1 else join(tuple(parts))

    def term(self) -> Filter:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise FilterError(f"a filter nested deeper than {MAX_DEPTH}", expected="a flatter one")
        if self.accept("not"):
            found: Filter = Not(self.term())
        elif self.accept("("):
            found = self.expression()
            self.require(")")
        else:
            found = self.condition()
        self.depth -= 1
        return found

    def condition(self) -> Filter:
        field = self.field()
        negated = self.accept("not")
        if self.accept("in"):
            found: Filter = In(field, self.values())
        elif self.accept("contains"):
            found = Contains(field, self.value())
        elif negated:
            raise self.error("'in' or 'contains'")
        else:
            found = self.plain_condition(field)
        return Not(found) if negated else found

    def plain_condition(self, field: str) -> Filter:
        if self.accept("between"):
            low = self.value()
            self.require("and")
            return And((Compare(field, ">=", low), Compare(field, "<=", self.value())))
        if self.accept("starts"):
            self.require("with")
            value = self.value()
            if not isinstance(value, str):
                raise FilterError(f"starts with {value!r}", expected="a text in quotes")
            return StartsWith(field, value)
        if self.accept("exists"):
            return Exists(field)
        if self.accept("is"):
            negated = self.accept("not")
            self.require("null")
            return Exists(field) if negated else Not(Exists(field))
        token = self.peek()
        if token.kind != "sign" or token.text in "(),":
            raise self.error(
                "an operator (= != < <= > >= in, between, contains, starts with, exists, is null)"
            )
        self.position += 1
        return Compare(field, {"==": "=", "<>": "!="}.get(token.text, token.text), self.value())

    def field(self) -> str:
        token = self.peek()
        if token.kind == "name" and token.text.lower() not in RESERVED:
            self.position += 1
            return token.text
        if token.kind == "quoted" and token.text[0] == "`":
            self.position += 1
            return _unquoted(token.text)
        raise self.error("the name of a field")

    def values(self) -> tuple[Scalar, ...]:
        self.require("(")
        values = [self.value()]
        while self.accept(","):
            values.append(self.value())
        self.require(")")
        return tuple(values)

    def value(self) -> Scalar:
        token = self.peek()
        self.position += 1
        if token.kind == "number":
            return _number(token.text)
        if token.kind == "quoted" and token.text[0] != "`":
            return _unquoted(token.text)
        if token.kind == "name" and token.text.lower() in ("true", "false"):
            return token.text.lower() == "true"
        self.position -= 1
        raise self.error("a value: a text in quotes, a number, true or false")

    def peek(self) -> _Token:
        return self.tokens[self.position]

    def accept(self, word: str) -> bool:
        token = self.peek()
        if token.kind in ("name", "sign") and token.text.lower() == word:
            self.position += 1
            return True
        return False

    def require(self, word: str) -> None:
        if not self.accept(word):
            raise self.error(repr(word))

    def error(self, expected: str) -> FilterError:
        token = self.peek()
        found = "the end" if token.kind == "end" else repr(token.text[:40])
        return FilterError(
            f"filter {self.text[:200]!r}, at character {token.at + 1}: {found}",
            expected=expected,
            remedy=EXAMPLE,
        )


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    position, end = 0, len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None or match.lastgroup is None:
            at = position + len(text[position:]) - len(text[position:].lstrip())
            raise FilterError(
                f"filter {text[:200]!r}, at character {at + 1}: {text[at : at + 20]!r}",
                expected="a field, a value or an operator; texts in quotes",
                remedy=EXAMPLE,
            )
        tokens.append(_Token(match.lastgroup, match[match.lastgroup], match.start(match.lastgroup)))
        position = match.end()
    return [*tokens, _Token("end", "", end)]


def _number(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        return float(text)


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL)
