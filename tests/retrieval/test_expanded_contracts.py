"""The legs over generated queries pass the kit of all retrievers; a search turns them on, off and to other weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from tests.contracts.retriever_kit import RetrieverKit, pairs
from tests.contracts.world import ASKED, DELETED, documents, encoder
from twindex.indexing.config import IndexConfig
from twindex.indexing.encoders.sparse_hashing import SparseHashingEncoder
from twindex.indexing.errors import QueryError
from twindex.indexing.expansion.info import ExpansionInfo
from twindex.indexing.snapshot import Snapshot
from twindex.indexing.types import Document
from twindex.indexing.writer import IndexWriter
from twindex.retrieval.base import Retriever
from twindex.retrieval.bm25f import FieldRetriever
from twindex.retrieval.dense import DenseRetriever
from twindex.retrieval.dual import DualRetriever
from twindex.retrieval.engine import Searcher
from twindex.retrieval.field_sum import FieldSumRetriever
from twindex.retrieval.fields import FieldLeg
from twindex.retrieval.impact import ImpactRetriever
from twindex.retrieval.impact_fields import ImpactFieldsRetriever
from twindex.retrieval.lexical import LexicalRetriever
from twindex.retrieval.options import SearchOptions
from twindex.retrieval.types import Query

SPARSE = SparseHashingEncoder(512)
#: What "a generator" made for each topic; bread has nothing.
GENERATED = {
    "bee": ("who carries nectar to the hive", "what does the insect monarch do"),
    "lamp": ("which building guides ships at night",),
    "tide": ("why does the sea level change twice daily", "what pulls on the oceans"),
}


@dataclass
class ByTopic:
    """Queries by the title of a passage."""

    info: ExpansionInfo = field(default_factory=lambda: ExpansionInfo("by topic", "03", 2))

    def queries(self, contents: str) -> tuple[str, ...]:
        return GENERATED.get(contents.split(" ", 1)[0].lower(), ())


def make(path: Path, *, expanded: bool = True) -> Path:
    source = ByTopic() if expanded else None
    config = IndexConfig(
        encoder=encoder().info,
        sparse_encoder=SPARSE.info,
        segment_docs=7,
        expansion=source.info if source else None,
    )
    with IndexWriter.create(path, config, encoder=encoder(), sparse_encoder=SPARSE, expansions=source) as writer:
        writer.add(documents())
        writer.commit()
        writer.delete(DELETED)
        writer.commit()
    return path


class ExpandedKit(RetrieverKit):
    @pytest.fixture(scope="class")
    @classmethod
    def snapshot(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Snapshot]:
        with Snapshot.open(make(tmp_path_factory.mktemp("expanded") / "index")) as opened:
            yield opened


class TestFields(ExpandedKit):
    @pytest.fixture(scope="class", params=[FieldRetriever, FieldSumRetriever])
    @classmethod
    def retriever(cls, snapshot: Snapshot, request: pytest.FixtureRequest) -> Retriever:
        form: type[FieldLeg] = request.param
        leg: Retriever = form(snapshot, weight=0.7)  # type: ignore[call-arg]
        return leg


class TestDual(ExpandedKit):
    needs_a_term = False

    @pytest.fixture(scope="class", params=["max", "mean"])
    @classmethod
    def retriever(cls, snapshot: Snapshot, request: pytest.FixtureRequest) -> Retriever:
        return DualRetriever(snapshot, encoder(), alpha=0.3, aggregate=request.param)


class TestImpactFields(ExpandedKit):
    needs_a_term = False  # the encoder hashes words, and hashes meet

    @pytest.fixture(scope="class")
    @classmethod
    def retriever(cls, snapshot: Snapshot) -> Retriever:
        return ImpactFieldsRetriever(ImpactRetriever(snapshot, SPARSE), 0.7)

    def test_it_is_the_sum_of_both_fields(self, snapshot: Snapshot, retriever: Retriever) -> None:
        """Against the encoder alone: weights rounded to units, summed by hand."""
        unit = SPARSE.info.scale
        for text in ASKED[:4]:
            ids, weights = SPARSE.encode_query(text)
            query = dict(zip(ids.tolist(), weights.tolist()))
            ranking = retriever.retrieve([Query(text)], 100)[0]
            for ord_, score in pairs(ranking):
                contents = snapshot.passages(np.array([ord_], np.int32))[0].contents
                wanted = 0.0
                for share, part in ((1.0, contents), (0.7, "\n".join(ByTopic().queries(contents)))):
                    rows = SPARSE.encode_documents([part]) if part else None
                    for term, weight in zip(rows.ids.tolist(), rows.weights.tolist()) if rows else ():
                        wanted += share * query.get(term, 0.0) * unit * round(weight / unit)
                assert score == pytest.approx(wanted, rel=1e-4)


@pytest.fixture(scope="module")
def searcher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Searcher]:
    path = make(tmp_path_factory.mktemp("searched") / "index")
    with Searcher.open(path, encoder=encoder(), sparse_encoder=SPARSE) as opened:
        yield opened


def test_a_search_finds_by_generated_words_and_says_so(searcher: Searcher) -> None:
    found = searcher.search("oceans", mode="sparse", options=SearchOptions(sparse="bm25"), explain=True)
    assert found.hits[0].doc_id.startswith("tide")
    why = found.hits[0].explanation
    assert why is not None
    branch = why.details[0].data
    assert (branch["field"], branch["tf_text"], branch["tf_queries"]) == ("in generated queries", 0, 1)
    assert branch["queries"] == ["what pulls on the oceans"]
    plain = SearchOptions(sparse="bm25", expansion=False)
    assert not searcher.search("oceans", mode="sparse", options=plain).hits


@pytest.mark.parametrize("mode", ["sparse", "dense", "hybrid"])
def test_weights_of_zero_and_expansion_off_are_the_plain_legs(searcher: Searcher, tmp_path: Path, mode: str) -> None:
    path = make(tmp_path / "plain", expanded=False)
    with Searcher.open(path, encoder=encoder(), sparse_encoder=SPARSE) as plain:
        for options in (SearchOptions(expansion=False), SearchOptions(field_weight=0.0, alpha=0.0)):
            for text in ASKED[:4]:
                ours = searcher.search(text, mode=mode, options=options)  # type: ignore[arg-type]
                theirs = plain.search(text, mode=mode)  # type: ignore[arg-type]
                assert [(h.id, h.score) for h in ours.hits] == [(h.id, h.score) for h in theirs.hits]
        with pytest.raises(QueryError, match="--expansion STORE"):
            plain.search("bees", mode=mode, options=SearchOptions(expansion=True))  # type: ignore[arg-type]


def test_options_reach_the_legs(searcher: Searcher) -> None:
    def scores(**options: object) -> list[float]:
        chosen = SearchOptions(sparse="bm25", **options)  # type: ignore[arg-type]
        return [hit.score for hit in searcher.search("ships at night", options=chosen, mode="sparse").hits]

    by_weight = [scores(field_weight=w) for w in (0.1, 1.0, 3.0)]
    assert len({tuple(some) for some in by_weight}) == 3
    assert scores(field_form="additive", field_weight=1.0) != scores(field_form="bm25f", field_weight=1.0)
    for n in range(50):  # any number of weights, of which few are kept
        scores(field_weight=1 + n / 7)
    assert len(searcher._view.legs._fields) <= 8
    dense = [
        [hit.score for hit in searcher.search("night", mode="dense", options=SearchOptions(alpha=a)).hits]
        for a in (0.1, 0.9)
    ]
    assert dense[0] != dense[1]


def test_the_legs_of_a_searcher_are_these(searcher: Searcher) -> None:
    legs = searcher._view.legs
    on, off = SearchOptions(alpha=0.2, field_weight=0.4, aggregate="mean"), SearchOptions(expansion=False)
    assert isinstance(legs.bm25(on), FieldSumRetriever)
    assert isinstance(legs.bm25(SearchOptions(field_form="bm25f")), FieldRetriever)
    assert isinstance(legs.bm25(off), LexicalRetriever)
    assert isinstance(legs.learned(on), ImpactFieldsRetriever)
    dual = legs.dense(on)
    assert isinstance(dual, DualRetriever)
    assert (dual.alpha, dual.aggregate) == (0.2, "mean")
    assert isinstance(legs.dense(off), DenseRetriever)


@pytest.mark.parametrize(
    "values",
    [
        {"alpha": 1.5},
        {"alpha": True},
        {"field_weight": -1},
        {"field_weight": float("inf")},
        {"field_form": "sum"},
        {"aggregate": "median"},
        {"expansion": "yes"},
    ],
)
def test_impossible_options_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(QueryError):
        SearchOptions.from_dict(values)
    assert SearchOptions.from_dict({"alpha": 0.3, "expansion": True}).to_dict() == {"alpha": 0.3, "expansion": True}


def test_a_document_without_queries_keeps_its_place(searcher: Searcher) -> None:
    """Bread has no generated queries: its dense score is the cosine with its text, whatever alpha."""
    with_, without = (
        {hit.id: hit.score for hit in searcher.search("dough", k=50, mode="dense", options=options).hits}
        for options in (SearchOptions(alpha=0.9), SearchOptions(expansion=False))
    )
    bread = [d.id for d in documents() if isinstance(d, Document) and d.id.startswith("bread")]
    assert all(with_[name] == without[name] for name in bread)
