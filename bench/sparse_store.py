"""A prepared corpus of the sparse bench: the same arrays for every engine, so that analysis cannot differ.

A corpus is a folder of ``.npy`` arrays, read by memory map, and ``meta.json``. N documents, V terms, P postings,
Q queries, M query terms in all.

========================  ==========  =====================================================================
doc_ptr                   int64[N+1]  document d holds ``doc_ids[doc_ptr[d]:doc_ptr[d + 1]]``
doc_ids, doc_values       int32, u2   distinct terms, ascending, and how often each occurs (or its impact, 1..255)
lengths                   int32[N]    tokens of each document (for impacts: the sum of its impacts)
post_ptr, post_docs,      int64[V+1]  the same pairs by term, documents ascending
post_values               int32, u2
query_ptr, query_ids      int64[Q+1]  terms of each query; in a "bm25" corpus with repetitions, in the order asked
query_weights             int32[M]    1 in a "bm25" corpus; whole numbers in an "impact" corpus, so that scores are
                                      whole numbers as well and every exact engine must return the very same ones
========================  ==========  =====================================================================
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Kind = Literal["bm25", "impact"]
Array = NDArray[Any]
#: One chunk of documents: doc_ptr (from 0), doc_ids, doc_values, lengths.
Chunk = tuple[Array, Array, Array, Array]


@dataclass(frozen=True)
class Corpus:
    """One prepared corpus, its arrays mapped at first use."""

    folder: Path

    @cached_property
    def meta(self) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads((self.folder / "meta.json").read_text())
        return loaded

    @property
    def name(self) -> str:
        return str(self.meta["name"])

    @property
    def kind(self) -> Kind:
        kind: Kind = self.meta["kind"]
        return kind

    @property
    def size(self) -> int:
        return int(self.meta["documents"])

    @property
    def vocabulary(self) -> int:
        return int(self.meta["vocabulary"])

    @property
    def postings(self) -> int:
        return int(self.meta["postings"])

    @property
    def queries(self) -> int:
        return int(self.meta["queries"])

    @cached_property
    def average_length(self) -> float:
        """Mean tokens of a document, empty ones included."""
        return float(self.array("lengths").sum(dtype=np.int64)) / self.size

    def array(self, name: str) -> Array:
        """One of the arrays of the table above, mapped for reading."""
        mapped: Array = np.load(self.folder / f"{name}.npy", mmap_mode="r")
        return mapped

    def query(self, number: int) -> tuple[Array, Array]:
        """Terms and weights of one query."""
        ptr = self.array("query_ptr")
        part = slice(int(ptr[number]), int(ptr[number + 1]))
        return np.array(self.array("query_ids")[part]), np.array(self.array("query_weights")[part])

    def first_queries(self, count: int) -> list[tuple[Array, Array]]:
        """The first ``count`` queries (their order was shuffled by seed when the corpus was made)."""
        ptr = np.array(self.array("query_ptr"))
        ids, weights = np.array(self.array("query_ids")), np.array(self.array("query_weights"))
        cuts = zip(ptr[:-1].tolist()[:count], ptr[1:].tolist()[:count], strict=True)
        return [(ids[a:b], weights[a:b]) for a, b in cuts]


def exists(folder: Path) -> bool:
    """A corpus was written there completely (``meta.json`` is written last)."""
    return (folder / "meta.json").exists()


class CorpusWriter:
    """Chunks of documents in, the folder out; memory is one chunk and the pointers.

    Args:
        folder: Where; removed first if it is there.
        name: What tables call it.
        kind: "bm25" or "impact".
        vocabulary: V.
    """

    def __init__(self, folder: Path, name: str, kind: Kind, vocabulary: int) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self.folder, self.name, self.kind, self.vocabulary = folder, name, kind, vocabulary
        self._df = np.zeros(vocabulary, np.int64)
        self._sizes: list[Array] = []
        self._lengths: list[Array] = []
        self._chunks: list[tuple[int, int]] = []
        self._ids = open(folder / "ids.raw", "wb")  # noqa: SIM115 - closed by finish
        self._values = open(folder / "values.raw", "wb")  # noqa: SIM115
        self.documents = 0
        self.postings = 0

    def add(self, chunk: Chunk) -> None:
        """Append documents."""
        ptr, ids, values, lengths = chunk
        ids.astype("<i4", copy=False).tofile(self._ids)
        values.astype("<u2", copy=False).tofile(self._values)
        self._df += np.bincount(ids, minlength=self.vocabulary)
        self._sizes.append(np.diff(ptr))
        self._lengths.append(lengths.astype(np.int32))
        self._chunks.append((self.documents, self.postings))
        self.documents += len(lengths)
        self.postings += len(ids)

    def finish(self, queries: Iterable[tuple[Array, Array]], **facts: object) -> Corpus:
        """Invert, write the queries and the description."""
        self._ids.close()
        self._values.close()
        doc_ptr = _pointers(np.concatenate(self._sizes))
        self._save("doc_ptr", doc_ptr)
        self._save("lengths", np.concatenate(self._lengths))
        ids = self._adopt("ids.raw", "doc_ids", "<i4")
        values = self._adopt("values.raw", "doc_values", "<u2")
        self._invert(doc_ptr, ids, values)
        self._queries(list(queries))
        meta = {
            "name": self.name,
            "kind": self.kind,
            "documents": self.documents,
            "vocabulary": self.vocabulary,
            "postings": self.postings,
            "queries": len(self.array("query_ptr")) - 1,
            **facts,
        }
        (self.folder / "meta.json").write_text(json.dumps(meta, indent=1, sort_keys=True) + "\n")
        return Corpus(self.folder)

    def array(self, name: str) -> Array:
        """An array written already."""
        loaded: Array = np.load(self.folder / f"{name}.npy", mmap_mode="r")
        return loaded

    def _adopt(self, raw: str, name: str, dtype: str) -> Array:
        """A raw file as ``.npy``, copied in pieces."""
        source = np.memmap(self.folder / raw, dtype, "r")
        target = np.lib.format.open_memmap(self.folder / f"{name}.npy", "w+", source.dtype, source.shape)
        for at in range(0, len(source), 1 << 24):
            target[at : at + (1 << 24)] = source[at : at + (1 << 24)]
        os.unlink(self.folder / raw)
        return target

    def _invert(self, doc_ptr: Array, ids: Array, values: Array) -> None:
        post_ptr = _pointers(self._df)
        self._save("post_ptr", post_ptr)
        path = self.folder
        docs_out = np.lib.format.open_memmap(path / "post_docs.npy", "w+", np.dtype("<i4"), ids.shape)
        values_out = np.lib.format.open_memmap(path / "post_values.npy", "w+", np.dtype("<u2"), ids.shape)
        from sparse_kernels import scatter  # numba: only where corpora are made

        scatter(doc_ptr, ids, values, post_ptr[:-1].copy(), docs_out, values_out)
        docs_out.flush()
        values_out.flush()

    def _queries(self, queries: list[tuple[Array, Array]]) -> None:
        self._save("query_ptr", _pointers(np.array([len(ids) for ids, _ in queries], np.int64)))
        for name, part in (("query_ids", 0), ("query_weights", 1)):
            self._save(name, np.concatenate([query[part] for query in queries]).astype(np.int32))

    def _save(self, name: str, values: Array) -> None:
        np.save(self.folder / f"{name}.npy", values)


def _pointers(sizes: Array) -> Array:
    out = np.zeros(len(sizes) + 1, np.int64)
    np.cumsum(sizes, out=out[1:])
    return out
