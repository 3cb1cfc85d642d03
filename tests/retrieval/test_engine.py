"""The search engine: modes, roll-up of passages, filters, fixed depth, refresh under load, reranking, profiles."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from twindex.indexing import ChunkConfig, Document, HashingEncoder, IndexConfig, IndexWriter
from twindex.indexing.errors import ConfigError, FilterError, FingerprintError, QueryError, UsageError
from twindex.retrieval import RRF, Convex, Profile, Query, Ranking, Recipe, Searcher, render_lines
from twindex.retrieval.gate import FEATURES, Gate
from twindex.retrieval.options import SearchOptions
from twindex.retrieval.types import Explanation
from twindex.retrieval.view import MODES, as_mode

TOPICS = {
    "tide": "The tide rises with the pull of the moon. The tide falls when the moon turns away.",
    "bread": "Bread rises in the oven. Yeast makes the gas that lifts the dough of the bread.",
    "moon": "The moon turns around the earth. The light of the moon comes from the sun.",
    "sun": "The sun is a star. Light of the sun warms the earth and makes bread grow on fields.",
}


def documents(copies: int = 6) -> Iterator[Document]:
    for n in range(copies):
        for name, text in TOPICS.items():
            yield Document(f"{name}{n}", f"{text} Note number {n}.", name.title(), {"n": n, "topic": name})


def build(path: Path, *, encoder: HashingEncoder | None, chunk: str = "none", segment_docs: int = 7) -> Path:
    config = IndexConfig(
        encoder=encoder.info if encoder else None, chunking=ChunkConfig.parse(chunk), segment_docs=segment_docs
    )
    with IndexWriter.create(path, config, encoder=encoder) as writer:
        writer.add(documents())
        writer.commit()
    return path


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("engine") / "twin", encoder=HashingEncoder(64))


@pytest.fixture(scope="module")
def chunked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("engine") / "chunked", encoder=HashingEncoder(64), chunk="sentences:8:0")


@pytest.fixture(scope="module")
def sparse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("engine") / "sparse", encoder=None)


@pytest.mark.parametrize("mode", MODES)
def test_pages_are_beginnings_of_each_other(twin: Path, mode: str) -> None:
    with Searcher.open(twin) as searcher:
        long = [hit.id for hit in searcher.search("light of the moon", k=24, mode=as_mode(mode)).hits]
        for k in (0, 1, 5, 23):
            short = [hit.id for hit in searcher.search("light of the moon", k=k, mode=as_mode(mode)).hits]
            assert short == long[:k]


@pytest.mark.parametrize("mode", MODES)
def test_many_equal_one_by_one(twin: Path, mode: str) -> None:
    texts = ["moon", "", "bread dough", "nothingmatches", "sun light sun", "moon"]
    with Searcher.open(twin) as searcher:
        together = searcher.search_many(texts, k=5, mode=as_mode(mode))
        alone = [searcher.search(text, k=5, mode=as_mode(mode)) for text in texts]
    assert [r.hits for r in together] == [r.hits for r in alone]


@pytest.mark.parametrize("mode", MODES)
def test_roll_up_gives_each_document_once_with_its_best_passage(chunked: Path, mode: str) -> None:
    with Searcher.open(chunked) as searcher:
        passages = searcher.search("moon tide", k=1000, mode=as_mode(mode), rollup=False).hits
        best: dict[str, str] = {}
        for hit in passages:
            best.setdefault(hit.doc_id, hit.passage_id)
        for k in (1, 4, 24, 100):
            rolled = searcher.search("moon tide", k=k, mode=as_mode(mode)).hits
            assert [(hit.id, hit.passage_id) for hit in rolled] == list(best.items())[:k]
    assert len({hit.id for hit in passages}) == len(passages) > len(best)


def test_hits_point_into_their_document(chunked: Path) -> None:
    texts = {d.id: d.text for d in documents()}
    with Searcher.open(chunked) as searcher:
        for hit in searcher.search("moon").hits:
            assert texts[hit.id][hit.start : hit.end] == hit.text


@pytest.mark.parametrize("mode", MODES)
def test_a_filter_equals_filtering_the_full_ranking(twin: Path, mode: str) -> None:
    with Searcher.open(twin) as searcher:
        full = searcher.search("moon light", k=100, mode=as_mode(mode)).hits
        found = searcher.search("moon light", k=100, mode=as_mode(mode), filter="n >= 3 and topic != 'sun'").hits
        wanted = [h.id for h in full if int(h.metadata["n"]) >= 3 and h.metadata["topic"] != "sun"]  # type: ignore[arg-type]
        if mode != "hybrid":  # fused scores depend on the candidates
            assert [hit.id for hit in found] == wanted
        assert {hit.id for hit in found} == set(wanted)


@pytest.mark.parametrize("mode", MODES)
def test_explanations_lead_to_the_score(twin: Path, mode: str) -> None:
    with Searcher.open(twin) as searcher:
        for hit in searcher.search("moon light", k=6, mode=as_mode(mode), explain=True).hits:
            assert hit.explanation is not None
            assert hit.explanation.value == pytest.approx(hit.score, rel=1e-5)
            lines = render_lines(hit.explanation)
            assert lines[0].startswith(f"{hit.explanation.value:.4f}")
            assert len(lines) >= 3


def test_hybrid_shows_ranks_and_echoes_its_fusion(twin: Path) -> None:
    with Searcher.open(twin, profile=Profile(Recipe(RRF(10), (2.0, 1.0)), depth=7)) as searcher:
        result = searcher.search("moon", k=3)
    assert result.to_dict()["fusion"] == {
        "method": "rrf",
        "k": 10,
        "weights": {"sparse": 2.0, "dense": 1.0},
        "depth": 7,
    }
    top = result.hits[0]
    assert top.score == pytest.approx(sum(w / (10 + top.ranks[leg]) for leg, w in (("bm25", 2), ("dense", 1))))


def test_hybrid_without_vectors_says_so_and_dense_refuses(sparse: Path) -> None:
    with Searcher.open(sparse) as searcher:
        result = searcher.search("moon", mode="hybrid")
        assert result.mode == "sparse"
        assert "no vectors" in result.notes[0]
        assert result.hits == searcher.search("moon", mode="sparse").hits
        with pytest.raises(QueryError, match="without vectors"):
            searcher.search("moon", mode="dense")


def test_wrong_requests(twin: Path) -> None:
    with Searcher.open(twin) as searcher:
        with pytest.raises(QueryError, match="k = -1"):
            searcher.search("moon", k=-1)
        with pytest.raises(QueryError, match="hybrid"):
            searcher.search("moon", mode="both")  # type: ignore[arg-type]
        with pytest.raises(FilterError):
            searcher.search("moon", filter="n >=")
    with pytest.raises(UsageError, match="closed"):
        searcher.search("moon")
    with pytest.raises(FingerprintError):
        Searcher.open(twin, encoder=HashingEncoder(32))


def test_refresh_swaps_under_running_searches(tmp_path: Path) -> None:
    path = build(tmp_path / "i", encoder=HashingEncoder(64))
    failures: list[BaseException] = []
    stop = threading.Event()

    def keep_searching(searcher: Searcher) -> None:
        try:
            while not stop.is_set():
                assert searcher.search("moon", k=3).hits
        except BaseException as error:
            failures.append(error)

    with Searcher.open(path) as searcher:
        threads = [threading.Thread(target=keep_searching, args=(searcher,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for n in range(6):
            with IndexWriter.open(path, encoder=HashingEncoder(64)) as writer:
                writer.add([Document(f"new{n}", "a new moon", "New")])
                writer.commit()
            assert searcher.refresh()
            assert not searcher.refresh()
        stop.set()
        for thread in threads:
            thread.join(20)
        assert not failures
        assert searcher.snapshot.generation == 7


class Backwards:
    """A reranker that turns the order round."""

    name = "backwards"

    def rerank(self, query: Query, ranking: Ranking) -> Ranking:
        order = np.argsort(ranking.ords, kind="stable")[::-1]
        return Ranking(ranking.ords[order], np.arange(len(ranking), 0, -1).astype(np.float32))


@pytest.mark.parametrize("mode", ["hybrid", "sparse"])
def test_a_reranker_orders_a_fixed_number_of_candidates(twin: Path, mode: Any) -> None:
    alone = SearchOptions(rerank=5, rerank_weight=1)
    with Searcher.open(twin, reranker=Backwards()) as searcher:
        plain = searcher.search("moon", k=50, mode=mode).hits
        result = searcher.search("moon", k=50, mode=mode, explain=True, options=alone)
        # The five best turn round, whatever the page; the others stay in their order, below.
        assert [h.id for h in result.hits[5:]] == [h.id for h in plain[5:]]
        assert {h.id for h in result.hits[:5]} == {h.id for h in plain[:5]}
        assert [h.id for h in result.hits[:5]] != [h.id for h in plain[:5]]
        assert min(h.score for h in result.hits[:5]) >= 0 > max(h.score for h in result.hits[5:])
        few = searcher.search("moon", k=2, mode=mode, options=alone)
        assert [h.id for h in few.hits] == [h.id for h in result.hits[:2]]
        assert result.to_dict()["reranked"] == {"name": "backwards", "depth": 5, "weight": 1}
        for hit in result.hits:
            assert isinstance(hit.explanation, Explanation)
            assert hit.explanation.value == pytest.approx(hit.score, abs=1e-6)
        assert "was" in result.hits[0].explanation.text
        assert "not among the 5 candidates" in result.hits[7].explanation.text


def test_a_reranker_shares_in_the_scores_by_its_weight(twin: Path) -> None:
    with Searcher.open(twin, reranker=Backwards()) as searcher:
        plain = searcher.search("moon", k=20)
        none = searcher.search("moon", k=20, options=SearchOptions(rerank=5, rerank_weight=0))
        assert [h.id for h in none.hits] == [h.id for h in plain.hits]
        shared = searcher.search("moon", k=20, explain=True, options=SearchOptions(rerank=5, rerank_weight=0.25))
        scores = np.array([h.score for h in plain.hits[:5]])
        by_base = dict(zip((h.id for h in plain.hits[:5]), (scores - scores[-1]) / (scores[0] - scores[-1])))
        whole = searcher.search("moon", k=20, options=SearchOptions(rerank=5, rerank_weight=1))
        by_other = {h.id: h.score for h in whole.hits[:5]}
        for hit in shared.hits[:5]:
            assert hit.score == pytest.approx(0.75 * by_base[hit.id] + 0.25 * by_other[hit.id], abs=1e-6)
            assert isinstance(hit.explanation, Explanation)
            assert hit.explanation.value == pytest.approx(sum(d.value for d in hit.explanation.details), abs=1e-6)
            assert hit.explanation.details[0].details[1].combine == "because"  # the base's own reasons are there


def test_profiles_travel_as_files(tmp_path: Path, twin: Path) -> None:
    count = len(FEATURES)
    weights = np.zeros((count + 1, 2))
    weights[1, 1] = 1.0  # long queries take the second recipe
    gate = Gate(np.full(count, 1.5), np.ones(count), weights, (0, 1), 3.0)
    recipes = (Recipe(RRF(), (1, 0)), Recipe(Convex("tmm", (0.0, -1.0)), (0, 1)))
    profile = Profile(recipes[0], 50, gate, recipes, "by hand")
    profile.save(tmp_path / "p.json")
    again = Profile.load(tmp_path / "p.json")
    assert again.to_dict() == profile.to_dict()
    with Searcher.open(twin, profile=tmp_path / "p.json") as searcher:
        short = searcher.search("moon").fusion
        long = searcher.search("the moon turns around the earth once more").fusion
    assert short is not None
    assert short["method"] == "rrf"
    assert long is not None
    assert long["method"] == "convex"


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "{",
        "{}",
        '{"format": "twindex-profile", "version": 2, "fusion": {}}',
        '{"format": "twindex-profile", "version": 1}',
        '{"format": "twindex-profile", "version": 1, "fusion": {"method": "magic"}}',
        '{"format": "twindex-profile", "version": 1, "fusion": {"method": "rrf", "z": 1}}',
        '{"format": "twindex-profile", "version": 1, "fusion": {"method": "rrf", "weights": {"sparse": 1}}}',
        '{"format": "twindex-profile", "version": 1, "fusion": {"method": "rrf", '
        '"weights": {"sparse": 0, "dense": 0}}}',
        '{"format": "twindex-profile", "version": 1, "fusion": {"method": "rrf"}, "depth": 0}',
        '{"format": "twindex-profile", "version": 1, "fusion": {"method": "rrf"}, "depth": "9"}',
        '{"format": "twindex-profile", "version": 1, "fusion": {"method": "rrf"}, "gate": {}}',
    ],
)
def test_profiles_that_cannot_be_read(tmp_path: Path, text: str) -> None:
    path = tmp_path / "p.json"
    path.write_text(text)
    with pytest.raises(ConfigError):
        Profile.load(path)
