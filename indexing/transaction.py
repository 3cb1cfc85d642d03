"""What happens between two commits: segments as they were, deletions in them, and new segments.

Duplicates are found without holding the ids of the corpus: ids of the segment in work are in memory
(bounded by its size), those of finished segments are looked up in their files.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Final, Literal, TypeVar

import numpy as np

from twindex.indexing.analysis.base import Analyzer
from twindex.indexing.analysis.pool import AnalysisPool
from twindex.indexing.build import SegmentBuilder
from twindex.indexing.chunking import make_chunker
from twindex.indexing.config import MAX_PASSAGES, IndexConfig
from twindex.indexing.directory import FileDirectory
from twindex.indexing.encoding import Encoder, SparseEncoder, SparseRows
from twindex.indexing.errors import ConfigError, CorpusError, DuplicateIdError
from twindex.indexing.expansion.info import QuerySource
from twindex.indexing.manifest import Manifest, SegmentEntry
from twindex.indexing.merge import merge_segments, plan_merge
from twindex.indexing.postings import ImpactFacts
from twindex.indexing.recovery import staging_name
from twindex.indexing.report import AddReport, ExpansionCount, PhaseSeconds
from twindex.indexing.sparse_cache import SparseCache
from twindex.indexing.store import hash_doc_ids
from twindex.indexing.tools import BuildTools, missing_encoder
from twindex.indexing.types import Document, Progress, UInt64Array
from twindex.indexing.vector_cache import VectorCache
from twindex.indexing.working import WorkingSegment

OnDuplicate = Literal["error", "replace", "skip"]
T = TypeVar("T")
#: Documents, or ids, that are looked up at once.
BATCH: Final = 256

#: For each document of a batch: the segments that may hold its id.
Suspects = list[list[WorkingSegment]]


class Transaction:
    """The state of an index between two commits; only the writer that owns it sees it.

    Args:
        directory: The index directory.
        manifest: The last commit, None before the first.
        config: Settings of the index.
        analyzer: Analyzer of the sparse leg.
        encoder: Encoder of the dense leg; without it nothing can be added to an index with vectors.
        sparse_encoder: Encoder of the learned-sparse leg; without it only documents with their vectors can be added
            to an index with impacts.
        expansions: Generated queries of the passages to be added; without it they have none.
        workers: Processes for analysis, this one included; None for as many as there are processors.
    """

    def __init__(
        self,
        directory: FileDirectory,
        manifest: Manifest | None,
        *,
        config: IndexConfig,
        analyzer: Analyzer,
        encoder: Encoder | None,
        sparse_encoder: SparseEncoder | None = None,
        expansions: QuerySource | None = None,
        workers: int | None = None,
    ) -> None:
        #: Where the time of this transaction went.
        self.phases = PhaseSeconds()
        #: Accounts of the learned-sparse legs of the segments that were built.
        self.impacts: list[ImpactFacts] = []
        #: Generated queries of the segments that were built; None in an index without them.
        self.expansion = ExpansionCount() if config.expansion is not None else None
        self.next_segment = manifest.next_segment if manifest else 1
        self._directory = directory
        self._generation = manifest.generation + 1 if manifest else 1
        self._config = config
        self._encoder = encoder
        self._sparse_encoder = sparse_encoder
        self._expansions = expansions
        # Next to an encoder, which keeps all processors busy, analysis takes no time worth a process.
        alone = encoder is None and sparse_encoder is None
        self._analysis = AnalysisPool(analyzer, workers=workers if alone else 1)
        self._chunker = make_chunker(config.chunking)
        self._tools: BuildTools | None = None
        self._builder: SegmentBuilder | None = None
        entries = manifest.segments if manifest else ()
        self._segments = [WorkingSegment.committed(directory, entry) for entry in entries]

    def add(
        self,
        batch: Sequence[Document],
        on_duplicate: OnDuplicate,
        report: AddReport,
        rows: SparseRows | None = None,
    ) -> None:
        """Adds the documents after all others, and counts them in the report.

        Args:
            batch: The documents.
            on_duplicate: What to do with an id that is live already.
            report: Where they are counted.
            rows: Their sparse vectors, if those are known and shall not be encoded.

        Raises:
            DuplicateIdError: If one is there already and ``on_duplicate`` is "error".
            CorpusError: If one has no id.
            ConfigError: If vectors are needed and there is no encoder.
        """
        hashes = hash_doc_ids([document.id for document in batch])
        suspects = self._suspects(hashes)
        for row, document in enumerate(batch):
            if not document.id:
                raise CorpusError("a document without an id", expected="a text of at least one character")
            if not self._admit(document.id, suspects[row], on_duplicate, report):
                continue
            self._add(document, report, None if rows is None else rows.slice(row, row + 1))
            if self._builder is not None and self._builder.full:
                _mark(self._flush(), hashes, suspects)

    def report(self) -> AddReport:
        """An empty report that shares what is counted for the whole transaction."""
        return AddReport(phases=self.phases, impacts=self.impacts, expansion=self.expansion)

    def delete(self, doc_ids: Sequence[str]) -> int:
        """Deletes documents; the number of those that were there."""
        suspects = self._suspects(hash_doc_ids(doc_ids))
        return sum(self._delete(doc_id, suspects[row]) for row, doc_id in enumerate(doc_ids))

    def merge(self, max_segments: int, progress: Progress, *, reorder: bool = False, purge: float = 0.0) -> None:
        """Joins neighbouring segments until at most so many are left.

        A segment that joins no other is rewritten if more than the share ``purge`` of its passages is deleted, or, with
        ``reorder``, if it has no order of its passages.
        """
        self._settle()
        merged: list[WorkingSegment] = []
        for start, stop in plan_merge([segment.live_docs for segment in self._segments], max_segments):
            group = self._segments[start:stop]
            if len(group) == 1 and group[0].deleted_share <= purge and (group[0].ordered or not reorder):
                merged += group
                continue
            merged.append(
                merge_segments(
                    self._directory, self._number(), group, config=self._config, progress=progress, reorder=reorder
                )
            )
            for segment in group:
                segment.close()
        self._segments = merged

    def seal(self, generation: int) -> tuple[SegmentEntry, ...]:
        """Makes all files durable, and gives the segments that the manifest of that generation lists."""
        self._settle()
        return tuple(segment.seal(generation) for segment in self._segments)

    def abandon(self) -> None:
        """Lets go of all files; the caller removes those that no manifest names."""
        if self._builder is not None:
            self._builder.abandon()
            self._builder = None
        for segment in self._segments:
            segment.close()
        self._analysis.close()

    def _admit(self, doc_id: str, suspects: list[WorkingSegment], on_duplicate: OnDuplicate, report: AddReport) -> bool:
        """Whether the document is to be added; an older one of its id is deleted if that is wanted."""
        if on_duplicate == "replace":
            report.replaced += self._delete(doc_id, suspects)
            return True
        if not self._has(doc_id, suspects):
            return True
        if on_duplicate == "error":
            raise DuplicateIdError(
                f"document id {doc_id!r} is there already",
                expected="each id once",
                remedy="replace or skip duplicates (on_duplicate), or mend the corpus",
            )
        report.duplicates += 1
        return False

    def _add(self, document: Document, report: AddReport, row: SparseRows | None) -> None:
        count = self._open_builder(encodes=row is None).add(document.id, self._chunker.chunk(document), row)
        report.documents += 1
        report.passages += count

    def _has(self, doc_id: str, suspects: list[WorkingSegment]) -> bool:
        if self._builder is not None and doc_id in self._builder:
            return True
        return any(len(segment.find(doc_id)) > 0 for segment in suspects)

    def _delete(self, doc_id: str, suspects: list[WorkingSegment]) -> bool:
        if self._builder is not None and self._builder.delete(doc_id):
            return True
        return any(segment.delete(doc_id) for segment in suspects)

    def _suspects(self, hashes: UInt64Array) -> Suspects:
        suspects: Suspects = [[] for _ in range(len(hashes))]
        for segment in self._segments:
            _mark(segment, hashes, suspects)
        return suspects

    def _open_builder(self, *, encodes: bool = False) -> SegmentBuilder:
        config = self._config
        if config.encoder is not None and self._encoder is None:
            raise missing_encoder(config.encoder.name, "encoder")
        if encodes and config.sparse_encoder is not None and self._sparse_encoder is None:
            raise missing_encoder(config.sparse_encoder.name, "sparse_encoder")
        if self._builder is None:
            self._tools = self._tools or self._make_tools()
            self._builder = SegmentBuilder(self._directory, self._number(), tools=self._tools)
        return self._builder

    def _make_tools(self) -> BuildTools:
        folder = self._directory.path(staging_name(self._generation))
        return BuildTools(
            self._config,
            self._analysis,
            self.phases,
            self._encoder,
            VectorCache(folder, self._encoder.info) if self._encoder is not None else None,
            self._sparse_encoder,
            SparseCache(folder) if self._sparse_encoder is not None else None,
            self._expansions,
        )

    def _flush(self) -> WorkingSegment:
        """The segment in work, finished."""
        builder = self._open_builder()
        segment = builder.finish()
        self._builder = None
        if self.expansion is not None and builder.expansion is not None:
            self.expansion.queries += builder.expansion.count
            self.expansion.passages += builder.expansion.expanded
        if self._config.sparse_encoder is not None:
            self.impacts.append(segment.impacts.facts)
        self._segments.append(segment)
        passages = sum(each.size for each in self._segments)
        if passages > MAX_PASSAGES:
            raise ConfigError(f"{passages} passages", expected=f"at most {MAX_PASSAGES} in one index")
        return segment

    def _settle(self) -> None:
        """Everything in finished segments, none of them without a live passage."""
        if self._builder is not None and self._builder.size:
            self._flush()
        for segment in self._segments:
            if not segment.live_docs:
                segment.close()
        self._segments = [segment for segment in self._segments if segment.live_docs]

    def _number(self) -> int:
        self.next_segment += 1
        return self.next_segment - 1


def _mark(segment: WorkingSegment, hashes: UInt64Array, suspects: Suspects) -> None:
    for row in np.flatnonzero(segment.suspects(hashes)).tolist():
        suspects[row].append(segment)


def batches(items: Iterable[T]) -> Iterator[list[T]]:
    """The items in lists of at most :data:`BATCH`."""
    iterator = iter(items)
    while batch := list(islice(iterator, BATCH)):
        yield batch
