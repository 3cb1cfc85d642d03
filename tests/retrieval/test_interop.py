"""Other engines as oracles of our BM25: same hits, same scores; and their settings."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from tests.contracts.world import ASKED, make_index
from tests.properties.strategies import corpora, sentences
from twindex.eval.beir import Dataset
from twindex.eval.evaluate import evaluate
from twindex.eval.runs import table_from_run
from twindex.indexing.config import IndexConfig
from twindex.indexing.errors import ConfigError, CorruptIndexError, MissingExtraError
from twindex.indexing.optional import available
from twindex.indexing.snapshot import Snapshot
from twindex.indexing.types import Document
from twindex.indexing.writer import IndexWriter
from twindex.retrieval.bm25 import BM25
from twindex.retrieval.interop.pyserini import PyseriniRetriever
from twindex.retrieval.interop.rank_bm25 import RankBM25Retriever
from twindex.retrieval.interop.source import live_ords
from twindex.retrieval.lexical import LexicalRetriever
from twindex.retrieval.types import Query, Ranking

needs_rank_bm25 = pytest.mark.skipif(not available("rank_bm25"), reason="needs the extra bench")
needs_lucene = pytest.mark.skipif(not available("pyserini"), reason="needs the extra lucene")
SCIFACT = Path(os.environ.get("TWINDEX_DATA", "nowhere")) / "scifact"


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Snapshot]:
    with Snapshot.open(make_index(tmp_path_factory.mktemp("interop") / "index")) as opened:
        yield opened


def index_of(documents: list[Document], path: Path, *, analyzer: str = "english") -> Snapshot:
    with IndexWriter.create(path, IndexConfig(analyzer=analyzer, segment_docs=4)) as writer:
        writer.add(documents)
        writer.commit()
    return Snapshot.open(path)


def scores_by_ord(ranking: Ranking) -> dict[int, float]:
    return dict(zip(ranking.ords.tolist(), ranking.scores.tolist(), strict=True))


@needs_rank_bm25
@settings(max_examples=60, deadline=None)
@given(documents=corpora(), text=sentences())
def test_rank_bm25_variants_are_ours(
    tmp_path_factory: pytest.TempPathFactory, documents: list[Document], text: str
) -> None:
    """BM25L and BM25+ have the same idf in both; what differs is how the package treats terms that a text lacks."""
    with index_of(documents, tmp_path_factory.mktemp("i") / "x", analyzer="whitespace") as opened:
        query = Query(text)
        theirs = RankBM25Retriever(opened, "plus", k1=1.2, b=0.75)
        ours = LexicalRetriever(opened, BM25(1.2, 0.75, "bm25+", delta=1.0))
        theirs_hits, our_hits = (scores_by_ord(r.retrieve([query], 100)[0]) for r in (theirs, ours))
        assert set(theirs_hits) == set(our_hits)
        for ord_, score in our_hits.items():
            held = set(opened.analyzer.terms(opened.passages(np.array([ord_], np.int32))[0].contents))
            lacking = sum(term.weight.bonus for term in ours.terms(text) if term.term not in held)
            assert score + lacking == pytest.approx(theirs_hits[ord_], rel=1e-4, abs=1e-5)


@needs_rank_bm25
def test_rank_bm25_on_collections_of_nothing(tmp_path: Path) -> None:
    for number, documents in enumerate(([], [Document("a", ""), Document("b", "...")])):
        with index_of(documents, tmp_path / str(number)) as opened:
            for variant in ("okapi", "l", "plus"):
                retriever = RankBM25Retriever(opened, variant)  # type: ignore[arg-type]
                assert len(retriever.retrieve([Query("a b")], 5)[0]) == 0


@needs_rank_bm25
@pytest.mark.parametrize("wrong", [{"variant": "x"}, {"k1": 0.0}, {"k1": float("inf")}, {"b": 1.5}])
def test_rank_bm25_settings(snapshot: Snapshot, wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        RankBM25Retriever(snapshot, **wrong)  # type: ignore[arg-type]


@pytest.mark.skipif(available("pyserini"), reason="the extra lucene is here")
def test_without_pyserini_the_message_names_the_extra(snapshot: Snapshot, tmp_path: Path) -> None:
    with pytest.raises(MissingExtraError, match=r"twindex\[lucene\]"):
        PyseriniRetriever(snapshot, tmp_path)


@needs_lucene
class TestLucene:
    def test_hits_and_scores_are_ours(self, snapshot: Snapshot, tmp_path: Path) -> None:
        for k1, b in ((0.9, 0.4), (1.2, 0.75), (0.0, 1.0)):
            ours = LexicalRetriever(snapshot, BM25(k1, b))
            with PyseriniRetriever(snapshot, tmp_path, k1=k1, b=b) as theirs:
                for mine, other in zip(
                    ours.retrieve([Query(t) for t in ASKED], 50), theirs.retrieve([Query(t) for t in ASKED], 50)
                ):
                    assert scores_by_ord(mine) == pytest.approx(scores_by_ord(other), rel=1e-6)

    def test_one_index_a_content_kept_and_opened_again(self, snapshot: Snapshot, tmp_path: Path) -> None:
        with PyseriniRetriever(snapshot, tmp_path / "cache") as first:
            made = first.path.stat().st_mtime_ns
        with PyseriniRetriever(snapshot, tmp_path / "cache") as second:
            assert second.path == first.path
            assert second.path.stat().st_mtime_ns == made
        assert [path.name for path in (tmp_path / "cache").iterdir()] == [first.path.name]

    def test_an_index_of_something_else_is_refused(self, snapshot: Snapshot, tmp_path: Path) -> None:
        with index_of([Document("a", "bees")], tmp_path / "i") as other, PyseriniRetriever(other, tmp_path) as small:
            pass
        with PyseriniRetriever(snapshot, tmp_path) as right:
            pass
        small.path.rename(tmp_path / "away")
        right.path.rename(small.path)
        with (
            Snapshot.open(tmp_path / "i") as again,
            pytest.raises(CorruptIndexError, match=f"has {len(live_ords(snapshot))} documents"),
        ):
            PyseriniRetriever(again, tmp_path)

    def test_other_analyzers_are_refused(self, tmp_path: Path) -> None:
        with (
            index_of([Document("a", "b")], tmp_path / "i", analyzer="unicode") as opened,
            pytest.raises(ConfigError, match="unicode"),
        ):
            PyseriniRetriever(opened, tmp_path)

    @pytest.mark.skipif(not SCIFACT.is_dir(), reason="needs TWINDEX_DATA")
    def test_scifact(self, tmp_path: Path) -> None:
        """A thousand hits of each of the 300 test queries: the same scores, and the same measures."""
        data = Dataset(SCIFACT)
        qrels = data.qrels("test")
        asked = data.queries(qrels)
        queries, names = [Query(query.text) for query in asked], [query.id for query in asked]
        with IndexWriter.create(tmp_path / "i") as writer:
            writer.add(data.corpus())
            writer.commit()
        with Snapshot.open(tmp_path / "i") as opened, PyseriniRetriever(opened, tmp_path) as lucene:
            ours, theirs = LexicalRetriever(opened).retrieve(queries, 1000), lucene.retrieve(queries, 1000)
        for mine, other in zip(ours, theirs, strict=True):
            # Beyond the last score of both lists the cut may fall differently.
            end = max(float(mine.scores.min()), float(other.scores.min())) * (1 + 1e-6)
            pairs = [{o: s for o, s in scores_by_ord(r).items() if s > end} for r in (mine, other)]
            assert pairs[0] == pytest.approx(pairs[1], rel=1e-6)
        reports = [evaluate(table_from_run(names, run), qrels) for run in (ours, theirs)]
        for measure, value in reports[0].aggregate().items():
            assert value == pytest.approx(reports[1].aggregate()[measure], abs=1e-4)
        assert reports[0].aggregate()["nDCG@10"] == pytest.approx(0.6789, abs=0.003)
