"""A BERT encoder as a function of its weights, for training: no module classes, the hub's names throughout.

Weights with a table of distances (MPNet's, see :mod:`twindex.indexing.training.mpnet`) add what it says to attention.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from twindex.indexing.encoders.bert_weights import BertShape
from twindex.indexing.errors import ConfigError
from twindex.indexing.optional import load
from twindex.indexing.training.torch_door import Parameters, Tensor, functional, torch

WORDS: Final = "embeddings.word_embeddings.weight"
POSITIONS: Final = "embeddings.position_embeddings.weight"
KINDS: Final = "embeddings.token_type_embeddings.weight"
DISTANCES: Final = "encoder.relative_attention_bias.weight"
#: Distance from which on all are alike.
FARTHEST: Final = 128
MINILM: Final = BertShape(layers=6, heads=12, hidden=384)


def load_bert(path: Path) -> Parameters:
    """The weights of a ``model.safetensors`` as float32, without a "bert." prefix, poolers and position numbers.

    Raises:
        ConfigError: If the file is missing or is no BERT encoder.
    """
    safetensors = load("safetensors.torch", purpose="reading weights")
    try:
        stored = safetensors.load_file(str(path))
    except (OSError, ValueError) as error:
        raise ConfigError(f"no weights in {path} ({error})", expected="a model.safetensors") from error
    named = {name.removeprefix("bert."): value for name, value in stored.items()}
    # Copies: the library maps the file, and a file that changes must not change weights in use.
    kept = {k: v.float().clone() for k, v in named.items() if k.startswith(("embeddings.", "encoder.", "head."))}
    kept.pop("embeddings.position_ids", None)
    if WORDS not in kept:
        raise ConfigError(f"{path} without {WORDS!r}", expected="the weights of a BERT encoder")
    return kept


def bert_states(
    weights: Mapping[str, Tensor], shape: BertShape, ids: Tensor, mask: Tensor, kinds: Tensor | None = None
) -> Tensor:
    """The last hidden state of each token.

    Shapes: ``ids`` int64[b, l], ``mask`` bool[b, l] (True = a token), ``kinds`` int64[b, l] (0 = first text, 1 =
    second; None = all 0); result float[b, l, hidden].
    """
    x = functional.embedding(ids, weights[WORDS])
    x = x + weights[POSITIONS][: ids.shape[1]]
    types = weights[KINDS]
    x = x + (types[0] if kinds is None else functional.embedding(kinds, types))
    x = _norm(weights, "embeddings.LayerNorm", x, shape)
    seen = attention_mask(weights, mask)
    for number in range(shape.layers):
        x = _layer(weights, f"encoder.layer.{number}.", x, seen, shape)
    return x


def attention_mask(weights: Mapping[str, Tensor], mask: Tensor) -> Tensor:
    """What attention is masked by: the tokens, or what is added to its scores where distances count.

    Shapes: ``mask`` bool[b, l]; result bool[b, 1, 1, l], or float[b, heads, l, l] without gradients.
    """
    seen = mask[:, None, None, :]
    if DISTANCES not in weights:
        return seen
    table = weights[DISTANCES].detach()
    kind = mask.device.type
    if torch.is_autocast_enabled(kind):
        table = table.to(torch.get_autocast_dtype(kind))
    place = torch.arange(mask.shape[1], device=mask.device)
    bias = table[_bucket(place[None, :] - place[:, None], len(table))].permute(2, 0, 1).unsqueeze(0)
    return torch.where(seen, bias, torch.full_like(bias, float("-inf")))


def _bucket(distance: Tensor, buckets: int) -> Tensor:
    """T5's buckets: near distances have their own, far ones share, on either side (arXiv 1910.10683)."""
    half = buckets // 2
    exact = half // 2
    size = distance.abs()
    far = (size.clamp(min=1).float() / exact).log() / math.log(FARTHEST / exact) * (half - exact)
    shared = (exact + far.long()).clamp(max=half - 1)
    return torch.where(distance > 0, half, 0) + torch.where(size < exact, size, shared)


def mean_pool(states: Tensor, mask: Tensor) -> Tensor:
    """The normalised mean of the tokens' states.

    Shapes: ``states`` float[b, l, h], ``mask`` bool[b, l]; result float32[b, h] of length 1.
    """
    wide = states.float()
    weights = mask.unsqueeze(-1).float()
    total = (wide * weights).sum(dim=1)
    return functional.normalize(total / weights.sum(dim=1).clamp(min=1), dim=-1)


def _layer(weights: Mapping[str, Tensor], prefix: str, x: Tensor, mask: Tensor, shape: BertShape) -> Tensor:
    batch, length, hidden = x.shape
    size = (batch, length, shape.heads, hidden // shape.heads)
    query, key, value = (
        _linear(weights, f"{prefix}attention.self.{part}", x).view(size).transpose(1, 2)
        for part in ("query", "key", "value")
    )
    mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    mixed = mixed.transpose(1, 2).reshape(batch, length, hidden)
    x = x + _linear(weights, f"{prefix}attention.output.dense", mixed)
    x = _norm(weights, f"{prefix}attention.output.LayerNorm", x, shape)
    inner = functional.gelu(_linear(weights, f"{prefix}intermediate.dense", x))
    x = x + _linear(weights, f"{prefix}output.dense", inner)
    return _norm(weights, f"{prefix}output.LayerNorm", x, shape)


def _linear(weights: Mapping[str, Tensor], name: str, x: Tensor) -> Tensor:
    return functional.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])


def _norm(weights: Mapping[str, Tensor], name: str, x: Tensor, shape: BertShape) -> Tensor:
    size = (shape.hidden,)
    return functional.layer_norm(x, size, weights[f"{name}.weight"], weights[f"{name}.bias"], shape.epsilon)
