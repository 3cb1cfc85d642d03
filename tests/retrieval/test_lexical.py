"""The lexical leg against a plain Python twin: random corpora, segments, deletions, filters, k."""

from __future__ import annotations

import itertools
import tempfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twindex.indexing.analysis.base import Analyzer, TermBatch, Vocabulary
from twindex.indexing.errors import QueryError
from twindex.indexing.filters import Filter
from twindex.indexing.postings import PostingsBuilder, PostingsReader, live_df
from twindex.indexing.types import BoolArray, Int32Array, UInt32Array
from twindex.retrieval.base import Retriever
from twindex.retrieval.bm25 import BM25, Variant, decode_length, encode_length, offset, term_weight
from twindex.retrieval.lexical import LexicalRetriever
from twindex.retrieval.types import Explanation, Query, Ranking

WORDS = ["a", "b", "c", "dd", "é", "日本", "\ud800", "~", "rare", "x1"]
VARIANTS: list[Variant] = ["lucene", "lucene-accurate", "robertson", "atire", "bm25l", "bm25+"]


class Blanks:
    """Terms are what stands between blanks."""

    name = "blanks"
    fingerprint = "blanks"

    def terms(self, text: str) -> list[str]:
        return text.split(" ") if text else []

    def analyze(self, texts: Iterable[str], vocabulary: Vocabulary) -> TermBatch:
        rows = [self.terms(text) for text in texts]
        ids = [vocabulary.add(term) for row in rows for term in row]
        ends = np.cumsum([0, *map(len, rows)])
        return TermBatch(np.array(ids, np.int32), ends.astype(np.int64))


@dataclass(frozen=True)
class Only(Filter):
    """A filter that names its documents."""

    ords: frozenset[int] = field(default_factory=frozenset)


@dataclass
class FakeSegment:
    postings: PostingsReader
    live: BoolArray | None
    live_docs: int
    live_length: int
    counts: UInt32Array | None

    @property
    def size(self) -> int:
        return self.postings.num_docs

    @property
    def order(self) -> UInt32Array | None:
        return None

    def live_df(self, term_id: int) -> int:
        return self.postings.df(term_id) if self.counts is None else int(self.counts[term_id])


@dataclass
class FakeSnapshot:
    size: int
    bases: list[int]
    segments: list[FakeSegment]
    analyzer: Analyzer

    def allowed(self, condition: Filter | None) -> BoolArray | None:
        parts = [np.ones(s.postings.num_docs, np.bool_) if s.live is None else s.live for s in self.segments]
        live = np.concatenate([np.empty(0, np.bool_), *parts])
        if condition is None:
            return None if all(s.live is None for s in self.segments) else live
        assert isinstance(condition, Only)
        return live & np.array([i in condition.ords for i in range(self.size)], np.bool_)

    def ids(self, ords: Int32Array) -> list[str]:
        return [f"d{ord_}" for ord_ in ords.tolist()]


def snapshot(texts: list[str], cuts: list[int], dead: set[int], folder: Path) -> FakeSnapshot:
    edges = [0, *sorted({min(cut, len(texts)) for cut in cuts}), len(texts)]
    segments, bases = [], []
    for number, (a, b) in enumerate(itertools.pairwise(edges)):
        directory = folder / str(number)
        directory.mkdir(parents=True)
        vocabulary, builder = Vocabulary(), PostingsBuilder(directory)
        builder.add(Blanks().analyze(texts[a:b], vocabulary))
        builder.finish(vocabulary)
        reader = PostingsReader(directory)
        live = np.array([i not in dead for i in range(a, b)], np.bool_)
        whole = bool(live.all())
        segments.append(
            FakeSegment(
                reader,
                None if whole else live,
                int(live.sum()),
                int(np.asarray(reader.lengths)[live].sum()),
                None if whole else live_df(reader, live),
            )
        )
        bases.append(a)
    return FakeSnapshot(len(texts), bases, segments, Blanks())


def brute(texts: list[str], dead: set[int], query: Query, k: int, config: BM25) -> list[tuple[int, np.float32]]:
    """BM25 in scalar float32, document by document."""
    rows = [text.split(" ") if text else [] for text in texts]
    alive = [i for i in range(len(rows)) if i not in dead]
    total = sum(len(rows[i]) for i in alive)
    average = np.float32(total / len(alive)) if alive and total else np.float32(1)
    boosts = Counter(query.text.split(" ") if query.text else [])
    k1, b, one = np.float32(config.k1), np.float32(config.b), np.float32(1)
    hits = []
    for i in alive:
        if isinstance(query.filter, Only) and i not in query.filter.ords:
            continue
        score, length = np.float32(0), len(rows[i])
        if config.quantised:
            length = decode_length(encode_length(length))
        for term in sorted(boosts, key=lambda term: term.encode("utf-8", "surrogatepass")):
            tf = np.float32(rows[i].count(term))
            if tf:
                df = sum(term in rows[j] for j in alive)
                bound = term_weight(config, len(alive), df, boosts[term])
                with np.errstate(divide="ignore"):
                    sat = one / (k1 * ((one - b) + b * np.float32(length) / average))
                w = np.float32(bound.weight)
                score += (w - w / (offset(config) + tf * sat)) + np.float32(bound.bonus)
        if score != 0:
            hits.append((i, score))
    return sorted(hits, key=lambda hit: (-hit[1], hit[0]))[:k]


