"""The twin: one pass of a small transformer gives a document's dense vector and its sparse expansion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from twindex.indexing.encoders.bert_weights import BertShape
from twindex.indexing.encoders.term_space import TermSpace
from twindex.indexing.training.batches import Padded
from twindex.indexing.training.bert import MINILM, WORDS, bert_states, load_bert, mean_pool
from twindex.indexing.training.sparse_head import TABLE, Activation, expansions, initial_head
from twindex.indexing.training.torch_door import Parameters, Tensor
from twindex.indexing.types import Int32Array


@dataclass(frozen=True, slots=True, eq=False)
class Twin:
    """Weights with what is needed to run them. ``fresh``: the head is a start that is still to be calibrated."""

    weights: Parameters
    shape: BertShape
    activation: Activation = "log1p"
    fresh: bool = False

    @classmethod
    def load(
        cls,
        path: Path,
        *,
        shape: BertShape = MINILM,
        activation: Activation = "log1p",
        column_of: Int32Array | None = None,
    ) -> Twin:
        """From a ``model.safetensors``; without a head in it, an uncalibrated one.

        ``column_of`` is the column of each vocabulary entry; None = that of the vendored vocabulary.
        """
        weights = load_bert(path)
        fresh = TABLE not in weights
        if fresh:
            where = TermSpace.bert_uncased().column_of if column_of is None else column_of
            weights |= initial_head(weights[WORDS], where)
        return cls(weights, shape, activation, fresh)

    def to(self, device: str) -> Twin:
        """The same on another device."""
        return replace(self, weights={name: value.to(device) for name, value in self.weights.items()})

    def states(self, batch: Padded, weights: Mapping[str, Tensor] | None = None) -> Tensor:
        """Hidden states of a batch: float[b, l, h]."""
        return bert_states(weights or self.weights, self.shape, batch.ids, batch.mask)

    def dense(self, batch: Padded, states: Tensor) -> Tensor:
        """Dense vectors: float32[b, h], of length 1."""
        return mean_pool(states, batch.mask)

    def expansions(self, batch: Padded, states: Tensor) -> Tensor:
        """What the encoder adds to sparse vectors: float32[b, c]."""
        return expansions(self.weights, states, batch.inner, self.activation)
