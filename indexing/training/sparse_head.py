"""The sparse side: how strongly a document stands for each stem.

A document's weight at stem t is  gain_t * saturated(tf_t) + expansion_t.  The first part counts the text's own words
as BM25 does (:mod:`twindex.indexing.training.own_terms`); gains begin at 1, so an untrained model is BM25. The second
comes from the encoder: a token's state x gives column c the logit  (W x + s) . table_c + bias_c, the largest over the
text's tokens counts, and the weight is log(1 + relu(logit)), or a second log1p of that (arXiv 2504.14839). The table
begins as the centred embeddings of the column's words and W as the identity: states of a sentence encoder already
point at the embeddings of related words.

The pooled maximum needs the product with all columns, but its gradient lives in the few active entries alone. So
the maximum is searched without gradients, in pieces, and the active entries are computed again with them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

import numpy as np

from twindex.indexing.training.torch_door import Parameters, Tensor, functional, torch
from twindex.indexing.types import Int32Array

Activation = Literal["log1p", "log1p-log1p"]

#: Elements of the token-by-column product that are held at once.
PIECE: Final = 1 << 30
WEIGHT, SHIFT, TABLE, BIAS, OWN, TEMPERATURE = (
    f"head.{name}" for name in ("transform.weight", "transform.bias", "table", "bias", "own", "temperature")
)
#: Scores of the sparse side are divided by this much at first, before the softmax that training compares.
FIRST_TEMPERATURE: Final = 4.0


def initial_head(words: Tensor, column_of: Int32Array) -> Parameters:
    """A head before calibration: identity, directions of the centred embeddings, no threshold, gains of 1.

    Shapes: ``words`` float32[v, h]; ``column_of`` int32[v], -1 = no column. ``head.own`` float32[c + 1]: its last
    entry is the gain of all stems that have no column.
    """
    columns = int(column_of.max(initial=-1)) + 1
    has = torch.from_numpy(np.flatnonzero(column_of >= 0)).to(words.device)
    where = torch.from_numpy(column_of[column_of >= 0].astype(np.int64)).to(words.device)
    directions = functional.normalize(words - words.mean(dim=0), dim=1)[has]
    summed = torch.zeros(columns, words.shape[1], device=words.device).index_add_(0, where, directions)
    hidden = words.shape[1]
    return {
        WEIGHT: torch.eye(hidden, device=words.device),
        SHIFT: torch.zeros(hidden, device=words.device),
        TABLE: functional.normalize(summed, dim=1),
        BIAS: torch.zeros(columns, device=words.device),
        OWN: torch.ones(columns + 1, device=words.device),
        TEMPERATURE: torch.full((1,), FIRST_TEMPERATURE, device=words.device).log(),
    }


def expansions(weights: Mapping[str, Tensor], states: Tensor, mask: Tensor, activation: Activation = "log1p") -> Tensor:
    """What the encoder adds to each document.

    Shapes: ``states`` float[b, l, h], ``mask`` bool[b, l] of tokens that are not special; result float32[b, c],
    0 or more.
    """
    table = weights[TABLE]
    moved = functional.linear(states, weights[WEIGHT], weights[SHIFT])
    with torch.no_grad():
        best, where = pooled_maximum(moved, mask, table)
        logits = best + weights[BIAS]
        rows, columns = ((logits > 0) & mask.any(dim=1, keepdim=True)).nonzero(as_tuple=True)
        tokens = where[rows, columns]
    exact = (moved[rows, tokens].float() * table[columns].float()).sum(dim=-1)
    values = activate(exact + weights[BIAS][columns], activation)
    out = torch.zeros(states.shape[0], table.shape[0], dtype=torch.float32, device=states.device)
    return out.index_put((rows, columns), values.float())


def activate(logits: Tensor, activation: Activation) -> Tensor:
    """log(1 + relu(x)), once or twice."""
    once = torch.log1p(torch.relu(logits))
    return torch.log1p(once) if activation == "log1p-log1p" else once


def pooled_maximum(moved: Tensor, mask: Tensor, table: Tensor) -> tuple[Tensor, Tensor]:
    """The largest product of any token with each column, and the token it comes from; documents go in pieces.

    Shapes: ``moved`` float[b, l, h], ``mask`` bool[b, l], ``table`` float[c, h]; result float32[b, c] and
    int64[b, c]. Where a document has no token the maximum is -inf and the token 0.
    """
    batch, length, _ = moved.shape
    step = max(1, PIECE // max(1, length * table.shape[0]))
    other = table.to(moved.dtype).T
    best, where = [], []
    for start in range(0, batch, step):
        logits = moved[start : start + step] @ other
        logits.masked_fill_(~mask[start : start + step].unsqueeze(-1), float("-inf"))
        value, at = logits.max(dim=1)
        best.append(value.float())
        where.append(at)
    return torch.cat(best), torch.cat(where)


def calibrate(weights: Parameters, states: Tensor, mask: Tensor, *, active: int, size: float) -> None:
    """Set threshold and scale of a fresh head from sample documents, in place.

    Each column's mean pooled logit is taken off. One threshold for all leaves ``active`` columns above it on average;
    the scale brings the mean of those to ``size``.

    Shapes: as in :func:`expansions`.
    """
    with torch.no_grad():
        plain = functional.linear(states, weights[WEIGHT], weights[SHIFT])
        best, _ = pooled_maximum(plain, mask, weights[TABLE])
        centred = best - best.mean(dim=0)
        wanted = min(active, best.shape[1] // 8) * len(best)  # few columns occur in tests
        cut = centred.flatten().sort(descending=True).values[wanted]
        scale = size / (centred[centred > cut] - cut).mean()
        weights[TABLE].mul_(scale)
        weights[BIAS].copy_(-(best.mean(dim=0) + cut) * scale)
