"""Reads the learned-sparse inverted file of one segment through memory maps, and joins several into one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from twindex.indexing.errors import ConfigError
from twindex.indexing.postings.impact_facts import ImpactFacts
from twindex.indexing.postings.impacts import CHUNK, Lists, added, joined_lists, spans, write_lists
from twindex.indexing.postings.layout import IMPACT_DOC_FILE, IMPACT_FACTS_FILE, IMPACT_FILE, IMPACT_PTR_FILE
from twindex.indexing.postings.reader import corrupt, mapped
from twindex.indexing.types import BoolArray, Int64Array, UInt8Array, UInt32Array, UInt64Array


class ImpactReader:
    """One learned-sparse inverted file.

    Shapes: ``ptr`` uint64[vocabulary + 1]; ``docs`` uint32[num_postings], local ordinals ascending within a list;
    ``impacts`` uint8[num_postings], 1 to 255. ``scale``: weight of one unit, a float32 value.

    Raises:
        CorruptIndexError: If a file is missing or its size does not fit the others.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.facts = read_facts(directory)
        self.ptr: UInt64Array = mapped(directory / IMPACT_PTR_FILE, "<u8")
        self.docs: UInt32Array = mapped(directory / IMPACT_DOC_FILE, "<u4")
        self.impacts: UInt8Array = mapped(directory / IMPACT_FILE, "u1")
        self._check()

    @property
    def num_docs(self) -> int:
        """Documents, deleted ones included."""
        return self.facts.docs

    @property
    def vocabulary(self) -> int:
        """Number of dimensions, and so of lists."""
        return self.facts.vocabulary

    @property
    def scale(self) -> float:
        """Weight of one unit of impact: a float32 value."""
        return self.facts.scale

    @property
    def num_postings(self) -> int:
        """Pairs of dimension and document."""
        return len(self.docs)

    def df(self, term: int) -> int:
        """Documents in the list, deleted ones included."""
        return int(self.ptr[term + 1]) - int(self.ptr[term])

    def postings(self, term: int) -> tuple[UInt32Array, UInt8Array]:
        """Documents of a list, ascending, and their impacts: uint32[df], uint8[df]."""
        start, end = int(self.ptr[term]), int(self.ptr[term + 1])
        return self.docs[start:end], self.impacts[start:end]

    def problems(self) -> list[str]:
        """What contradicts itself inside the files. Cost: one pass over them."""
        found: list[str] = []
        pointers = self.ptr.astype(np.int64)
        if pointers[0] != 0 or np.any(np.diff(pointers) < 0):
            return ["pointers of impacts that do not ascend"]
        for at in range(0, self.num_postings, CHUNK):
            docs = self.docs[at : at + CHUNK + 1].astype(np.int64)
            falls = np.flatnonzero(np.diff(docs) <= 0) + at + 1
            if len(np.setdiff1d(falls, pointers)):
                found.append("documents of an impact list that do not ascend")
            if int(docs.max()) >= self.num_docs:
                found.append(f"an impact of document {int(docs.max())} of {self.num_docs}")
            if not self.impacts[at : at + CHUNK].all():
                found.append("an impact of 0")
            if found:
                break
        return found

    def _check(self) -> None:
        path = self.directory
        for name, size, wanted in (
            (IMPACT_PTR_FILE, len(self.ptr), self.vocabulary + 1),
            (IMPACT_FACTS_FILE, self.facts.postings, len(self.docs)),
            (IMPACT_DOC_FILE, len(self.docs), int(self.ptr[-1]) if len(self.ptr) else 0),
            (IMPACT_FILE, len(self.impacts), len(self.docs)),
        ):
            if size != wanted:
                raise corrupt(path / name, f"{size} elements", str(wanted))


def merge_impacts(readers: Sequence[ImpactReader], keep: Sequence[BoolArray | None], directory: Path) -> None:
    """Write one inverted file with the kept documents of all, in order.

    Nothing is quantised again, so no score changes. The facts are the sums of the readers' ones, but for the counts
    of documents and postings.

    Shapes: ``keep[i]`` bool[readers[i].num_docs], None = all of them.
    """
    bases = np.cumsum([0] + [r.num_docs if k is None else int(k.sum()) for r, k in zip(readers, keep, strict=True)])
    numbers = [None if mask is None else np.cumsum(mask) - 1 for mask in keep]
    rough = added([reader.ptr for reader in readers])
    sizes: list[Int64Array] = []

    def piece(start: int, stop: int) -> Lists:
        parts = [_part(r, k, n, int(base), start, stop) for r, k, n, base in zip(readers, keep, numbers, bases)]
        lists = joined_lists(parts)
        sizes.append(lists[2])
        return lists

    write_lists(directory, rough, (piece(*span) for span in spans(rough)))
    pointers = np.zeros(len(rough), "<u8")
    np.cumsum(np.concatenate(sizes), out=pointers[1:])
    pointers.tofile(directory / IMPACT_PTR_FILE)
    total = ImpactFacts.total([reader.facts for reader in readers]).to_dict()
    values = total | {"docs": int(bases[-1]), "postings": int(pointers[-1])}
    (directory / IMPACT_FACTS_FILE).write_bytes(ImpactFacts(**values).to_bytes())


def _part(
    reader: ImpactReader, mask: BoolArray | None, numbers: Int64Array | None, base: int, start: int, stop: int
) -> tuple[Int64Array, Int64Array, UInt8Array]:
    """Sizes, new ordinals and impacts of a range of lists, without what is not kept."""
    pointers = reader.ptr[start : stop + 1].astype(np.int64)
    docs = reader.docs[pointers[0] : pointers[-1]].astype(np.int64)
    impacts = reader.impacts[pointers[0] : pointers[-1]]
    sizes = np.diff(pointers)
    if mask is None or numbers is None:
        return sizes, docs + base, impacts
    kept = mask[docs]
    owners = np.repeat(np.arange(len(sizes)), sizes)[kept]
    return np.bincount(owners, minlength=len(sizes)), numbers[docs[kept]] + base, impacts[kept]


def read_facts(directory: Path) -> ImpactFacts:
    """The account of a learned-sparse inverted file.

    Raises:
        CorruptIndexError: If it is missing or altered.
    """
    path = directory / IMPACT_FACTS_FILE
    try:
        return ImpactFacts.from_bytes(path.read_bytes())
    except OSError as error:
        raise corrupt(path, "no such file", "the file that the manifest names") from error
    except ConfigError as error:
        raise corrupt(path, str(error), "what the writer left") from error
