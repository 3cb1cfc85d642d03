"""Scores of generated queries: by the encoder, kept in the store, a filter for whoever reads."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from twindex.indexing.encoders.hashing import HashingEncoder
from twindex.indexing.encoding import EncoderInfo
from twindex.indexing.errors import ConfigError
from twindex.indexing.expansion.records import Record, content_hash
from twindex.indexing.expansion.scoring import score_queries
from twindex.indexing.expansion.source import StoredQueries
from twindex.indexing.expansion.store import ExpansionStore
from twindex.indexing.expansion.writer import ExpansionWriter
from twindex.indexing.types import Float32Array, Passage

PASSAGES = [
    Passage("a", "a", "A heat pump warms the house in winter.", "Heating"),
    Passage("b", "b", "Sourdough bread needs wild yeast and time."),
    Passage("c", "c", "Nobody wrote a query for this."),
]
QUERIES = {
    "a": [["heat pump in winter", "wild yeast bread"], ["how to warm a house"]],
    "b": [["sourdough bread yeast", "heat pump"]],
}


class Counting(HashingEncoder):
    """Counts what it sees."""

    seen = 0

    def encode_documents(self, texts: Sequence[str]) -> Float32Array:
        self.seen += len(texts)
        return super().encode_documents(texts)


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[ExpansionWriter]:
    with ExpansionWriter(tmp_path) as opened:
        config = opened.configure({"name": "made"})
        opened.append(
            Record(config, content_hash(passage.contents), "queries", number, texts)
            for passage in PASSAGES
            for number, texts in enumerate(QUERIES.get(passage.id, []))
        )
        yield opened


def test_scores_are_cosines_of_query_and_document(writer: ExpansionWriter) -> None:
    encoder = HashingEncoder(256)
    report = score_queries(writer, PASSAGES, encoder)
    assert (report.documents, report.sets, report.queries, report.already) == (3, 3, 5, 0)
    for passage in PASSAGES[:2]:
        texts = [text for some in QUERIES[passage.id] for text in some]
        vectors = encoder.encode_documents([passage.contents, *texts]).astype(np.float64)
        scored = writer.store.scored(content_hash(passage.contents))
        assert [pair.query for pair in scored] == texts
        assert [pair.score for pair in scored] == pytest.approx((vectors[1:] @ vectors[0]).tolist(), abs=1e-6)


def test_a_threshold_leaves_out_what_is_beside_the_point(writer: ExpansionWriter) -> None:
    score_queries(writer, PASSAGES, HashingEncoder(256))
    threshold = writer.store.threshold("made", 0.5)
    with ExpansionStore.open(writer.path) as store:
        kept = StoredQueries(store, "made", threshold=threshold)
        assert kept.queries(PASSAGES[0].contents) == ("heat pump in winter", "how to warm a house")
        assert kept.queries(PASSAGES[1].contents) == ("sourdough bread yeast",)


def test_what_is_scored_is_not_scored_again_but_another_encoder_does(writer: ExpansionWriter) -> None:
    encoder = Counting(256)
    first = score_queries(writer, PASSAGES[:1], encoder)
    assert (first.sets, encoder.seen) == (2, 4)
    second = score_queries(writer, PASSAGES, encoder)
    assert (second.sets, second.already) == (1, 2)
    assert encoder.seen == 4 + 3
    before = [writer.store.scored(content_hash(passage.contents)) for passage in PASSAGES]
    length = len(writer.store)
    score_queries(writer, PASSAGES, encoder)
    assert len(writer.store) == length
    assert score_queries(writer, PASSAGES, HashingEncoder(64)).sets == 3
    assert [writer.store.scored(content_hash(passage.contents)) for passage in PASSAGES] != before


def test_order_and_batches_do_not_matter(writer: ExpansionWriter, tmp_path: Path) -> None:
    many = [Passage(str(n), str(n), f"Text number {n} of heat and bread.") for n in range(150)]
    config = writer.store.resolve("made")
    writer.append(Record(config, content_hash(p.contents), "queries", 0, [f"heat {p.id}", "bread"]) for p in many)
    score_queries(writer, many, HashingEncoder(64))
    with ExpansionWriter(tmp_path / "other") as other:
        other.configure({"name": "made"})
        other.append(Record(config, content_hash(p.contents), "queries", 0, [f"heat {p.id}", "bread"]) for p in many)
        score_queries(other, many[::-1], HashingEncoder(64))
        for passage in many:
            document = content_hash(passage.contents)
            assert other.store.scored(document) == writer.store.scored(document)


def test_queries_without_scores_stay(writer: ExpansionWriter) -> None:
    document = content_hash(PASSAGES[0].contents)
    assert all(math.isnan(pair.score) for pair in writer.store.scored(document))
    assert len(writer.store.queries(document, at_least=0.9)) == 3


def test_only_cosines_are_scores(writer: ExpansionWriter) -> None:
    class Dot(HashingEncoder):
        @property
        def info(self) -> EncoderInfo:
            return replace(super().info, similarity="dot")

    with pytest.raises(ConfigError, match="expected cosine"):
        score_queries(writer, PASSAGES, Dot(64))
