"""Laws of searching generated queries: as a field they are the appended text; segments and deletions leave no trace."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.contracts.explanations import check_tree
from tests.contracts.retriever_kit import pairs
from tests.indexing.conftest import no_fsync
from tests.properties.strategies import sentences, texts
from twindex.indexing.config import IndexConfig
from twindex.indexing.expansion.info import ExpansionInfo
from twindex.indexing.snapshot import Snapshot
from twindex.indexing.types import Document
from twindex.indexing.writer import IndexWriter
from twindex.retrieval.bm25 import BM25, Variant
from twindex.retrieval.bm25f import FieldRetriever
from twindex.retrieval.field_sum import FieldSumRetriever
from twindex.retrieval.fields import FieldLeg
from twindex.retrieval.lexical import LexicalRetriever
from twindex.retrieval.types import Query, Run

__all__ = ["no_fsync"]  # a fixture: laws do not wait for the disk

VARIANTS: tuple[Variant, ...] = ("lucene", "lucene-accurate", "robertson", "atire", "bm25l", "bm25+")
FORMS: tuple[type[FieldLeg], ...] = (FieldRetriever, FieldSumRetriever)
LAWS = settings(max_examples=20, deadline=None, report_multiple_bugs=False)
WEIGHTS = [0.25, 0.3, 1.0, 2.0, 7.5]


@dataclass
class Given:
    """Queries by contents."""

    by_contents: dict[str, tuple[str, ...]]
    info: ExpansionInfo = field(default_factory=lambda: ExpansionInfo("given", "01", 100))

    def queries(self, contents: str) -> tuple[str, ...]:
        return self.by_contents.get(contents, ())


@dataclass(frozen=True)
class Corpus:
    """Documents with generated queries; some of them are deleted after the first commit."""

    rows: tuple[tuple[str, str, tuple[str, ...]], ...]
    deleted: frozenset[str]

    @property
    def source(self) -> Given:
        return Given({text: queries for _, text, queries in self.rows})

    def kept(self) -> list[tuple[str, str, tuple[str, ...]]]:
        return [row for row in self.rows if row[0] not in self.deleted]


@st.composite
def corpora(draw: st.DrawFn, *, awkward: bool = False) -> Corpus:
    piece = texts(8) if awkward else sentences(5)
    rows = draw(
        st.lists(st.tuples(piece, st.lists(piece, max_size=3).map(tuple)), max_size=7, unique_by=lambda row: row[0])
    )
    named = tuple((f"d{number}", text, queries) for number, (text, queries) in enumerate(rows))
    deleted = draw(st.sets(st.sampled_from([name for name, *_ in named]))) if named else set()
    return Corpus(named, frozenset(deleted))


def write(path: Path, corpus: Corpus, *, segment_docs: int) -> Snapshot:
    source = corpus.source
    config = IndexConfig(segment_docs=segment_docs, expansion=source.info)
    with IndexWriter.create(path, config, expansions=source, workers=1) as writer:
        writer.add(Document(name, text) for name, text, _ in corpus.rows)
        writer.commit()
        writer.delete(corpus.deleted)
        writer.commit()
    return Snapshot.open(path)


def write_appended(path: Path, corpus: Corpus, *, segment_docs: int) -> Snapshot:
    with IndexWriter.create(path, IndexConfig(segment_docs=segment_docs), workers=1) as writer:
        writer.add(Document(name, "\n".join([text, *queries])) for name, text, queries in corpus.rows)
        writer.commit()
        writer.delete(corpus.deleted)
        writer.commit()
    return Snapshot.open(path)


def named(run: Run, i: int) -> list[tuple[str, float]]:
    """Ids with scores, to the last bit."""
    return list(zip(run.ids(i), run[i].scores.tolist(), strict=True))


@given(corpora(awkward=True), texts(8), st.sampled_from(VARIANTS), st.integers(1, 4))
@LAWS
def test_with_weight_one_it_is_bm25_over_the_appended_text(
    corpus: Corpus, query: str, variant: Variant, segment_docs: int
) -> None:
    config = BM25(variant=variant)
    with TemporaryDirectory() as folder:
        root = Path(folder)
        with (
            write(root / "field", corpus, segment_docs=segment_docs) as field_,
            write_appended(root / "appended", corpus, segment_docs=3) as appended,
        ):
            ours = FieldRetriever(field_, config, weight=1.0)
            theirs = LexicalRetriever(appended, config, engine="numpy")
            asked = [Query(query), *(Query(text) for _, text, _ in corpus.rows[:2])]
            found, wanted = ours.retrieve(asked, 100), theirs.retrieve(asked, 100)
            assert [named(found, i) for i in range(len(asked))] == [named(wanted, i) for i in range(len(asked))]
            if field_.size == appended.size:  # a segment without a live passage is dropped
                for ord_ in range(field_.size):
                    assert ours.explain(asked[0], ord_).value == theirs.explain(asked[0], ord_).value


@given(
    corpora(),
    sentences(),
    st.sampled_from(WEIGHTS),
    st.sampled_from(VARIANTS),
    st.integers(1, 3),
    st.sampled_from(FORMS),
)
@LAWS
def test_segments_and_deletions_leave_no_trace(
    corpus: Corpus, query: str, weight: float, variant: Variant, segment_docs: int, form: type[FieldLeg]
) -> None:
    fresh = Corpus(tuple(corpus.kept()), frozenset())
    with TemporaryDirectory() as folder:
        root = Path(folder)
        with (
            write(root / "a", corpus, segment_docs=segment_docs) as many,
            write(root / "b", fresh, segment_docs=100) as one,
        ):
            runs = [
                form(snapshot, BM25(variant=variant), weight).retrieve([Query(query)], 100) for snapshot in (many, one)
            ]
            assert named(runs[0], 0) == named(runs[1], 0)


def by_hand(
    corpus: Corpus, terms: list[str], weight: float, form: type[FieldLeg], snapshot: Snapshot
) -> dict[str, float]:
    """The accurate formulas in plain Python over the live documents."""
    k1, b = BM25().k1, BM25().b
    fields = {
        name: (snapshot.analyzer.terms(text), snapshot.analyzer.terms("\n".join(queries)))
        for name, text, queries in corpus.kept()
    }

    def saturated(term: str, shares: tuple[float, float]) -> dict[str, float]:
        tfs = {n: shares[0] * t.count(term) + shares[1] * q.count(term) for n, (t, q) in fields.items()}
        lengths = {n: shares[0] * len(t) + shares[1] * len(q) for n, (t, q) in fields.items()}
        mean = sum(lengths.values()) / len(lengths) or 1.0
        return {n: tf / (tf + k1 * (1 - b + b * lengths[n] / mean)) for n, tf in tfs.items() if tf}

    scores: dict[str, float] = {}
    for term, boost in Counter(terms).items() if fields else ():
        df = sum(term in t or term in q for t, q in fields.values())
        parts = [(1.0, saturated(term, (1.0, weight)))]
        if form is FieldSumRetriever:
            df = max(1, sum(term in t for t, _ in fields.values()))
            parts = [(1.0, saturated(term, (1.0, 0.0))), (weight, saturated(term, (0.0, 1.0)))]
        rarity = math.log(1 + (len(fields) - df + 0.5) / (df + 0.5))
        for share, part in parts:
            for name, value in part.items():
                scores[name] = scores.get(name, 0.0) + share * boost * rarity * value
    return scores


@given(corpora(), sentences(), st.sampled_from(WEIGHTS), st.sampled_from(FORMS))
@LAWS
def test_it_is_the_published_formula(corpus: Corpus, query: str, weight: float, form: type[FieldLeg]) -> None:
    config = BM25(variant="lucene-accurate")
    with TemporaryDirectory() as folder, write(Path(folder) / "i", corpus, segment_docs=3) as snapshot:
        retriever = form(snapshot, config, weight)
        run = retriever.retrieve([Query(query)], 100)
        wanted = by_hand(corpus, snapshot.analyzer.terms(query), weight, form, snapshot)
        assert dict(zip(run.ids(0), run[0].scores.tolist())) == pytest.approx(wanted, rel=1e-4)
        for ord_, score in pairs(run[0]):
            tree = retriever.explain(Query(query), ord_)
            assert tree.value == score
            check_tree(tree)
