"""Candidates by exact search on the device: nearest by a teacher's vectors, and best by BM25."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from twindex.indexing.encoders.own_terms import AVERAGE, K1, LONGEST, B
from twindex.indexing.training.teachers import TeacherVectors
from twindex.indexing.training.tokens import TokenTable
from twindex.indexing.training.torch_door import Tensor, torch
from twindex.indexing.training.training_set import TrainingSet
from twindex.indexing.types import Float32Array, Int32Array

#: Queries a call.
QUERIES: Final = 512


#: Ranks that candidates beyond the nearest are drawn from.
DEEP: Final = 100


def dense_candidates(
    data: TrainingSet, teacher: TeacherVectors, count: int, *, far: int = 0, seed: int = 0
) -> Int32Array:
    """The ``count`` nearest texts of each query by cosine, and ``far`` of those behind them; its own left out.

    Shapes: result int32[q, count + far], -1 = none.
    """
    titled = torch.from_numpy(data.titled).to(teacher.queries.device)
    out = []
    for start in range(0, len(data), QUERIES):
        part = teacher.queries[start : start + QUERIES]
        both = torch.where(titled[start : start + QUERIES, None], part @ teacher.titled.T, part @ teacher.texts.T)
        out.append(_best(both, data.positive[start : start + QUERIES], max(count, DEEP) if far else count))
    found = np.concatenate(out)
    behind = found[:, count:]
    drawn = np.random.default_rng(seed).random(behind.shape).argsort(axis=1)[:, :far]
    return np.concatenate([found[:, :count], np.take_along_axis(behind, drawn, axis=1)], axis=1)


def bm25_candidates(data: TrainingSet, idf: Float32Array, count: int, device: str) -> Int32Array:
    """The ``count`` best texts of each query by BM25 over its stems, titles left out, its own left out.

    Shapes: ``idf`` float32[terms]; result int32[q, count].
    """
    stems = np.unique(data.query_terms.ids)
    texts = _saturated(data.passage_terms, stems, device)
    weights = idf[stems].astype(np.float32)
    out = []
    for start in range(0, len(data), QUERIES):
        stop = min(start + QUERIES, len(data))
        bounds = data.query_terms.starts[start : stop + 1]
        ids = np.searchsorted(stems, data.query_terms.ids[bounds[0] : bounds[-1]])
        asked = np.zeros((len(stems), stop - start), np.float32)
        rows = np.repeat(np.arange(stop - start), np.diff(bounds))
        asked[ids, rows] = weights[ids]
        scores = torch.sparse.mm(texts, torch.from_numpy(asked).to(device)).T
        out.append(_best(scores, data.positive[start:stop], count))
    return np.concatenate(out)


def _saturated(table: TokenTable, stems: Any, device: str) -> Tensor:
    """Saturated frequencies of the stems in each text: sparse float32[p, len(stems)]."""
    lengths = np.diff(table.starts)
    place = np.searchsorted(stems, table.ids)
    known = stems[np.minimum(place, len(stems) - 1)] == table.ids
    rows = np.repeat(np.arange(len(table)), lengths)[known]
    keys, counts = np.unique(rows.astype(np.int64) * len(stems) + place[known], return_counts=True)
    row, column = np.divmod(keys, len(stems))
    norm = K1 * (1 - B + B * np.minimum(lengths / AVERAGE, LONGEST))
    values = (counts / (counts + norm[row])).astype(np.float32)
    where = torch.from_numpy(np.stack([row, column]))
    size = (len(table), len(stems))
    return torch.sparse_coo_tensor(where, torch.from_numpy(values), size, check_invariants=True).to(device).coalesce()


def _best(scores: Tensor, positive: Int32Array, count: int) -> Int32Array:
    own = torch.from_numpy(positive).to(scores.device).long().unsqueeze(1)
    scores = scores.scatter(1, own, float("-inf"))
    found = scores.topk(min(count, scores.shape[1]), dim=1).indices.int().cpu().numpy()
    return np.pad(found, ((0, 0), (0, count - found.shape[1])), constant_values=-1)
