"""What a query costs without a model: words under BM25 and inference-free weights, one query a call, k = 10, in turns.

    python bench/client_side.py INDEX QUERIES.jsonl [--rounds 9] [--count 300]
    python bench/client_side.py --generated CACHE [--rounds 9] [--count 300]

INDEX holds both legs (``twindex index --sparse bm25,learned``), QUERIES.jsonl is of BEIR's form: from the text to the
hits, analysis and tokenization included, on the same documents. CACHE is that of ``sparse.py``: the generated
collections of a million documents, from term numbers to the hits. One thread, the compiled engine. Told are medians
over queries, then over rounds, and the median over rounds of the ratio; with --out they go to a file, which
``sparse.py`` shows if it lies in its CACHE/results.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Literal

from sparse_peers import make
from sparse_store import Corpus

from twindex.retrieval.engine import Searcher
from twindex.retrieval.fast_choice import WARM
from twindex.retrieval.options import SearchOptions
from twindex.retrieval.types import Query

LEGS: Final[tuple[Literal["bm25", "learned"], ...]] = ("bm25", "learned")
GENERATED: Final = ("bm25-1m", "idf-1m")
#: Answers the query of a number.
Ask = Callable[[int], object]


def of_index(stack: ExitStack, index: Path, queries: Path, count: int) -> tuple[list[Ask], int]:
    """Both legs of an index."""
    lines = queries.read_text().splitlines()[:count]
    asked = [Query(json.loads(line)["text"]) for line in lines]
    searcher = stack.enter_context(Searcher.open(index))

    def leg(name: Literal["bm25", "learned"]) -> Ask:
        retriever = searcher.retriever("sparse", SearchOptions(sparse=name))
        retriever.retrieve(asked[:1] * WARM, 10)  # from here on the compiled engine answers
        return lambda number: retriever.retrieve([asked[number]], 10)

    return [leg(name) for name in LEGS], len(asked)


def of_generated(cache: Path, count: int) -> tuple[list[Ask], int]:
    """The engine on both generated collections."""
    asks: list[Ask] = []
    for name in GENERATED:
        corpus, engine = Corpus(cache / "corpora" / name), make("twindex")
        documents = str(corpus.meta.get("documents_of", name))
        engine.open(corpus, cache / "indexes" / documents / "twindex")
        asks.append(lambda number, engine=engine: engine.one(number, 10))
        count = min(count, corpus.queries)
    return asks, count


def median(ask: Ask, count: int) -> float:
    """Seconds of a query."""
    spent = []
    for number in range(count):
        started = time.perf_counter()
        ask(number)
        spent.append(time.perf_counter() - started)
    return statistics.median(spent)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("index", type=Path, nargs="?")
    parser.add_argument("queries", type=Path, nargs="?")
    parser.add_argument("--generated", type=Path, metavar="CACHE")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--count", type=int, default=300, help="queries of a round")
    parser.add_argument("--out", type=Path, help="also write the figures here, as JSON")
    arguments = parser.parse_args()
    if (arguments.generated is None) == (arguments.queries is None):
        parser.error("give INDEX and QUERIES.jsonl, or --generated CACHE")
    with ExitStack() as stack:
        if arguments.generated is None:
            asks, count = of_index(stack, arguments.index, arguments.queries, arguments.count)
        else:
            asks, count = of_generated(arguments.generated, arguments.count)
        rounds = [[median(ask, count) for ask in asks] for _ in range(arguments.rounds)]
    p50 = {leg: statistics.median(values) for leg, values in zip(LEGS, zip(*rounds, strict=True), strict=True)}
    for leg, seconds in p50.items():
        print(f"{leg}: p50 {seconds * 1e6:,.0f} us ({count} queries, {len(rounds)} rounds)")
    ratios = [learned / words for words, learned in rounds]
    print(f"learned over bm25: {statistics.median(ratios):.2f}x ({min(ratios):.2f} to {max(ratios):.2f})")
    if arguments.out:
        name = arguments.index.name if arguments.index else "1M generated documents each, from term numbers"
        facts = {"client": name, "p50": p50, "ratio": statistics.median(ratios), "rounds": len(rounds)}
        arguments.out.write_text(json.dumps(facts, indent=1))


if __name__ == "__main__":
    main()
