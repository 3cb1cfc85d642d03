"""Merging: neighbouring segments become one, deleted passages are dropped, the order stays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np

from twindex.indexing.config import IndexConfig
from twindex.indexing.directory import FileDirectory
from twindex.indexing.errors import ConfigError
from twindex.indexing.expansion.codes import build_codes
from twindex.indexing.expansion.merge import merge_expansions
from twindex.indexing.files import check_unaltered, segment_name
from twindex.indexing.manifest import SEGMENT_FOLDER
from twindex.indexing.postings import ImpactReader, PostingsReader, merge_impacts, merge_postings
from twindex.indexing.postings.layout import IMPACT_PTR_FILE, ORDER_FILE
from twindex.indexing.postings.reorder import bisected
from twindex.indexing.store import StoreWriter
from twindex.indexing.types import BoolArray, Int64Array, Progress
from twindex.indexing.vectors import VectorReader, VectorWriter, build_hnsw
from twindex.indexing.working import WorkingSegment

#: Passages copied at once.
BATCH: Final = 1024


def plan_merge(sizes: Sequence[int], max_segments: int) -> list[tuple[int, int]]:
    """Runs of neighbours ``(start, stop)`` that together become at most ``max_segments`` segments.

    The two neighbours with the smallest sum join first (the earlier pair on a tie), until few enough
    are left: small segments pay, large ones are copied as seldom as the order of ordinals allows.

    Raises:
        ConfigError: If ``max_segments`` is below 1.
    """
    if max_segments < 1:
        raise ConfigError(f"max_segments = {max_segments}", expected="at least 1")
    runs = [(i, i + 1) for i in range(len(sizes))]
    weights = list(sizes)
    while len(runs) > max_segments:
        pairs = [a + b for a, b in pairwise(weights)]
        at = pairs.index(min(pairs))
        runs[at : at + 2] = [(runs[at][0], runs[at + 1][1])]
        weights[at : at + 2] = [pairs[at]]
    return runs


def merge_segments(
    directory: FileDirectory,
    number: int,
    group: Sequence[WorkingSegment],
    *,
    config: IndexConfig,
    progress: Progress,
    reorder: bool = False,
) -> WorkingSegment:
    """Writes one new segment with the live passages of the group, in their order.

    With ``reorder`` an order in which similar passages stand together is written beside them; it changes no ordinal.
    What is rewritten gets new checksums, so the files of the group are compared with their old ones first: damage
    must not become invisible.

    Cost: reads the files of the group twice; memory for one batch of passages and what merging postings needs;
    nothing is encoded again.

    Raises:
        CorruptIndexError: If a file of the group is not as it was written.
    """
    for segment in group:
        if segment.entry is not None:
            check_unaltered(directory, segment.entry)
    name = segment_name(number)
    path = directory.path(f"{SEGMENT_FOLDER}/{name}")
    path.mkdir(parents=True)
    merge_postings([s.postings for s in group], [s.live for s in group], path)
    if config.sparse_encoder is not None:
        merge_impacts([s.impacts for s in group], [s.live for s in group], path)
    if reorder:
        _write_order(path)
    if config.expansion is not None:
        readers = [s.expansion(config.encoder.dim if config.encoder is not None else None) for s in group]
        merge_expansions(readers, [s.live for s in group], path, config)
    total = sum(segment.live_docs for segment in group)
    dim = config.encoder.dim if config.encoder is not None else None
    with ExitStack() as stack:
        store = StoreWriter(path)
        stack.callback(store.close)
        vectors = stack.enter_context(VectorWriter(path, dim)) if dim is not None else None
        done = 0
        for segment in group:
            for count in _copy(segment, store, vectors, dim):
                done += count
                progress("merging", done, total)
        store.finish()
    if dim is not None and config.vector_kind == "hnsw":
        build_hnsw(path, dim, config.hnsw)
    if dim is not None and config.expansion is not None:
        build_codes(path, dim)
    return WorkingSegment(directory, name, size=total, documents=sum(s.documents for s in group))


def _write_order(path: Path) -> None:
    """Finds an order for the new segment's passages; see :mod:`twindex.indexing.postings.reorder`."""
    lexical = PostingsReader(path)
    pointers, docs = lexical.ptr, lexical.docs
    if not len(docs) and (path / IMPACT_PTR_FILE).exists():
        impacts = ImpactReader(path)
        pointers, docs = impacts.ptr, impacts.docs
    bisected(pointers, docs, lexical.num_docs).astype("<u4").tofile(path / ORDER_FILE)


def _copy(segment: WorkingSegment, store: StoreWriter, vectors: VectorWriter | None, dim: int | None) -> Iterator[int]:
    """Copies the live passages of a segment; yields how many, batch by batch."""
    source = VectorReader(segment.path, dim, size=segment.size) if dim is not None else None
    for local in _live_batches(segment.size, segment.live):
        store.add(segment.store.passages(local))
        if vectors is not None and source is not None:
            vectors.add(np.ascontiguousarray(source.matrix[local]))
        yield len(local)


def _live_batches(size: int, live: BoolArray | None) -> Iterator[Int64Array]:
    for start in range(0, size, BATCH):
        local = np.arange(start, min(start + BATCH, size), dtype=np.int64)
        if live is not None:
            local = local[live[local]]
        if len(local):
            yield local
