from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from twindex.eval.qrels import Qrels, read_qrels, write_qrels
from twindex.eval.runs import (
    Hits,
    drop_self_matches,
    format_run,
    hits_from_scores,
    read_run,
    strictly_decreasing,
    table_from_run,
    write_run,
)
from twindex.indexing.errors import CorpusError, UsageError
from twindex.indexing.types import Int32Array
from twindex.retrieval.types import Ranking, Run


def f32(*values: float) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return np.array(values, np.float32)


class Table:
    def ids(self, ords: Int32Array) -> list[str]:
        return [f"d{o}" for o in ords.tolist()]


@pytest.mark.parametrize("fmt", ["trec", "beir"])
def test_qrels_survive_writing_and_reading(tmp_path: Path, fmt: str) -> None:
    qrels = Qrels({"q2": {"b": 2, "a": 0}, "q1": {"ü": -1}})
    path = tmp_path / "qrels"
    write_qrels(path, qrels, fmt)  # type: ignore[arg-type]
    again = read_qrels(path)
    assert again == qrels
    assert list(again) == ["q2", "q1"]


def test_qrels_of_published_files_are_understood(tmp_path: Path) -> None:
    path = tmp_path / "test.tsv.gz"
    path.write_bytes(gzip.compress(b"query-id\tcorpus-id\tscore\r\n1\tid with blanks\t1.0\n1\tother\t2\n\n"))
    assert read_qrels(path) == {"1": {"id with blanks": 1, "other": 2}}
    path = tmp_path / "tabs.trec"
    path.write_bytes(b"1\t0\tdoc\t1\n2 0 doc 1\n")
    assert read_qrels(path) == {"1": {"doc": 1}, "2": {"doc": 1}}


@pytest.mark.parametrize(
    ("content", "line", "words"),
    [
        (b"q\ta\t1\nq\tb\n", 2, "2 columns"),
        (b"q\ta\thigh\n", 1, "whole number"),
        (b"q\ta\t0.5\n", 1, "whole number"),
        (b"q 0 a 1\nq 0 a 2\n", 2, "one level a pair"),
        (b"q\ta\t1\nq\ta\t0\n", 2, "before 1"),
    ],
)
def test_bad_qrels_name_file_and_line(tmp_path: Path, content: bytes, line: int, words: str) -> None:
    path = tmp_path / "bad.tsv"
    path.write_bytes(content)
    with pytest.raises(CorpusError) as caught:
        read_qrels(path)
    assert f"bad.tsv:{line}:" in str(caught.value)
    assert words in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no such file"):
        read_qrels(tmp_path / "none.tsv")
    with pytest.raises(CorpusError, match="a folder"):
        read_qrels(tmp_path)
    path = tmp_path / "latin.tsv"
    path.write_bytes(b"q\t\xff\t1\n")
    with pytest.raises(CorpusError, match="UTF-8"):
        read_qrels(path)
    path = tmp_path / "cut.tsv.gz"
    path.write_bytes(gzip.compress(b"q\ta\t1\n" * 1000)[:-9])
    with pytest.raises(CorpusError, match="cannot be read"):
        read_qrels(path)


def test_qrels_answer_small_questions() -> None:
    qrels = Qrels.from_rows([("q", "a", 1), ("q", "b", 2), ("r", "a", 0), ("q", "a", 1)])
    assert qrels.relevant("q") == ["b", "a"]
    assert qrels.relevant("q", rel=2) == ["b"]
    assert qrels.answerable() == ["q"]
    assert qrels.judgements == 3
    assert list(qrels.subset(["r", "none"])) == ["r"]
    with pytest.raises(UsageError, match="one level"):
        Qrels.from_rows([("q", "a", 1), ("q", "a", 2)])


def test_scored_runs_follow_trec_eval() -> None:
    hits = hits_from_scores({"a": 1.0, "c": 2.0, "b": 1.0, "d": 1.0, "e": 1.0 + 1e-12})
    assert hits.ids == ("c", "e", "d", "b", "a")
    assert hits_from_scores({}).ids == ()
    with pytest.raises(UsageError, match="NaN"):
        hits_from_scores({"a": float("nan")})


def test_our_own_order_survives_the_file(tmp_path: Path) -> None:
    ranking = Ranking(np.array([3, 1, 2, 0], np.int32), f32(5, 1, 1, 0))
    tied = Ranking(np.arange(6, dtype=np.int32), f32(0, 0, 0, 0, 0, 0))
    table = table_from_run(["q", "t", "none"], Run((ranking, tied, Ranking.empty()), Table()))
    path = tmp_path / "run.txt"
    write_run(path, table, "tag")
    again = read_run(path)
    assert again["q"].ids == ("d3", "d1", "d2", "d0")
    assert again["t"].ids == tuple(f"d{i}" for i in range(6))
    assert "none" not in again
    assert path.read_text().splitlines()[0] == "q Q0 d3 1 5 tag"
    assert path.read_bytes() == format_run(table, "tag").encode()


@pytest.mark.parametrize(
    "scores", [f32(), f32(1), f32(3, 2, 1), f32(1, 1, 1), f32(0, 0, -0.0), f32(2, 2, -1, -1),
               f32(1e-45, 0, 0), f32(-0.0, -1e-45)],
)  # fmt: skip
def test_strictly_decreasing(scores: np.ndarray[tuple[int], np.dtype[np.float32]]) -> None:
    out = strictly_decreasing(scores)
    assert (out[:-1] > out[1:]).all()
    assert (out <= scores).all()
    if (scores[:-1] > scores[1:]).all():
        assert np.array_equal(out, scores)
    assert [np.float32(f"{v:.9g}") for v in out.tolist()] == out.tolist()


def test_no_room_for_scores() -> None:
    lowest = float(np.finfo(np.float32).min)
    with pytest.raises(UsageError, match="lower end"):
        strictly_decreasing(f32(lowest, lowest))
    with pytest.raises(UsageError, match="not finite"):
        strictly_decreasing(f32(np.inf, 1))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("q Q0 d 1 2.0\n", "5 columns"),
        ("q Q0 d 1 high tag\n", "score 'high'"),
        ("q Q0 d 1 nan tag\n", "score 'nan'"),
        ("q Q0 d 1 2.0 tag\nq Q0 d 2 1.0 tag\n", "second time"),
    ],
)
def test_bad_runs_name_file_and_line(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "bad.run"
    path.write_text(content)
    with pytest.raises(CorpusError, match=words) as caught:
        read_run(path)
    assert "bad.run:" in str(caught.value)


@pytest.mark.parametrize(("query", "document", "tag"), [("q 1", "d", "t"), ("q", "", "t"), ("q", "d", "a b")])
def test_ids_that_the_layout_cannot_hold(query: str, document: str, tag: str) -> None:
    with pytest.raises(UsageError, match="white space"):
        format_run({query: Hits((document,), f32(1))}, tag)


def test_self_matches_are_dropped_and_counted() -> None:
    table = {"a": hits_from_scores({"b": 2.0, "a": 3.0, "c": 1.0}), "z": hits_from_scores({"a": 1.0})}
    kept, dropped = drop_self_matches(table)
    assert dropped == 1
    assert kept["a"].ids == ("b", "c")
    assert kept["a"].scores.tolist() == [2.0, 1.0]
    assert kept["z"] == table["z"]


def test_a_run_needs_one_id_a_ranking() -> None:
    with pytest.raises(UsageError, match="one id a ranking"):
        table_from_run(["a", "a"], Run((Ranking.empty(), Ranking.empty()), Table()))
