"""Searches of three legs: which take part, what each weighs, cut queries, and a reranker that reads pairs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.contracts.explanations import check_tree
from twindex.indexing import Document, HashingEncoder, IndexConfig, IndexWriter, Snapshot
from twindex.indexing.analysis import get_analyzer
from twindex.indexing.encoders.sparse_hashing import SparseHashingEncoder
from twindex.indexing.encoders.twin_sides import as_rows
from twindex.indexing.encoding import SparseEncoderInfo, SparseRows
from twindex.indexing.errors import ConfigError, FingerprintError, ModelNotFoundError, QueryError
from twindex.indexing.filters import parse_filter
from twindex.indexing.types import Float32Array, Int32Array
from twindex.retrieval import RRF, Convex, Profile, Query, Recipe, Searcher
from twindex.retrieval.impact import ImpactRetriever
from twindex.retrieval.options import SearchOptions
from twindex.retrieval.profile import DEFAULT
from twindex.retrieval.query_terms import CountedIdf, document_counts
from twindex.retrieval.two_phase import TwoPhaseRetriever

WORDS = ["lamp", "light", "house", "sea", "storm", "keeper", "night", "ship", "rock", "wave", "bird", "fog", "tide"]
VOCABULARY = 512
ASKED = [
    "lamp",
    "storm sea",
    "keeper night fog lamp",
    "the tide of the sea",
    "",
    "nothing zzz",
    "ship ship rock bird wave",
]


def sparse_encoder() -> SparseHashingEncoder:
    return SparseHashingEncoder(VOCABULARY)


def documents(count: int = 120) -> list[Document]:
    rng = np.random.default_rng(11)
    return [Document(f"d{i}", " ".join(rng.choice(WORDS, 8)), "", {"even": i % 2}) for i in range(count)]


def build(path: Path, made: Sequence[Document], *, delete: Sequence[str] = (), dense: bool = True) -> Path:
    sparse, encoder = sparse_encoder(), HashingEncoder(32)
    config = IndexConfig(encoder=encoder.info if dense else None, sparse_encoder=sparse.info, segment_docs=50)
    with IndexWriter.create(path, config, encoder=encoder if dense else None, sparse_encoder=sparse) as writer:
        writer.add(made)
        writer.commit()
        if delete:
            writer.delete(delete)
            writer.commit()
    return path


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("legs") / "i", documents(), delete=[f"d{i}" for i in range(0, 120, 7)])


@pytest.fixture(scope="module")
def wordless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index without impacts."""
    path, encoder = tmp_path_factory.mktemp("legs") / "plain", HashingEncoder(32)
    with IndexWriter.create(path, IndexConfig(encoder=encoder.info), encoder=encoder) as writer:
        writer.add(documents(20))
        writer.commit()
    return path


def searcher(path: Path, **settings: object) -> Searcher:
    return Searcher.open(path, sparse_encoder=sparse_encoder(), **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("mode", "sparse", "legs"),
    [
        ("hybrid", None, {"bm25": 0.25, "learned": 0.25, "dense": 0.5}),
        ("hybrid", "learned", {"learned": 0.5, "dense": 0.5}),
        ("hybrid", "bm25", None),
        ("sparse", "both", {"bm25": 0.5, "learned": 0.5}),
    ],
)
def test_which_legs_take_part_and_what_each_weighs(index: Path, mode: str, sparse: str | None, legs: object) -> None:
    with searcher(index) as opened:
        result = opened.search("storm sea", mode=mode, options=SearchOptions(sparse=sparse), explain=True)  # type: ignore[arg-type]
    assert result.fusion is not None
    echoed = result.fusion.get("legs")
    if isinstance(legs, dict):
        total = sum(echoed.values())
        assert {name: weight / total for name, weight in echoed.items()} == pytest.approx(legs)
    else:
        assert echoed is None
    for hit in result.hits:
        assert hit.explanation is not None
        check_tree(hit.explanation)
        assert hit.explanation.value == pytest.approx(hit.score, abs=1e-6)
    assert {name for hit in result.hits for name in hit.ranks} <= {"bm25", "learned", "dense"}


def test_words_alone_are_searched_by_the_learned_leg(index: Path, wordless: Path) -> None:
    with searcher(index) as opened:
        plain = opened.search("storm sea", mode="sparse")
        learned = opened.search("storm sea", mode="sparse", options=SearchOptions(sparse="learned"))
        assert [(h.id, h.score) for h in plain.hits] == [(h.id, h.score) for h in learned.hits]
        assert plain.fusion is None
    with searcher(wordless) as opened:
        bm25 = opened.search("storm sea", mode="sparse", options=SearchOptions(sparse="bm25"))
        assert [h.score for h in opened.search("storm sea", mode="sparse").hits] == [h.score for h in bm25.hits]


