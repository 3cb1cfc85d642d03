"""The matrix: what it leaves in the store, what it does not do twice, and what a kill half-way costs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.eval.made_up import make_collection
from twindex.eval.beir import Dataset
from twindex.eval.compare import TestOptions
from twindex.eval.evaluate import evaluate
from twindex.eval.harness import BeirOptions, evaluate_beir
from twindex.eval.matrix import MatrixOptions, judged_sets, run_matrix
from twindex.eval.matrix_set import SYSTEMS, profile_from
from twindex.eval.matrix_task import SetTask
from twindex.eval.report_data import gather
from twindex.eval.results import Results
from twindex.eval.tune import TuneOptions
from twindex.indexing.encoders.hashing import HashingEncoder
from twindex.indexing.encoding import EncoderInfo
from twindex.indexing.errors import ConfigError, CorpusError
from twindex.indexing.types import Float32Array
from twindex.retrieval.engine import Searcher

QUICK = TestOptions(resamples=200)
TUNING = TuneOptions(least=10)


class CountingEncoder:
    """The hashing encoder, with a count of the documents that it was asked for."""

    def __init__(self) -> None:
        self.inner = HashingEncoder(32)
        self.documents = 0
        self.batch_invariant = True

    @property
    def info(self) -> EncoderInfo:
        return self.inner.info

    def encode_documents(self, texts: Sequence[str]) -> Float32Array:
        self.documents += len(texts)
        return self.inner.encode_documents(texts)

    def encode_queries(self, texts: Sequence[str]) -> Float32Array:
        return self.inner.encode_queries(texts)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    make_collection(root, "one", seed=1)
    make_collection(root, "two", seed=2, queries=60, splits=("test", "train"))
    make_collection(root, "three", seed=3, splits=("dev",))
    make_collection(root, "train-only", seed=4, splits=("train",))
    (root / "not-a-collection").mkdir()
    return root


def options(data: Path, cache: Path, **more: Any) -> MatrixOptions:
    return MatrixOptions(data, cache=cache, results=cache / "r.duckdb", tests=QUICK, tuning=TUNING, **more)


def rows(path: Path) -> list[tuple[Any, ...]]:
    with Results(path) as store:
        found = store.sql("select run_id, query_id, measure, value from per_query order by all")[1]
        found += store.sql("select run_id, query_id, rank, document_id from hits order by all")[1]
    return found


def test_which_collections_are_reported(data: Path) -> None:
    assert [(d.name, s) for d, s in judged_sets(data)] == [("one", "test"), ("three", "dev"), ("two", "test")]
    assert [d.name for d, _ in judged_sets(data, ["two"])] == ["two"]
    with pytest.raises(CorpusError):
        judged_sets(data, ["train-only"])
    with pytest.raises(CorpusError):
        judged_sets(data, ["nowhere"])
    with pytest.raises(ConfigError, match="no judged collection"):
        judged_sets(data / "not-a-collection")


def test_every_set_and_system_is_there_and_scored_as_alone(data: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    note = run_matrix(options(data, cache), HashingEncoder(32))
    assert [s["dataset"] for s in note["sets"]] == ["one", "three", "two"]
    assert note["sets"][2]["tuning"]["protocol"] == "30 queries of another split"
    assert note["sets"][0]["tuning"]["protocol"] == "5 folds of its own queries"
    for summary in note["sets"]:
        assert set(summary["runs"]) == set(SYSTEMS)
        assert summary["reference"] in ("bm25", "dense")
        assert summary["tuning"]["oracle"] >= max(summary["tuning"]["out_of_fold"], summary["tuning"]["gated"])
    for mode, system in (("sparse", "bm25"), ("dense", "dense"), ("hybrid", "convex")):
        alone = evaluate_beir(
            data / "two", BeirOptions(mode=mode, cache=tmp_path / "other"), encoder=HashingEncoder(32)
        )
        assert note["sets"][2]["means"][system] == pytest.approx(alone.measures["nDCG@10"], abs=1e-12)
    with Results(cache / "r.duckdb") as store:
        shown = gather(store)
        assert shown.means["tuned"] == pytest.approx(np.mean([s["means"]["tuned"] for s in note["sets"]]))
        kept = store.all_hits(note["sets"][0]["runs"]["bm25"])
    qrels = Dataset(data / "one").qrels("test")
    first_hits = {q: {d: 1.0 / rank for rank, d in enumerate(kept.get(q, []), 1)} for q in qrels}
    again = evaluate(first_hits, qrels).aggregate()["nDCG@10"]
    assert again == pytest.approx(note["sets"][0]["means"]["bm25"], abs=1e-12)
    assert any(c["a_hits"] and c["b_hits"] and c["text"] for c in note["changes"])


def test_a_sample_is_of_the_queries_that_can_score(data: Path, tmp_path: Path) -> None:
    whole = run_matrix(options(data, tmp_path / "whole", sets=("two",)), HashingEncoder(32))
    part = run_matrix(options(data, tmp_path / "part", sets=("two",), sample=7), HashingEncoder(32))
    assert whole["sets"][0]["key"] != part["sets"][0]["key"]
    for system in SYSTEMS:
        values = []
        for name, note in (("whole", whole), ("part", part)):
            with Results(tmp_path / name / "r.duckdb") as store:
                values.append(store.values(note["sets"][0]["runs"][system], "nDCG@10"))
        assert len(values[1]) == 7 < len(values[0])
        if system != "tuned":
            assert values[1] == {query: values[0][query] for query in values[1]}
    with pytest.raises(ConfigError, match="sample"):
        SetTask(Dataset(data / "two"), "test", sample=0)


def test_nothing_is_done_twice_and_a_changed_file_is(data: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first = CountingEncoder()
    note = run_matrix(options(data, cache), first)
    assert first.documents == 120
    second = CountingEncoder()
    assert run_matrix(options(data, cache), second) == note
    assert second.documents == 0
    judgements = data / "one" / "qrels" / "test.tsv"
    lines = judgements.read_text().splitlines()
    judgements.write_text("\n".join(lines[:-3]) + "\n")
    third = CountingEncoder()
    changed = run_matrix(options(data, cache), third)
    keys = [(a["key"], b["key"]) for a, b in zip(note["sets"], changed["sets"])]
    assert [a == b for a, b in keys] == [False, True, True]
    assert third.documents == 0  # the corpus is the same, so its index is


def test_the_profile_that_was_chosen_searches(data: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    note = run_matrix(options(data, cache, sets=("two",)), HashingEncoder(32))
    profile = profile_from(note["sets"][0])
    profile.save(tmp_path / "p.json")
    index = next((cache / "indexes").glob("two-*"))
    with Searcher.open(index, encoder=HashingEncoder(32), profile=tmp_path / "p.json") as searcher:
        assert searcher.search("title 3").hits


def test_values_of_a_set_depend_on_everything_that_shapes_them(data: Path) -> None:
    base = SetTask(Dataset(data / "two"), "test")
    keys = {
        base.key(HashingEncoder(32)),
        base.key(HashingEncoder(64)),
        SetTask(Dataset(data / "two"), "train").key(HashingEncoder(32)),
        SetTask(Dataset(data / "two"), "test", depth=10).key(HashingEncoder(32)),
        SetTask(Dataset(data / "two"), "test", tuning=TuneOptions(folds=3)).key(HashingEncoder(32)),
    }
    assert len(keys) == 5
    assert base.key(HashingEncoder(32)) in keys


SCRIPT = """
import sys, time
from pathlib import Path
from twindex.eval.compare import TestOptions
from twindex.eval.matrix import MatrixOptions, run_matrix
from twindex.eval.tune import TuneOptions
from twindex.indexing.encoders.hashing import HashingEncoder

