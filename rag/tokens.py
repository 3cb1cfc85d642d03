"""Counting tokens: a protocol for real tokenizers, and an estimate that needs none."""

from __future__ import annotations

import re
from typing import Final, Protocol, runtime_checkable


@runtime_checkable
class TokenCounter(Protocol):
    """How many tokens a text costs the model that will read it."""

    def count(self, text: str) -> int:
        """Tokens of the text by itself, without special ones."""


_PIECE: Final = re.compile(r"[A-Za-z]+|[0-9]+|[^\W\d_]|[^\w\s]|_|\n+")
#: Letters and digits of one token, on the safe side of what byte-pair vocabularies of 30k to 150k reach.
_LETTERS: Final = 6
_DIGITS: Final = 2


class EstimatedTokens:
    """An estimate meant to err on the high side, so that a budget holds with any common tokenizer.

    One token for every 6 ASCII letters of a word begun, one for every 2 digits begun, one for every other
    letter, punctuation mark and run of line ends; blanks are free, as they are in byte-pair vocabularies.

    Source: ours.
    """

    def count(self, text: str) -> int:
        """Estimated tokens of the text; 0 for the empty text, monotone under concatenation."""
        total = 0
        for match in _PIECE.finditer(text):
            piece = match.group()
            if piece[0].isascii() and piece[0].isalpha():
                total += -(-len(piece) // _LETTERS)
            elif piece[0].isdigit() and piece[0].isascii():
                total += -(-len(piece) // _DIGITS)
            else:
                total += 1
        return total
