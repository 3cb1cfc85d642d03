"""Vectors on disk: bytes, sizes, corruption, and graphs whose bytes repeat."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from twindex.indexing import vectors
from twindex.indexing.errors import ConfigError, CorruptIndexError
from twindex.indexing.types import Float32Array
from twindex.indexing.vectors import HnswConfig, VectorReader, VectorWriter, build_hnsw


def rows_of(n: int, dim: int = 16, seed: int = 0) -> Float32Array:
    return np.random.default_rng(seed).standard_normal((n, dim)).astype(np.float32)


def write(folder: Path, rows: Float32Array) -> None:
    with VectorWriter(folder, rows.shape[1]) as writer:
        writer.add(rows)


def test_the_file_is_the_rows(tmp_path: Path) -> None:
    rows = rows_of(10)
    with VectorWriter(tmp_path, 16) as writer:
        writer.add(rows[:3])
        writer.add(rows[:0])
        writer.add(np.asfortranarray(rows[3:]))
        assert writer.size == 10
    assert (tmp_path / "vec.f32").read_bytes() == rows.astype("<f4").tobytes()
    reader = VectorReader(tmp_path, 16, size=10)
    assert (reader.size, reader.dim, reader.has_graph) == (10, 16, False)
    assert np.array_equal(reader.matrix, rows)
    assert not reader.matrix.flags.writeable


def test_no_vectors_at_all(tmp_path: Path) -> None:
    VectorWriter(tmp_path, 16).finish()
    reader = VectorReader(tmp_path, 16, size=0)
    assert reader.matrix.shape == (0, 16)
    build_hnsw(tmp_path, 16)
    assert reader.graph().ntotal == 0


@pytest.mark.parametrize(
    "bad",
    [
        rows_of(2).astype(np.float64),
        rows_of(2, 15),
        rows_of(1)[0],
        np.full((2, 16), np.nan, np.float32),
        np.full((2, 16), np.inf, np.float32),
        np.full((2, 16), 1e20, np.float32),
    ],
    ids=["float64", "dim", "rank", "nan", "inf", "huge"],
)
def test_other_arrays_are_refused(tmp_path: Path, bad: Any) -> None:
    with VectorWriter(tmp_path, 16) as writer, pytest.raises(ConfigError):
        writer.add(bad)


def test_a_finished_file_takes_no_more(tmp_path: Path) -> None:
    writer = VectorWriter(tmp_path, 16)
    writer.finish()
    writer.finish()
    with pytest.raises(ConfigError, match="finished"):
        writer.add(rows_of(1))


@pytest.mark.parametrize("dim", [0, -3, 65_537])
def test_impossible_dimensions(tmp_path: Path, dim: int) -> None:
    with pytest.raises(ConfigError, match="dimensions"):
        VectorWriter(tmp_path, dim)
    with pytest.raises(ConfigError, match="dimensions"):
        VectorReader(tmp_path, dim)


def test_files_of_another_size_are_corrupt(tmp_path: Path) -> None:
    write(tmp_path, rows_of(10))
    with pytest.raises(CorruptIndexError, match="9 vectors"):
        VectorReader(tmp_path, 16, size=9)
    path = tmp_path / "vec.f32"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CorruptIndexError, match="639 bytes"):
        VectorReader(tmp_path, 16)
    path.unlink()
    with pytest.raises(CorruptIndexError, match="missing"):
        VectorReader(tmp_path, 16)


@pytest.mark.parametrize("bad", [{"m": 1}, {"m": 257}, {"ef_construction": 0}, {"ef_search": 0}])
def test_impossible_graphs(bad: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="HNSW"):
        HnswConfig(**bad)


def test_graph_bytes_repeat_whatever_the_threads(tmp_path: Path) -> None:
    import faiss

    digests = []
    for threads in (1, 4):
        folder = tmp_path / str(threads)
        folder.mkdir()
        write(folder, rows_of(1500))
        faiss.omp_set_num_threads(threads)
        path = build_hnsw(folder, 16, HnswConfig(8, 40, 32))
        assert faiss.omp_get_max_threads() == threads
        digests.append(hashlib.sha256(path.read_bytes()).hexdigest())
        assert sorted(file.name for file in folder.iterdir()) == ["hnsw.faiss", "vec.f32"]
    assert digests[0] == digests[1]


@pytest.mark.parametrize("view", [True, False])
def test_graphs_find_their_rows_with_and_without_a_view(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, view: bool
) -> None:
    import faiss

    if not view:  # what older releases of faiss do
        monkeypatch.delattr(faiss, "MaybeOwnedVectorUInt8", raising=False)
        monkeypatch.setattr(vectors, "BUILD_ROWS", 100)
    rows = rows_of(800)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    write(tmp_path, rows)
    build_hnsw(tmp_path, 16)
    assert (tmp_path / "hnsw.faiss").stat().st_size < 800 * 400  # links only, no second copy of vectors
    reader = VectorReader(tmp_path, 16)
    assert reader.has_graph
    assert reader.graph() is reader.graph()
    assert reader.graph().hnsw.efSearch == 128
    products, found = reader.graph().search(rows[:50].copy(), 3)
    assert found[:, 0].tolist() == list(range(50))
    assert np.allclose(products[:, 0], 1.0)


def test_a_graph_that_does_not_fit_is_corrupt(tmp_path: Path) -> None:
    write(tmp_path, rows_of(300))
    path = build_hnsw(tmp_path, 16)
    write(tmp_path, rows_of(299))
    with pytest.raises(CorruptIndexError, match="300 vectors"):
        VectorReader(tmp_path, 16).graph()
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(CorruptIndexError, match="cannot be read"):
        VectorReader(tmp_path, 16).graph()
    path.write_bytes(b"no graph at all")
    with pytest.raises(CorruptIndexError, match="cannot be read"):
        VectorReader(tmp_path, 16).graph()
