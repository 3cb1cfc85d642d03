"""T²-RAGBench: the published layout in small, its protocol, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.eval.made_up import make_collection, make_t2, write_lines
from twindex.eval.beir import Dataset
from twindex.eval.t2bench import T2Options, run_t2
from twindex.eval.t2data import PUBLISHED, SUBSETS, as_datasets, counts, read_subset
from twindex.indexing.encoders.hashing import HashingEncoder
from twindex.indexing.errors import ConfigError, CorpusError
from twindex.rag.generators.extractive import ExtractiveGenerator


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_t2(tmp_path / "t2")


def test_the_published_layout_is_read(root: Path) -> None:
    rows = [row for subset in SUBSETS for row in read_subset(root, subset)]
    assert counts(rows) == {"FinQA": (3, 2), "ConvFinQA": (1, 1), "TAT-DQA": (2, 2)}
    assert sum(questions for questions, _ in PUBLISHED.values()) == 23_088
    assert sum(documents for _, documents in PUBLISHED.values()) == 7_318
    gamma = next(row for row in rows if row.subset == "ConvFinQA")
    assert gamma.split == "turn_0"
    assert gamma.metadata["company_name"] == "Gamma Ltd"
    assert gamma.metadata["answers"] == ["7"]


def test_subsets_and_the_pool_become_collections(root: Path, tmp_path: Path) -> None:
    made = as_datasets(root, tmp_path / "beir")
    assert [d.name for d in made] == ["t2-finqa", "t2-convfinqa", "t2-tat-dqa", "t2-pooled"]
    finqa, pooled = made[0], made[-1]
    assert finqa.splits == ("all", "test", "train")
    assert len(finqa.qrels("all")) == 3
    assert len(list(finqa.corpus())) == 2  # two questions share a document
    assert len(list(pooled.corpus())) == 5
    assert len(pooled.qrels("all")) == 6
    assert as_datasets(root, tmp_path / "beir", ["FinQA"])[0].path == finqa.path
    with pytest.raises(ConfigError):
        list(read_subset(root, "VQAonBD"))


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ({"id": "1", "question": "?", "context": "c", "program_answer": "1"}, "context_id"),
        ({"id": "1", "context_id": "c", "question": "?", "context": "c"}, "program_answer"),
    ],
)
def test_a_row_that_lacks_something_is_named(tmp_path: Path, record: dict[str, str], words: str) -> None:
    folder = tmp_path / "FinQA" / "test"
    folder.mkdir(parents=True)
    write_lines(folder / "metadata.jsonl", [record])
    with pytest.raises(CorpusError, match=words) as caught:
        list(read_subset(tmp_path, "FinQA"))
    assert "metadata.jsonl" in str(caught.value)
    with pytest.raises(CorpusError, match="ConvFinQA"):
        list(read_subset(tmp_path, "ConvFinQA"))


def test_one_id_for_two_texts_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "FinQA" / "test"
    folder.mkdir(parents=True)
    row = {"id": "1", "context_id": "c", "question": "?", "context": "one", "program_answer": "1"}
    write_lines(folder / "metadata.jsonl", [row, row | {"id": "2", "context": "other"}])
    with pytest.raises(CorpusError, match="two texts"):
        as_datasets(tmp_path, tmp_path / "beir", ["FinQA"])


def test_the_protocol_on_the_pool(root: Path, tmp_path: Path) -> None:
    pooled = as_datasets(root, tmp_path / "beir")[-1]
    options = T2Options(split="all", cache=tmp_path / "cache")
    result = run_t2(pooled, HashingEncoder(64), ExtractiveGenerator(), options)
    assert set(result.retrieval) == {
        (mode, system)
        for mode in ("question", "company")
        for system in ("bm25", "dense", "rrf(k=60)", "rrf(k=10)", "convex(minmax)")
    }
    assert set(result.answers) == {
        ("question", "retrieved"), ("question", "oracle"), ("question", "closed"), ("company", "retrieved"),
    }  # fmt: skip
    plain = json.loads(json.dumps(result.to_dict()))
    assert list(plain["retrieval"][0]["measures"]) == [
        "RR@3", "R@1", "R@3", "R@5", "R@10", "R@20", "nDCG@10", "AP",
    ]  # fmt: skip
    bm25 = plain["retrieval"][0]["measures"]
    assert bm25["R@20"] == 1.0
    assert bm25["R@1"] <= bm25["R@3"] <= bm25["R@5"]
    oracle = next(row for row in plain["answers"] if row["context"] == "oracle")
    assert oracle["measures"]["citation_recall"] == 1.0
    assert {(c["query_mode"], c["queries"]) for c in plain["comparisons"]} == {("question", 6), ("company", 6)}
    assert {c["a"] for c in plain["comparisons"]} == {"dense", "rrf(k=60)", "rrf(k=10)", "convex(minmax)"}


def test_a_relative_without_companies_is_run_once(tmp_path: Path) -> None:
    folder = make_collection(tmp_path, "plain")
    options = T2Options(contexts=(), cache=tmp_path / "cache")
    result = run_t2(Dataset(folder), HashingEncoder(16), ExtractiveGenerator(), options)
    assert {mode for mode, _ in result.retrieval} == {"question"}
    assert result.answers == {}
    assert result.split == "test"
    with pytest.raises(ConfigError):
        T2Options(contexts=("hearsay",))  # type: ignore[arg-type]
