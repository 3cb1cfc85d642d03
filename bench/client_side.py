"""What a query costs without a model: words under BM25 and inference-free weights, on the same documents.

    python bench/client_side.py INDEX QUERIES.jsonl [--rounds 9] [--count 300]

INDEX holds both legs (``twindex index --sparse bm25,learned``); QUERIES.jsonl is of BEIR's form. One query a call, one
thread, k = 10, compiled engine: from the text to the hits, analysis and tokenization included. The legs take turns in
every round; told are the medians over queries, and the median over rounds of their ratio.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Final, Literal

from twindex.retrieval.engine import Searcher
from twindex.retrieval.fast_choice import WARM
from twindex.retrieval.options import SearchOptions
from twindex.retrieval.types import Query

LEGS: Final[tuple[Literal["bm25", "learned"], ...]] = ("bm25", "learned")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("index", type=Path)
    parser.add_argument("queries", type=Path)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--count", type=int, default=300, help="queries of a round")
    arguments = parser.parse_args()
    lines = arguments.queries.read_text().splitlines()[: arguments.count]
    queries = [Query(json.loads(line)["text"]) for line in lines]
    medians: dict[str, list[float]] = {leg: [] for leg in LEGS}
    with Searcher.open(arguments.index) as searcher:
        legs = {leg: searcher.retriever("sparse", SearchOptions(sparse=leg)) for leg in LEGS}
        for retriever in legs.values():
            retriever.retrieve(queries[:1] * WARM, 10)  # from here on the compiled engine answers
        for _ in range(arguments.rounds):
            for leg, retriever in legs.items():
                spent = []
                for query in queries:
                    started = time.perf_counter()
                    retriever.retrieve([query], 10)
                    spent.append(time.perf_counter() - started)
                medians[leg].append(statistics.median(spent))
    for leg, values in medians.items():
        print(f"{leg}: p50 {statistics.median(values) * 1e6:,.0f} us ({len(queries)} queries, {len(values)} rounds)")
    ratios = [learned / words for words, learned in zip(*medians.values(), strict=True)]
    print(f"learned over bm25: {statistics.median(ratios):.2f}x ({min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()
