"""Vectors of one segment: a raw float32 file read through a memory map, and the optional graph beside it.

``vec.f32`` is float32[N, dim], little-endian, row-major, without a header; N follows from its size.
``hnsw.faiss`` is faiss' own HNSW graph over the same rows in the same order. The graph is a sidecar:
it only proposes candidates, whose scores are always recomputed from ``vec.f32``.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, BinaryIO, Final

import numpy as np

from twindex.indexing.errors import ConfigError, CorruptIndexError
from twindex.indexing.optional import load
from twindex.indexing.types import Float32Array

VECTOR_FILE: Final = "vec.f32"
HNSW_FILE: Final = "hnsw.faiss"
DTYPE: Final = np.dtype("<f4")
MAX_DIM: Final = 65_536
#: Rows given to faiss at once while a graph is built: bounds the copy out of the memory map.
BUILD_ROWS: Final = 65_536
#: The square of it, MAX_DIM times, is still a float32 number.
LARGEST: Final = 1e15


@dataclass(frozen=True, slots=True)
class HnswConfig:
    """Parameters of the graph (Malkov and Yashunin 2018, sections 4.1 and 4.2).

    ``m``: links a node (2m on the ground layer). ``ef_construction`` and ``ef_search``: length of the
    candidate list when a node is inserted and when a query is answered.

    Raises:
        ConfigError: If a value is out of range.
    """

    m: int = 32
    ef_construction: int = 200
    ef_search: int = 128

    def __post_init__(self) -> None:
        for name, value, low, high in (
            ("m", self.m, 2, 256),
            ("ef_construction", self.ef_construction, 1, 10_000),
            ("ef_search", self.ef_search, 1, 10_000),
        ):
            if not low <= value <= high:
                raise ConfigError(f"HNSW {name} = {value}", expected=f"a number from {low} to {high}")

    def to_dict(self) -> dict[str, int]:
        """Plain values for the manifest."""
        return asdict(self)


class VectorWriter:
    """Appends vectors to ``vec.f32`` in the order of the segment's passages.

    Args:
        directory: The segment's folder, which exists.
        dim: Length of each vector.

    Raises:
        ConfigError: If ``dim`` is out of range.
    """

    def __init__(self, directory: Path, dim: int) -> None:
        self._dim = check_dim(dim)
        self._size = 0
        self._file: BinaryIO | None = open(directory / VECTOR_FILE, "wb")  # noqa: SIM115 - closed by finish

    @property
    def size(self) -> int:
        """Vectors added so far."""
        return self._size

    def add(self, vectors: Float32Array) -> None:
        """Appends rows.

        Shapes: ``vectors`` float32[n, dim].

        Raises:
            ConfigError: If the shape or dtype differs, a value is not finite, or the writer is finished.
        """
        if self._file is None:
            raise ConfigError("vectors added to a finished file", expected="add before finish")
        check_vectors(vectors, self._dim)
        self._file.write(np.ascontiguousarray(vectors, DTYPE).data)
        self._size += len(vectors)

    def finish(self) -> None:
        """Makes the file durable and closes it. A second call does nothing."""
        if self._file is not None:
            self._file.flush()
            os.fsync(self._file.fileno())
            self.close()

    def close(self) -> None:
        """Closes the file without promising that it is durable."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> VectorWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.finish()
        else:
            self.close()


class VectorReader:
    """The vectors of one segment.

    Args:
        directory: The segment's folder.
        dim: Length of each vector, by the manifest.
        size: Number of vectors that there should be, if known.

    Raises:
        CorruptIndexError: If the file is missing or its size does not fit ``dim`` and ``size``.
    """

    def __init__(self, directory: Path, dim: int, *, size: int | None = None) -> None:
        self.directory = directory
        self.dim = check_dim(dim)
        self.size = _rows(directory / VECTOR_FILE, dim, size)
        self._graph_lock = Lock()

    @cached_property
    def matrix(self) -> Float32Array:
        """All vectors, read-only and memory-mapped: float32[size, dim]."""
        if not self.size:  # an empty file cannot be mapped
            return np.empty((0, self.dim), np.float32)
        return np.memmap(self.directory / VECTOR_FILE, DTYPE, mode="r", shape=(self.size, self.dim))

    @property
    def has_graph(self) -> bool:
        """Whether the segment has an HNSW sidecar."""
        return (self.directory / HNSW_FILE).is_file()

    def graph(self) -> Any:
        """The faiss HNSW index over :attr:`matrix`, loaded once and shared by threads.

        Raises:
            CorruptIndexError: If the sidecar cannot be read or does not fit the vectors.
        """
        with self._graph_lock:
            return self._graph

    @cached_property
    def _graph(self) -> Any:
        return read_hnsw(self.directory, self.matrix)


def check_dim(dim: int) -> int:
    """The same number.

    Raises:
        ConfigError: If no vector can have that length.
    """
    if not 1 <= dim <= MAX_DIM:
        raise ConfigError(f"vectors of {dim} dimensions", expected=f"a number from 1 to {MAX_DIM}")
    return dim


