"""k-means by cosine over whole-numbered vectors: the same clusters on every machine.

Lloyd's algorithm with unit-length centres (I. S. Dhillon, D. S. Modha, "Concept decompositions for large sparse text
data using clustering", 2001), seeded by k-means++ (D. Arthur, S. Vassilvitskii, 2007) from a generator with a fixed
seed. Sums of members are whole numbers and products are exact, so neither threads nor blocks change a result.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from twindex.indexing.expansion.whole_vectors import Int8Array, norms, whole
from twindex.indexing.types import Float32Array, Int32Array

#: Rows whose products with all centres are in memory at one time.
BLOCK: Final = 4096
#: Rows for each centre that seeding looks at, and that training sees at most (the latter as in faiss).
SEEDING, TRAINING = 32, 256
#: Few clusters are tried from several seedings, as one bad draw of a few matters; as many as make this many centres.
TRIES, TRIED = 8, 64


@dataclass(frozen=True, slots=True)
class Nearest:
    """The nearest centre of each row. Shapes: ``label`` int32[n]; ``cosine`` float32[n]."""

    label: Int32Array
    cosine: Float32Array


def kmeans(rows: Int8Array, count: int, *, seed: int, rounds: int = 20) -> Int8Array:
    """Centres of clusters.

    At most 256 rows a centre are looked at, drawn by ``seed``; a cluster that runs empty is given the row that is
    farthest from its own centre. Of several seedings the one with the largest sum of cosines is taken.

    Shapes: ``rows`` int8[n, dim], which may be a memory map; result int8[min(count, distinct rows), dim].
    """
    random = np.random.Generator(np.random.PCG64(seed))
    sample = _drawn(rows, count * TRAINING, random)
    best, most = sample[:0], -1
    for _ in range(max(1, min(TRIES, TRIED // max(1, count)))):
        centres, value = _lloyd(sample, _seeds(_drawn(sample, count * SEEDING, random), count, random), rounds)
        if value > most:
            best, most = centres, value
    return best


def _lloyd(rows: Int8Array, centres: Int8Array, rounds: int) -> tuple[Int8Array, int]:
    """Centres that no round changes any more, and the sum of cosines in millionths before the last change."""
    label = np.full(len(rows), -1, np.int32)
    value = 0
    for _ in range(rounds):
        found = nearest(rows, centres)
        value = int(np.rint(found.cosine.astype(np.float64) * 1e6).astype(np.int64).sum())
        if np.array_equal(found.label, label):
            break
        label = found.label
        centres = _means(rows, found, len(centres))
    return centres, value


def nearest(rows: Int8Array, centres: Int8Array) -> Nearest:
    """The nearest centre of each row by cosine; of equals, the first.

    Shapes: int8[n, dim] and int8[k, dim].
    """
    label = np.empty(len(rows), np.int32)
    cosine = np.empty(len(rows), np.float32)
    lengths = norms(centres)
    columns = centres.astype(np.float32).T
    for at in range(0, len(rows), BLOCK):
        block = np.asarray(rows[at : at + BLOCK])
        scores = block.astype(np.float32) @ columns
        scores /= lengths
        best = scores.argmax(axis=1)
        span = slice(at, at + len(block))
        label[span] = best
        cosine[span] = scores[np.arange(len(block)), best] / norms(block)
    return Nearest(label, cosine)


def _drawn(rows: Int8Array, most: int, random: np.random.Generator) -> Int8Array:
    if len(rows) <= most:
        return rows
    drawn: Int8Array = rows[np.sort(random.choice(len(rows), most, replace=False))]
    return drawn


def _seeds(rows: Int8Array, count: int, random: np.random.Generator) -> Int8Array:
    """k-means++: each further centre is drawn with a probability in proportion to its squared distance."""
    lengths = norms(rows)
    chosen = [int(random.integers(len(rows)))]
    floats = rows.astype(np.float32)
    far = np.full(len(rows), np.inf)
    while True:
        last = chosen[-1]
        cosine = (floats @ floats[last]) / (lengths * lengths[last])
        # the squared chord between unit vectors, at least 0 whatever the last bit of the cosine
        far = np.minimum(far, np.maximum(0.0, 2.0 - 2.0 * cosine.astype(np.float64)))
        far[far < 1e-6] = 0.0
        if len(chosen) >= count or not far.any():
            seeds: Int8Array = rows[np.array(chosen)]
            return seeds
        edges = np.cumsum(far)
        chosen.append(int(np.searchsorted(edges, random.random() * edges[-1], side="right")))


def _means(rows: Int8Array, found: Nearest, count: int) -> Int8Array:
    sums = np.zeros((count, rows.shape[1]), np.int64)
    for at in range(0, len(rows), BLOCK):
        label = found.label[at : at + BLOCK]
        order = np.argsort(label, kind="stable")
        present, starts = np.unique(label[order], return_index=True)
        sums[present] += np.add.reduceat(_unit(rows[at : at + BLOCK][order]), starts, axis=0, dtype=np.int64)
    empty = np.flatnonzero(np.bincount(found.label, minlength=count) == 0)
    if len(empty):
        sums[empty] = _unit(rows[np.argsort(found.cosine, kind="stable")[: len(empty)]])
    return whole(sums)


def _unit(rows: Int8Array) -> Int32Array:
    """Rows of one length, in thousandths, so that each counts the same in a sum."""
    return np.rint(rows * (1e3 / norms(rows).astype(np.float64))[:, None]).astype(np.int32)
