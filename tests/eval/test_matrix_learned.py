"""The matrix with a learned leg, a reranker and another encoder beside: every system equals what searching gives."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.eval.made_up import make_collection
from tests.eval.test_matrix import options
from twindex.eval.cached_encoder import CachedSparse
from twindex.eval.candidates import standard_candidates
from twindex.eval.harness import BeirOptions, evaluate_beir
from twindex.eval.matrix import run_matrix
from twindex.eval.matrix_systems import MODEL_QUERIES
from twindex.eval.matrix_task import SetTask, roles_of
from twindex.eval.measures import Measure
from twindex.eval.models import Models
from twindex.eval.report import render_markdown
from twindex.eval.report_data import gather
from twindex.eval.results import Results
from twindex.eval.sparse_shards import SparseShards
from twindex.eval.sweep import score_table
from twindex.indexing.encoders.hashing import HashingEncoder
from twindex.indexing.encoders.sparse_hashing import SparseHashingEncoder
from twindex.indexing.encoding import SparseEncoderInfo, SparseRows
from twindex.indexing.errors import ConfigError
from twindex.indexing.types import Float32Array, Int32Array
from twindex.retrieval import Profile, Ranking
from twindex.retrieval.impact_reasons import names_of
from twindex.retrieval.options import SearchOptions
from twindex.retrieval.query_terms import analyzer_of

THREE = ("bm25", "learned", "dense")


class Letters:
    """A scorer of pairs that knows letters."""

    name = "letters"

    def score(self, query: str, texts: Sequence[str]) -> Float32Array:
        return np.array([len(set(query) & set(text)) - 0.01 * len(text) for text in texts], np.float32)


class Reading(SparseHashingEncoder):
    """The sparse hashing encoder with a model that adds two words to every query."""

    def expand_query(self, text: str) -> tuple[Int32Array, Float32Array]:
        more = np.setdiff1d(self.encode_query("title text")[0], self.encode_query(text)[0]).astype(np.int32)
        return more, np.full(len(more), 0.75, np.float32)

    def idf_of(self, dimensions: Int32Array) -> Float32Array:
        return np.full(len(dimensions), 2, np.float32)

    def names_of(self, dimensions: Sequence[int]) -> dict[int, str]:
        return {number: str(number) for number in dimensions}


def models() -> Models:
    others = {"other": HashingEncoder(8)}
    return Models(HashingEncoder(32), Reading(512), Letters(), 5, others, model_queries=True)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    make_collection(root, "one", seed=1)
    make_collection(root, "two", seed=2, queries=60, splits=("test", "train"))
    return root


def test_every_system_is_there_and_scored_as_alone(data: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    note = run_matrix(options(data, cache), models())
    names = ["bm25", "learned", "dense", MODEL_QUERIES, "other", "bm25+dense", "learned+dense", "rrf", "convex"]
    names += ["tuned", "rerank"]
    assert note["systems"] == names
    means = note["sets"][1]["means"]
    searches: list[tuple[str, dict[str, Any]]] = [
        ("bm25", {"mode": "sparse", "search": SearchOptions(sparse="bm25")}),
        ("learned", {"mode": "sparse", "search": SearchOptions(sparse="learned")}),
        (MODEL_QUERIES, {"mode": "sparse", "search": SearchOptions(sparse="learned", learned_queries="model")}),
        ("dense", {"mode": "dense"}),
        ("bm25+dense", {"mode": "hybrid", "search": SearchOptions(sparse="bm25")}),
        ("learned+dense", {"mode": "hybrid", "search": SearchOptions(sparse="learned")}),
        ("convex", {"mode": "hybrid"}),
        ("rerank", {"mode": "hybrid", "search": SearchOptions(rerank=5)}),
    ]
    used = models()
    for system, settings in searches:
        alone = evaluate_beir(
            data / "two",
            BeirOptions(cache=tmp_path / "other", **settings),
            encoder=used.encoder,
            sparse_encoder=used.sparse_encoder,
            reranker=used.reranker,
        )
        assert means[system] == pytest.approx(alone.measures["nDCG@10"], abs=1e-12), system
    assert means["other"] == pytest.approx(
        evaluate_beir(
            data / "two", BeirOptions(mode="dense", cache=tmp_path / "other"), encoder=HashingEncoder(8)
        ).measures["nDCG@10"],
        abs=1e-12,
    )
    assert means[MODEL_QUERIES] != means["learned"]
    told = {(c["a"], c["b"]) for c in note["overall"]}
    assert {
        ("learned", "bm25"),
        (MODEL_QUERIES, "learned"),
        ("rerank", "convex"),
        ("dense", "other"),
        ("convex", "bm25+dense"),
    } <= told
    with Results(cache / "r.duckdb") as store:
        shown = gather(store)
        row = next(r for r in shown.sets if r.dataset == "two")
        sizes = {name: cell.index_bytes for name, cell in row.cells.items()}
        assert sizes["convex"] > sizes["bm25+dense"] > sizes["bm25"]
        assert all(row.cells[name].query_ms > 0 for name in names)
        run = note["sets"][1]["runs"]["learned"]
        assert next(r for r in store.runs() if r.run_id == run).index["impacts"] > 0
        assert row.nonzeros > 1
        assert "non-zeros a passage" in render_markdown(shown)
        assert store.timings(run)["query_ms_p99"] >= store.timings(run)["query_ms"] > 0
    profile = Profile.from_dict(note["sets"][1]["tuning"]["profile"])
    assert profile.recipe in [c.recipe for c in standard_candidates(THREE)]
    assert run_matrix(options(data, cache), models()) == note  # found again


def test_vectors_from_elsewhere_are_not_timed(data: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    untimed = Models(HashingEncoder(32), SparseHashingEncoder(64), timed=False)
    note = run_matrix(options(data, cache, sets=("one",)), untimed)
    with Results(cache / "r.duckdb") as store:
        assert all("query_ms" not in store.timings(run) for run in note["sets"][0]["runs"].values())
        assert gather(store).sets[0].cells["convex"].query_ms == 0


def test_what_shapes_values_is_in_the_key(data: Path) -> None:
    from twindex.eval.beir import Dataset

    task = SetTask(Dataset(data / "one"), "test")
    plain = Models(HashingEncoder(32))
    kinds = [
        plain,
        Models(HashingEncoder(32), SparseHashingEncoder(64)),
        Models(HashingEncoder(32), SparseHashingEncoder(65)),
        Models(HashingEncoder(32), reranker=Letters(), rerank=5),
        Models(HashingEncoder(32), reranker=Letters(), rerank=6),
        Models(HashingEncoder(32), others={"x": HashingEncoder(8)}),
        Models(HashingEncoder(32), SparseHashingEncoder(64), model_queries=True),
    ]
    assert len({task.key(one) for one in kinds}) == len(kinds)
    assert task.key(HashingEncoder(32)) == task.key(plain)
    assert roles_of(plain) == ("bm25", "dense")
    with pytest.raises(ConfigError, match="rerank"):
        Models(HashingEncoder(32), rerank=5)
    with pytest.raises(ConfigError, match="no learned leg"):
        Models(HashingEncoder(32), model_queries=True)


def test_the_sweep_of_three_legs_is_what_fusing_gives() -> None:
    rng = np.random.default_rng(2)
    candidates = standard_candidates(THREE)
    assert len({c.name for c in candidates}) == len(candidates)
    legs, qrels, ids = [], {}, []
    for q in range(6):
        rankings = []
        for low in (0.0, 0.0, -1.0):
            ords = np.sort(rng.choice(60, 25, replace=False)).astype(np.int32)
            scores = np.round(rng.uniform(low, 3 if low == 0 else 1, 25), 1).astype(np.float32)
            order = np.lexsort((ords, -scores))
            rankings.append(Ranking(ords[order], scores[order]))
        legs.append(tuple(rankings))
        ids.append(f"q{q}")
        qrels[f"q{q}"] = {f"d{d}": int(rng.integers(0, 3)) for d in rng.choice(60, 12, replace=False)}
    ordinals = {f"d{d}": (d,) for d in range(60)}
    measure = Measure("nDCG", 10)
    table = score_table(candidates, ids, legs, measure, qrels=qrels, ordinals=ordinals, roles=THREE)
    silent = [i for i, c in enumerate(candidates) if not all(c.recipe.weights_of(THREE))]
    assert len(silent) == 4  # each leg alone or left out
    for number in [*range(0, len(candidates), 7), *silent]:
        for column, (query, one) in enumerate(zip(ids, legs, strict=True)):
            ranking = candidates[number].recipe.fuse(one, 10, THREE)
            gains = [qrels[query].get(f"d{o}", 0) for o in ranking.ords.tolist()]
            ideal = sorted(qrels[query].values(), reverse=True)[:10]
            top, best = (sum(g / np.log2(i + 2) for i, g in enumerate(row)) for row in (gains, ideal))
            assert table[number, column] == pytest.approx(top / best if best else 0.0, abs=1e-9)


class CountingSparse:
    """The sparse hashing encoder, with a count of the texts that it was asked for."""

    def __init__(self) -> None:
        self.inner = SparseHashingEncoder(64)
        self.texts = 0

    @property
    def info(self) -> SparseEncoderInfo:
        return self.inner.info

    def encode_documents(self, texts: Sequence[str]) -> SparseRows:
        self.texts += len(texts)
        return self.inner.encode_documents(texts)

    def encode_query(self, text: str) -> tuple[Int32Array, Float32Array]:
        return self.inner.encode_query(text)


def test_sparse_vectors_are_kept_by_content(tmp_path: Path) -> None:
    encoder, texts = CountingSparse(), ["bees", "keep", "bees", ""]
    shards = SparseShards(tmp_path, encoder.info.fingerprint)
    first = shards.encode(texts, encoder)
    assert encoder.texts == 3
    again = SparseShards(tmp_path, encoder.info.fingerprint)
    assert len(again) == 3
    for rows in (shards.encode(texts[::-1], encoder), again.encode(texts[::-1], encoder)):
        rows.check(64, 4)
        assert rows.slice(0, 1).ids.tolist() == first.slice(3, 4).ids.tolist()
        assert rows.slice(1, 2).weights.tolist() == first.slice(2, 3).weights.tolist()
    assert encoder.texts == 3
    assert len(SparseShards(tmp_path, "another encoder")) == 0
    path = next(tmp_path.iterdir())
    path.write_bytes(path.read_bytes()[:-30])  # damage counts as absence
    damaged = SparseShards(tmp_path, encoder.info.fingerprint)
    damaged.encode(texts, encoder)
    assert encoder.texts == 6


class Named(CountingSparse):
    """The same, as an encoder whose dimensions are terms."""

    analyzer_fingerprint = "an analyzer"

    def words(self, text: str) -> dict[int, str]:
        return {int(number): text for number in self.encode_query(text)[0]}


def test_what_is_cached_says_of_its_terms_what_the_encoder_says(tmp_path: Path) -> None:
    named, plain = (CachedSparse(one, tmp_path) for one in (Named(), CountingSparse()))
    assert analyzer_of(named) == "an analyzer"
    assert set(names_of(named, "bees").values()) == {"bees"}
    assert analyzer_of(plain) == ""
    assert names_of(plain, "bees") == {}
