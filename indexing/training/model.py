"""The twin: one pass of a small transformer gives a document's dense and sparse vector."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from twindex.indexing.encoders.bert_weights import BertShape
from twindex.indexing.training.batches import Padded
from twindex.indexing.training.bert import MINILM, WORDS, bert_states, load_bert, mean_pool
from twindex.indexing.training.sparse_head import Activation, allowed_tokens, initial_head, sparse_weights
from twindex.indexing.training.torch_door import Parameters, Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Twin:
    """Weights with what is needed to run them.

    Shapes: ``allowed`` bool[v], vocabulary entries that may be active.
    """

    weights: Parameters
    shape: BertShape
    allowed: Tensor
    activation: Activation = "log1p"

    @classmethod
    def load(cls, path: Path, *, shape: BertShape = MINILM, activation: Activation = "log1p") -> Twin:
        """From a ``model.safetensors``; without a head in it, an uncalibrated one."""
        weights = load_bert(path)
        if not any(name.startswith("head.") for name in weights):
            weights |= initial_head(weights[WORDS])
        return cls(weights, shape, allowed_tokens(len(weights[WORDS])), activation)

    def to(self, device: str) -> Twin:
        """The same on another device."""
        moved = {name: value.to(device) for name, value in self.weights.items()}
        return Twin(moved, self.shape, self.allowed.to(device), self.activation)

    def states(self, batch: Padded, weights: Mapping[str, Tensor] | None = None) -> Tensor:
        """Hidden states of a batch: float[b, l, h]."""
        return bert_states(weights or self.weights, self.shape, batch.ids, batch.mask)

    def dense(self, batch: Padded, states: Tensor) -> Tensor:
        """Dense vectors: float32[b, h], of length 1."""
        return mean_pool(states, batch.mask)

    def sparse(self, batch: Padded, states: Tensor) -> Tensor:
        """Sparse vectors: float32[b, v]."""
        return sparse_weights(self.weights, states, batch.ids, batch.inner, self.allowed, self.activation)
