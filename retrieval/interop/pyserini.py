"""Lucene's BM25 over the passages of a snapshot, with the jar and the English analysis of pyserini.

"Flat": one field with title and text, as in Anserini's runs of that name. The Lucene index is made once in a cache
folder, in one segment whose document numbers follow the snapshot's ordinals, so that ties fall as they do here.
Source: Lucene's IndexSearcher and BM25Similarity; Anserini's BagOfWordsQueryGenerator for the form of the query.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import numpy as np

from twindex.indexing.errors import ConfigError, CorruptIndexError
from twindex.indexing.snapshot import Snapshot
from twindex.indexing.types import Int32Array
from twindex.retrieval.interop.lucene import LuceneEnglish, cast, crossing, java, lucene_version
from twindex.retrieval.interop.lucene_explanation import explanation_from
from twindex.retrieval.interop.source import allowed_rows, contents, live_ords, row_of
from twindex.retrieval.types import Explanation, Query, Ranking, Run, as_queries, check_k

FIELD: Final = "contents"
NUMBER: Final = "number"
#: Part of the name of a cached index; another layout gets another number.
LAYOUT: Final = 1
_LUCENE: Final = "org.apache.lucene"
_STORE: Final = f"{_LUCENE}.store.Directory"


class PyseriniRetriever:
    """Lucene behind the Retriever protocol. To be closed, or used as a context manager.

    Args:
        snapshot: What to search; its analyzer must be "english", whose reference Lucene's is.
        folder: Where Lucene indexes are kept, one for each content; made if absent.
        k1: Saturation.
        b: Length normalisation.

    Raises:
        ConfigError: If the snapshot has another analyzer.
        CorruptIndexError: If the cached index has another number of documents than the snapshot.
        MissingExtraError: If the extra ``lucene`` is not installed.
    """

    def __init__(self, snapshot: Snapshot, folder: Path, *, k1: float = 0.9, b: float = 0.4) -> None:
        if snapshot.analyzer.name != "english":
            raise ConfigError(f"a snapshot with the analyzer {snapshot.analyzer.name!r}", expected="'english'")
        self.snapshot = snapshot
        self._ords = live_ords(snapshot)
        self._english = LuceneEnglish()
        self.path = folder / f"lucene-{lucene_version()}-{LAYOUT}-{_content_key(snapshot)}"
        if not self.path.exists():
            build_lucene_index(snapshot, self._ords, self.path, self._english)
        self._reader: Any = java(f"{_LUCENE}.index.DirectoryReader").open(cast(_STORE, _open(self.path)))
        if int(self._reader.maxDoc()) != len(self._ords):
            found = int(self._reader.maxDoc())
            self._reader.close()
            raise CorruptIndexError(
                f"{self.path} has {found} documents", expected=str(len(self._ords)), remedy="remove that folder"
            )
        self._searcher: Any = java(f"{_LUCENE}.search.IndexSearcher")(
            cast(f"{_LUCENE}.index.IndexReader", self._reader)
        )
        self._searcher.setSimilarity(java(f"{_LUCENE}.search.similarities.BM25Similarity")(k1, b))
        self._searcher.setQueryCache(None)
        java(f"{_LUCENE}.search.IndexSearcher").setMaxClauseCount(2**31 - 1)  # a query may be a document

    @property
    def name(self) -> str:
        """Short name of the leg."""
        return "lucene-bm25"

    def retrieve(self, queries: Sequence[Query], k: int) -> Run:
        """The k best passages of each query.

        Raises:
            QueryError: If k is negative.
        """
        check_k(k)
        return Run(tuple(self._one(query, k) for query in as_queries(queries)), self.snapshot)

    def _one(self, query: Query, k: int) -> Ranking:
        passing = allowed_rows(self.snapshot, self._ords, query.filter)
        wanted = min(k, len(self._ords))
        java_query = self._bag_of_words(query.text) if wanted else None
        if java_query is None or (passing is not None and not passing.any()):
            return Ranking.empty()
        if passing is not None:
            java_query = _filtered(java_query, np.flatnonzero(passing).tolist())
        hits = self._searcher.search(java_query, wanted).scoreDocs
        rows = np.array([hit.doc for hit in hits], np.int64)
        return Ranking(self._ords[rows], np.array([hit.score for hit in hits], np.float32))

    def _bag_of_words(self, text: str) -> Any:
        """One optional clause a distinct term, boosted by how often it comes; None without a term."""
        builder = java(f"{_LUCENE}.search.BooleanQuery$Builder")()
        should = java(f"{_LUCENE}.search.BooleanClause$Occur").SHOULD
        counts = Counter(self._english.terms(text))
        for term, count in sorted(counts.items()):
            clause = java(f"{_LUCENE}.search.TermQuery")(java(f"{_LUCENE}.index.Term")(FIELD, term))
            builder.add(java(f"{_LUCENE}.search.BoostQuery")(clause, float(count)), should)
        return cast(f"{_LUCENE}.search.Query", builder.build()) if counts else None

    def explain(self, query: Query, ord_: int) -> Explanation:
        """Lucene's own explanation.

        Raises:
            QueryError: If there is no such ordinal.
        """
        row = row_of(self.snapshot, self._ords, ord_)
        passing = allowed_rows(self.snapshot, self._ords, query.filter)
        if row is None or (passing is not None and not passing[row]):
            return Explanation(0.0, "the document is deleted or does not pass the filter")
        java_query = self._bag_of_words(query.text)
        if java_query is None:
            return Explanation(0.0, f"{self.name}: the query has no term")
        return explanation_from(self._searcher.explain(java_query, row))

    def close(self) -> None:
        """Lets go of the files. A second call does nothing."""
        self._reader.close()

    def __enter__(self) -> PyseriniRetriever:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def build_lucene_index(snapshot: Snapshot, ords: Int32Array, path: Path, english: LuceneEnglish) -> None:
    """A Lucene index of the passages, in their order, in one segment; it appears at the path when it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=".building-", dir=path.parent))
    try:
        _write(snapshot, ords, temporary, english)
        os.replace(temporary, path)
    except OSError:
        if not path.exists():  # otherwise another process was quicker with the same index
            raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write(snapshot: Snapshot, ords: Int32Array, path: Path, english: LuceneEnglish) -> None:
    store = _open(path)
    config = java(f"{_LUCENE}.index.IndexWriterConfig")(english.java_analyzer)
    config.setMergePolicy(java(f"{_LUCENE}.index.LogDocMergePolicy")())  # joins neighbours only: keeps the order
    config.setMergeScheduler(java(f"{_LUCENE}.index.SerialMergeScheduler")())
    writer = java(f"{_LUCENE}.index.IndexWriter")(store, config)
    make = java(f"{_LUCENE}.document.Document")
    text_field, point = java(f"{_LUCENE}.document.TextField"), java(f"{_LUCENE}.document.IntPoint")
    not_stored = java(f"{_LUCENE}.document.Field$Store").NO
    for number, text in enumerate(contents(snapshot, ords)):
        document = make()
        document.add(text_field(FIELD, crossing(text), not_stored))
        document.add(point(NUMBER, number))
        writer.addDocument(document)
    writer.forceMerge(1)
    writer.close()
    store.close()


def _open(path: Path) -> Any:
    """Read through file channels: memory maps of this Lucene warn on newer Javas."""
    return java(f"{_LUCENE}.store.NIOFSDirectory")(java("java.nio.file.Paths").get(str(path)))


def _filtered(java_query: Any, rows: list[int]) -> Any:
    builder = java(f"{_LUCENE}.search.BooleanQuery$Builder")()
    occur = java(f"{_LUCENE}.search.BooleanClause$Occur")
    builder.add(java_query, occur.MUST)
    builder.add(java(f"{_LUCENE}.document.IntPoint").newSetQuery(NUMBER, *rows), occur.FILTER)
    return builder.build()


def _content_key(snapshot: Snapshot) -> str:
    """Names what is live in the snapshot: its manifest has the digest of every file."""
    return hashlib.sha256(snapshot.manifest.to_bytes()).hexdigest()[:16]
