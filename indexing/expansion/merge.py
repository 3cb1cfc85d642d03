"""Joins the expansions of neighbouring segments, without those of deleted passages; nothing is encoded again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from twindex.indexing.config import IndexConfig
from twindex.indexing.expansion.building import ENCODED, QueryWriter
from twindex.indexing.expansion.layout import FOLDER
from twindex.indexing.expansion.reader import ExpansionReader
from twindex.indexing.postings import merge_impacts, merge_postings
from twindex.indexing.types import BoolArray
from twindex.indexing.vectors import VectorWriter


def merge_expansions(
    readers: Sequence[ExpansionReader], keep: Sequence[BoolArray | None], segment: Path, config: IndexConfig
) -> None:
    """Writes the folder of expansions of the new segment. The bytes are those that building at once would give.

    Shapes: ``keep[i]`` bool[passages of readers[i]], None = all of them.
    """
    folder = segment / FOLDER
    folder.mkdir()
    merge_postings([reader.postings for reader in readers], keep, folder)
    impacts = [reader.impacts for reader in readers if reader.impacts is not None]
    if config.sparse_encoder is not None and len(impacts) == len(readers):
        merge_impacts(impacts, keep, folder)
    writer = QueryWriter(folder)
    for reader, mask in zip(readers, keep, strict=True):
        kept = np.arange(reader.size) if mask is None else np.flatnonzero(mask)
        for local in kept.tolist():
            writer.add(reader.queries(local))
    writer.finish()
    if config.encoder is not None:
        _merge_vectors(readers, keep, folder, config.encoder.dim)


def _merge_vectors(
    readers: Sequence[ExpansionReader], keep: Sequence[BoolArray | None], folder: Path, dim: int
) -> None:
    with VectorWriter(folder, dim) as writer:
        for reader, mask in zip(readers, keep, strict=True):
            if reader.vectors is None:
                continue
            kept = np.arange(reader.count) if mask is None else np.flatnonzero(mask[reader.owners])
            for start in range(0, len(kept), ENCODED):
                writer.add(np.ascontiguousarray(reader.vectors.matrix[kept[start : start + ENCODED]]))