data, cache = map(Path, sys.argv[1:3])
class Slow(HashingEncoder):
    def encode_documents(self, texts):
        Path(sys.argv[3]).write_text("encoding")
        time.sleep(float(sys.argv[4]))
        return super().encode_documents(texts)
options = MatrixOptions(
    data, cache=cache, results=cache / "r.duckdb", tests=TestOptions(resamples=200), tuning=TuneOptions(least=10)
)
run_matrix(options, Slow(32), progress=lambda stage, done, total: print(stage, done, flush=True))
"""


@pytest.mark.timeout(120)
def test_killed_half_way_it_resumes_to_the_same_results(data: Path, tmp_path: Path) -> None:
    cache, sign = tmp_path / "cache", tmp_path / "sign"
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    process = subprocess.Popen(
        [sys.executable, str(script), str(data), str(cache), str(sign), "0.5"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.split() == ["sets", "1"]:  # the first set is done, the second begins
            break
    sign.unlink(missing_ok=True)
    deadline = time.monotonic() + 30
    while not sign.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.stdout.close()
    assert process.wait() == -signal.SIGKILL
    with Results(cache / "r.duckdb") as store:
        before = store.sql("select run_id, finished_at from runs order by run_id")[1]
    assert len(before) == len(SYSTEMS)
    encoder = CountingEncoder()
    note = run_matrix(options(data, cache), encoder)
    with Results(cache / "r.duckdb") as store:
        after = dict(store.sql("select run_id, finished_at from runs")[1])
    assert all(after[run] == when for run, when in before)  # the first set was not run again
    assert encoder.documents == 80
    clean = run_matrix(options(data, tmp_path / "clean"), HashingEncoder(32))
    for ours, theirs in zip(note["sets"], clean["sets"]):
        assert ours["means"] == theirs["means"]
        assert ours["runs"] == theirs["runs"]
    assert rows(cache / "r.duckdb") == rows(tmp_path / "clean" / "r.duckdb")
    assert note["overall"] == clean["overall"]
