"""Codes of four bits a piece for the vectors of texts and generated queries: they propose, and never decide.

There are many times more generated queries than passages, and a search needs the nearest of them alone. The codes
(product quantisation, one of 16 centroids for each few dimensions) take an eighth of a byte a dimension and are
scanned from the processor's registers: on 148,850 vectors of 384 dimensions and one core 0.5 ms for 600 proposals,
where multiplying the vectors takes 40 ms. They are made in seconds; a graph over as many vectors takes minutes.

Sources: H. Jegou, M. Douze, C. Schmid, "Product Quantization for Nearest Neighbor Search", TPAMI 2011; F. Andre,
A.-M. Kermarrec, N. Le Scouarnec, "Quicker ADC", TPAMI 2021 (the scan, as faiss' ``IndexPQFastScan`` has it).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

import numpy as np

from twindex.indexing.errors import CorruptIndexError
from twindex.indexing.expansion.layout import CODE_FILE, FOLDER, TEXT_CODE_FILE
from twindex.indexing.optional import load
from twindex.indexing.types import Float32Array, Int64Array
from twindex.indexing.vectors import BUILD_ROWS, VectorReader

#: With fewer vectors there are no codes: scanning the vectors takes a few milliseconds.
CODES_FROM: Final = 10_000
#: With fewer texts they are scanned; 16 centroids need about so many.
TEXT_CODES_FROM: Final = 1000
#: Vectors from which the centroids are found, taken at even distances.
TRAINED_ON: Final = 8192
#: Dimensions that share a code.
PIECE: Final = 4
_BITS: Final = 4
_PURPOSE: Final = "codes of generated queries"


def build_codes(segment: Path, dim: int) -> list[Path]:
    """Writes the codes of a segment's generated queries, and of its texts; the files written.

    None where there are too few queries, or the dimensions cannot be cut; those of texts only where there are texts
    enough to find centroids. One thread makes them in one order, so that the same vectors give the same bytes.
    """
    folder = segment / FOLDER
    queries, texts = VectorReader(folder, dim), VectorReader(segment, dim)
    if queries.size < CODES_FROM or dim % PIECE:
        return []
    made = [_build(queries, folder / CODE_FILE)]
    if texts.size >= TEXT_CODES_FROM:
        made.append(_build(texts, folder / TEXT_CODE_FILE))
    return made


def _build(reader: VectorReader, path: Path) -> Path:
    dim = reader.dim
    faiss = load("faiss", purpose=_PURPOSE)
    index = faiss.IndexPQFastScan(dim, dim // PIECE, _BITS, faiss.METRIC_INNER_PRODUCT)
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        chosen = np.linspace(0, reader.size - 1, min(TRAINED_ON, reader.size)).astype(np.int64)
        index.train(np.ascontiguousarray(reader.matrix[chosen]))
        for start in range(0, reader.size, BUILD_ROWS):
            index.add(np.ascontiguousarray(reader.matrix[start : start + BUILD_ROWS]))
    finally:
        faiss.omp_set_num_threads(before)
    temporary = path.with_suffix(".tmp")
    faiss.write_index(index, str(temporary))
    with open(temporary, "rb") as file:
        os.fsync(file.fileno())
    os.replace(temporary, path)
    return path


class Codes:
    """The codes of some vectors, in memory. Safe for threads.

    Args:
        path: Their file.
        size: Vectors that there must be codes of.
        dim: Their length.

    Raises:
        CorruptIndexError: If the file cannot be read, or is about other vectors.
    """

    def __init__(self, path: Path, *, size: int, dim: int) -> None:
        faiss = load("faiss", purpose=_PURPOSE)
        try:
            self._index: Any = faiss.read_index(str(path))
        except (RuntimeError, OSError) as error:
            raise CorruptIndexError(f"{path} cannot be read: {error}", remedy="build the index again") from error
        if (self._index.ntotal, self._index.d) != (size, dim):
            raise CorruptIndexError(
                f"{path} holds codes of {self._index.ntotal} vectors of {self._index.d} dimensions",
                expected=f"{size} of {dim}",
                remedy="restore the index from a copy, or build it again",
            )

    def propose(self, query: Float32Array, count: int) -> Int64Array:
        """Numbers of about the ``count`` nearest vectors, ascending: int64[at most count].

        Shapes: query float32[dim].
        """
        found = self._index.search(np.ascontiguousarray(query[None]), count)[1][0]
        proposed: Int64Array = np.sort(found[found >= 0])  # -1 stands for "no more"
        return proposed
