"""Ours and the peers, side by side in one run, on the same token streams or the same sparse vectors.

    python bench/sparse.py --data DATA --cache CACHE [--corpora scifact acm-cr ...] [--python lucene=/path/python ...]

DATA holds BEIR folders (scifact, acm-cr, ...). Corpora, indexes and results are kept under CACHE; what is there is not
made again (remove ``results/CORPUS.json`` to measure anew, or pass --again). Engines whose packages need another
environment get its interpreter by --python; every engine runs in a process of its own. The table is written to
bench/RESULTS.md from all results in CACHE.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path

import sparse_report
from sparse_data import RECIPES, generate
from sparse_peers import ENGINES, make
from sparse_session import Plan, build, measure, say, unfit
from sparse_store import Corpus
from sparse_text import prepare

TEXTS = ("scifact", "acm-cr", "all")
USUAL = (*TEXTS, "bm25-1m", "idf-1m", "splade-1m")


def main() -> None:
    """Prepare, build, measure, report."""
    arguments = _arguments()
    plan = Plan(
        arguments.cache,
        dict(pair.split("=", 1) for pair in arguments.python),
        arguments.repeat,
        arguments.budget,
        os.cpu_count() or 1,
    )
    results = arguments.cache / "results"
    results.mkdir(parents=True, exist_ok=True)
    for name in arguments.corpora:
        done = results / f"{name}.json"
        corpus = _corpus(arguments.data, arguments.cache, name)
        engines = [engine for engine in arguments.engines if corpus.kind in make(engine).kinds]
        if arguments.build_only:
            for engine in engines:
                if not unfit(engine, corpus):
                    say(f"{name}: {engine} {build(plan, engine, corpus)}")
        elif arguments.again or not done.exists():
            measured = measure(plan, engines, corpus) | {"load": os.getloadavg()[1]}
            done.write_text(json.dumps(_facts(corpus, plan) | measured, indent=1))
            say(f"{name}: measured")
    if arguments.report:
        found = [json.loads(path.read_text()) for path in sorted(results.glob("*.json"))]
        arguments.report.write_text(sparse_report.render(found))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of BEIR folders")
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--corpora", nargs="+", default=list(USUAL), choices=sorted({*TEXTS, *RECIPES}))
    parser.add_argument("--engines", nargs="+", default=list(ENGINES), choices=list(ENGINES))
    parser.add_argument("--python", nargs="*", default=[], metavar="ENGINE=PATH")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--budget", type=float, default=0.6, help="seconds of a batch; slow engines get fewer queries")
    parser.add_argument("--again", action="store_true", help="measure even if there are results")
    parser.add_argument("--build-only", action="store_true")
    parser.add_argument("--report", type=Path, default=Path(__file__).parent / "RESULTS.md")
    return parser.parse_args()


def _corpus(data: Path, cache: Path, name: str) -> Corpus:
    folder = cache / "corpora" / name
    return prepare(data, name, folder) if name in TEXTS else generate(folder, name)


def _facts(corpus: Corpus, plan: Plan) -> dict[str, object]:
    command = " ".join(["python bench/sparse.py", *map(shlex.quote, _public(sys.argv[1:]))])
    return {
        "corpus": corpus.meta,
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": machine(),
        "python": platform.python_version(),
        "command": command,
        "repeat": plan.repeat,
        "threads": plan.threads,
    }


def _public(arguments: list[str]) -> list[str]:
    """The command without this machine's paths."""
    shown = []
    for word in arguments:
        name, equals, path = word.rpartition("=")
        shown.append(f"{name}{equals}{'PATH' if path.startswith(('/', '~')) else path}")
    return shown


def machine() -> str:
    """Processor and memory, in words."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores of {model}, {total:.0f} GiB"


if __name__ == "__main__":
    main()
