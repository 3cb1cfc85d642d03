"""Documents and their ordinals: judgements name documents, rankings name passages by number."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from twindex.indexing.types import Int32Array
from twindex.retrieval.types import Ranking

#: Passages whose ids are in memory at one time.
BLOCK = 1 << 16


class Documents(Protocol):
    """What is asked of a snapshot."""

    @property
    def size(self) -> int:
        """Number of ordinals."""

    def doc_ids(self, ords: Int32Array) -> list[str]:
        """Document ids, in the order of ``ords``."""


@dataclass(frozen=True, slots=True, eq=False)
class Addresses:
    """Which ordinals are passages of which document.

    Shapes: ``group`` int32[size], the number of each ordinal's document; ordinals of one document are
    neighbours. ``ordinals`` holds the documents that were asked for and are there. ``chunked`` tells whether
    any document has several passages.
    """

    group: Int32Array
    ordinals: Mapping[str, tuple[int, ...]]
    chunked: bool

    def roll_up(self, ranking: Ranking, k: int) -> Ranking:
        """The best passage of each document, the first k of them, in the ranking's order."""
        if not self.chunked:
            return ranking.cut(k)
        _, first = np.unique(self.group[ranking.ords], return_index=True)
        keep = np.sort(first)[:k]
        return Ranking(ranking.ords[keep], ranking.scores[keep])

    def without(self, ranking: Ranking, doc_id: str) -> Ranking:
        """The ranking without the passages of one document; the same object if it has none."""
        own = self.ordinals.get(doc_id, ())
        keep = ~np.isin(ranking.ords, np.array(own, np.int32)) if own else np.ones(len(ranking), np.bool_)
        return ranking if bool(keep.all()) else Ranking(ranking.ords[keep], ranking.scores[keep])


def locate(documents: Documents, wanted: Iterable[str]) -> Addresses:
    """Ordinals of the wanted documents. One pass over all ids, in bounded memory.

    An older version of an updated document is another ordinal of the same id, and never retrieved.
    """
    asked = set(wanted)
    group = np.empty(documents.size, np.int32)
    found: dict[str, list[int]] = {}
    last, number = "", -1
    for start in range(0, documents.size, BLOCK):
        ords = np.arange(start, min(start + BLOCK, documents.size), dtype=np.int32)
        for place, doc_id in enumerate(documents.doc_ids(ords), start):
            if doc_id != last or number < 0:
                last, number = doc_id, number + 1
            group[place] = number
            if doc_id in asked:
                found.setdefault(doc_id, []).append(place)
    return Addresses(group, {d: tuple(o) for d, o in found.items()}, number + 1 < documents.size)
