"""One engine in one process: builds its index, or answers the bench's requests, one JSON line each.

python bench/sparse_worker.py build ENGINE CORPUS INDEX
python bench/sparse_worker.py serve ENGINE CORPUS INDEX
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from sparse_peers import make
from sparse_peers.base import Engine
from sparse_store import Corpus

#: The cores of this process, before any of them is taken from it.
CORES = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))
#: Passes over the queries at most, when a strategy is timed.
PASSES = 20


def main() -> None:
    """Build, or serve until the input ends."""
    mode, name, corpus_folder, index_folder = sys.argv[1:5]
    answers = _private_stdout()
    engine, corpus, folder = make(name), Corpus(Path(corpus_folder)), Path(index_folder)
    if mode == "build":
        _say(answers, _build(engine, corpus, folder))
        return
    server = Server(engine, corpus, folder)
    for line in sys.stdin:
        request = json.loads(line)
        _say(answers, getattr(server, request.pop("do"))(**request))


def _private_stdout() -> TextIO:
    """The pipe to the bench; whatever the engine prints goes to the log."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return answers


def _say(answers: TextIO, value: dict[str, Any]) -> None:
    answers.write(json.dumps(value) + "\n")
    answers.flush()


def _peak() -> int:
    """Greatest resident memory of this process so far, in bytes; mapped files that were touched count.

    Not from ``getrusage``, which a process inherits from the one that started it.
    """
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return int(next(line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM"))) * 1024


def _build(engine: Engine, corpus: Corpus, folder: Path) -> dict[str, Any]:
    started, used = time.perf_counter(), time.process_time()
    engine.build(corpus, folder)
    seconds, cpu = time.perf_counter() - started, time.process_time() - used
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return {"seconds": seconds, "cpu": cpu, "peak": _peak(), "bytes": size, "versions": engine.versions()}


class Server:
    """The requests; the arguments of each method are the keys of its JSON object."""

    def __init__(self, engine: Engine, corpus: Corpus, folder: Path) -> None:
        self.engine, self.corpus, self.folder = engine, corpus, folder

    def open(self) -> dict[str, Any]:
        """Open the index."""
        started = time.perf_counter()
        self.engine.open(self.corpus, self.folder)
        return {"seconds": time.perf_counter() - started, "versions": self.engine.versions()}

    def tune(self, k: int, count: int, exact: str, floor: float, budget: float) -> dict[str, Any]:
        """Time every strategy on the first queries, one core; the fastest whose recall is surely enough."""
        _hold_to(1)
        fits = [self._fits(variant, k, budget) for variant in self.engine.variants]
        n = min(count, max(10, min(fits)))
        passes = max(1, min(PASSES, min(fits) // n))
        spent: dict[str, list[float]] = {variant: [] for variant in self.engine.variants}
        names = list(spent)
        for turn in range(3 if len(spent) > 3 else 7):  # in turns: what ran before fills the caches
            for variant in names[turn % len(names) :] + names[: turn % len(names)]:
                spent[variant].append(self._timed(variant, k, n, passes))
        found = {variant: self._recalls(variant, k, n, exact) for variant in spent}
        table = {
            variant: {"qps": n / max(min(seconds), 1e-9), "recall": float(found[variant].mean())}
            for variant, seconds in spent.items()
        }
        good = [v for v in table if surely(found[v]) >= floor] or [max(table, key=lambda v: table[v]["recall"])]
        best = self.engine.keep or max(good, key=lambda v: float(table[v]["qps"]))
        self.engine.use(best)
        return {"best": best, "table": table}

    def _fits(self, variant: str, k: int, budget: float) -> int:
        """How many queries take the budget, after warming."""
        self.engine.use(variant)
        self.engine.batch(1, k, 1)
        started = time.perf_counter()
        self.engine.batch(4, k, 1)
        return int(budget * 4 / (time.perf_counter() - started))

    def _timed(self, variant: str, k: int, n: int, passes: int) -> float:
        """Seconds of processor time of the first n queries: a mean, since one pass may take but a millisecond."""
        self.engine.use(variant)
        started = time.process_time()
        for _ in range(passes):
            self.engine.batch(n, k, 1)
        return (time.process_time() - started) / passes

    def _recalls(self, variant: str, k: int, n: int, exact: str) -> np.ndarray:
        """Recall of each exact list; 1 for what is exact."""
        if self.engine.exact:
            return np.ones(n)
        self.engine.use(variant)
        return recalls(self.engine.hits(self.engine.batch(n, k, 1), n, k)[0], exact, k)

    def use(self, variant: str) -> dict[str, Any]:
        """Search by a strategy."""
        self.engine.use(variant)
        return {}

    def batch(self, k: int, threads: int, count: int, passes: int = 1) -> dict[str, Any]:
        """Seconds of a batch, repeated: by the clock, and of processor time, which other programs disturb less."""
        _hold_to(threads)
        started, used = time.perf_counter(), time.process_time()
        for _ in range(passes):
            self.engine.batch(count, k, threads)
        return {"seconds": time.perf_counter() - started, "cpu": time.process_time() - used}

    def latency(self, k: int, count: int) -> dict[str, Any]:
        """Seconds of single queries, one after the other on one thread, after a few for warming."""
        _hold_to(1)
        for number in range(min(5, count)):
            self.engine.one(number, k)
        spent = []
        for number in range(count):
            started = time.perf_counter()
            self.engine.one(number, k)
            spent.append(time.perf_counter() - started)
        return {"seconds": spent}

    def hits(self, k: int, count: int, out: str, threads: int = 1) -> dict[str, Any]:
        """Write the lists of the first queries to a file."""
        docs, scores = self.engine.hits(self.engine.batch(count, k, threads), count, k)
        np.savez(out, docs=docs, scores=scores)
        return {}

    def memory(self) -> dict[str, Any]:
        """Greatest resident memory."""
        return {"peak": _peak()}


def _hold_to(threads: int) -> None:
    """Keep all threads of this process, those of libraries too, on as many cores as the engine may use threads.

    Seismic 0.5.4 makes a pool of ``num_threads`` threads and drops it; its searches run on all cores all the same.
    """
    tasks = Path("/proc/self/task")
    if not (tasks.exists() and hasattr(os, "sched_setaffinity")):
        return
    cores = sorted(CORES)[-threads:]
    for task in tasks.iterdir():
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(int(task.name), cores)


def recalls(docs: np.ndarray, exact: str, k: int) -> np.ndarray:
    """The share of each exact list that was found: float64[len(docs)]."""
    wanted = np.load(exact)["docs"][: len(docs), :k]
    shares = [
        len(np.intersect1d(found, true[true >= 0])) / max(1, int((true >= 0).sum()))
        for found, true in zip(docs, wanted, strict=True)
    ]
    return np.array(shares)


def surely(shares: np.ndarray) -> float:
    """What the mean over other queries exceeds, one-sided 95 %: 1.645 standard errors below the mean."""
    return float(shares.mean() - 1.645 * shares.std(ddof=1) / np.sqrt(len(shares)))


if __name__ == "__main__":
    main()
