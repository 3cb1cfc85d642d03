"""Candidates by exact search on the device: nearest by a teacher's vectors, and best by BM25 over tokens."""

from __future__ import annotations

from typing import Final

import numpy as np

from twindex.indexing.training.batches import DeviceTable
from twindex.indexing.training.teachers import K1, B, TeacherVectors
from twindex.indexing.training.torch_door import Tensor, torch
from twindex.indexing.training.training_set import TrainingSet
from twindex.indexing.types import Float32Array, Int32Array

#: Queries a call, and texts whose token weights are made at a time.
QUERIES: Final = 512
TEXTS: Final = 4096


def dense_candidates(data: TrainingSet, teacher: TeacherVectors, count: int) -> Int32Array:
    """The ``count`` nearest texts of each query by cosine, its own left out.

    Shapes: result int32[q, count].
    """
    titled = torch.from_numpy(data.is_sentence).to(teacher.queries.device)
    out = []
    for start in range(0, len(data), QUERIES):
        part = teacher.queries[start : start + QUERIES]
        both = torch.where(titled[start : start + QUERIES, None], part @ teacher.titled.T, part @ teacher.texts.T)
        out.append(_best(both, data.positive[start : start + QUERIES], count))
    return np.concatenate(out)


def bm25_candidates(data: TrainingSet, idf: Float32Array, count: int, device: str) -> Int32Array:
    """The ``count`` best texts of each query by BM25 over tokens, its own left out.

    Cost: memory of texts x vocabulary in 16 bits on the device.

    Shapes: ``idf`` float32[v]; result int32[q, count].
    """
    kept = torch.float16 if device.startswith("cuda") else torch.float32
    table = _token_weights(data, len(idf), device, kept)
    queries, weights = DeviceTable(data.queries, device), torch.from_numpy(idf).to(device)
    longest = int(queries.lengths.max())
    place = torch.arange(longest, device=device).unsqueeze(0)
    out = []
    for start in range(0, len(data), QUERIES):
        at = torch.arange(start, min(start + QUERIES, len(data)), device=device)
        ids, mask = queries.take(at, place.expand(len(at), -1)), place < queries.lengths[at].unsqueeze(1)
        wanted = torch.zeros(len(at), len(idf), device=device).scatter_reduce_(1, ids, mask.float(), "amax") * weights
        out.append(_best(wanted.to(kept) @ table.T, data.positive[start : start + len(at)], count))
    return np.concatenate(out)


def _token_weights(data: TrainingSet, size: int, device: str, kept: object) -> Tensor:
    """Tf / (tf + norm) of each text and token: [p, v]."""
    texts = DeviceTable(data.passages, device)
    average = max(1.0, float(texts.lengths.float().mean()))
    table = torch.empty(len(data.passages), size, dtype=kept, device=device)
    place = torch.arange(int(texts.lengths.max()), device=device).unsqueeze(0)
    for start in range(0, len(data.passages), TEXTS):
        at = torch.arange(start, min(start + TEXTS, len(data.passages)), device=device)
        ids, mask = texts.take(at, place.expand(len(at), -1)), place < texts.lengths[at].unsqueeze(1)
        tf = torch.zeros(len(at), size, device=device).scatter_add_(1, ids, mask.float())
        norm = K1 * (1 - B + B * texts.lengths[at].float().unsqueeze(1) / average)
        table[start : start + len(at)] = (tf / (tf + norm)).to(kept)
    return table


def _best(scores: Tensor, positive: Int32Array, count: int) -> Int32Array:
    own = torch.from_numpy(positive).to(scores.device).long().unsqueeze(1)
    scores = scores.scatter(1, own, float("-inf"))
    found = scores.topk(min(count, scores.shape[1]), dim=1).indices.int().cpu().numpy()
    return np.pad(found, ((0, 0), (0, count - found.shape[1])), constant_values=-1)
