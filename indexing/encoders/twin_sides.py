"""The two sides of a twin encoder behind the protocols of an index: a dense encoder and a sparse one.

Each can be used alone. Together they share a pass: what the dense side encodes, the sparse side is given, so that
building an index with both legs encodes each text once.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np

from twindex.indexing.encoders.own_terms import QueryRule
from twindex.indexing.encoders.term_space import SIZE
from twindex.indexing.encoders.twin import (
    ABOUT,
    InferenceFreeQueries,
    TwinEncoder,
    open_queries,
    open_twin,
    read_about,
    sparse_fingerprint,
)
from twindex.indexing.encoding import EncoderInfo, SparseEncoderInfo, SparseRows
from twindex.indexing.types import Float32Array, Int32Array

#: Greatest weight of a document's dimension, where the folder does not say.
MAX_WEIGHT: Final = 4.0
#: Texts whose sparse vectors wait for being asked for, at most: more than a build encodes at a time.
WAITING: Final = 4096

Row = tuple[Int32Array, Float32Array]


class TwinPass:
    """Passes of one twin encoder, whose sparse vectors are kept until they are asked for. Safe for threads.

    Args:
        twin: The encoder.
    """

    def __init__(self, twin: TwinEncoder) -> None:
        self.twin = twin
        self._rows: dict[str, Row] = {}
        self._lock = threading.Lock()

    def dense(self, texts: Sequence[str]) -> Float32Array:
        """Dense vectors of documents: float32[len(texts), dim]."""
        vectors, rows = self.twin.encode_twins(texts)
        with self._lock:
            for at, text in enumerate(texts):
                self._rows[text] = rows.row(at)
            while len(self._rows) > WAITING:
                del self._rows[next(iter(self._rows))]
        return vectors

    def sparse(self, texts: Sequence[str]) -> SparseRows:
        """Sparse vectors of documents, in the order of ``texts``; what has none waiting is encoded now."""
        with self._lock:
            known = {text: self._rows[text] for text in texts if text in self._rows}
            for text in known:
                del self._rows[text]
        missing = list(dict.fromkeys(text for text in texts if text not in known))
        if missing:
            _, rows = self.twin.encode_twins(missing)
            known |= {text: rows.row(at) for at, text in enumerate(missing)}
        return as_rows([known[text] for text in texts])


class TwinDense:
    """The dense side; documents go through the shared pass.

    Args:
        shared: The pass.
    """

    batch_invariant = True

    def __init__(self, shared: TwinPass) -> None:
        self._shared = shared

    @property
    def info(self) -> EncoderInfo:
        """Identity and shape of the vectors: those of the twin encoder."""
        return self._shared.twin.info

    def encode_documents(self, texts: Sequence[str]) -> Float32Array:
        """Vectors of documents: float32[len(texts), info.dim]."""
        return self._shared.dense(texts)

    def encode_queries(self, texts: Sequence[str]) -> Float32Array:
        """Vectors of queries: float32[len(texts), info.dim]."""
        return self._shared.twin.encode_queries(texts)


class TwinQueries:
    """Queries of a sparse encoder without a model, whatever makes its documents' vectors.

    Args:
        info: Identity and shape of the vectors.
        queries: Weighs the terms of queries.
    """

    def __init__(self, info: SparseEncoderInfo, queries: InferenceFreeQueries) -> None:
        self._info = info
        self._queries = queries

    @property
    def info(self) -> SparseEncoderInfo:
        """Identity and shape of the vectors."""
        return self._info

    @property
    def analyzer_fingerprint(self) -> str:
        """That of the analyzer whose terms the dimensions are."""
        return self._queries.analyzer_fingerprint

    def words(self, text: str) -> dict[int, str]:
        """What the dimensions of a query stand for."""
        return self._queries.words(text)

    def number(self, term: str) -> int:
        """The dimension of a term of a query, -1 if it weighs nothing there."""
        return self._queries.number(term)

    def encode_query(self, text: str) -> Row:
        """The query's dimensions, ascending, and their weights: int32[m], float32[m]."""
        return self._queries.query(text)


class TwinSparse(TwinQueries):
    """The sparse side. Queries cost a tokenizer and a table; the model is loaded when the first document comes.

    Args:
        folder: That of the twin encoder.
        name: What the resolver knows it by.
        threads: Texts that are encoded at the same time; None = the processors that this process may use.
        shared: A pass that is shared with a dense side; None = its own.

    Raises:
        ConfigError: If the folder holds no twin encoder.
        CorruptIndexError: If a file is not the one that the folder's description names.
    """

    def __init__(
        self, folder: Path, *, name: str = "", threads: int | None = None, shared: TwinPass | None = None
    ) -> None:
        self._folder = folder
        self._threads = threads
        super().__init__(_info(folder, name or str(folder)), open_queries(folder))
        if shared is not None:
            self.__dict__["_pass"] = shared

    def encode_documents(self, texts: Sequence[str]) -> SparseRows:
        """Vectors of documents, in the order of ``texts``."""
        return self._pass.sparse(texts)

    def expand_query(self, text: str) -> Row:
        """Dimensions that the model adds to a query's own, ascending, and the share of idf of each; loads the model.

        Shapes: int32[m], float32[m].
        """
        return self._queries.added(text, self._pass.twin.query_expansions(text), self._rule)

    def idf_of(self, dimensions: Int32Array) -> Float32Array:
        """What the folder's own table weighs dimensions by: float32[m]."""
        return self._queries.idf_of(dimensions)

    def names_of(self, dimensions: Sequence[int]) -> dict[int, str]:
        """What dimensions stand for, of those that have a name."""
        return self._queries.names_of(dimensions)

    @cached_property
    def _rule(self) -> QueryRule:
        return QueryRule(**read_about(self._folder).get("queries", {}))

    @cached_property
    def _pass(self) -> TwinPass:
        return TwinPass(open_twin(self._folder, name=self._info.name, threads=self._threads))


def is_twin(folder: Path) -> bool:
    """Whether the folder holds a twin encoder."""
    return (folder / ABOUT).is_file()


def open_sides(folder: Path, *, name: str = "", threads: int | None = None) -> tuple[TwinDense, TwinSparse]:
    """Both sides of the twin encoder in a folder, sharing their passes.

    Raises:
        ConfigError: If the folder holds none.
        CorruptIndexError: If a file is not the one that the folder's description names.
    """
    shared = TwinPass(open_twin(folder, name=name, threads=threads))
    return TwinDense(shared), TwinSparse(folder, name=name, threads=threads, shared=shared)


def as_rows(rows: Sequence[Row]) -> SparseRows:
    """Sparse vectors, one a text, as an index takes them."""
    pointers = np.zeros(len(rows) + 1, np.int64)
    np.cumsum([len(ids) for ids, _ in rows], out=pointers[1:])
    ids = np.concatenate([np.empty(0, np.int32), *(ids for ids, _ in rows)]).astype(np.int32)
    weights = np.concatenate([np.empty(0, np.float32), *(weights for _, weights in rows)]).astype(np.float32)
    return SparseRows(pointers, ids, weights)


def _info(folder: Path, name: str) -> SparseEncoderInfo:
    about = read_about(folder)
    size, greatest = int(about.get("vocabulary", SIZE)), float(about.get("max_weight", MAX_WEIGHT))
    return SparseEncoderInfo(name, sparse_fingerprint(about), size, greatest)
