"""A segment inside a transaction: immutable files, and the deletions that the next commit will record."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np

from twindex.indexing.directory import FileDirectory
from twindex.indexing.expansion.reader import ExpansionReader
from twindex.indexing.files import (
    LIVE,
    check_sizes,
    check_unaltered,
    describe,
    df_file,
    is_deletion,
    live_file,
    own_names,
)
from twindex.indexing.manifest import SEGMENT_FOLDER, FileEntry, SegmentEntry, sorted_files
from twindex.indexing.postings import ImpactReader, PostingsReader, live_df
from twindex.indexing.postings.layout import ORDER_FILE
from twindex.indexing.segment import unpack
from twindex.indexing.store import StoreReader
from twindex.indexing.types import BoolArray, Int32Array, UInt64Array


class WorkingSegment:
    """One segment as the writer sees it.

    Args:
        directory: The index directory.
        name: The segment's name.
        size: Passages, deleted ones included.
        documents: Live documents.
        live: Which passages are live; None if all are.
        entry: The last commit's account of it; None for a segment that has not been committed.
    """

    def __init__(
        self,
        directory: FileDirectory,
        name: str,
        *,
        size: int,
        documents: int,
        live: BoolArray | None = None,
        entry: SegmentEntry | None = None,
    ) -> None:
        self.directory = directory
        self.name = name
        self.size = size
        self.documents = documents
        self.live = live
        self.entry = entry
        self._changed = entry is None and live is not None

    @classmethod
    def committed(cls, directory: FileDirectory, entry: SegmentEntry) -> WorkingSegment:
        """The segment as the last commit left it.

        Raises:
            CorruptIndexError: If a file is missing or has another size than the manifest says, or a record of
                deletions was altered.
        """
        check_sizes(directory.root, entry)
        # What a damaged bitmap hides, the next commit would drop; it is small.
        check_unaltered(directory, entry, only=is_deletion)
        live = None
        if entry.deletion:
            bits = directory.array(f"{entry.folder}/{live_file(entry.deletion)}", "|u1")
            live = unpack(bits, entry.size)
        return cls(directory, entry.name, size=entry.size, documents=entry.documents, live=live, entry=entry)

    @property
    def folder(self) -> str:
        """Name of its folder in the index directory."""
        return f"{SEGMENT_FOLDER}/{self.name}"

    @property
    def path(self) -> Path:
        """Its folder."""
        return self.directory.path(self.folder)

    @property
    def ordered(self) -> bool:
        """Whether an order of its passages stands beside them."""
        return (self.path / ORDER_FILE).exists()

    @property
    def live_docs(self) -> int:
        """Live passages."""
        return self.size if self.live is None else int(np.count_nonzero(self.live))

    @property
    def deleted_share(self) -> float:
        """Share of its passages that is deleted, 0 to 1."""
        return 1 - self.live_docs / self.size if self.size else 0.0

    @cached_property
    def postings(self) -> PostingsReader:
        """Its inverted files."""
        return PostingsReader(self.path)

    @cached_property
    def impacts(self) -> ImpactReader:
        """Its learned-sparse inverted file; only in an index that has them."""
        return ImpactReader(self.path)

    def expansion(self, dim: int | None) -> ExpansionReader:
        """Its generated queries, with vectors of that length; only in an index that has them."""
        return ExpansionReader(self.path, size=self.size, dim=dim)

    @cached_property
    def store(self) -> StoreReader:
        """Its documents."""
        return StoreReader(self.path)

    @cached_property
    def _hashes(self) -> UInt64Array:
        content = np.asarray(self.directory.array(f"{self.folder}/ids.hash", "|u1"))
        return content[: 8 * self.size].view("<u8")

    def suspects(self, hashes: UInt64Array) -> BoolArray:
        """Which hashes of document ids occur here: bool[n]. A collision gives a false alarm, never a miss."""
        if not self.size:
            return np.zeros(len(hashes), np.bool_)
        places = np.minimum(np.searchsorted(self._hashes, hashes), self.size - 1)
        found: BoolArray = self._hashes[places] == hashes
        return found

    def find(self, doc_id: str) -> Int32Array:
        """Local ordinals of the document's live passages."""
        found = self.store.find(doc_id)
        return found if self.live is None else found[self.live[found]]

    def delete(self, doc_id: str) -> bool:
        """Marks the document's passages as deleted; whether it was live."""
        found = self.find(doc_id)
        if not len(found):
            return False
        if self.live is None:
            self.live = np.ones(self.size, np.bool_)
        self.live[found] = False
        self.documents -= 1
        self._changed = True
        return True

    def seal(self, generation: int) -> SegmentEntry:
        """Writes what the commit of that generation needs; the manifest's account of the segment."""
        if self.entry is not None and not self._changed:
            return self.entry
        files = self._own_files()
        if self.entry is None:
            self.directory.sync(self.folder)
        deletion = self._write_deletions(generation) if self._changed else ()
        return SegmentEntry(
            name=self.name,
            size=self.size,
            live_docs=self.live_docs,
            live_length=self._live_length(),
            documents=self.documents,
            deletion=generation if deletion else 0,
            files=sorted_files([*files, *deletion]),
        )

    def close(self) -> None:
        """Lets go of what reading it opened."""
        store = self.__dict__.pop("store", None)
        if store is not None:
            store.close()

    def _own_files(self) -> tuple[FileEntry, ...]:
        if self.entry is not None:
            return tuple(file for file in self.entry.files if file.leg != LIVE.leg)
        return describe(self.directory, self.folder, own_names(self.directory, self.folder))

    def _write_deletions(self, generation: int) -> tuple[FileEntry, ...]:
        live = self._mask()
        bits = np.packbits(live, bitorder="little").tobytes()
        frequencies = np.asarray(live_df(self.postings, live), "<u4").tobytes()
        names = (live_file(generation), df_file(generation))
        for name, data in zip(names, (bits, frequencies)):
            self.directory.write_new(f"{self.folder}/{name}", data)
        return describe(self.directory, self.folder, names)

    def _live_length(self) -> int:
        lengths = np.asarray(self.postings.lengths)
        return int(lengths.sum(dtype=np.int64, where=self._mask()))

    def _mask(self) -> BoolArray:
        return np.ones(self.size, np.bool_) if self.live is None else self.live
