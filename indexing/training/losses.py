"""What training minimises, each as a function of plain tensors.

Scores are [queries, documents]; sparse vectors are float32[documents, vocabulary], 0 or more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from twindex.indexing.training.torch_door import Tensor, functional, torch

#: Where DF-FLOPS weighs a token by half, as a share of documents, and how steeply it turns there.
DF_MIDDLE: Final = 0.1
DF_STEEPNESS: Final = 10.0


def inference_free_queries(ids: Tensor, mask: Tensor, idf: Tensor) -> Tensor:
    """Idf at each distinct token of a query, 0 elsewhere: no model runs.

    Shapes: ``ids`` int64[q, l], ``mask`` bool[q, l], ``idf`` float32[v]; result float32[q, v].
    """
    out = torch.zeros(ids.shape[0], idf.shape[0], dtype=torch.float32, device=ids.device)
    return out.scatter_reduce_(1, ids, mask.float(), "amax") * idf


def flops(vectors: Tensor, *, least: int = 0) -> Tensor:
    """Sum over the vocabulary of the squared mean weight (Paria et al. 2020, arXiv 2004.05665).

    ``least`` > 0 is the l0 mask (arXiv 2504.14839): documents with at most that many non-zeros count as zero, but
    still in the mean's denominator.
    """
    return (_masked(vectors, least).mean(dim=0) ** 2).sum()


def idf_flops(vectors: Tensor, idf: Tensor, *, least: int = 0) -> Tensor:
    """FLOPS of the weights divided by idf: mass on rare tokens costs less (arXiv 2411.04403, version 1).

    Tokens without idf are left out, since no query reaches them by it.
    """
    inverse = torch.where(idf > 0, 1.0 / idf.clamp(min=1e-6), torch.zeros_like(idf))
    return ((_masked(vectors, least).mean(dim=0) * inverse) ** 2).sum()


def df_flops(vectors: Tensor, shares: Tensor, *, least: int = 0) -> Tensor:
    """FLOPS weighed by how many documents a token is active in (arXiv 2505.15070).

    The weight of share x is 1 / (1 + (x^(log_a 2) - 1)^b) with a = 0.1, b = 10: 0 for rare tokens, 1/2 at a, 1 at 1.

    Shapes: ``shares`` float32[v] in [0, 1].
    """
    exponent = torch.log(torch.tensor(2.0)) / torch.log(torch.tensor(DF_MIDDLE))
    powered = shares.clamp(min=1e-6).double() ** exponent.double().item()
    weight = (1.0 / (1.0 + (powered - 1.0).clamp(min=0) ** DF_STEEPNESS)).float()
    return ((_masked(vectors, least).mean(dim=0) * weight) ** 2).sum()


def _masked(vectors: Tensor, least: int) -> Tensor:
    if least <= 0:
        return vectors
    heavy = (vectors > 0).sum(dim=1, keepdim=True) > least
    return vectors * heavy


def ramp(step: int, until: int) -> float:
    """The share of a penalty at a step: (step / until)^2, then 1."""
    return 1.0 if until <= 0 else min(1.0, step / until) ** 2


def min_max(scores: Tensor) -> Tensor:
    """Each row moved to [0, 1]; a row of equal scores becomes 0."""
    low = scores.min(dim=1, keepdim=True).values
    span = scores.max(dim=1, keepdim=True).values - low
    return torch.where(span > 0, (scores - low) / span.clamp(min=1e-12), torch.zeros_like(scores))


def ensemble(teachers: Sequence[Tensor], weights: Sequence[float], scale: float) -> Tensor:
    """Scores of several teachers, each min-max normalised per query, averaged by weight and scaled.

    Shapes: each teacher and the result float32[q, n].
    """
    total = sum(weights)
    mixed = sum(weight * min_max(scores) for scores, weight in zip(teachers, weights, strict=True))
    return scale * mixed / total


def distillation(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean over queries of KL(softmax(teacher) || softmax(student)).

    Shapes: float32[q, n] each.
    """
    target = functional.log_softmax(teacher, dim=1)
    found = functional.log_softmax(student, dim=1)
    return functional.kl_div(found, target, reduction="batchmean", log_target=True)


def contrastive(scores: Tensor, positive: Tensor, ignore: Tensor | None = None) -> Tensor:
    """Mean over queries of -log softmax at the positive document (InfoNCE).

    Shapes: ``scores`` float32[q, n], ``positive`` int64[q], ``ignore`` bool[q, n] of documents that are no negative.
    """
    if ignore is not None:
        keep = torch.zeros_like(ignore).scatter(1, positive.unsqueeze(1), True)
        scores = scores.masked_fill(ignore & ~keep, float("-inf"))
    return functional.cross_entropy(scores, positive)


def matryoshka(
    loss: Callable[[Tensor, Tensor], Tensor], queries: Tensor, documents: Tensor, dims: Sequence[int]
) -> Tensor:
    """Mean of a loss over the first ``dim`` numbers of each vector, normalised again (arXiv 2205.13147)."""
    parts = [
        loss(functional.normalize(queries[:, :dim], dim=-1), functional.normalize(documents[:, :dim], dim=-1))
        for dim in dims
    ]
    return sum(parts[1:], parts[0]) / len(parts)
