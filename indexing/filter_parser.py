"""The filter language: text or JSON to a filter tree.

::

    expression = conjunction { "or" conjunction }
    conjunction = term { "and" term }
    term        = "not" term | "(" expression ")" | condition
    condition   = field ( op value | ["not"] "in" "(" value { "," value } ")" | ["not"] "between" value "and" value
                  | ["not"] "contains" value | ["not"] "starts" "with" text | "exists" | "is" ["not"] "null" )
    op          = "=" | "==" | "!=" | "<>" | "<" | "<=" | ">" | ">="
    field       = name with letters, digits, "_" and "." | any text in back quotes
    value       = text in single or double quotes (backslash escapes) | number | "true" | "false"

Keywords in any case. ``between`` includes both ends.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NamedTuple, TypeVar

from twindex.indexing.errors import FilterError
from twindex.indexing.filter_ast import (
    MAX_DEPTH,
    RESERVED,
    SAME_OPERATOR,
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
    between,
)

#: Characters of an expression, at most.
MAX_LENGTH: Final = 100_000
#: Brackets and nots inside one another; a printed tree needs up to two for each of its levels.
MAX_NESTING: Final = 2 * MAX_DEPTH
#: Characters of an expression that a message repeats.
SHOWN: Final = 200
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

T = TypeVar("T")


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
        token = self.peek()
        parts = [part()]
        while self.accept(word):
            parts.append(part())
        return parts[0] if len(parts) == 1 else self.checked(token, lambda: join(tuple(parts)))

    def term(self) -> Filter:
        token = self.peek()
        self.depth += 1
        if self.depth > MAX_NESTING:
            raise self.error("a flatter one", found=f"nested deeper than {MAX_NESTING}")
        if self.accept("not"):
            part = self.term()
            found: Filter = self.checked(token, lambda: Not(part))
        elif self.accept("("):
            found = self.expression()
            self.require(")")
        else:
            found = self.condition()
        self.depth -= 1
        return found

    def condition(self) -> Filter:
        token = self.peek()
        field = self.field()
        negated = self.accept("not")
        if self.accept("in"):
            values = self.values()
            found: Filter = self.checked(token, lambda: In(field, values))
        elif self.accept("contains"):
            found = Contains(field, self.value())
        elif self.accept("between"):
            low = self.value()
            self.require("and")
            high = self.value()
            found = self.checked(token, lambda: between(field, low, high))
        elif self.accept("starts"):
            self.require("with")
            found = StartsWith(field, self.text_value())
        elif negated:
            raise self.error("'in', 'contains', 'between' or 'starts with'")
        else:
            found = self.plain_condition(field)
        return Not(found) if negated else found

    def plain_condition(self, field: str) -> Filter:
        token = self.peek()
        if self.accept("exists"):
            return Exists(field)
        if self.accept("is"):
            negated = self.accept("not")
            self.require("null")
            return Exists(field) if negated else Not(Exists(field))
        if token.kind != "sign" or token.text in "(),":
            raise self.error("an operator (= != < <= > >= in, not in, between, contains, starts with, exists, is null)")
        self.position += 1
        value = self.value()
        return self.checked(token, lambda: Compare(field, SAME_OPERATOR.get(token.text, token.text), value))

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
        if token.kind == "quoted" and token.text[0] != "`":
            return self.text_value()
        if token.kind == "number":
            self.position += 1
            return self.checked(token, lambda: _number(token.text))
        if token.kind == "name" and token.text.lower() in ("true", "false"):
            self.position += 1
            return token.text.lower() == "true"
        raise self.error("a value: a text in quotes, a number, true or false")

    def text_value(self) -> str:
        token = self.peek()
        if token.kind != "quoted" or token.text[0] == "`":
            raise self.error("a text in quotes")
        self.position += 1
        return _unquoted(token.text)

    def checked(self, token: _Token, make: Callable[[], T]) -> T:
        """What ``make`` makes; if it refuses, the error says where."""
        try:
            return make()
        except FilterError as error:
            raise self.error(error.expected, at=token.at, found=error.given) from error

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

    def error(self, expected: str, *, at: int | None = None, found: str = "") -> FilterError:
        token = self.peek()
        found = found or ("the end" if token.kind == "end" else repr(token.text[:40]))
        return _error(self.text, token.at if at is None else at, found, expected)


def _error(text: str, at: int, found: str, expected: str) -> FilterError:
    first = max(0, min(at - SHOWN // 2, len(text) - SHOWN))
    shown = "..." * (first > 0) + text[first : first + SHOWN] + "..." * (first + SHOWN < len(text))
    return FilterError(f"filter {shown!r}, at character {at + 1}: {found}", expected=expected, remedy=EXAMPLE)


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    position, end = 0, len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None or match.lastgroup is None:
            at = position + len(text[position:]) - len(text[position:].lstrip())
            raise _error(text, at, repr(text[at : at + 20]), _expected_instead_of(text[at]))
        tokens.append(_Token(match.lastgroup, match[match.lastgroup], match.start(match.lastgroup)))
        position = match.end()
    return [*tokens, _Token("end", "", end)]


def _expected_instead_of(character: str) -> str:
    if character in "'\"`":
        return f"a closing {character} (inside quotes, a backslash before it makes it part of the text)"
    return "a field, a value or an operator; texts in quotes"


def _number(text: str) -> int | float:
    number = float(text)
    if number - number != 0:
        raise FilterError(f"the number {text[:40]}", expected="a finite one, as a double holds it")
    return number if set(text) & set(".eE") else int(text)


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL)
