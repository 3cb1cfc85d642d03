"""How long one search takes: single queries, warm, one at a time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from twindex.retrieval.engine import Searcher
from twindex.retrieval.options import DEFAULT_OPTIONS, SearchOptions
from twindex.retrieval.types import Query
from twindex.retrieval.view import MODES, Mode

#: Queries that are timed, spread evenly over the set.
SAMPLE: Final = 40
#: Queries before them, for caches and threads.
WARM_UP: Final = 5
#: Hits that are asked for.
PAGE: Final = 10


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds of one query, encoding of the query included: the median, and what 99 of 100 stay below."""

    p50: float = 0.0
    p99: float = 0.0


def latencies(searcher: Searcher, texts: Sequence[str], *, sample: int = SAMPLE) -> dict[str, float]:
    """Median milliseconds of one query by mode.

    The searcher's encoder must not remember queries, or the figure is that of a look-up.
    """
    return {mode: latency(searcher, texts, mode, sample=sample).p50 for mode in MODES}


def latency(
    searcher: Searcher,
    texts: Sequence[str],
    mode: Mode,
    options: SearchOptions = DEFAULT_OPTIONS,
    *,
    sample: int = SAMPLE,
) -> Latency:
    """Milliseconds of one query in a mode; as for :func:`latencies`.

    Args:
        searcher: What is searched.
        texts: Queries, of which some are taken.
        mode: By words, by meaning, or both.
        options: Which legs, and whether a reranker takes part.
        sample: How many queries are timed.
    """
    if not texts:
        return Latency()
    retriever = searcher.retriever(mode, options)
    step = max(1, len(texts) // sample)
    chosen = list(texts)[::step][:sample]
    for text in chosen[:WARM_UP]:
        retriever.retrieve([Query(text)], PAGE)
    times = []
    for text in chosen:
        started = time.perf_counter()
        retriever.retrieve([Query(text)], PAGE)
        times.append(1000 * (time.perf_counter() - started))
    return Latency(float(np.median(times)), float(np.percentile(times, 99)))
