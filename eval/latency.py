"""How long one search takes: single queries, warm, the median."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from typing import Final

from twindex.retrieval.engine import Searcher
from twindex.retrieval.types import Query
from twindex.retrieval.view import MODES

#: Queries that are timed, spread evenly over the set.
SAMPLE: Final = 40
#: Queries before them, for caches and threads.
WARM_UP: Final = 5
#: Hits that are asked for.
PAGE: Final = 10


def latencies(searcher: Searcher, texts: Sequence[str], *, sample: int = SAMPLE) -> dict[str, float]:
    """Median milliseconds of one query by mode, encoding of the query included, one query at a time.

    The searcher's encoder must not remember queries, or the figure is that of a look-up.
    """
    return {mode: _median_ms(searcher, mode, texts, sample) for mode in MODES}


def _median_ms(searcher: Searcher, mode: str, texts: Sequence[str], sample: int) -> float:
    if not texts:
        return 0.0
    retriever = searcher.retriever(next(m for m in MODES if m == mode))
    step = max(1, len(texts) // sample)
    chosen = list(texts)[::step][:sample]
    for text in chosen[:WARM_UP]:
        retriever.retrieve([Query(text)], PAGE)
    times = []
    for text in chosen:
        started = time.perf_counter()
        retriever.retrieve([Query(text)], PAGE)
        times.append(1000 * (time.perf_counter() - started))
    return statistics.median(times)
