"""What an encoder is: text in, one float32 vector a text out; dense, or sparse over a vocabulary.

Law: ``encode_*`` is a pure function of each text by itself. Row i may not depend on the other
texts of the call, on their order, or on the number of threads; only then are index bytes
reproducible and cached vectors interchangeable. Encoders whose runtime cannot promise that say
``batch_invariant = False``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, Protocol, runtime_checkable

import numpy as np

from twindex.indexing.errors import ConfigError
from twindex.indexing.types import Float32Array, Int32Array, Int64Array

Similarity = Literal["cosine", "dot"]
#: Largest impact that a posting of a learned-sparse leg can hold; 0 is "not there".
MAX_IMPACT: Final = 255
#: Dimensions of a sparse vocabulary, at most: a sort key of the build holds term, document and impact in 64 bits.
MAX_VOCABULARY: Final = 1 << 24


@dataclass(frozen=True, slots=True)
class EncoderInfo:
    """Everything about an encoder that shapes its vectors; recorded in the manifest.

    ``name`` is what the resolver takes to load it again; ``fingerprint`` is a hash of the weights,
    tokenizer and every setting here, so that two encoders with one fingerprint give the same
    vectors. ``max_length`` counts tokens, the special ones included. Prompts are put before the text.
    Vectors are L2-normalised when ``similarity`` is "cosine", so that the inner product is the score.
    """

    name: str
    fingerprint: str
    dim: int
    max_length: int
    similarity: Similarity = "cosine"
    query_prompt: str = ""
    document_prompt: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for the manifest."""
        return asdict(self)


@runtime_checkable
class Encoder(Protocol):
    """Text to dense vectors."""

    @property
    def info(self) -> EncoderInfo:
        """Identity and shape of the vectors."""

    @property
    def batch_invariant(self) -> bool:
        """Whether each row depends on its own text alone, bit for bit."""

    def encode_documents(self, texts: Sequence[str]) -> Float32Array:
        """Vectors of documents.

        Shapes: result float32[len(texts), info.dim], in the order of ``texts``, C-contiguous.
        """

    def encode_queries(self, texts: Sequence[str]) -> Float32Array:
        """Vectors of queries, shaped as those of documents."""


@dataclass(frozen=True, slots=True)
class SparseEncoderInfo:
    """Everything about a sparse encoder that shapes its vectors; recorded in the manifest.

    ``vocabulary`` is the number of dimensions. ``max_weight`` is the greatest weight that a document's dimension
    can have: it fixes the unit in which weights are stored, so that it depends on the encoder and not on the
    documents. Greater weights are clipped (and counted).

    Raises:
        ConfigError: If the vocabulary or the weight is out of range.
    """

    name: str
    fingerprint: str
    vocabulary: int
    max_weight: float

    def __post_init__(self) -> None:
        if not 1 <= self.vocabulary <= MAX_VOCABULARY:
            raise ConfigError(f"a sparse vocabulary of {self.vocabulary}", expected=f"1 to {MAX_VOCABULARY}")
        if not (np.isfinite(np.float32(self.max_weight)) and self.scale > 0):
            raise ConfigError(f"max_weight = {self.max_weight}", expected="a finite number above 0")

    @property
    def scale(self) -> float:
        """The weight of one unit of impact: a float32 value."""
        return float(np.float32(self.max_weight / MAX_IMPACT))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for the manifest."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class SparseRows:
    """Sparse vectors, row by row.

    Shapes: ``ptr`` int64[n + 1]; row i has the dimensions ``ids[ptr[i]:ptr[i + 1]]``, int32, ascending and distinct,
    and their ``weights``, float32, at least 0.
    """

    ptr: Int64Array
    ids: Int32Array
    weights: Float32Array

    def __len__(self) -> int:
        return len(self.ptr) - 1

    def slice(self, start: int, stop: int) -> SparseRows:
        """Rows ``start`` to ``stop``, without a copy of the entries."""
        first, last = int(self.ptr[start]), int(self.ptr[stop])
        return SparseRows(self.ptr[start : stop + 1] - first, self.ids[first:last], self.weights[first:last])

    @classmethod
    def concatenate(cls, parts: Sequence[SparseRows]) -> SparseRows:
        """All rows, in order."""
        sizes = [np.zeros(1, np.int64), *(np.diff(part.ptr) for part in parts)]
        return cls(
            np.cumsum(np.concatenate(sizes)),
            np.concatenate([np.empty(0, np.int32), *(part.ids for part in parts)]),
            np.concatenate([np.empty(0, np.float32), *(part.weights for part in parts)]),
        )

    def check(self, vocabulary: int, count: int) -> None:
        """Nothing, if these are ``count`` rows as described above.

        Raises:
            ConfigError: If they are not; the message says in what.
        """
        problem = _problem(self, vocabulary, count)
        if problem:
            raise ConfigError(
                f"sparse vectors with {problem}",
                expected=f"{count} rows of ascending ids below {vocabulary} with finite weights of at least 0",
                remedy="mend the sparse encoder, or what made the vectors",
            )


def _problem(rows: SparseRows, vocabulary: int, count: int) -> str | None:
    ptr, ids, weights = rows.ptr, rows.ids, rows.weights
    dtypes = f"{ptr.dtype}, {ids.dtype}, {weights.dtype}"
    if dtypes != "int64, int32, float32":
        return f"dtypes {dtypes}"
    if len(ptr) != count + 1:
        return f"{len(ptr) - 1} rows"
    if len(ids) != len(weights) or ptr[0] != 0 or ptr[-1] != len(ids) or np.any(np.diff(ptr) < 0):
        return "pointers that do not fit the entries"
    if len(ids) and not (int(ids.min()) >= 0 and int(ids.max()) < vocabulary):
        return f"ids from {int(ids.min())} to {int(ids.max())}"
    falls = np.flatnonzero(np.diff(ids) <= 0) + 1
    if len(np.setdiff1d(falls, ptr)):
        return "ids that do not ascend within a row"
    if not (np.isfinite(weights).all() and (weights >= 0).all()):
        return "weights below 0 or not finite"
    return None


@runtime_checkable
class SparseEncoder(Protocol):
    """Text to weights over a vocabulary. Law: each row is a pure function of its own text."""

    @property
    def info(self) -> SparseEncoderInfo:
        """Identity and shape of the vectors."""

    def encode_documents(self, texts: Sequence[str]) -> SparseRows:
        """Vectors of documents, in the order of ``texts``."""

    def encode_query(self, text: str) -> tuple[Int32Array, Float32Array]:
        """The query's dimensions, ascending and distinct, and their weights.

        Shapes: int32[m], float32[m].
        """


@runtime_checkable
class PairScorer(Protocol):
    """A query and a text to one number: greater where the text answers the query better.

    Law: a score is a pure function of the two texts; it depends neither on the other texts of the call nor on threads.
    """

    @property
    def name(self) -> str:
        """Short name, used in explanations."""

    def score(self, query: str, texts: Sequence[str]) -> Float32Array:
        """One score a text: float32[len(texts)], finite."""
