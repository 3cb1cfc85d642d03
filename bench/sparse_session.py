"""One corpus, all engines: every engine in a process of its own, measured in turns so that noise hits all alike."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sparse_control import scaling
from sparse_exact import exact_lists
from sparse_oracle import Oracle
from sparse_peers import make
from sparse_store import Corpus

HERE = Path(__file__).resolve().parent
DEPTHS = (10, 1_000)
CHECKED = 100
#: Queries on which settings are chosen; recall is told of the others.
CHOSEN_ON = 200
#: Engines that read the index of another.
SHARED = {"twindex-95": "twindex"}
Result = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """How to measure. ``pythons``: interpreter of an engine, where not this one; ``budget``: seconds of one batch."""

    cache: Path
    pythons: dict[str, str]
    repeat: int
    budget: float
    threads: int


class Worker:
    """The process of one engine; requests wait for their answers."""

    def __init__(self, plan: Plan, mode: str, engine: str, corpus: Corpus) -> None:
        folder = index_folder(plan, engine, corpus)
        log = folder.with_suffix(".log").open("a")
        command = [plan.pythons.get(engine, sys.executable), str(HERE / "sparse_worker.py")]
        paths = [str(HERE), str(HERE.parent / "tests" / "types")]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
        self.engine = engine
        self._process = subprocess.Popen(
            [*command, mode, engine, str(corpus.folder), str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=environment,
        )

    def ask(self, do: str, **arguments: object) -> Result:
        """One request."""
        if self._process.stdin is None:
            raise RuntimeError("no pipe")
        try:
            self._process.stdin.write(json.dumps({"do": do} | arguments) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass
        return self.answer()

    def answer(self) -> Result:
        """The next line, or an error if the process died."""
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise RuntimeError(f"the process of {self.engine} ended with {self._process.wait()}; see its log")
        answer: Result = json.loads(line)
        return answer

    def close(self) -> None:
        """End it."""
        if self._process.stdin:
            self._process.stdin.close()
        self._process.wait(timeout=60)


def index_folder(plan: Plan, engine: str, corpus: Corpus) -> Path:
    """Where an engine keeps its index of a corpus. Corpora that differ in their queries only share it."""
    documents = str(corpus.meta.get("documents_of", corpus.name))
    return plan.cache / "indexes" / documents / SHARED.get(engine, engine)


def build(plan: Plan, engine: str, corpus: Corpus) -> Result:
    """Build unless it was built; what it took, or the reason why not."""
    folder = index_folder(plan, engine, corpus)
    done = folder.with_suffix(".json")
    if done.exists():
        built: Result = json.loads(done.read_text())
        return built
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    say(f"{corpus.name}: building {engine}")
    try:
        worker = Worker(plan, "build", engine, corpus)
        result = worker.answer()
        worker.close()
    except RuntimeError as error:
        return {"reason": f"did not build: {error}"}
    done.write_text(json.dumps(result))
    return result


def unfit(engine: str, corpus: Corpus) -> str:
    """Why an engine is not asked, or nothing."""
    peer = make(engine)
    if corpus.size > peer.most_documents:
        return peer.reason
    return ""


def measure(plan: Plan, engines: list[str], corpus: Corpus) -> Result:
    """Everything about the engines on one corpus, and what threads were worth meanwhile."""
    results: dict[str, Result] = {}
    for engine in engines:
        reason = unfit(engine, corpus)
        results[engine] = {"reason": reason} if reason else {"build": build(plan, engine, corpus)}
        if "reason" in results[engine].get("build", {}):
            results[engine] = results[engine]["build"]
    exact = exact_lists(corpus)
    scalings: list[dict[str, float]] = []
    with serving(plan, results, corpus) as workers:
        for k in DEPTHS:
            # What "95 % of the list" should mean at great depth nobody has promised: exact engines only.
            asked = [worker for worker in workers if k == DEPTHS[0] or make(worker.engine).exact]
            if k <= corpus.size and asked:
                _tune(plan, asked, results, corpus, exact, k)
                scalings += _throughput(plan, asked, results, corpus, k)
                _latency(plan, asked, results, corpus, k)
        for worker in workers:
            results[worker.engine]["peak"] = worker.ask("memory")["peak"]
    worth = {kind: statistics.median(one[kind] for one in scalings) for kind in scalings[0]} if scalings else {}
    return {"engines": results, "scaling": worth}


@contextmanager
def serving(plan: Plan, results: dict[str, Result], corpus: Corpus) -> Iterator[list[Worker]]:
    """A worker for each built engine, its index open; one that fails is left out, with the reason."""
    workers: list[Worker] = []
    try:
        for engine, result in results.items():
            if "reason" in result:
                continue
            worker = Worker(plan, "serve", engine, corpus)
            try:
                result["open"] = worker.ask("open")
                workers.append(worker)
            except RuntimeError as error:
                result["reason"] = str(error)
        yield workers
    finally:
        for worker in workers:
            worker.close()


def _tune(plan: Plan, workers: list[Worker], results: dict[str, Result], corpus: Corpus, exact: Path, k: int) -> None:
    """Strategies chosen, code compiled and caches filled; then the lists are checked."""
    count = min(corpus.queries, CHOSEN_ON)
    for worker in workers:
        say(f"{corpus.name}: k={k}, choosing for {worker.engine}")
        result = results[worker.engine]
        result.setdefault("tuned", {})[k] = worker.ask(
            "tune", k=k, count=count, exact=str(exact), floor=0.95, budget=4 * plan.budget
        )
        for threads in {1, plan.threads}:
            worker.ask("batch", k=k, threads=threads, count=1)
        result.setdefault("check", {})[k] = _check(plan, worker, corpus, exact, k)


def _throughput(
    plan: Plan, workers: list[Worker], results: dict[str, Result], corpus: Corpus, k: int
) -> list[dict[str, float]]:
    """Batches, engines in turns; an engine's runs with one thread and with all follow each other in every round.

    Returns what the threads of this machine were worth in each round.
    """
    counts = sorted({1, plan.threads})
    say(f"{corpus.name}: k={k}, {' and '.join(map(str, counts))} thread(s), {plan.repeat} rounds")
    asked = [(w, n) for w in workers for n in counts if n == 1 or make(w.engine).threaded]
    sizes = {(w.engine, n): _size(plan, w, corpus, k, n) for w, n in asked}
    spent: dict[tuple[str, int], list[Result]] = {key: [] for key in sizes}
    scalings = []
    for turn in range(plan.repeat):
        scalings.append(scaling(plan.threads))
        for worker, threads in asked[turn % len(asked) :] + asked[: turn % len(asked)]:
            count, passes = sizes[worker.engine, threads]
            answer = worker.ask("batch", k=k, threads=threads, count=count, passes=passes)
            spent[worker.engine, threads].append(answer)
    for (engine, threads), seconds in spent.items():
        count, passes = sizes[engine, threads]
        rates = [count * passes / one["seconds"] for one in seconds]
        results[engine].setdefault("qps", {})[f"{k}/{threads}"] = {
            "median": statistics.median(rates),
            "all": rates,
            "all_cpu": [count * passes / max(one["cpu"], 1e-9) for one in seconds],
            "per_cpu": statistics.median(count * passes / max(one["cpu"], 1e-9) for one in seconds),
            "queries": count,
            "passes": passes,
            "partial": count < corpus.queries,
        }
    return scalings


def _size(plan: Plan, worker: Worker, corpus: Corpus, k: int, threads: int) -> tuple[int, int]:
    """How many of the first queries fit the budget, 5 at least, and how often all of them do."""
    probe = min(5, corpus.queries)
    seconds = min(worker.ask("batch", k=k, threads=threads, count=probe)["seconds"] for _ in range(2))
    fits = int(plan.budget / max(seconds, 1e-9) * probe)
    return max(min(corpus.queries, fits), probe), max(1, fits // corpus.queries)


def _latency(plan: Plan, workers: list[Worker], results: dict[str, Result], corpus: Corpus, k: int) -> None:
    for worker in workers:
        rate = results[worker.engine]["qps"][f"{k}/1"]["median"]
        count = max(min(corpus.queries, int(rate * 2 * plan.budget)), 5)
        seconds = np.array(worker.ask("latency", k=k, count=count)["seconds"])
        results[worker.engine].setdefault("latency", {})[k] = {
            "p50": float(np.percentile(seconds, 50)),
            "p99": float(np.percentile(seconds, 99)),
            "queries": count,
        }


def _check(plan: Plan, worker: Worker, corpus: Corpus, exact: Path, k: int) -> Result:
    """Are the lists what exhaustive scoring gives?

    Ours: every query, the very same documents and scores. A peer that calls itself exact: the scores of its list are
    those of the best by its own formula, on the first queries, within its tolerance. Others: recall, on queries that
    chose nothing.
    """
    peer = make(worker.engine)
    ours = worker.engine == "twindex"
    count = corpus.queries if ours or not peer.exact else min(CHECKED, corpus.queries)
    if peer.exact and peer.formula is None:
        return {"kind": "not checked"}
    if not ours and peer.exact and k > 10:
        return {"kind": "checked at k=10"}
    out = plan.cache / f"hits-{corpus.name}-{worker.engine}-{k}.npz"
    worker.ask("hits", k=k, count=count, out=str(out))
    found = np.load(out)
    docs, scores = found["docs"], found["scores"]
    out.unlink()
    wanted = np.load(exact)
    if ours:
        same = [_same(docs[q], scores[q], wanted["docs"][q, :k], wanted["scores"][q, :k]) for q in range(count)]
        return {"kind": "identical", "good": int(sum(same)), "of": count}
    if not peer.exact:
        rest = range(CHOSEN_ON if count > CHOSEN_ON else 0, count)
        hit = [np.isin(wanted["docs"][q, :k], docs[q]).mean() for q in rest]
        return {"kind": "recall", "value": float(np.mean(hit))}
    worst = _worst(corpus, peer.formula, scores, k)
    return {"kind": "scores", "worst": worst, "good": worst <= peer.score_tolerance, "of": count}


def _same(docs: Any, scores: Any, true_docs: Any, true_scores: Any) -> bool:
    return bool(np.array_equal(docs, true_docs) and np.array_equal(scores, true_scores))


def _worst(corpus: Corpus, formula: Any, scores: Any, k: int) -> float:
    """Greatest relative difference of the sorted scores from the oracle's, over the queries of ``scores``."""
    oracle = Oracle(corpus, formula)
    worst = 0.0
    for number, row in enumerate(scores):
        true = np.sort(oracle.scores(number))[::-1][:k]
        given = np.sort(row)[::-1][: len(true)]
        worst = max(worst, float(np.max(np.abs(given - true) / max(true[0], 1e-9))))
    return worst


def say(text: str) -> None:
    """A line of progress."""
    print(time.strftime("%H:%M:%S"), text, file=sys.stderr, flush=True)
