"""From folders to a training set: pairs, what is refused, tokens, negatives. No torch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from twindex.indexing.encoders.idf_table import corpus_idf, document_frequencies, idf_bytes, idf_weights, read_idf
from twindex.indexing.encoders.term_space import SIZE, TermSpace
from twindex.indexing.encoders.tokenizer import TextTokenizer
from twindex.indexing.errors import ConfigError
from twindex.indexing.training.mining import mine
from twindex.indexing.training.overlap import Guard, keys_of
from twindex.indexing.training.prepare import prepare
from twindex.indexing.training.sources import SourceSpec, documents, pairs, sentence_pairs
from twindex.indexing.training.tokens import TokenTable
from twindex.indexing.training.training_set import TrainingSet
from twindex.indexing.types import Document, Int32Array

SENTENCES = (
    "Bees keep the hive at an even warmth all year. In winter they form a cluster around the queen and shiver. "
    "Beekeepers therefore leave enough honey in the hive. Opening it in the cold does harm to the whole colony."
)


def beir(folder: Path, rows: list[dict[str, str]], queries: dict[str, str], judged: list[tuple[str, str, int]]) -> Path:
    (folder / "qrels").mkdir(parents=True)
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    if queries:
        lines = [json.dumps({"_id": name, "text": text}) for name, text in queries.items()]
        (folder / "queries.jsonl").write_text("\n".join(lines))
        table = ["query-id\tcorpus-id\tscore", *(f"{q}\t{d}\t{s}" for q, d, s in judged)]
        (folder / "qrels" / "train.tsv").write_text("\n".join(table))
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = [
        {"_id": "a", "title": "Winter bees", "text": SENTENCES},
        {"_id": "b", "title": "", "text": "A kettle boils water faster with its lid on."},
        {"_id": "c", "title": "Salt roads", "text": "Merchants carried salt over the mountains on mules."},
    ]
    queries = {"q1": "how do bees stay warm", "q2": "who moved salt"}
    return beir(tmp_path / "train", rows, queries, [("q1", "a", 1), ("q2", "c", 2), ("q2", "b", 0)])


def test_titles_ask_for_their_texts_and_a_zero_is_no_pair(folder: Path) -> None:
    spec = SourceSpec(folder)
    assert [(p.query, p.doc_id) for p in pairs(spec, documents(spec))] == [("Winter bees", "a"), ("Salt roads", "c")]
    judged = SourceSpec(folder, split="train")
    found = [(p.query, p.doc_id) for p in pairs(judged, documents(judged))]
    assert found == [("how do bees stay warm", "a"), ("who moved salt", "c")]


def test_sentences_are_spans_of_their_text() -> None:
    found = sentence_pairs(Document("a", SENTENCES), 2)
    assert len(found) == 2
    assert all(SENTENCES[p.start : p.end] == p.query for p in found)
    assert found == sorted(found, key=lambda p: p.start)
    assert sentence_pairs(Document("b", "Too short. Really."), 2) == []


@pytest.mark.parametrize("text", ["x,split=a,depth=3", ",split=a", "x,limit=many", "x,sentences=-1"])
def test_a_source_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        SourceSpec.parse(text)


def test_a_limit_takes_documents_by_hash_not_by_order(folder: Path) -> None:
    one = set(documents(SourceSpec(folder, limit=1)))
    two = set(documents(SourceSpec(folder, limit=2)))
    assert len(one) == 1
    assert one < two


def test_what_an_evaluation_contains_is_refused_whatever_its_punctuation() -> None:
    guard = Guard()
    guard.add("test", [("document", SENTENCES), ("query", "How do bees stay warm in winter?")])
    assert guard.refuses("how do BEES stay warm, in winter")
    assert guard.refuses(SENTENCES + " And one sentence more.")  # the beginning is the same
    assert not guard.refuses("How do wasps stay warm in winter?")
    assert guard.found == {"test": 2}
    assert keys_of("Hepatitis") == []


def test_prepare_drops_known_texts_and_counts_them(folder: Path, tmp_path: Path) -> None:
    other = beir(
        tmp_path / "test", [{"_id": "x", "text": "Merchants carried salt over the mountains on mules!"}], {}, []
    )
    made = prepare([SourceSpec(folder, split="train", sentences=1)], Guard.of([other]), None, negatives=0)
    assert made.about["refused"] == {"test": 1}
    assert made.about["sources"]["train"]["documents_refused"] == 1
    assert len(made.passages) == 2
    words = TextTokenizer.bert_uncased(192)
    assert made.queries[0].tolist() == words.ids("how do bees stay warm")[1:-1]
    (sentence,) = np.flatnonzero(made.is_sentence)
    start, end = made.spans[sentence]
    assert made.passages[made.positive[sentence]][start:end].tolist() == made.queries[sentence].tolist()


def test_negatives_are_the_best_that_are_no_answers() -> None:
    def search(texts: Sequence[str], k: int) -> list[Int32Array]:
        return [np.arange(5, dtype=np.int32)[:k] for _ in texts]

    found = mine(["x", "y"], [frozenset({0}), frozenset({1, 2})], search, count=2)
    assert found.tolist() == [[1, 2], [0, 3]]
    assert mine(["x"], [frozenset({0})], search, count=2, skip=1).tolist() == [[1, 2]]
    assert mine(["x"], [frozenset()], search, count=7).tolist() == [[0, 1, 2, 3, 4, -1, -1]]


def test_a_training_set_survives_its_folder(folder: Path, tmp_path: Path) -> None:
    made = prepare([SourceSpec(folder, sentences=1)], Guard(), None, negatives=2)
    digest = made.save(tmp_path / "one")
    assert made.save(tmp_path / "two") == digest
    again = TrainingSet.load(tmp_path / "one")
    for name in ("positive", "negatives", "spans", "source"):
        assert np.array_equal(getattr(again, name), getattr(made, name))
    assert np.array_equal(again.titled, made.titled)
    for name in ("passages", "titles", "queries", "passage_terms", "title_terms", "query_terms"):
        assert [row.tolist() for row in getattr(again, name)] == [row.tolist() for row in getattr(made, name)]
    space = TermSpace.bert_uncased()
    assert again.passage_terms[0].tolist() == space.numbers(SENTENCES).tolist()
    assert again.about["terms"] == space.fingerprint
    (tmp_path / "one" / "set.npz").write_bytes((tmp_path / "one" / "set.npz").read_bytes()[:-1])
    with pytest.raises(ConfigError, match="sha256"):
        TrainingSet.load(tmp_path / "one")


def test_idf_is_that_of_bm25() -> None:
    counts, total = document_frequencies([np.array(x, np.int32) for x in ([5, 5, 6], [6], [7])], 10)
    assert total == 3
    assert counts[[5, 6, 7]].tolist() == [1, 2, 1]
    weights = idf_weights(counts, total)
    assert weights[6] == pytest.approx(np.log(1 + (3 - 2 + 0.5) / 2.5))
    with pytest.raises(ConfigError):
        idf_weights(counts, 1)


def test_an_idf_table_survives_its_file_and_belongs_to_its_terms() -> None:
    space = TermSpace.bert_uncased()
    weights = corpus_idf(["salt roads", "salt mules", "bees"], space)
    assert weights.shape == (SIZE,)
    assert weights[space.number("salt")] == pytest.approx(np.log(1 + 1.5 / 2.5))
    content = idf_bytes(weights, space)
    assert idf_bytes(weights, space) == content
    assert np.array_equal(read_idf(content, space), weights)
    other = TermSpace(["salt"], space.analyzer)
    with pytest.raises(ConfigError, match="other terms"):
        read_idf(content, other)
    with pytest.raises(ConfigError, match="no idf table"):
        read_idf(content[:100], space)
    with pytest.raises(ConfigError, match="below 0"):
        read_idf(idf_bytes(-weights, space), space)


def test_pairs_of_a_second_source_join_the_first_one_s_text(folder: Path, tmp_path: Path) -> None:
    rows = [{"_id": "other", "title": "", "text": SENTENCES}]
    made_up = beir(tmp_path / "made-up", rows, {"g1": "bees shiver to keep warm"}, [("g1", "other", 1)])
    made = prepare([SourceSpec(folder), SourceSpec(made_up, split="train")], Guard(), None, negatives=0)
    assert made.positive.tolist() == [0, 2, 0]
    assert made.titled.tolist() == [False, False, True]
    assert made.source.tolist() == [0, 0, 1]
    assert made.about["sources"]["made-up"]["documents_twice"] == 1
    assert len(made.passages) == 3


def test_token_tables_check_their_starts() -> None:
    with pytest.raises(ConfigError):
        TokenTable(np.array([1, 2], np.uint16), np.array([0, 1]))
    table = TokenTable.of([[1, 2], [], [3]])
    assert [row.tolist() for row in table] == [[1, 2], [], [3]]