def test_one_leg_is_not_fused(index: Path) -> None:
    with searcher(index) as opened:
        result = opened.search("storm sea", mode="sparse", options=SearchOptions(sparse="learned"))
        retriever = opened.retriever("sparse", SearchOptions(sparse="learned"))
        assert [h.score for h in result.hits] == retriever.retrieve([Query("storm sea")], 10)[0].scores.tolist()
    assert result.fusion is None
    assert result.hits


def test_the_share_of_the_learned_leg_goes_from_none_to_all(index: Path) -> None:
    options = SearchOptions(sparse="both")
    with searcher(index) as opened:
        for fusion in (Convex("minmax"), Convex("tmm"), Convex("zscore"), RRF(10)):
            for share, alone in ((0.0, "bm25"), (1.0, "learned")):
                both = opened.search("storm sea", k=40, recipe=Recipe(fusion, learned=share), options=options)
                one = opened.search(
                    "storm sea",
                    k=40,
                    recipe=Recipe(fusion),
                    options=SearchOptions(sparse=alone),  # type: ignore[arg-type]
                )
                found = {hit.id: hit.score for hit in both.hits}
                for hit in one.hits[:10]:
                    assert found[hit.id] == pytest.approx(hit.score, abs=1e-6), (fusion, share)


def test_profiles_name_the_sparse_legs(index: Path, wordless: Path, tmp_path: Path) -> None:
    profile = Profile(Recipe(Convex("minmax"), (0.3, 0.7), 0.8), sparse="learned", notes="by hand")
    profile.save(tmp_path / "p.json")
    assert Profile.load(tmp_path / "p.json") == profile
    with searcher(index, profile=profile) as opened:
        found = opened.search("storm sea")
        assert found.fusion is not None
        assert set(found.fusion["legs"]) == {"learned", "dense"}
        told = opened.search("storm sea", options=SearchOptions(sparse="both"))
        assert told.fusion is not None
        assert told.fusion["legs"] == pytest.approx({"bm25": 0.06, "learned": 0.24, "dense": 0.7})
    with searcher(wordless, profile=profile) as opened:
        assert "no impacts" in opened.search("storm sea").notes[0]
    assert "learned" not in DEFAULT.to_dict()["fusion"]
    with pytest.raises(ConfigError, match="learned"):
        Recipe(RRF(), learned=1.5)
    with pytest.raises(ConfigError, match="sparse"):
        Profile(Recipe(RRF()), sparse="words")  # type: ignore[arg-type]


def test_a_leg_that_is_not_there_is_named_with_its_remedy(wordless: Path, index: Path) -> None:
    with searcher(wordless) as opened:
        for kind in ("learned", "both"):
            with pytest.raises(QueryError, match="without impacts") as caught:
                opened.search("storm", options=SearchOptions(sparse=kind))  # type: ignore[arg-type]
            assert "--sparse bm25,learned" in caught.value.remedy
        assert opened.search("storm").hits
    with pytest.raises(FingerprintError):
        Searcher.open(index, sparse_encoder=SparseHashingEncoder(64))


@pytest.mark.parametrize("share", [0.2, 0.6, 0.9])
def test_two_phases_give_the_bits_of_one(index: Path, share: float) -> None:
    with Snapshot.open(index) as snapshot:
        whole = ImpactRetriever(snapshot, sparse_encoder(), engine="numpy")
        quick = TwoPhaseRetriever(whole, share)
        queries = [Query(text, one) for text in ASKED for one in (None, parse_filter("even = 1"))]
        for k in (0, 1, 10, 500):
            for query, a, b in zip(queries, whole.retrieve(queries, k), quick.retrieve(queries, k), strict=True):
                assert a.ords.tolist() == b.ords.tolist(), (query, k)
                assert a.scores.tobytes() == b.scores.tobytes()


def test_two_phases_say_when_the_first_was_enough(tmp_path: Path) -> None:
    """One heavy word in few documents, a light one in all: the light one cannot overturn the heavy one's order."""
    encoder = sparse_encoder()
    weights = {word: float(encoder.encode_query(word)[1][0]) for word in WORDS}
    heavy, light = max(WORDS, key=lambda w: weights[w]), min(WORDS, key=lambda w: weights[w])
    texts = [f"{heavy} " * 40] * 3 + [light] * 200
    path = build(tmp_path / "i", [Document(f"d{i}", text) for i, text in enumerate(texts)], dense=False)
    with Snapshot.open(path) as snapshot:
        retriever = TwoPhaseRetriever(ImpactRetriever(snapshot, encoder, engine="numpy"), 0.9)
        assert retriever.proven(Query(f"{heavy} {light}"), 3)
        assert not retriever.proven(Query(f"{heavy} {light}"), 10)  # seven of the ten have the light word alone


