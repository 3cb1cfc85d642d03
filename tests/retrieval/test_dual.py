"""Dual-Index Fusion against brute force: segments, deletions, filters, ties, proposals, explanations."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.contracts.explanations import check_tree
from tests.contracts.retriever_kit import pairs
from tests.indexing.conftest import no_fsync
from twindex.indexing.config import IndexConfig
from twindex.indexing.encoders.hashing import HashingEncoder
from twindex.indexing.errors import CorruptIndexError, QueryError
from twindex.indexing.expansion import codes
from twindex.indexing.expansion.info import ExpansionInfo
from twindex.indexing.filters import parse_filter
from twindex.indexing.snapshot import Snapshot
from twindex.indexing.types import Document, Float32Array
from twindex.indexing.vectors import HnswConfig
from twindex.indexing.writer import IndexWriter
from twindex.retrieval import dual_rows, dual_search
from twindex.retrieval.dense import DenseConfig, DenseRetriever
from twindex.retrieval.dual import DualRetriever
from twindex.retrieval.types import Query, Ranking

__all__ = ["no_fsync"]

DIM = 64
MODEL = HashingEncoder(DIM)
WORDS = (
    *("amber", "birch", "cedar", "dune", "ember", "fjord", "grove", "heath"),
    *("inlet", "jade", "knoll", "larch", "mire", "north", "ochre", "pine"),
)
ALPHAS = [0.0, 0.3, 0.5, 1.0]
ALL = 10_000


@dataclass
class Numbered:
    """From no query to seven for each document."""

    info: ExpansionInfo = field(default_factory=lambda: ExpansionInfo("numbered", "02", 7))

    def queries(self, contents: str) -> tuple[str, ...]:
        rng = np.random.default_rng(zlib.crc32(contents.encode()))
        return tuple(" ".join(rng.choice(WORDS, 3)) for _ in range(int(rng.integers(0, 8))))


SOURCE = Numbered()


def text_of(number: int) -> str:
    return " ".join(np.random.default_rng(number).choice(WORDS, 4 + number % 5))


def documents(count: int) -> Iterable[Document]:
    return (Document(f"d{n}", text_of(n), "", {"even": n % 2 == 0}) for n in range(count))


@contextmanager
def index(path: Path, count: int = 60, *, segment_docs: int = 25, deleted: Iterable[int] = (), **settings: Any) -> Any:
    config = IndexConfig(encoder=MODEL.info, segment_docs=segment_docs, expansion=SOURCE.info, **settings)
    with IndexWriter.create(path, config, encoder=MODEL, expansions=SOURCE, workers=1) as writer:
        writer.add(documents(count))
        writer.commit()
        writer.delete(f"d{n}" for n in deleted)
        writer.commit()
    with Snapshot.open(path) as snapshot:
        yield snapshot


def scores_of(snapshot: Snapshot, vector: Float32Array, alpha: float, aggregate: str) -> dict[int, float]:
    """Every live passage's score in float64, from the texts alone."""
    allowed = snapshot.allowed(None)
    out = {}
    for ord_ in range(snapshot.size):
        if allowed is not None and not allowed[ord_]:
            continue
        contents = snapshot.passages(np.array([ord_], np.int32))[0].contents
        text = float(MODEL.encode_documents([contents])[0].astype(np.float64) @ vector)
        queries = SOURCE.queries(contents)
        out[ord_] = text
        if queries:
            rows = MODEL.encode_documents(queries).astype(np.float64)
            g = float((rows @ vector).max())
            if aggregate == "mean":
                mean = rows.sum(axis=0)
                g = float(mean / np.linalg.norm(mean) @ vector)
            out[ord_] = (1 - alpha) * text + alpha * g
    return out


def check(ranking: Ranking, wanted: dict[int, float], k: int) -> None:
    """The ranking has the k best, to the precision of float32, in the house order."""
    assert len(ranking) == min(k, len(wanted))
    for ord_, score in pairs(ranking):
        assert score == pytest.approx(wanted[ord_], abs=3e-6)
    if len(ranking) < len(wanted):
        left = max(score for ord_, score in wanted.items() if ord_ not in set(ranking.ords.tolist()))
        assert left <= float(ranking.scores[-1]) + 3e-6


