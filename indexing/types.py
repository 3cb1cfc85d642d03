"""The nouns that every room shares: documents, passages, and the names of array types.

Notation in docstrings: ``ords: int32[n]`` is a one-dimensional array of n int32.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from twindex.indexing.errors import CorpusError

#: What a metadata field may hold. Lists are lists of strings or of numbers.
MetaValue: TypeAlias = "str | int | float | bool | list[str] | list[int] | list[float] | None"
Metadata: TypeAlias = "Mapping[str, MetaValue]"

BoolArray: TypeAlias = NDArray[np.bool_]
Float32Array: TypeAlias = NDArray[np.float32]
Int32Array: TypeAlias = NDArray[np.int32]
Int64Array: TypeAlias = NDArray[np.int64]
UInt8Array: TypeAlias = NDArray[np.uint8]
UInt32Array: TypeAlias = NDArray[np.uint32]
UInt64Array: TypeAlias = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Document:
    """What a user has: an external id, a text, perhaps a title and metadata.

    Raises:
        CorpusError: If id, text or title is no text.
    """

    id: str
    text: str
    title: str = ""
    metadata: Metadata = field(default_factory=dict)

    def __post_init__(self) -> None:
        if type(self.id) is type(self.text) is type(self.title) is str:
            return
        for name, value in (("id", self.id), ("text", self.text), ("title", self.title)):
            if not isinstance(value, str):
                raise CorpusError(
                    f"a document with the {name} {str(value)[:60]!r} of type {type(value).__name__}", expected="a text"
                )


@dataclass(frozen=True, slots=True)
class Passage:
    """What is indexed: a span of one document. Without chunking the span is the whole text.

    ``start`` and ``end`` count characters (Unicode code points) of the document's text,
    and ``text == document.text[start:end]``.
    """

    id: str
    doc_id: str
    text: str
    title: str = ""
    start: int = 0
    end: int = 0
    metadata: Metadata = field(default_factory=dict)

    @property
    def contents(self) -> str:
        """Title and text joined by one blank: the one field that both indices see (Anserini's "flat")."""
        return f"{self.title} {self.text}" if self.title else self.text


class Progress(Protocol):
    """A callback that long operations call now and then; the library itself never prints."""

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        """``done`` units of ``stage`` are finished, out of ``total`` if it is known."""


def no_progress(stage: str, done: int, total: int | None) -> None:
    """The default progress callback: silence."""