def test_pruned_queries_keep_their_heavy_terms(index: Path) -> None:
    with searcher(index) as opened:
        text = "keeper night fog lamp"
        plain = opened.retriever("sparse", SearchOptions(sparse="learned"))
        pruned = opened.retriever("sparse", SearchOptions(sparse="learned", prune=0.8))
        assert isinstance(plain, ImpactRetriever)
        assert isinstance(pruned, ImpactRetriever)
        ids, weights = plain.terms(text)
        kept = ids[weights >= np.float32(0.8) * weights.max()]
        assert pruned.terms(text)[0].tolist() == kept.tolist()
        assert 0 < len(kept) < len(ids)
        assert len(pruned.retrieve([Query(text)], 10)[0]) == 10


def test_a_counted_idf_forgets_what_was_deleted(tmp_path: Path) -> None:
    made, gone = documents(), [f"d{i}" for i in range(0, 120, 3)]
    options = SearchOptions(sparse="learned", idf="index")
    deleted = build(tmp_path / "a", made, delete=gone)
    never = build(tmp_path / "b", [d for d in made if d.id not in gone])
    with searcher(deleted) as a, searcher(never) as b:
        for text in ASKED:
            one, two = (s.search(text, mode="sparse", options=options) for s in (a, b))
            assert [(h.id, h.score) for h in one.hits] == [(h.id, h.score) for h in two.hits]
        plain = a.search("storm sea", mode="sparse", options=SearchOptions(sparse="learned"))
        assert [h.score for h in plain.hits] != [
            h.score for h in a.search("storm sea", mode="sparse", options=options).hits
        ]
    with Snapshot.open(never) as snapshot:
        rows = sparse_encoder().encode_documents([d.text for d in made if d.id not in gone])
        expected = np.zeros(VOCABULARY, np.int64)
        np.add.at(expected, rows.ids[np.rint(rows.weights / np.float32(sparse_encoder().info.scale)) > 0], 1)
        assert document_counts(snapshot, VOCABULARY).tolist() == expected.tolist()


class Stems:
    """A sparse encoder whose dimensions are terms of the ``english`` analyzer, numbered as they come."""

    def __init__(self) -> None:
        self.analyzer = get_analyzer("english")
        self.numbers: dict[str, int] = {}
        self.info = SparseEncoderInfo("stems", "stems/v1", 100, 1.0)

    @property
    def analyzer_fingerprint(self) -> str:
        return self.analyzer.fingerprint

    def words(self, text: str) -> dict[int, str]:
        return {self.numbers.setdefault(term, len(self.numbers)): term for term in self.analyzer.terms(text)}

    def encode_query(self, text: str) -> tuple[Int32Array, Float32Array]:
        ids = np.array(sorted(self.words(text)), np.int32)
        return ids, np.ones(len(ids), np.float32)

    def encode_documents(self, texts: Sequence[str]) -> SparseRows:
        return as_rows([self.encode_query(text) for text in texts])


