"""A cross-encoder as one ONNX graph for one pair: [CLS] query [SEP] text [SEP] in, one number out.

The body is that of :mod:`twindex.indexing.encoders.bert_graph`, with the second text marked by its token type; the
number is a linear map of the state of [CLS].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from twindex.indexing.encoders.bert_graph import INPUT, OPSETS, Precision, _Builder
from twindex.indexing.encoders.bert_weights import BertWeights
from twindex.indexing.encoders.onnx_wire import Port, write_model
from twindex.indexing.errors import ConfigError
from twindex.indexing.types import Float32Array

KINDS: Final = "token_type_ids"
LOGIT: Final = "score"
#: Names of the head in a run's weights.
WEIGHT, BIAS = "head.score.weight", "head.score.bias"


@dataclass(frozen=True, slots=True, eq=False)
class ScoreHead:
    """From the state of [CLS] to a number. Shapes: ``weight`` float32[hidden]; ``bias`` float32[1]."""

    weight: Float32Array
    bias: Float32Array

    def __post_init__(self) -> None:
        finite = bool(np.isfinite(self.weight).all() and np.isfinite(self.bias).all())
        if self.weight.ndim != 1 or self.bias.shape != (1,) or not finite:
            raise ConfigError(
                f"a score head of shapes {self.weight.shape} and {self.bias.shape}",
                expected="finite float32[hidden] and float32[1]",
            )


def pair_graph(weights: BertWeights, head: ScoreHead, precision: Precision, length: int) -> bytes:
    """The serialised model for pairs of up to ``length`` tokens, a function of its arguments alone.

    Shapes: inputs ``input_ids`` and ``token_type_ids`` int64[1, n]; output ``score`` float32[1, 1].

    Raises:
        ConfigError: If the head is made for another width.
    """
    if len(head.weight) != weights.shape.hidden:
        raise ConfigError(f"a score head over {len(head.weight)} numbers", expected=f"{weights.shape.hidden}")
    builder = _PairBuilder(weights, precision, length)
    hidden = builder.embeddings()
    for layer in range(weights.shape.layers):
        hidden = builder.layer(layer, hidden)
    builder.score(hidden, head)
    return write_model(
        builder.nodes,
        builder.tensors,
        inputs=[Port(INPUT, "int64", (1, "n")), Port(KINDS, "int64", (1, "n"))],
        outputs=[Port(LOGIT, "float32", (1, 1))],
        opsets=OPSETS,
    )


class _PairBuilder(_Builder):
    """The body's builder with token types, positions for pairs of some length, and a score after it."""

    def __init__(self, weights: BertWeights, precision: Precision, length: int) -> None:
        super().__init__(weights, precision)
        self._length = length

    def _table(self, name: str) -> Float32Array:
        return super()._table(name)[: self._length]

    def _words(self, ids: str) -> str:
        """Words, and what the second kind of token differs by from the first, which is in the positions already."""
        kinds = self._weights.floats("embeddings.token_type_embeddings.weight")
        table = self._keep("kind_differences", (kinds - kinds[0])[:2])
        flat = self._add("Reshape", [KINDS, self._ints("flat", [-1])], "kinds")
        extra = self._add("Gather", [table, flat], "kind", axis=0)
        return self._add("Add", [super()._words(ids), extra], "words_of_kinds")

    def score(self, hidden: str, head: ScoreHead) -> None:
        """The head, in full precision: it is one product of a vector."""
        first = self._add("Gather", [hidden, self._ints("first", [0])], "first_state", axis=0)
        column = self._keep("score.weight", head.weight.reshape(-1, 1).astype(np.float32))
        product = self._add("MatMul", [first, column], "score_product")
        self._add("Add", [product, self._keep("score.bias", head.bias.reshape(1, 1).astype(np.float32))], LOGIT)