def pairs(ranking: Ranking) -> list[tuple[int, np.float32]]:
    return list(zip(ranking.ords.tolist(), ranking.scores, strict=True))


def recombined(tree: Explanation) -> float:
    parts = [recombined(detail) for detail in tree.details]
    match tree.combine:
        case "sum":
            return sum(parts)
        case "product":
            return float(np.prod(parts))
        case _:
            return tree.value


corpora = st.lists(st.lists(st.sampled_from(WORDS), max_size=9).map(" ".join), max_size=12)
queries = st.lists(st.sampled_from([*WORDS, "nowhere"]), max_size=6).map(" ".join)


@st.composite
def worlds(draw: st.DrawFn) -> tuple[list[str], list[int], set[int], list[Query], BM25]:
    texts = draw(corpora)
    ords = st.integers(0, max(len(texts) - 1, 0))
    cuts = draw(st.lists(st.integers(0, len(texts)), max_size=4))
    dead = draw(st.sets(ords, max_size=4))
    filters = st.none() | st.frozensets(ords).map(Only)
    asked = draw(st.lists(st.builds(Query, queries, filters), min_size=1, max_size=4))
    config = BM25(
        draw(st.sampled_from([0.9, 1.2, 0.0])),
        draw(st.sampled_from([0.4, 0.75, 0.0, 1.0])),
        draw(st.sampled_from(VARIANTS)),
    )
    return texts, cuts, dead, asked, config


@settings(max_examples=150, deadline=None)
@given(worlds(), st.integers(0, 14))
def test_equals_brute_force(world: tuple[list[str], list[int], set[int], list[Query], BM25], k: int) -> None:
    texts, cuts, dead, asked, config = world
    with tempfile.TemporaryDirectory() as folder:
        retriever = LexicalRetriever(snapshot(texts, cuts, dead, Path(folder)), config)
        run = retriever.retrieve(asked, k)
        for query, ranking in zip(asked, run, strict=True):
            assert pairs(ranking) == brute(texts, dead, query, k, config)
            assert pairs(retriever.retrieve([query], k)[0]) == pairs(ranking)
            for ord_, score in pairs(ranking):
                tree = retriever.explain(query, ord_)
                assert np.float32(tree.value) == score
                assert recombined(tree) == pytest.approx(float(score), rel=1e-5)


@pytest.fixture
def animals(tmp_path: Path) -> LexicalRetriever:
    texts = ["cat dog", "dog dog", "cat", "", "dog bird cat"]
    return LexicalRetriever(snapshot(texts, [2], {2}, tmp_path))


def test_is_a_retriever(animals: LexicalRetriever) -> None:
    assert isinstance(animals, Retriever)
    assert animals.retrieve([Query("bird")], 3).ids(0) == ["d4"]


@pytest.mark.parametrize("text", ["", "nowhere", "\x00", "💥", "cat" * 400_000])
def test_queries_without_a_known_term_find_nothing(animals: LexicalRetriever, text: str) -> None:
    assert len(animals.retrieve([Query(text)], 5)[0]) == 0


def test_k_at_its_ends(animals: LexicalRetriever) -> None:
    assert len(animals.retrieve([Query("cat dog")], 0)[0]) == 0
    assert len(animals.retrieve([Query("cat dog")], 10**9)[0]) == 3
    with pytest.raises(QueryError, match="k = -1"):
        animals.retrieve([Query("cat")], -1)


def test_explanations_carry_the_numbers(animals: LexicalRetriever) -> None:
    tree = animals.explain(Query("bird bird dog"), 4)
    bird, dog = tree.details
    assert bird.details[0].data == {"idf": pytest.approx(np.log(1 + 3.5 / 1.5)), "df": 1, "N": 4, "boost": 2}
    assert {key: dog.details[1].data[key] for key in ("tf", "length", "average")} == {
        "tf": 1,
        "length": 3,
        "average": 7 / 4,
    }
    assert tree.to_dict()["details"][1]["data"]["term"] == "dog"


def test_documents_without_a_score_are_explained_too(animals: LexicalRetriever) -> None:
    assert animals.explain(Query("cat"), 2).value == 0  # deleted
    assert animals.explain(Query("cat", Only(frozenset({0}))), 4).value == 0  # filtered out
    assert animals.explain(Query("cat"), 1).value == 0  # no match
    with pytest.raises(QueryError, match="ordinal 5"):
        animals.explain(Query("cat"), 5)


def test_an_empty_snapshot(tmp_path: Path) -> None:
    retriever = LexicalRetriever(snapshot([], [], set(), tmp_path))
    assert len(retriever.retrieve([Query("cat")], 5)[0]) == 0
    none = LexicalRetriever(FakeSnapshot(0, [], [], Blanks()))
    assert len(none.retrieve([Query("cat")], 5)[0]) == 0
