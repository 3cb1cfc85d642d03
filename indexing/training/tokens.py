"""Many sequences of tokens or terms as two arrays: one long run of ids, and where each sequence starts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twindex.indexing.encoders.term_space import TermSpace
from twindex.indexing.encoders.tokenizer import SPECIALS, TextTokenizer
from twindex.indexing.errors import ConfigError
from twindex.indexing.types import Int32Array, Int64Array

UInt16Array = NDArray[np.uint16]
#: Special tokens at both ends of what :class:`TextTokenizer` returns.
ENDS = (SPECIALS["[CLS]"], SPECIALS["[SEP]"])


@dataclass(frozen=True, slots=True, eq=False)
class TokenTable:
    """Sequences of ids: tokens (special ones left out), or terms of a :class:`TermSpace`.

    Shapes: ``ids`` uint16[total] for tokens, int32[total] for terms; ``starts`` int64[n + 1]; sequence i is
    ``ids[starts[i]:starts[i + 1]]``.

    Raises:
        ConfigError: If the starts do not fit the ids.
    """

    ids: UInt16Array | Int32Array
    starts: Int64Array

    def __post_init__(self) -> None:
        starts = self.starts
        if starts.ndim != 1 or not len(starts) or starts[0] != 0 or starts[-1] != len(self.ids):
            raise ConfigError(
                f"{len(starts)} starts for {len(self.ids)} token ids", expected="starts from 0 to the end"
            )
        if bool((np.diff(starts) < 0).any()):
            raise ConfigError("a token sequence that ends before it starts", expected="starts that do not decrease")

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, at: int) -> UInt16Array | Int32Array:
        if not 0 <= at < len(self):
            raise IndexError(at)
        return self.ids[self.starts[at] : self.starts[at + 1]]

    def __iter__(self) -> Iterator[UInt16Array | Int32Array]:
        return (self[i] for i in range(len(self)))

    @classmethod
    def of(
        cls, sequences: Iterable[Sequence[int] | UInt16Array | Int32Array], kind: type[np.integer[Any]] = np.uint16
    ) -> TokenTable:
        """A table of the sequences, in their order."""
        rows = [np.asarray(row, kind) for row in sequences]
        starts = np.zeros(len(rows) + 1, np.int64)
        np.cumsum([len(row) for row in rows], out=starts[1:])
        return cls(np.concatenate([*rows, np.empty(0, kind)]).astype(kind), starts)

    @classmethod
    def from_texts(cls, texts: Iterable[str], tokenizer: TextTokenizer) -> TokenTable:
        """The tokens of each text, cut where the tokenizer cuts, without its special ones."""
        return cls.of(bare_ids(tokenizer, text) for text in texts)

    @classmethod
    def from_terms(cls, texts: Iterable[str], space: TermSpace) -> TokenTable:
        """The terms of each text, all of them."""
        return cls.of((space.numbers(text) for text in texts), np.int32)


def bare_ids(tokenizer: TextTokenizer, text: str) -> list[int]:
    """Token ids of a text without the special ones at its ends."""
    return tokenizer.ids(text)[1:-1]