def test_where_the_index_counts_the_terms_their_idf_is_that_of_bm25(tmp_path: Path) -> None:
    made, gone, encoder = documents(), [f"d{i}" for i in range(0, 120, 3)], Stems()
    config = IndexConfig(sparse_encoder=encoder.info, segment_docs=50)
    with IndexWriter.create(tmp_path / "i", config, sparse_encoder=encoder) as writer:
        writer.add(made)
        writer.commit()
        writer.delete(gone)
        writer.commit()
    with Searcher.open(tmp_path / "i", sparse_encoder=encoder) as opened:
        leg, told = (
            opened.retriever("sparse", SearchOptions(sparse="learned", idf=idf))  # type: ignore[arg-type]
            for idf in (None, "model")
        )
        assert isinstance(leg, ImpactRetriever)
        assert isinstance(told, ImpactRetriever)
        assert isinstance(leg.encoder, CountedIdf)
        assert isinstance(told.encoder, Stems)
        ids, weights = leg.encoder.encode_query("storms at sea, unheard")
        left = [set(encoder.words(d.text)) for d in made if d.id not in gone]
        for number, weight in zip(ids.tolist(), weights.tolist(), strict=True):
            df = sum(number in words for words in left)
            assert weight == pytest.approx(np.log(1 + (len(left) - df + 0.5) / (df + 0.5)), rel=1e-6)
        twice = leg.encoder.encode_query("storms at sea, unheard storm")
        assert twice[0].tolist() == ids.tolist()
        ratio = dict(zip(ids.tolist(), (twice[1] / weights).tolist(), strict=True))
        names = encoder.words("storm sea unheard")
        assert ratio == pytest.approx({n: np.sqrt(2) if word == "storm" else 1.0 for n, word in names.items()})
        hit = opened.search("storms at sea", mode="sparse", options=SearchOptions(sparse="learned"), explain=True).hits[
            0
        ]
        assert hit.explanation is not None
        assert {branch.data["token"] for branch in hit.explanation.details} <= {"storm", "sea"}
        assert all(branch.data["in_text"] for branch in hit.explanation.details)
    config = IndexConfig(analyzer="whitespace", sparse_encoder=encoder.info)
    with IndexWriter.create(tmp_path / "j", config, sparse_encoder=encoder) as writer:
        writer.add(made)
        writer.commit()
    with Searcher.open(tmp_path / "j", sparse_encoder=encoder) as opened:  # counts other terms
        plain = opened.retriever("sparse", SearchOptions(sparse="learned"))
        assert isinstance(plain, ImpactRetriever)
        assert isinstance(plain.encoder, Stems)


class Letters:
    """Scores a pair by the letters that both have; counts its calls."""

    name = "letters"

    def __init__(self) -> None:
        self.calls = 0

    def score(self, query: str, texts: Sequence[str]) -> Float32Array:
        self.calls += 1
        return np.array([len(set(query) & set(text)) / (1 + len(text)) for text in texts], np.float32)


def test_a_scorer_of_pairs_reranks_and_explanations_name_it(index: Path) -> None:
    scorer = Letters()
    options = SearchOptions(rerank=20)
    with searcher(index, reranker=scorer) as opened:
        for mode in ("hybrid", "sparse", "dense"):
            scorer.calls = 0
            before = opened.search("storm sea", k=20, mode=mode)  # type: ignore[arg-type]
            after = opened.search("storm sea", k=20, mode=mode, options=options, explain=True)  # type: ignore[arg-type]
            assert scorer.calls == 1  # explanations score nothing again
            assert {h.id for h in after.hits} == {h.id for h in before.hits}
            assert [h.score for h in after.hits] == sorted((h.score for h in after.hits), reverse=True)
            texts = {h.id: h.text for h in before.hits}
            read = {h.id: float(scorer.score("storm sea", [texts[h.id]])[0]) for h in before.hits}
            low, high = min(read.values()), max(read.values())
            bases = {
                h.id: (h.score - before.hits[-1].score) / (before.hits[0].score - before.hits[-1].score)
                for h in before.hits
            }
            place = {h.id: i for i, h in enumerate(before.hits, 1)}
            for hit in after.hits:
                half = (bases[hit.id] + (read[hit.id] - low) / (high - low)) / 2
                assert hit.score == pytest.approx(half, abs=1e-5)
                assert hit.ranks["before"] == place[hit.id]
                assert hit.explanation is not None
                assert hit.explanation.text.startswith("letters: rank")
                (reason,) = hit.explanation.details[0].details[1].details
                assert reason.value == pytest.approx(before.hits[place[hit.id] - 1].score, abs=1e-6)
        assert opened.search("", options=options).hits == ()
        assert len(opened.search("storm", k=0, options=options).hits) == 0
    with searcher(index, reranker="no-such-reranker") as opened, pytest.raises(ModelNotFoundError, match="no-such"):
        opened.search("storm", options=options)


@pytest.mark.parametrize(
    "values",
    [{"sparse": "words"}, {"rerank": -1}, {"rerank": 10_000}, {"rerank": True}, {"rerank_weight": 1.1},
     {"prune": 1.0}, {"two_phase": -0.1},
     {"prune": float("nan")}, {"idf": "corpus"}, {"depth": 3}],
)  # fmt: skip
def test_options_out_of_range(values: dict[str, object]) -> None:
    with pytest.raises(QueryError):
        SearchOptions.from_dict(values)


def test_options_travel_as_plain_values() -> None:
    options = SearchOptions(sparse="both", rerank=50, prune=0.1)
    assert options.to_dict() == {"sparse": "both", "rerank": 50, "prune": 0.1}
    assert SearchOptions.from_dict(options.to_dict()) == options
    assert SearchOptions().to_dict() == {}
