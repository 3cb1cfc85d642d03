"""One segment of a snapshot: three readers over one folder, and what of it is live."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twindex.indexing.directory import FileDirectory
from twindex.indexing.errors import CorruptIndexError
from twindex.indexing.expansion.layout import FOLDER, QUERY_PTR_FILE
from twindex.indexing.expansion.reader import ExpansionReader
from twindex.indexing.files import check_sizes, df_file, live_file
from twindex.indexing.lock import Lease
from twindex.indexing.manifest import SegmentEntry
from twindex.indexing.postings import ImpactReader, PostingsReader
from twindex.indexing.postings.layout import IMPACT_FACTS_FILE, ORDER_FILE
from twindex.indexing.store import StoreReader
from twindex.indexing.types import BoolArray, UInt8Array, UInt32Array
from twindex.indexing.vectors import VECTOR_FILE, VectorReader


class Segment:
    """Immutable: what it gives never changes, whatever is committed after it was opened.

    Args:
        root: The index directory.
        entry: The manifest's account of the segment.
        dim: Length of its vectors, None for an index without an encoder.

    Raises:
        CorruptIndexError: If a file is missing or has another size than the manifest says.
        FileNotFoundError: If the folder is gone.
    """

    def __init__(self, root: Path, entry: SegmentEntry, *, dim: int | None) -> None:
        self.entry = entry
        self._root = root
        self._folder = root / entry.folder
        self._dim = dim
        self._lease = Lease(self._folder)
        try:
            check_sizes(root, entry)
            #: Which passages are live: bool[size]; None if all are.
            self.live: BoolArray | None = self._read_live()
            #: Live passages that hold each term: uint32[terms]; None if nothing is deleted.
            self.live_dfs: UInt32Array | None = self._read_df()
        except BaseException:
            self._lease.release()
            raise

    @property
    def name(self) -> str:
        """Name of its folder."""
        return self.entry.name

    @property
    def size(self) -> int:
        """Passages, deleted ones included."""
        return self.entry.size

    @property
    def live_docs(self) -> int:
        """Passages that are not deleted."""
        return self.entry.live_docs

    @property
    def live_length(self) -> int:
        """Sum of the token counts of the live passages."""
        return self.entry.live_length

    @cached_property
    def postings(self) -> PostingsReader:
        """The inverted files; deleted passages are still in them."""
        reader = PostingsReader(self._folder)
        self._same_size("postings", reader.num_docs)
        return reader

    @cached_property
    def impacts(self) -> ImpactReader | None:
        """The learned-sparse inverted file, deleted passages included; None in an index without one."""
        if self.entry.file(IMPACT_FACTS_FILE) is None:
            return None
        reader = ImpactReader(self._folder)
        self._same_size("documents of impacts", reader.num_docs)
        return reader

    @cached_property
    def order(self) -> UInt32Array | None:
        """Local ordinals in an order in which similar passages stand together: uint32[size]; None if there is none.

        Raises:
            CorruptIndexError: If it is not a permutation.
        """
        if self.entry.file(ORDER_FILE) is None:
            return None
        order: UInt32Array = np.asarray(FileDirectory(self._root).array(f"{self.entry.folder}/{ORDER_FILE}", "<u4"))
        self._same_size("positions of an order", len(order))
        seen = np.zeros(self.size, np.bool_)
        seen[order[order < self.size]] = True
        if not seen.all():
            raise self._corrupt(f"{ORDER_FILE} is no permutation")
        return order

    @cached_property
    def store(self) -> StoreReader:
        """The documents."""
        reader = StoreReader(self._folder)
        self._same_size("documents", reader.size)
        return reader

    @cached_property
    def vectors(self) -> VectorReader | None:
        """The vectors; None in an index without an encoder."""
        if self._dim is None or self.entry.file(VECTOR_FILE) is None:
            return None
        return VectorReader(self._folder, self._dim, size=self.size)

    @cached_property
    def expansion(self) -> ExpansionReader | None:
        """The generated queries of its passages, those of deleted ones included; None in an index without them."""
        if self.entry.file(f"{FOLDER}/{QUERY_PTR_FILE}") is None:
            return None
        return ExpansionReader(self._folder, size=self.size, dim=self._dim)

    def live_df(self, term_id: int) -> int:
        """Number of live passages that hold the term."""
        return int(self.live_dfs[term_id]) if self.live_dfs is not None else self.postings.df(term_id)

    def document_count(self) -> int:
        """Live documents, counted anew from the hashes of their ids."""
        content = FileDirectory(self._root).array(f"{self.entry.folder}/ids.hash", "|u1")
        hashes, local = content[: 8 * self.size].view("<u8"), content[8 * self.size :].view("<u4")
        alive = hashes if self.live is None else hashes[self.live[local]]
        return len(np.unique(alive))

    def close(self) -> None:
        """Lets a writer remove the folder. Arrays that were handed out stay readable."""
        store = self.__dict__.pop("store", None)
        if store is not None:
            store.close()
        self._lease.release()

    def _read_live(self) -> BoolArray | None:
        if not self.entry.deletion:
            return None
        bits: UInt8Array = self._deletion_file(live_file(self.entry.deletion), "|u1")
        if len(bits) != (self.size + 7) // 8:
            raise self._corrupt(f"a live bitmap of {len(bits)} bytes for {self.size} passages")
        live = unpack(bits, self.size)
        if int(live.sum()) != self.live_docs:
            raise self._corrupt(f"{int(live.sum())} live passages, {self.live_docs} by the manifest")
        live.flags.writeable = False
        return live

    def _read_df(self) -> UInt32Array | None:
        if not self.entry.deletion:
            return None
        return self._deletion_file(df_file(self.entry.deletion), "<u4")

    def _deletion_file(self, name: str, dtype: str) -> NDArray[Any]:
        if self.entry.file(name) is None:
            raise self._corrupt(f"{name} is not listed")
        return FileDirectory(self._root).array(f"{self.entry.folder}/{name}", dtype)

    def _same_size(self, what: str, found: int) -> None:
        if found != self.size:
            raise self._corrupt(f"{found} {what}, {self.size} passages by the manifest")

    def _corrupt(self, given: str) -> CorruptIndexError:
        return CorruptIndexError(
            f"{self._folder}: {given}",
            expected="what the manifest says",
            remedy="restore the index from a copy, or build it again",
        )


def unpack(bits: UInt8Array, size: int) -> BoolArray:
    """A live bitmap as a mask: bool[size]."""
    return np.unpackbits(bits, count=size, bitorder="little").astype(np.bool_)
