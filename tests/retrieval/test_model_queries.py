"""Queries that the encoder's model reads as well: what is added, what it weighs, and what explanations say of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from twindex.indexing import Document, IndexConfig, IndexWriter
from twindex.indexing.analysis import get_analyzer
from twindex.indexing.encoders.sparse_hashing import SparseHashingEncoder
from twindex.indexing.encoders.twin_sides import as_rows
from twindex.indexing.encoding import SparseEncoderInfo, SparseRows
from twindex.indexing.errors import QueryError
from twindex.indexing.types import Float32Array, Int32Array
from twindex.retrieval import Searcher
from twindex.retrieval.model_queries import ModelQueries
from twindex.retrieval.options import SearchOptions
from twindex.retrieval.query_terms import CountedIdf

NAMES = ["car", "automobil", "fruit", "appl", "pear", "engin", "road", "sweet"]
TEXTS = [
    "automobiles need roads",
    "a car has an engine",
    "apples are fruit",
    "sweet pears",
    "roads for cars",
    "engines",
]
WORDS, MODEL = SearchOptions(sparse="learned"), SearchOptions(sparse="learned", learned_queries="model")


class Garage:
    """Dimensions are eight stems; its model knows what a car is, and counts how often it is asked."""

    info = SparseEncoderInfo("garage", "garage/v1", len(NAMES), 1.0)

    def __init__(self) -> None:
        self.analyzer = get_analyzer("english")
        self.passes: list[str] = []

    @property
    def analyzer_fingerprint(self) -> str:
        return self.analyzer.fingerprint

    def words(self, text: str) -> dict[int, str]:
        return {NAMES.index(term): term for term in self.analyzer.terms(text) if term in NAMES}

    def names_of(self, dimensions: Sequence[int]) -> dict[int, str]:
        return {number: NAMES[number] for number in dimensions}

    def idf_of(self, dimensions: Int32Array) -> Float32Array:
        return 2.0 + dimensions.astype(np.float32)

    def encode_query(self, text: str) -> tuple[Int32Array, Float32Array]:
        ids = np.array(sorted(self.words(text)), np.int32)
        return ids, self.idf_of(ids)

    def expand_query(self, text: str) -> tuple[Int32Array, Float32Array]:
        self.passes.append(text)
        more = [(1, 0.5), (5, 0.25)] if "car" in text and "automobile" not in text else []
        return np.array([n for n, _ in more], np.int32), np.array([w for _, w in more], np.float32)

    def encode_documents(self, texts: Sequence[str]) -> SparseRows:
        rows = [np.array(sorted(self.words(text)), np.int32) for text in texts]
        return as_rows([(ids, np.full(len(ids), 0.5, np.float32)) for ids in rows])


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[tuple[Searcher, Garage]]:
    encoder = Garage()
    with IndexWriter.create(tmp_path / "i", IndexConfig(sparse_encoder=encoder.info), sparse_encoder=encoder) as writer:
        writer.add(Document(f"d{number}", text) for number, text in enumerate(TEXTS))
        writer.commit()
    with Searcher.open(tmp_path / "i", sparse_encoder=encoder) as searcher:
        yield searcher, encoder


def test_added_terms_weigh_their_share_of_idf() -> None:
    asked = ModelQueries(Garage())
    ids, weights = asked.encode_query("a car on the road")
    assert ids.tolist() == [0, 1, 5, 6]
    assert weights.tolist() == [2.0, 0.5 * 3.0, 0.25 * 7.0, 8.0]
    assert asked.shares("a car on the road", ids).tolist() == [1.0, 0.5, 0.25, 1.0]
    assert asked.words("a car") == {0: "car", 1: "automobil", 5: "engin"}
    plain = Garage().encode_query("pears")
    assert all(np.array_equal(a, b) for a, b in zip(asked.encode_query("pears"), plain, strict=True))
    assert len(asked.encode_query("")[0]) == 0


def test_a_search_finds_what_the_query_does_not_name(opened: tuple[Searcher, Garage]) -> None:
    searcher, encoder = opened
    assert {hit.id for hit in searcher.search("car", mode="sparse", options=WORDS).hits} == {"d1", "d4"}
    assert not encoder.passes  # words alone cost no model
    hits = searcher.search("car", mode="sparse", options=MODEL, explain=True).hits
    assert [hit.id for hit in hits] == ["d1", "d4", "d0", "d5"]
    assert encoder.passes == ["car"]  # once, however often the search asks
    first = hits[0].explanation
    assert first is not None
    said = {branch.data["token"]: branch for branch in first.details}
    assert {name: branch.data["in_query"] for name, branch in said.items()} == {"car": True, "engin": False}
    assert all(branch.data["in_text"] for branch in first.details)  # a word of the text, though not of the query
    assert "not asked for" in said["engin"].details[0].text
    again = searcher.search("car", mode="sparse", options=WORDS).hits
    assert {hit.id for hit in again} == {"d1", "d4"}  # both forms of the leg live side by side


def test_added_terms_weigh_by_the_idf_that_the_index_counts(opened: tuple[Searcher, Garage]) -> None:
    searcher, _ = opened
    leg = searcher.retriever("sparse", MODEL)
    encoder = leg.encoder  # type: ignore[attr-defined]
    assert isinstance(encoder, CountedIdf)
    ids, weights = encoder.encode_query("car car")
    idf = {df: float(np.log1p((len(TEXTS) - df + 0.5) / (df + 0.5))) for df in (1, 2)}
    assert ids.tolist() == [0, 1, 5]
    assert weights.tolist() == pytest.approx([np.sqrt(2) * idf[2], 0.5 * idf[1], 0.25 * idf[2]])
    told = searcher.retriever("sparse", SearchOptions(sparse="learned", learned_queries="model", idf="model"))
    assert told.encoder.encode_query("car")[1].tolist() == [2.0, 1.5, 1.75]  # type: ignore[attr-defined]


def test_an_encoder_without_a_model_for_queries_says_so(tmp_path: Path) -> None:
    encoder = SparseHashingEncoder(64)
    with IndexWriter.create(tmp_path / "i", IndexConfig(sparse_encoder=encoder.info), sparse_encoder=encoder) as writer:
        writer.add([Document("a", "honey")])
        writer.commit()
    with Searcher.open(tmp_path / "i", sparse_encoder=encoder) as searcher:
        with pytest.raises(QueryError, match="reads documents alone"):
            searcher.search("honey", mode="sparse", options=MODEL)
        assert searcher.search("honey", mode="sparse", options=WORDS).hits
    with pytest.raises(QueryError, match="learned_queries"):
        SearchOptions(learned_queries="both")  # type: ignore[arg-type]
