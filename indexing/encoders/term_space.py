"""The dimensions of our learned sparse vectors: stems, as BM25 has them, and not pieces of words.

Dimensions below ``columns`` are the stems of the whole words in the encoder's vocabulary: what its head can predict
for a text that lacks the word. Every other stem (names, formulas, rare words that WordPiece would break) falls in
one of the buckets above them by its hash, so that a text's own words always count, whatever they are.

Why stems: BM25 over WordPieces loses to BM25 over stems wherever words are rare (SciFact, train judgements, nDCG@10
0.661 against 0.701), and inflected forms share one column, which makes the head's table smaller.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property, lru_cache
from hashlib import blake2b
from typing import Final

import numpy as np

from twindex.indexing.analysis import Analyzer, get_analyzer
from twindex.indexing.encoders.tokenizer import SPECIALS, VOCABULARY
from twindex.indexing.types import Int32Array, Int64Array

#: Dimensions in all.
SIZE: Final = 1 << 18
ANALYZER: Final = "english"
CONTINUED, UNUSED = "##", "[unused"


class TermSpace:
    """Numbers of stems.

    Args:
        words: The encoder's vocabulary, in its order.
        analyzer: What makes terms of texts, documents and queries alike.
        size: Dimensions in all.
    """

    def __init__(self, words: Sequence[str], analyzer: Analyzer, *, size: int = SIZE) -> None:
        self.analyzer = analyzer
        self.size = size
        self._numbers: dict[str, int] = {}
        column_of = np.full(len(words), -1, np.int32)
        for at, word in enumerate(words):
            stem = _stem(word, analyzer)
            if stem is not None:
                column_of[at] = self._numbers.setdefault(stem, len(self._numbers))
        #: int32[words]: the column of each entry of the vocabulary, -1 = it has none.
        self.column_of: Int32Array = column_of
        self.columns = len(self._numbers)
        self._labels = list(self._numbers)

    @classmethod
    def bert_uncased(cls) -> TermSpace:
        """That of the vendored vocabulary and the ``english`` analyzer; made once a process."""
        return _bert_uncased()

    @cached_property
    def fingerprint(self) -> str:
        """Equal spaces, equal fingerprints."""
        names = "\n".join(self._labels).encode()
        return f"{blake2b(names, digest_size=8).hexdigest()} {self.size} {self.analyzer.fingerprint}"

    def number(self, term: str) -> int:
        """The dimension of a stem."""
        known = self._numbers.get(term)
        return self._bucket(term) if known is None else known

    def label(self, number: int) -> str | None:
        """The stem of a column; None for a bucket, which any stem may share."""
        return self._labels[number] if number < self.columns else None

    def numbers(self, text: str) -> Int32Array:
        """The dimensions of a text's terms, in order, with repetitions: int32[n]."""
        return np.array([self.number(term) for term in self.analyzer.terms(text)], np.int32)

    def many(self, texts: Iterable[str]) -> tuple[Int32Array, Int64Array]:
        """:meth:`numbers` of many texts: all of them joined, and int64[n + 1] where each begins."""
        rows = [self.numbers(text) for text in texts]
        starts = np.zeros(len(rows) + 1, np.int64)
        np.cumsum([len(row) for row in rows], out=starts[1:])
        return np.concatenate([*rows, np.empty(0, np.int32)]).astype(np.int32), starts

    def _bucket(self, term: str) -> int:
        digest = blake2b(term.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        return self.columns + int.from_bytes(digest, "big") % (self.size - self.columns)


def _stem(word: str, analyzer: Analyzer) -> str | None:
    """The one term that a whole word of the vocabulary stands for; None for all else."""
    if word in SPECIALS or word.startswith((CONTINUED, UNUSED)):
        return None
    if not word.isascii() and len(word) == 1:  # a letter of another script is no word of English
        return None
    terms = analyzer.terms(word)
    return terms[0] if len(terms) == 1 else None


@lru_cache(maxsize=1)
def _bert_uncased() -> TermSpace:
    return TermSpace(VOCABULARY.read_text(encoding="utf-8").splitlines(), get_analyzer(ANALYZER))