@pytest.mark.parametrize("aggregate", ["max", "mean"])
@pytest.mark.parametrize("alpha", ALPHAS)
def test_equals_brute_force(tmp_path: Path, alpha: float, aggregate: Any) -> None:
    asked = [" ".join(WORDS[i : i + 3]) for i in range(6)]
    with index(tmp_path / "i", deleted=[3, 30, 31, 59]) as snapshot:
        retriever = DualRetriever(snapshot, MODEL, alpha=alpha, aggregate=aggregate)
        for k in (1, 7, ALL):
            batch = retriever.retrieve(asked, k)
            for text, ranking in zip(asked, batch):
                check(ranking, scores_of(snapshot, MODEL.encode_queries([text])[0], alpha, aggregate), k)
                assert pairs(retriever.retrieve([text], k)[0]) == pairs(ranking)  # one by one is the same, bit for bit


def test_alpha_zero_is_the_dense_leg(tmp_path: Path) -> None:
    with index(tmp_path / "i", deleted=[1]) as snapshot:
        plain = DenseRetriever(snapshot, MODEL).retrieve(WORDS, 20)
        assert list(map(pairs, DualRetriever(snapshot, MODEL, alpha=0.0).retrieve(WORDS, 20))) == list(
            map(pairs, plain)
        )


def test_segments_deletions_and_filters_leave_no_trace(tmp_path: Path) -> None:
    asked = [Query(w, parse_filter("even = true") if n % 2 else None) for n, w in enumerate(WORDS)]
    with (
        index(tmp_path / "a", 40, segment_docs=7, deleted=range(30, 40)) as many,
        index(tmp_path / "b", 30, segment_docs=100) as one,
    ):
        runs = [DualRetriever(s, MODEL, alpha=0.4).retrieve(asked, 12) for s in (many, one)]
        assert list(map(pairs, runs[0])) == list(map(pairs, runs[1]))
        assert all(int(name[1:]) % 2 == 0 for name in runs[0].ids(1))


@pytest.mark.parametrize("settings", [{}, {"vector_kind": "hnsw", "hnsw": HnswConfig(8, 60, 60)}])
@pytest.mark.parametrize("share", [1.0, 0.5, 0.02])
def test_proposals_find_what_a_scan_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], share: float
) -> None:
    monkeypatch.setattr(codes, "CODES_FROM", 500)
    monkeypatch.setattr(dual_search, "PROPOSED_LEAST", 200)
    scans: list[int] = []
    real = dual_search.DualPart._scan
    monkeypatch.setattr(dual_search.DualPart, "_scan", lambda *args: scans.append(1) or real(*args))
    gone = [n for n in range(600) if (n * 7919) % 1000 >= share * 1000]
    with index(tmp_path / "i", 600, segment_docs=1000, deleted=gone, **settings) as snapshot:
        assert snapshot.segments[0].expansion.has_codes
        exact = DualRetriever(snapshot, MODEL, DenseConfig(kind="exact"), alpha=0.5)
        quick = DualRetriever(snapshot, MODEL, DenseConfig(graph_from=1, graph_share=0.0), alpha=0.5)
        found = wanted = 0
        asked = [" ".join(WORDS[i % 16 : i % 16 + 2]) for i in range(24)]
        before = len(scans)
        for text in asked:
            best, mine = pairs(exact.retrieve([text], 3)[0]), pairs(quick.retrieve([text], 3)[0])
            assert len(mine) == len(best)
            assert all(score == dict(best)[ord_] for ord_, score in mine if ord_ in dict(best))  # scores are exact
            found += sum(score >= best[-1][1] for _, score in mine)  # of equals any will do
            wanted += len(best)
        assert found >= 0.9 * wanted
        assert len(scans) - before >= len(asked)  # the exact one
        if share == 1.0:
            assert len(scans) - before < 1.5 * len(asked)  # the quick one seldom


def test_compiled_products_change_no_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("numba")
    monkeypatch.setattr(codes, "CODES_FROM", 500)
    monkeypatch.setattr(dual_search, "PROPOSED_LEAST", 200)
    asked = [" ".join(WORDS[i % 16 : i % 16 + 2]) for i in range(24)]
    with index(tmp_path / "i", 600, segment_docs=400, deleted=range(0, 600, 7)) as snapshot:
        plain, quick = (DualRetriever(snapshot, MODEL, alpha=0.5) for _ in range(2))
        parts: list[Any] = quick._parts
        for part in parts:
            part._rough.compile()
        for k in (1, 10, 60):
            for text in asked:
                assert pairs(quick.retrieve([text], k)[0]) == pairs(plain.retrieve([text], k)[0])
        assert [part._rough._kernels is None for part in plain._parts] == [True, True]
        monkeypatch.setattr(dual_rows, "WARM", 1)
        plain.retrieve(asked[:1], 1)
        assert [part._rough._kernels is None for part in plain._parts] == [False, True]  # the small one has no codes


