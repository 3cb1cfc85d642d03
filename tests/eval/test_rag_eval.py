"""Answers over whole sets: scripted generators whose right scores are known beforehand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.eval.made_up import make_collection, write_lines
from tests.rag.fakes import Scripted
from twindex.eval.beir import Dataset, TestQuery
from twindex.eval.indexes import ensure_index, index_config
from twindex.eval.rag_eval import RagOptions, RagResult, ask, evaluate_rag, sample
from twindex.eval.rag_scores import GoldAnswer
from twindex.indexing.errors import ConfigError
from twindex.rag.generators.extractive import ExtractiveGenerator
from twindex.retrieval.engine import Searcher


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three documents, two answerable questions (one number, one name), one without an answer."""
    folder = tmp_path_factory.mktemp("rag") / "lake"
    (folder / "qrels").mkdir(parents=True)
    write_lines(folder / "corpus.jsonl", [
        {"_id": "depth", "title": "Lake Orrin", "text": "Lake Orrin is 120 metres deep at its northern end."},
        {"_id": "ferry", "title": "Ferry", "text": "The ferry across Lake Orrin is run by Captain Morwen."},
        {"_id": "trout", "title": "Fish", "text": "Trout spawn in the streams around the lake every autumn."},
    ])  # fmt: skip
    write_lines(folder / "queries.jsonl", [
        {"_id": "a", "text": "How deep is Lake Orrin?", "metadata": {"answers": ["120"]}},
        {"_id": "b", "text": "Who runs the ferry across Lake Orrin?", "metadata": {"answers": ["Captain Morwen"]}},
        {"_id": "c", "text": "Who painted the harbour of Vessem?", "metadata": {"answers": [], "answerable": False}},
    ])  # fmt: skip
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\na\tdepth\t1\nb\tferry\t1\nc\ttrout\t0\n")
    return folder


@pytest.fixture(scope="module")
def searcher(lake: Path, tmp_path_factory: pytest.TempPathFactory) -> Searcher:
    path = tmp_path_factory.mktemp("index") / "lake"
    ensure_index(Dataset(lake), path, index_config(None))
    return Searcher.open(path)


def run(lake: Path, searcher: Searcher, generator: object, **options: object) -> RagResult:
    dataset = Dataset(lake)
    wanted = RagOptions(mode="sparse", **options)  # type: ignore[arg-type]
    return evaluate_rag(dataset, dataset.qrels("test"), searcher, generator, wanted)  # type: ignore[arg-type]


def test_the_extractive_generator_on_retrieved_passages(lake: Path, searcher: Searcher) -> None:
    result = run(lake, searcher, ExtractiveGenerator())
    rows = result.rows
    assert rows["a"].number_match == rows["a"].number_match_strict == 1.0
    assert rows["a"].citation_precision == rows["a"].citation_recall == 1.0
    assert rows["a"].support == 1.0
    assert rows["b"].contains == 1.0
    assert 0 < (rows["b"].f1 or 0) < 1  # a whole sentence against a name
    assert rows["b"].number_match is None
    assert rows["c"].abstained == 1.0
    assert rows["c"].exact_match == 1.0  # silence is the right answer
    plain = json.loads(json.dumps(result.to_dict()))
    assert plain["abstention"]["unanswerable"] == 1
    assert plain["abstention"]["f1"] == 1.0
    assert plain["measures"]["n_number_match"] == 1


def test_gold_context_cites_the_gold_document(lake: Path, searcher: Searcher) -> None:
    rows = run(lake, searcher, ExtractiveGenerator(), context="oracle").rows
    assert rows["a"].citation_precision == rows["b"].citation_recall == 1.0
    assert rows["c"].abstained == 1.0  # nothing is relevant, so there is nothing to read


def test_without_a_passage_the_generator_is_on_its_own(lake: Path, searcher: Searcher) -> None:
    rows = run(lake, searcher, Scripted("It is 120."), context="closed").rows
    assert rows["a"].number_match == 1.0
    assert rows["a"].citation_recall == 0.0
    assert rows["c"].abstained == 0.0
    assert rows["c"].f1 == 0.0  # an unanswerable question, answered


def test_a_wrong_number_is_wrong(lake: Path, searcher: Searcher) -> None:
    rows = run(lake, searcher, Scripted("It is 130 metres deep."), context="closed").rows
    assert rows["a"].number_match == 0.0
    power = run(lake, searcher, Scripted("It is -12."), context="closed").rows
    assert power["a"].number_match == 1.0  # the official definition is blind to signs and powers of ten
    assert power["a"].number_match_strict == 0.0


def test_samples_are_fixed_and_prefixes_known(lake: Path) -> None:
    queries = Dataset(lake).queries()
    assert sample(queries, 0) == queries
    assert sample(queries, 2) == sample(queries[::-1], 2)[::-1]
    assert len(sample(queries, 2)) == 2
    assert ask(TestQuery("x", "why?", {"company_name": "Orrin plc"}), prefix=True) == "Orrin plc: why?"
    assert ask(TestQuery("x", "why?", {"company_name": "Orrin plc"}), prefix=False) == "why?"
    assert ask(TestQuery("x", "why?"), prefix=True) == "why?"
    with pytest.raises(ConfigError):
        RagOptions(context="hearsay")  # type: ignore[arg-type]
    with pytest.raises(ConfigError):
        RagOptions(k=0)


@pytest.mark.parametrize(
    ("metadata", "number", "unit"),
    [
        ({"answers": ["$1,577.00"]}, 1577.0, ""),
        ({"answers": ["(3.5)"]}, -3.5, ""),
        ({"answers": ["12%"]}, 0.12, ""),
        ({"answers": ["12"], "scale": "percent"}, 12.0, "percent"),
        ({"answers": ["a name"]}, None, ""),
        ({"answers": ["1", "2"]}, None, ""),
        ({"final_answer": -0.5, "answers": ["x"]}, -0.5, ""),
        ({"program_answer": "7"}, 7.0, ""),
        ({}, None, ""),
    ],
)
def test_gold_numbers(metadata: dict[str, object], number: float | None, unit: str) -> None:
    gold = GoldAnswer.of(TestQuery("q", "?", metadata))
    assert gold.number == (pytest.approx(number) if number is not None else None)
    assert gold.unit == unit


def test_a_made_up_collection_runs_as_a_whole(tmp_path: Path) -> None:
    folder = make_collection(tmp_path, "made-up")
    ensure_index(Dataset(folder), tmp_path / "index", index_config(None))
    with Searcher.open(tmp_path / "index") as searcher:
        result = run(folder, searcher, ExtractiveGenerator(), limit=10)
    assert len(result.rows) == 10
    assert 0 < result.to_dict()["measures"]["citation_recall"] <= 1