def check_vectors(vectors: Float32Array, dim: int) -> None:
    """Nothing, if these are float32[n, dim] of a size that inner products in float32 can bear.

    Raises:
        ConfigError: If they are not.
    """
    if vectors.dtype != np.float32 or vectors.ndim != 2 or vectors.shape[1] != dim:
        raise ConfigError(
            f"vectors {vectors.dtype}{list(vectors.shape)}",
            expected=f"float32[n, {dim}]",
            remedy="use the encoder that the index was configured with",
        )
    if not np.abs(vectors).max(initial=0.0) < LARGEST:  # "not <", so that NaN is caught as well
        row = int(np.flatnonzero(~(np.abs(vectors) < LARGEST).all(axis=1))[0])
        raise ConfigError(
            f"a vector with NaN, infinity or a huge number (row {row})", expected=f"numbers below {LARGEST:g}"
        )


def _rows(path: Path, dim: int, size: int | None) -> int:
    try:
        found = path.stat().st_size
    except FileNotFoundError as error:
        raise CorruptIndexError(
            f"{path} is missing", expected="the vectors of the segment", remedy="build the index again"
        ) from error
    rows, rest = divmod(found, dim * DTYPE.itemsize)
    if rest or (size is not None and rows != size):
        wanted = f"{size} vectors" if size is not None else "whole vectors"
        raise CorruptIndexError(
            f"{path} has {found} bytes",
            expected=f"{wanted} of {dim} float32 numbers",
            remedy="restore the file or build the index again",
        )
    return rows


def build_hnsw(directory: Path, dim: int, config: HnswConfig | None = None) -> Path:
    """Writes the graph over the segment's vectors and returns its path.

    The graph is built by one thread, row after row, so that the same vectors give the same bytes.
    Its file does not repeat the vectors; memory while building is one copy of them.

    Raises:
        ConfigError: If ``dim`` is out of range.
        CorruptIndexError: If the vectors cannot be read.
    """
    config = config or HnswConfig()
    faiss = load("faiss", purpose="the HNSW graph of dense vectors")
    reader = VectorReader(directory, dim)
    index = faiss.IndexHNSWFlat(dim, config.m, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = config.ef_construction
    index.hnsw.efSearch = config.ef_search
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        for start in range(0, reader.size, BUILD_ROWS):
            index.add(np.ascontiguousarray(reader.matrix[start : start + BUILD_ROWS]))
    finally:
        faiss.omp_set_num_threads(before)
    path = directory / HNSW_FILE
    temporary = path.with_suffix(".tmp")
    faiss.write_index(index, str(temporary), faiss.IO_FLAG_SKIP_STORAGE)
    with open(temporary, "rb") as file:
        os.fsync(file.fileno())
    os.replace(temporary, path)
    return path


def read_hnsw(directory: Path, matrix: Float32Array) -> Any:
    """The faiss index of the graph file, with ``matrix`` as its vectors.

    Raises:
        CorruptIndexError: If the file cannot be read, or covers another number of vectors.
    """
    faiss = load("faiss", purpose="the HNSW graph of dense vectors")
    path = directory / HNSW_FILE
    try:
        index = faiss.read_index(str(path), faiss.IO_FLAG_SKIP_STORAGE)
    except (RuntimeError, OSError) as error:
        raise CorruptIndexError(f"{path} cannot be read: {error}", remedy="build the graph again") from error
    if (index.ntotal, index.d) != matrix.shape or not hasattr(index, "hnsw"):
        raise CorruptIndexError(
            f"{path} covers {index.ntotal} vectors of {index.d} dimensions",
            expected=f"a graph over {matrix.shape[0]} of {matrix.shape[1]}",
            remedy="build the graph again",
        )
    storage = _flat_over(faiss, matrix)
    index.own_fields = False
    index.storage = storage
    index.referenced_objects = (storage, matrix)  # Python keeps alive what faiss only points to
    return index


def _flat_over(faiss: Any, matrix: Float32Array) -> Any:
    """A faiss flat index over the rows; without a copy where this faiss release can view foreign memory."""
    flat = faiss.IndexFlatIP(matrix.shape[1])
    if len(matrix) and hasattr(faiss, "MaybeOwnedVectorUInt8"):
        codes = matrix.view(np.uint8).reshape(-1)
        # The null owner of an empty index says that somebody else frees the memory.
        flat.codes = faiss.MaybeOwnedVectorUInt8.create_view(
            faiss.swig_ptr(codes), codes.size, faiss.IndexFlatIP(matrix.shape[1]).codes.owner
        )
        flat.ntotal = len(matrix)
        return flat
    for start in range(0, len(matrix), BUILD_ROWS):
        flat.add(np.ascontiguousarray(matrix[start : start + BUILD_ROWS]))
    return flat
