"""What an encoder is: text in, one float32 vector a text out.

Law: ``encode_*`` is a pure function of each text by itself. Row i may not depend on the other
texts of the call, on their order, or on the number of threads; only then are index bytes
reproducible and cached vectors interchangeable. Encoders whose runtime cannot promise that say
``batch_invariant = False``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol, runtime_checkable

from twindex.indexing.types import Float32Array

Similarity = Literal["cosine", "dot"]


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
