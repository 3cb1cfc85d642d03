"""A twin encoder as one ONNX graph for one text: token ids in, a dense vector and the top of a sparse one out.

The body is that of :mod:`twindex.indexing.encoders.bert_graph`. The sparse head's linear map is folded into its
table, so one product gives the logits. The columns go in tiles, each reduced to its maximum over the tokens at
once: a tile's products stay in the processor's cache, and no array of tokens by columns is ever held.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from twindex.indexing.encoders.bert_graph import INPUT, OPSETS, OUTPUT, Precision, _Builder
from twindex.indexing.encoders.bert_weights import BertWeights, quantise
from twindex.indexing.encoders.onnx_wire import Node, Port, _bytes, _fields, _int, write_model
from twindex.indexing.errors import ConfigError
from twindex.indexing.types import Float32Array

#: Raised whenever the same weights would give another graph.
VERSION: Final = 2
Activation = Literal["log1p", "log1p-log1p"]
#: Columns of a tile, and entries of a sparse vector that are kept.
TILE: Final = 4096
TOP: Final = 256
IDS, WEIGHTS = "sparse_ids", "sparse_weights"
#: Fields of GraphProto (nodes, initializers, outputs) -> the field that names one.
NAME_FIELDS: Final = {1: 3, 5: 8, 12: 1}


@dataclass(frozen=True, slots=True, eq=False)
class SparseHead:
    """The head, folded: logit = state . table[:, c] + bias[c].

    Shapes: ``table`` float32[hidden, c], ``bias`` float32[c].
    """

    table: Float32Array
    bias: Float32Array
    activation: Activation = "log1p"

    @classmethod
    def fold(cls, weights: BertWeights, activation: Activation) -> SparseHead:
        """From the trained parts: transform, shift, table and bias.

        Raises:
            ConfigError: If a part is missing.
        """
        # Linear maps are read as [in, out]: the table as [hidden, columns].
        transform, table = (weights.floats(name).astype(np.float64) for name in (TRANSFORM, TABLE))
        bias = weights.vector(SHIFT).astype(np.float64) @ table + weights.vector(BIAS)
        return cls(np.ascontiguousarray(transform @ table, np.float32), bias.astype(np.float32), activation)


TRANSFORM, SHIFT, TABLE, BIAS = "head.transform.weight", "head.transform.bias", "head.table", "head.bias"
#: Gains of a text's own stems; no part of the graph.
OWN: Final = "head.own"


def twin_graph(weights: BertWeights, head: SparseHead, precision: Precision, *, top: int = TOP) -> bytes:
    """The serialised model, a function of its arguments alone.

    Shapes: input ``input_ids`` int64[1, n]; outputs ``embedding`` float32[1, hidden], not normalised,
    ``sparse_ids`` int64[top] and ``sparse_weights`` float32[top], heaviest first, 0 where there is none.

    Raises:
        ConfigError: If ``top`` is more than the columns.
    """
    size = len(head.bias)
    if not 0 < top <= size:
        raise ConfigError(f"top = {top}", expected=f"1 to {size}")
    builder = _TwinBuilder(weights, precision)
    hidden = builder.embeddings()
    for layer in range(weights.shape.layers):
        hidden = builder.layer(layer, hidden)
    builder.pool(hidden, "mean")
    builder.sparse(hidden, head, top)
    return write_model(
        builder.nodes,
        builder.tensors,
        inputs=[Port(INPUT, "int64", (1, "n"))],
        outputs=[
            Port(OUTPUT, "float32", (1, weights.shape.hidden)),
            Port(IDS, "int64", (top,)),
            Port(WEIGHTS, "float32", (top,)),
        ],
        opsets=OPSETS,
    )


def dense_part(model: bytes) -> bytes:
    """The graph without its sparse head: what belongs to the head is named ``head...`` or is an output of it.

    ONNX Runtime computes every node of a graph, also for outputs that nobody asked for.
    """
    parts = []
    for number, value in _fields(memoryview(model)):
        if number == 7 and isinstance(value, memoryview):
            value = memoryview(_graph_without_head(value))
        parts.append(_raw(number, value))
    return b"".join(parts)


def _graph_without_head(graph: memoryview) -> bytes:
    kept = []
    for number, value in _fields(graph):
        if isinstance(value, memoryview) and number in NAME_FIELDS:
            name = next(bytes(part).decode() for at, part in _fields(value) if at == NAME_FIELDS[number])
            if name.startswith("head") or name in (IDS, WEIGHTS):
                continue
        kept.append(_raw(number, value))
    return b"".join(kept)


def _raw(number: int, value: int | memoryview) -> bytes:
    return _int(number, value) if isinstance(value, int) else _bytes(number, bytes(value))


class _TwinBuilder(_Builder):
    """The body's builder, and the sparse head after it."""

    def sparse(self, hidden: str, head: SparseHead, top: int) -> None:
        """The head over the states of all tokens; those of [CLS] and [SEP] are left out of the maximum."""
        tiles = self._tiles(hidden, head)
        best = self._add("Concat", tiles, "head_best", axis=0) if len(tiles) > 1 else tiles[0]
        logits = self._add("Add", [best, self._keep("head_bias", head.bias)], "head_logits")
        value = self._add("Relu", [logits], "head_relu")
        one = self._keep("head_one", np.array(1, np.float32))
        for number in range(2 if head.activation == "log1p-log1p" else 1):
            more = self._add("Add", [value, one], f"head_more{number}")
            value = self._add("Log", [more], f"head_log{number}")
        count = self._ints("head_top", [top])
        order = {"axis": 0, "largest": 1, "sorted": 1}
        self.nodes.append(Node("TopK", (value, count), (WEIGHTS, IDS), attributes=order))

    def _tiles(self, hidden: str, head: SparseHead) -> list[str]:
        """The best logit of each entry, tile by tile: float32[tile] each."""
        column = zero = rows = inner = ""
        if self._int8:
            codes, scales, zero = self._quantise("head", hidden, positive=False)
            rows = self._inner(codes, "head_rows")
            column = self._add(
                "Unsqueeze", [self._inner(scales, "head_scales"), self._ints("axis1", [1])], "head_column"
            )
        else:
            inner = self._inner(hidden, "head_states")
        tiles = []
        for number, start in enumerate(range(0, head.table.shape[1], TILE)):
            part = np.ascontiguousarray(head.table[:, start : start + TILE])
            name = f"head_tile{number}"
            if self._int8:
                entries, steps = quantise(part, axis=0)
                kept = [self._keep(f"{name}.codes", entries), self._keep("one", np.array(1, np.float32))]
                kept.append(self._keep(f"{name}.steps", steps.reshape(-1)))
                product = self._add("MatMulIntegerToFloat", [rows, *kept, zero], f"{name}.product", "com.microsoft")
                product = self._add("Mul", [product, column], f"{name}.scaled")
            else:
                product = self._add("MatMul", [inner, self._keep(f"{name}.table", part)], f"{name}.product")
            tiles.append(self._add("ReduceMax", [product], f"{name}.best", axes=[0], keepdims=0))
        return tiles

    def _inner(self, source: str, output: str) -> str:
        """All rows but the first and the last: those of [CLS] and [SEP]."""
        first, last, rows = self._ints("head_first", [1]), self._ints("head_last", [-1]), self._ints("axis0", [0])
        return self._add("Slice", [source, first, last, rows], output)
