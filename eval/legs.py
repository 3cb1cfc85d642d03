"""Rankings of many queries as arrays on disk, so that a leg is searched once and fused often."""

from __future__ import annotations

import itertools
import os
import time
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from twindex.eval.addresses import Addresses
from twindex.indexing.types import Progress, no_progress
from twindex.retrieval.base import Retriever
from twindex.retrieval.rollup import deepen
from twindex.retrieval.types import Query, Ranking

#: Queries that are searched in one call.
BATCH = 256


@dataclass(frozen=True, slots=True)
class Leg:
    """Rankings of the queries of a set by one retriever. ``seconds`` is the time its search took."""

    rankings: tuple[Ranking, ...]
    seconds: float

    def save(self, path: Path) -> None:
        """Write the file, whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        staging = path.with_name(f"{path.name}.{os.getpid()}.part")
        sizes = [len(r) for r in self.rankings]
        with staging.open("wb") as file:
            np.savez(
                file,
                ords=np.concatenate([r.ords for r in self.rankings] or [np.empty(0, np.int32)]),
                scores=np.concatenate([r.scores for r in self.rankings] or [np.empty(0, np.float32)]),
                offsets=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
                seconds=np.float64(self.seconds),
            )
        os.replace(staging, path)

    @classmethod
    def load(cls, path: Path) -> Leg | None:
        """The leg that was saved there; None if there is none, or the file is damaged."""
        try:
            with np.load(path) as data:
                ords, scores, offsets = data["ords"], data["scores"], data["offsets"].tolist()
                seconds = float(data["seconds"])
        except (OSError, ValueError, KeyError, zipfile.BadZipFile):
            return None
        spans = itertools.pairwise(offsets)
        return cls(tuple(Ranking(ords[a:b], scores[a:b]) for a, b in spans), seconds)


def search(
    retriever: Retriever,
    queries: Sequence[Query],
    k: int,
    *,
    addresses: Addresses | None = None,
    progress: Progress = no_progress,
    batch: int = BATCH,
) -> Leg:
    """The k best documents of each query, in batches; passages of one document count once.

    Args:
        retriever: What searches.
        queries: What is asked.
        k: Documents a query.
        addresses: Which passages belong together; None if each document is one passage.
        progress: Called after each batch.
        batch: Queries a call.
    """
    rankings: list[Ranking] = []
    started = time.perf_counter()
    for start in range(0, len(queries), batch):
        part = queries[start : start + batch]
        if addresses is None or not addresses.chunked:
            rankings += retriever.retrieve(part, k).rankings
        else:
            size = len(addresses.group)
            rankings += deepen(partial(_passages, retriever, part), addresses.roll_up, k, size)
        progress("search", len(rankings), len(queries))
    return Leg(tuple(rankings), time.perf_counter() - started)


def without_self(
    rankings: Sequence[Ranking], query_ids: Sequence[str], addresses: Addresses, k: int
) -> tuple[list[Ranking], int]:
    """Rankings without the document of the query's own id, cut to k, and how many queries had one."""
    out, dropped = [], 0
    for query_id, ranking in zip(query_ids, rankings, strict=True):
        kept = addresses.without(ranking, query_id)
        dropped += len(kept) < len(ranking)
        out.append(kept.cut(k))
    return out, dropped


def _passages(retriever: Retriever, queries: Sequence[Query], n: int) -> tuple[Ranking, ...]:
    return retriever.retrieve(queries, n).rankings