def test_rough_products_are_those_of_numpy() -> None:
    pytest.importorskip("numba")
    draw = np.random.default_rng(3)
    counts = draw.integers(0, 9, 40)
    ptr = np.concatenate([[0], np.cumsum(counts)])
    texts, queries = (draw.standard_normal((n, 24)).astype(np.float32) for n in (40, int(ptr[-1])))
    plain, quick = (dual_rows.Rows(texts, queries, ptr) for _ in range(2))
    quick.compile()
    query, there = draw.standard_normal(24).astype(np.float32), np.flatnonzero(counts)
    for chosen in (there, there[::3], there[:0]):
        np.testing.assert_allclose(quick.of_texts(chosen, query), plain.of_texts(chosen, query), atol=1e-5)
        np.testing.assert_allclose(quick.of_queries(chosen, query), plain.of_queries(chosen, query), atol=1e-5)
        if len(chosen):
            ours, theirs = quick.near(chosen, query, 0.5), plain.near(chosen, query, 0.5)
            np.testing.assert_allclose(ours[0], theirs[0], atol=1e-5)
            np.testing.assert_array_equal(ours[1], theirs[1])
            np.testing.assert_array_equal(ours[2], theirs[2])
            assert set(ours[2].tolist()) == set(range(len(chosen)))


def test_codes_of_other_vectors_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codes, "CODES_FROM", 50)
    with index(tmp_path / "a", 60, segment_docs=100) as a, index(tmp_path / "b", 40, segment_docs=100) as b:
        reader, other = a.segments[0].expansion, b.segments[0].expansion
        with pytest.raises(CorruptIndexError, match="codes of"):
            codes.Codes(other.folder / "codes.faiss", size=reader.count, dim=DIM)
        assert len(reader.codes().propose(MODEL.encode_queries(["pine"])[0], 9)) == 9


def test_explanations_name_the_generated_query(tmp_path: Path) -> None:
    with index(tmp_path / "i") as snapshot:
        for aggregate in ("max", "mean"):
            retriever = DualRetriever(snapshot, MODEL, alpha=0.4, aggregate=aggregate)  # type: ignore[arg-type]
            for ord_, score in pairs(retriever.retrieve(["cedar dune"], ALL)[0]):
                tree = retriever.explain(Query("cedar dune"), ord_)
                check_tree(tree, abs_=2e-6)
                assert tree.value == score
                queries = SOURCE.queries(snapshot.passages(np.array([ord_], np.int32))[0].contents)
                if queries:
                    data = tree.details[1].data
                    rows = MODEL.encode_documents(queries) @ MODEL.encode_queries(["cedar dune"])[0]
                    assert data["query"] in queries
                    assert data["cosine"] == pytest.approx(float(rows.max()), abs=1e-6)
                    assert data["queries"] == len(queries)
                else:
                    assert "no queries were generated" in tree.text
        assert retriever.explain(Query(" "), 0).value == 0.0
        with pytest.raises(QueryError):
            retriever.explain(Query("cedar"), snapshot.size)


@pytest.mark.parametrize("bad", [{"alpha": -0.1}, {"alpha": 1.1}, {"alpha": float("nan")}, {"aggregate": "sum"}])
def test_impossible_settings(tmp_path: Path, bad: dict[str, Any]) -> None:
    with index(tmp_path / "i", 5) as snapshot:
        with pytest.raises(QueryError):
            DualRetriever(snapshot, MODEL, **bad)
        with pytest.raises(QueryError):
            DualRetriever(snapshot, MODEL).at(2.0)


def test_an_index_without_expansions_says_so(tmp_path: Path) -> None:
    with IndexWriter.create(tmp_path / "i", IndexConfig(encoder=MODEL.info), encoder=MODEL) as writer:
        writer.add(documents(3))
        writer.commit()
    with Snapshot.open(tmp_path / "i") as snapshot, pytest.raises(QueryError, match="--expansion STORE"):
        DualRetriever(snapshot, MODEL)
