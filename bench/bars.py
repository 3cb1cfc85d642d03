"""The promises of the first floor, measured through the command line on one BEIR folder.

    python bench/bars.py path/to/scifact [--kills 20] [--only NAME ...]

Prints one line a bar with the measured figure and leaves with 1 if any is missed. Everything is done in a
temporary folder; figures of time are the median of ``--repeat`` runs of a fresh process.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import itertools
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twindex.indexing.encoders.resolve import resolve_encoder
from twindex.indexing.errors import ModelNotFoundError

TWINDEX = str(Path(sysconfig.get_path("scripts")) / "twindex")


@dataclass(frozen=True)
class Bench:
    """One measuring session: the data set, a scratch folder, how often to repeat."""

    data: Path
    scratch: Path
    kills: int
    repeat: int

    def run(self, *arguments: object, env: dict[str, str] | None = None) -> str:
        done = subprocess.run(
            [TWINDEX, *map(str, arguments)], capture_output=True, text=True, env=os.environ | (env or {})
        )
        if done.returncode:
            raise RuntimeError(f"twindex {' '.join(map(str, arguments))}: {done.stderr}")
        return done.stdout

    def fresh(self, name: str) -> Path:
        path = self.scratch / name
        shutil.rmtree(path, ignore_errors=True)
        return path

    def timed(self, *arguments: object) -> float:
        started = time.perf_counter()
        self.run(*arguments)
        return time.perf_counter() - started

    def evaluate(
        self, index: Path, mode: str, *, split: str = "test", run: Path | None = None, encoder: str = ""
    ) -> dict[str, float]:
        out = self.scratch / "result.json"
        extra: list[object] = ["--run", run] if run else []
        extra += ["--encoder", encoder] if encoder else []
        self.run(
            "eval",
            "beir",
            self.data,
            "--split",
            split,
            "--mode",
            mode,
            "--index",
            index,
            "--json",
            out,
            *extra,
        )
        measures: dict[str, float] = json.loads(out.read_text())["measures"]
        return measures


def digest(folder: Path) -> str:
    """A hash of every file's name and bytes, the lock file left out."""
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != "write.lock":
            total.update(str(path.relative_to(folder)).encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def say(name: str, ok: bool, figure: str) -> bool:
    print(f"{'ok  ' if ok else 'MISS'}  {name}: {figure}", flush=True)
    return ok


def within(value: float, target: float, tolerance: float) -> bool:
    return abs(value - target) <= tolerance


def quality(bench: Bench) -> bool:
    """BM25, dense and hybrid on the test split; every written run scored by pytrec_eval as well."""
    index = twin(bench)
    scores: dict[str, dict[str, float]] = {}
    agree = True
    for mode in ("sparse", "dense", "hybrid"):
        run = bench.scratch / f"{mode}.run"
        scores[mode] = bench.evaluate(index, mode, run=run)
        agree &= equals_trec_eval(bench, run, scores[mode])
    bm25, dense, hybrid = (scores[mode]["nDCG@10"] for mode in ("sparse", "dense", "hybrid"))
    recall = scores["sparse"]["R@100"]
    exact = precise(bench, dense)
    return all([
        say("BM25 nDCG@10 0.679 +- 0.003", within(bm25, 0.679, 0.003), f"{bm25:.4f}"),
        say("BM25 R@100 0.925 +- 0.005", within(recall, 0.925, 0.005), f"{recall:.4f}"),
        exact,
        say("hybrid above both legs", hybrid > max(bm25, dense), f"{hybrid:.4f}"),
        say("measures equal pytrec_eval to 1e-6", agree, "three runs, all measures"),
    ])  # fmt: skip


def precise(bench: Bench, dense: float) -> bool:
    """The default encoder in float32 against its published figure, and the 8-bit form against that."""
    name = "all-MiniLM-L6-v2@fp32"
    try:
        resolve_encoder(name)
    except ModelNotFoundError as error:
        return say("MiniLM fp32 nDCG@10 0.645 +- 0.005", False, f"not measured: {error.message}")
    index = bench.fresh("fp32")
    print(f"      fp32 index built in {bench.timed('index', bench.data, '--into', index, '--encoder', name):.1f} s")
    exact = bench.evaluate(index, "dense", encoder=name)["nDCG@10"]
    return all([
        say("MiniLM fp32 nDCG@10 0.645 +- 0.005", within(exact, 0.645, 0.005), f"{exact:.4f}"),
        say("int8 within 0.01 of it", within(dense, exact, 0.01), f"{dense:.4f}, {dense - exact:+.4f}"),
    ])  # fmt: skip


def equals_trec_eval(bench: Bench, run: Path, measured: dict[str, float]) -> bool:
    import pytrec_eval

    qrels: dict[str, dict[str, int]] = {}
    for line in (bench.data / "qrels" / "test.tsv").read_text().splitlines()[1:]:
        query, document, grade = line.split("\t")
        qrels.setdefault(query, {})[document] = int(grade)
    with run.open() as lines:
        ranked = pytrec_eval.parse_run(lines)
    names = {"nDCG@10": "ndcg_cut_10", "R@100": "recall_100", "AP": "map", "RR@10": "recip_rank"}
    scored = pytrec_eval.RelevanceEvaluator(qrels, {"ndcg_cut.10", "recall.100", "map", "recip_rank"}).evaluate(ranked)
    same = True
    for ours, theirs in names.items():
        values = [row[theirs] for row in scored.values()]
        if ours == "RR@10":  # trec_eval's is not cut: a first hit beyond rank 10 counts 0 in ours
            values = [value if value >= 0.1 - 1e-9 else 0.0 for value in values]
        same &= abs(sum(values) / len(qrels) - measured[ours]) <= 1e-6
    return same


_twins: dict[Path, Path] = {}


def twin(bench: Bench) -> Path:
    """A twin index of the data set, built once."""
    if bench.data not in _twins:
        path = bench.fresh("twin")
        print(f"      twin index built in {bench.timed('index', bench.data, '--into', path):.1f} s", flush=True)
        _twins[bench.data] = path
    return _twins[bench.data]


def determinism(bench: Bench) -> bool:
    """Two hash seeds and thread counts; one segment and twenty."""
    one, two, many = bench.fresh("one"), bench.fresh("two"), bench.fresh("many")
    common = ["index", bench.data]
    small = corpus_head(bench, 600)
    bench.run(
        "index",
        small,
        "--into",
        one,
        env={"PYTHONHASHSEED": "1", "OMP_NUM_THREADS": "1", "TWINDEX_THREADS": "1"},
    )
    bench.run(
        "index",
        small,
        "--into",
        two,
        env={"PYTHONHASHSEED": "2", "OMP_NUM_THREADS": "2", "TWINDEX_THREADS": "2"},
    )
    same = digest(one) == digest(two)
    single, runs = twin(bench), {}
    bench.run(*common, "--into", many, "--segment-docs", "260")
    segments = len(json.loads(bench.run("info", many, "--json"))["segments"])
    for mode in ("sparse", "dense", "hybrid"):
        for name, index in (("one", single), ("many", many)):
            path = bench.scratch / f"{name}-{mode}.run"
            bench.evaluate(index, mode, run=path)
            runs[name, mode] = path.read_bytes()
    equal = [mode for mode in ("sparse", "dense", "hybrid") if runs["one", mode] == runs["many", mode]]
    return all([
        say("two hash seeds and thread counts: identical bytes", same, f"600 documents, {same}"),
        say(f"1 and {segments} segments: identical run files", len(equal) == 3, ", ".join(equal)),
    ])  # fmt: skip


def corpus_head(bench: Bench, count: int) -> Path:
    """The first documents of the data set, as a corpus of its own."""
    path = bench.scratch / f"head-{count}.jsonl"
    packed, plain = bench.data / "corpus.jsonl.gz", bench.data / "corpus.jsonl"
    with gzip.open(packed, "rt") if packed.exists() else plain.open() as lines:
        path.write_text("".join(itertools.islice(lines, count)))
    return path


def crashes(bench: Bench) -> bool:
    """``kill -9`` at random moments of building a twin index; then verify, resume and compare."""
    corpus = corpus_head(bench, 600)
    whole = bench.fresh("whole")
    seconds = bench.timed("index", corpus, "--into", whole)
    wanted, rng, good = digest(whole), random.Random(20261124), 0
    for _ in range(bench.kills):
        target = bench.fresh("killed")
        process = subprocess.Popen(
            [TWINDEX, "index", str(corpus), "--into", str(target)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(rng.uniform(0.2, seconds * 0.98))
        process.send_signal(signal.SIGKILL)
        process.wait()
        if (target / "manifest.json").exists():
            bench.run("verify", target)
        else:
            bench.run("index", corpus, "--into", target)
        good += digest(target) == wanted
    return say(
        "kill -9, resume, identical bytes",
        good == bench.kills,
        f"{good} of {bench.kills} ({seconds:.1f} s builds)",
    )


def speed(bench: Bench) -> bool:
    """Sparse build, and a cold command-line search, each in a fresh process."""
    builds = [
        bench.timed("index", bench.data, "--into", bench.fresh("sparse"), "--encoder", "none")
        for _ in range(bench.repeat)
    ]
    index = bench.scratch / "sparse"
    searches = [
        bench.timed("search", index, "zero dimensional biomaterials", "--mode", "sparse") for _ in range(bench.repeat)
    ]
    build, search = statistics.median(builds), statistics.median(searches)
    return all([
        say("sparse build of the set at most 3 s", build <= 3.0, f"{build:.2f} s"),
        say("open and first sparse query at most 1.5 s", search <= 1.5, f"{search:.2f} s"),
    ])  # fmt: skip


READER = """
import sys, time
from twindex.retrieval.engine import Searcher
stop, done = time.monotonic() + float(sys.argv[2]), 0
with Searcher.open(sys.argv[1]) as searcher:
    while time.monotonic() < stop:
        searcher.refresh()
        hits = searcher.search('protein cell response', k=10, mode='sparse').hits
        assert hits and all(a.score >= b.score for a, b in zip(hits, hits[1:]))
        done += 1
print(done)
"""


def readers(bench: Bench) -> bool:
    """Eight reading processes beside one writer that adds, deletes, merges and commits."""
    index = bench.fresh("shared")
    bench.run("index", bench.data, "--into", index, "--encoder", "none", "--segment-docs", "1000")
    more = corpus_head(bench, 300)
    ids = [json.loads(line)["_id"] for line in more.read_text().splitlines()]
    seconds, commits = 20.0, 0
    with reading(index, seconds, 8) as processes:
        stop = time.monotonic() + seconds - 2
        while time.monotonic() < stop:
            bench.run("delete", index, *ids[commits % 200 : commits % 200 + 50])
            bench.run("add", index, more)
            bench.run("merge", index, "--max-segments", "3")
            commits += 3
        outputs = [process.communicate() for process in processes]
    failed = sum(process.returncode != 0 for process in processes)
    searches = sum(int(out or 0) for out, _ in outputs)
    bench.run("verify", index)
    return say(
        "8 readers beside one writer",
        failed == 0,
        f"{searches:,} searches, {commits} commits, {failed} errors",
    )


@contextmanager
def reading(index: Path, seconds: float, count: int) -> Iterator[list[subprocess.Popen[str]]]:
    command = [sys.executable, "-c", READER, str(index), str(seconds)]
    processes = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(count)
    ]
    killer = threading.Timer(seconds * 3, lambda: [process.kill() for process in processes])
    killer.start()
    try:
        yield processes
    finally:
        killer.cancel()


BARS: dict[str, Callable[[Bench], bool]] = {
    "speed": speed,
    "quality": quality,
    "determinism": determinism,
    "crashes": crashes,
    "readers": readers,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=sorted(BARS), default=list(BARS))
    options: Any = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="twindex-bars-") as scratch:
        bench = Bench(options.data, Path(scratch), options.kills, options.repeat)
        results = [BARS[name](bench) for name in options.only]
    sys.exit(0 if all(results) else 1)


if __name__ == "__main__":
    main()
