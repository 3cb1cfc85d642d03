"""The sparse head: how strongly a document stands for each token of the vocabulary.

A token's state x gives the logit  gain_v * (W x + c) . (e_v - centre) + bias_v  for vocabulary entry v, where e is
the input embedding (tied) and ``centre`` the mean of its initial rows. The document's logit is the maximum over its
tokens, without the special ones, plus ``own`` if v itself occurs in the document. W begins as the identity: hidden
states of a sentence encoder already point at the embeddings of related words. ``own`` keeps exact matches of words
that training never saw. Weights are log(1 + relu(logit)), or a second log1p of that (arXiv 2504.14839).

The pooled maximum needs the product with the whole vocabulary, but its gradient lives in the few active entries
alone. So the maximum is searched without gradients, in pieces, and the active entries are computed again with them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from twindex.indexing.encoders.tokenizer import SPECIALS, VOCABULARY
from twindex.indexing.training.bert import WORDS
from twindex.indexing.training.torch_door import Parameters, Tensor, functional, torch

Activation = Literal["log1p", "log1p-log1p"]
#: Elements of the token-by-vocabulary product that are held at once.
PIECE: Final = 1 << 30
WEIGHT, SHIFT, GAIN, BIAS, OWN, CENTRE = (
    f"head.{name}" for name in ("transform.weight", "transform.bias", "gain", "bias", "own", "centre")
)
#: What an optimiser must leave alone.
FIXED: Final = (CENTRE,)


def initial_head(words: Tensor) -> Parameters:
    """A head before calibration: identity, cosine with the centred embeddings, no threshold.

    Shapes: ``words`` float32[v, h].
    """
    centre = words.mean(dim=0)
    length = (words - centre).norm(dim=1).clamp(min=1e-6)
    hidden = words.shape[1]
    return {
        WEIGHT: torch.eye(hidden, device=words.device),
        SHIFT: torch.zeros(hidden, device=words.device),
        GAIN: 1.0 / length,
        BIAS: torch.zeros(words.shape[0], device=words.device),
        OWN: torch.zeros(1, device=words.device),
        CENTRE: centre.clone(),
    }


def output_table(weights: Mapping[str, Tensor]) -> Tensor:
    """What states are multiplied with: float[v, h]."""
    return (weights[WORDS] - weights[CENTRE]) * weights[GAIN].unsqueeze(1)


def allowed_tokens(size: int, device: str = "cpu") -> Tensor:
    """bool[size]: entries that may be active; not the special and the unused ones."""
    words = VOCABULARY.read_text(encoding="utf-8").splitlines()
    allowed = [word not in SPECIALS and not word.startswith("[unused") for word in words]
    return torch.tensor(allowed[:size] + [True] * max(0, size - len(allowed)), device=device)


def sparse_weights(
    weights: Mapping[str, Tensor],
    states: Tensor,
    ids: Tensor,
    mask: Tensor,
    allowed: Tensor,
    activation: Activation = "log1p",
) -> Tensor:
    """The sparse vector of each document.

    Shapes: ``states`` float[b, l, h], ``ids`` int64[b, l], ``mask`` bool[b, l] of tokens that are not special,
    ``allowed`` bool[v]; result float32[b, v], 0 or more.
    """
    table = output_table(weights)
    moved = functional.linear(states, weights[WEIGHT], weights[SHIFT])
    present = presence(ids, mask, table.shape[0])
    with torch.no_grad():
        best, where = pooled_maximum(moved, mask, table)
        logits = best + weights[BIAS] + weights[OWN] * present
        rows, columns = ((logits > 0) & allowed & mask.any(dim=1, keepdim=True)).nonzero(as_tuple=True)
        tokens = where[rows, columns]
    exact = (moved[rows, tokens].float() * table[columns].float()).sum(dim=-1)
    exact = exact + weights[BIAS][columns] + weights[OWN] * present[rows, columns]
    values = activate(exact, activation)
    out = torch.zeros(states.shape[0], table.shape[0], dtype=torch.float32, device=states.device)
    return out.index_put((rows, columns), values.float())


def activate(logits: Tensor, activation: Activation) -> Tensor:
    """log(1 + relu(x)), once or twice."""
    once = torch.log1p(torch.relu(logits))
    return torch.log1p(once) if activation == "log1p-log1p" else once


def presence(ids: Tensor, mask: Tensor, size: int) -> Tensor:
    """1 where an entry of the vocabulary occurs in a text.

    Shapes: ``ids`` int64[b, l], ``mask`` bool[b, l]; result float32[b, size].
    """
    out = torch.zeros(ids.shape[0], size, dtype=torch.float32, device=ids.device)
    return out.scatter_reduce_(1, ids, mask.float(), "amax")


def pooled_maximum(moved: Tensor, mask: Tensor, table: Tensor) -> tuple[Tensor, Tensor]:
    """The largest product of any token with each entry, and the token it comes from; documents go in pieces.

    Shapes: ``moved`` float[b, l, h], ``mask`` bool[b, l], ``table`` float[v, h]; result float32[b, v] and
    int64[b, v]. Where a document has no token the maximum is -inf and the token 0.
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


def calibrate(
    weights: Parameters,
    states: Tensor,
    ids: Tensor,
    mask: Tensor,
    allowed: Tensor,
    *,
    active: int = 256,
    own_share: float = 0.95,
) -> None:
    """Set threshold and scale of a fresh head from sample documents, in place.

    Each entry's mean pooled logit is taken off. One threshold for all leaves ``active`` entries above it on average;
    the scale brings the mean of those to 1; ``own`` lifts ``own_share`` of the tokens that occur above it as well.

    Shapes: as in :func:`sparse_weights`.
    """
    with torch.no_grad():
        plain = functional.linear(states, weights[WEIGHT], weights[SHIFT])
        best, _ = pooled_maximum(plain, mask, output_table(weights))
        centred = best - best.mean(dim=0)
        centred[:, ~allowed] = float("-inf")
        wanted = min(active, int(allowed.sum()) // 8) * len(best)  # small vocabularies occur in tests
        cut = centred.flatten().sort(descending=True).values[wanted]
        scale = 1.0 / (centred[centred > cut] - cut).mean()
        present = presence(ids, mask, best.shape[1]).bool() & allowed
        own = (cut - centred[present].quantile(1 - own_share)).clamp(min=0) if bool(present.any()) else cut * 0
        weights[GAIN].mul_(scale)
        weights[BIAS].copy_(-(best.mean(dim=0) + cut) * scale)
        weights[OWN].copy_((own * scale).reshape(1))
