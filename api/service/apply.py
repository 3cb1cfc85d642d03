"""Applies records of a write log to the index, in order and in one commit."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Final

from twindex.api.service.records import Entry, Record, documents_of
from twindex.indexing.config import IndexConfig
from twindex.indexing.directory import FileDirectory
from twindex.indexing.encoding import Encoder, SparseEncoder
from twindex.indexing.errors import UsageError
from twindex.indexing.manifest import Manifest, read_manifest

if TYPE_CHECKING:
    from twindex.indexing.writer import IndexWriter

log = logging.getLogger(__name__)

#: More segments than this are merged in the background, down to half as many.
MANY_SEGMENTS: Final = 12

#: Share of deleted passages from which a background merge rewrites a segment that joins no other.
PURGE: Final = 0.3

#: From the settings of an index to its encoders of documents.
EncodersOf = Callable[[IndexConfig], tuple[Encoder | None, SparseEncoder | None]]


@dataclass(frozen=True, slots=True)
class Refused:
    """A record that no index can hold, with the reason; it is passed over and reported."""

    sequence: int
    reason: str


def apply_records(
    path: Path, records: Sequence[Record], encoders_of: EncodersOf
) -> tuple[Manifest, tuple[Refused, ...]]:
    """One commit that has the records; the manifest, and the records that had to be passed over.

    Args:
        path: The index.
        records: In order; none of them changes files otherwise than through the writer.
        encoders_of: Finds the encoders of an index with vectors or impacts.

    Raises:
        LockedIndexError: If another process writes the index at this moment.
        OSError: If the disk does not take it.
    """
    adds = any(record.entry.operation == "upsert" for record in records)
    with open_writer(path, encoders_of if adds else None) as writer:
        try:
            _add(writer, records)
            return writer.commit(), ()
        except UsageError:
            writer.rollback()
        return _one_by_one(writer, records)


def open_writer(path: Path, encoders_of: EncodersOf | None) -> IndexWriter:
    """The writer of an index, with its encoders where documents are to be added.

    Raises:
        LockedIndexError: If another process writes.
    """
    from twindex.indexing.writer import IndexWriter  # loaded by the first write

    config = read_manifest(FileDirectory(path), where=str(path)).config
    encoder, sparse = encoders_of(config) if encoders_of is not None else (None, None)
    return IndexWriter.open(path, encoder=encoder, sparse_encoder=sparse)


def merge_if_many(path: Path, segments: int) -> Manifest | None:
    """Joins small neighbouring segments once there are many; None if there are not."""
    if segments <= MANY_SEGMENTS:
        return None
    with open_writer(path, None) as writer:
        writer.merge(MANY_SEGMENTS // 2, purge=PURGE)
        return writer.commit()


def _add(writer: IndexWriter, records: Sequence[Record]) -> None:
    """Into the transaction; runs of one operation go in together."""
    for operation, run in groupby(records, key=lambda record: record.entry.operation):
        entries = [record.entry for record in run]
        if operation == "upsert":
            writer.add((d for entry in entries for d in documents_of(entry)), on_duplicate="replace")
        elif operation == "delete":
            writer.delete(doc_id for entry in entries for doc_id in entry.body["ids"])
        elif operation == "merge":
            writer.merge(min(_segments(entry) for entry in entries))


def _one_by_one(writer: IndexWriter, records: Sequence[Record]) -> tuple[Manifest, tuple[Refused, ...]]:
    """The same, but a record that cannot be applied is left out. Cost: a commit a record."""
    refused = []
    manifest = writer.commit()
    for record in records:
        try:
            _add(writer, [record])
            manifest = writer.commit()
        except UsageError as error:
            writer.rollback()
            log.error("record %s of the write log is passed over: %s", record.sequence, error)
            refused.append(Refused(record.sequence, str(error)))
    return manifest, tuple(refused)


def _segments(entry: Entry) -> int:
    return int(entry.body["max_segments"])
