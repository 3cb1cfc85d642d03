"""A BERT encoder as one ONNX graph for one text: token ids in, one pooled vector out.

The graph has no padding and no mask, since it always runs a single text: the vector of a text then
depends on nothing else. Attention and GELU are ONNX Runtime's fused operations
(https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md).

In 8 bits each row of activations (one token) is quantised by itself, to 7 bits, and multiplied as
integers. Seven bits because the AVX2 instruction for unsigned x signed bytes adds two products in 16
bits and saturates: 2 * 127 * 127 still fits. So these products are exact on every processor, and their
order cannot matter. Inputs of the second feed-forward map come from GELU, which is never below -0.17:
they are shifted to be positive, which gains back the bit of the sign, and the shift is taken out of the
bias.
"""

from __future__ import annotations

from typing import Final, Literal

import numpy as np

from twindex.indexing.encoders.bert_weights import LINEARS, BertWeights
from twindex.indexing.encoders.onnx_wire import Attribute, Node, Port, Tensor, write_model
from twindex.indexing.types import Float32Array

Precision = Literal["int8", "fp32"]
Pooling = Literal["mean", "cls", "max"]

#: Raised whenever the same weights would give another graph.
VERSION: Final = 1
CONTRIB: Final = "com.microsoft"
OPSETS: Final = {"": 17, CONTRIB: 1}
#: GELU's minimum is -0.16997...
GELU_SHIFT: Final = 0.17
#: Seven bits: -63..63 around 64, or 0..127 where inputs are positive.
CENTRE: Final = 64
SIGNED_LEVELS: Final = 63
POSITIVE_LEVELS: Final = 127
FLOAT: Final = 1  # TensorProto.FLOAT
INPUT: Final = "input_ids"
OUTPUT: Final = "embedding"


def bert_graph(weights: BertWeights, precision: Precision, pooling: Pooling) -> bytes:
    """The serialised model, a function of its arguments alone.

    Shapes: input ``input_ids`` int64[1, n]; output ``embedding`` float32[1, hidden], not normalised.
    """
    builder = _Builder(weights, precision)
    hidden = builder.embeddings()
    for layer in range(weights.shape.layers):
        hidden = builder.layer(layer, hidden)
    builder.pool(hidden, pooling)
    return write_model(
        builder.nodes,
        builder.tensors,
        inputs=[Port(INPUT, "int64", (1, "n"))],
        outputs=[Port(OUTPUT, "float32", (1, weights.shape.hidden))],
        opsets=OPSETS,
    )


class _Builder:
    """Collects nodes and weights. Methods return the name of what they compute, float32[n, width]."""

    def __init__(self, weights: BertWeights, precision: Precision) -> None:
        self.nodes: list[Node] = []
        self.tensors: dict[str, Tensor] = {}
        self._weights = weights
        self._int8 = precision == "int8"

    def embeddings(self) -> str:
        zero, one = self._ints("axis0", [0]), self._ints("axis1", [1])
        flat = self._add("Reshape", [INPUT, self._ints("flat", [-1])], "ids")
        words = self._words(flat)
        self._add("Shape", [flat], "length")
        if self._int8:
            for name, centre in (("centres", CENTRE), ("zeros", 0)):
                value = self._keep(f"{name}_value", np.array([centre], np.uint8))
                self._add("Expand", [value, "length"], name)
        table = self._table("embeddings.position_embeddings.weight")
        kinds = self._weights.floats("embeddings.token_type_embeddings.weight")
        positions = self._keep("positions", table + kinds[0])
        self._add("Slice", [positions, zero, "length", zero, one], "position")
        total = self._add("Add", [words, "position"], "embedded")
        return self._norm(total, "embeddings.LayerNorm")

    def layer(self, number: int, hidden: str) -> str:
        prefix = f"encoder.layer.{number}."
        query, key, value, output, inner, outer = (prefix + part for part in LINEARS)
        attended = self._attention(prefix, self._linear([query, key, value], hidden), [query, key, value])
        mixed = self._residual(self._linear([output], attended), output, hidden)
        hidden = self._norm(mixed, f"{prefix}attention.output.LayerNorm")
        bias = self._bias([inner])
        wide = self._add("BiasGelu", [self._linear([inner], hidden), bias], f"{prefix}gelu", CONTRIB)
        back = self._residual(self._linear([outer], wide, positive=True), outer, hidden)
        return self._norm(back, f"{prefix}output.LayerNorm")

    def pool(self, hidden: str, pooling: Pooling) -> None:
        if pooling == "cls":
            self._add("Gather", [hidden, self._ints("first", [0])], OUTPUT, axis=0)
        else:
            op = "ReduceMean" if pooling == "mean" else "ReduceMax"
            self._add(op, [hidden], OUTPUT, axes=[0], keepdims=1)

    def _words(self, ids: str) -> str:
        name = "embeddings.word_embeddings.weight"
        if not self._int8:
            return self._add("Gather", [self._keep(name, self._weights.floats(name)), ids], "words", axis=0)
        codes, scales = self._weights.int8(name)
        rows = self._add("Gather", [self._keep(f"{name}_q", codes), ids], "word_codes", axis=0)
        scale = self._add("Gather", [self._keep(f"{name}_s", scales), ids], "word_scales", axis=0)
        return self._add("Mul", [self._add("Cast", [rows], "word_floats", to=FLOAT), scale], "words")

    def _table(self, name: str) -> Float32Array:
        if not self._int8:
            return self._weights.floats(name)
        codes, scales = self._weights.int8(name)
        return codes.astype(np.float32) * scales

    def _attention(self, prefix: str, joined: str, names: list[str]) -> str:
        axis = self._ints("axis0", [0])
        batched = self._add("Unsqueeze", [joined, axis], f"{prefix}qkv")
        parts = [f"{prefix}{part}" for part in ("q", "k", "v")]
        self.nodes.append(Node("Split", (batched,), tuple(parts), attributes={"axis": 2}))
        heads = self._weights.shape.heads
        inputs = [*parts, self._bias(names)]
        out = self._add("MultiHeadAttention", inputs, f"{prefix}context", CONTRIB, num_heads=heads)
        return self._add("Squeeze", [out, axis], f"{prefix}attended")

    def _linear(self, names: list[str], source: str, *, positive: bool = False) -> str:
        """The product without its bias, which the next operation adds."""
        name = names[0]
        if not self._int8:
            matrix = np.concatenate([self._weights.floats(f"{n}.weight") for n in names], axis=1)
            return self._add("MatMul", [source, self._keep(f"{name}.weight", matrix)], f"{name}.out")
        pairs = [self._weights.int8(f"{n}.weight") for n in names]
        codes = self._keep(f"{name}.codes", np.concatenate([codes for codes, _ in pairs], axis=1))
        scales = self._keep(f"{name}.scales", np.concatenate([scales for _, scales in pairs]))
        rows, row_scales, centre = self._quantise(name, source, positive)
        inputs = [rows, codes, self._keep("one", np.array(1, np.float32)), scales, centre]
        product = self._add("MatMulIntegerToFloat", inputs, f"{name}.product", CONTRIB)
        column = self._add("Unsqueeze", [row_scales, self._ints("axis1", [1])], f"{name}.column")
        return self._add("Mul", [product, column], f"{name}.out")

    def _quantise(self, name: str, source: str, positive: bool) -> tuple[str, str, str]:
        """Codes of the rows, their scales, and the code that stands for zero."""
        if positive:
            shift = self._keep("gelu_shift", np.array(GELU_SHIFT, np.float32))
            source = magnitude = self._add("Add", [source, shift], f"{name}.shifted")
        else:
            magnitude = self._add("Abs", [source], f"{name}.abs")
        levels, centres = (POSITIVE_LEVELS, "zeros") if positive else (SIGNED_LEVELS, "centres")
        largest = self._add("ReduceMax", [magnitude], f"{name}.max", axes=[1], keepdims=0)
        step = self._keep(f"step{levels}", np.array(1 / levels, np.float32))
        scales = self._add("Mul", [largest, step], f"{name}.row_scales")
        codes = self._add("QuantizeLinear", [source, scales, centres], f"{name}.rows", axis=0)
        zero = self._keep(f"{centres}_scalar", np.array(0 if positive else CENTRE, np.uint8))
        return codes, scales, zero

    def _residual(self, product: str, name: str, hidden: str) -> str:
        bias = self._bias([name], positive=name.endswith(f"{LINEARS[-1]}") and "attention" not in name)
        biased = self._add("Add", [product, bias], f"{name}.biased")
        return self._add("Add", [biased, hidden], f"{name}.residual")

    def _bias(self, names: list[str], *, positive: bool = False) -> str:
        values = np.concatenate([self._weights.vector(f"{name}.bias") for name in names])
        if positive and self._int8:
            codes, scales = self._weights.int8(f"{names[0]}.weight")
            columns = codes.sum(axis=0, dtype=np.int64) * scales.astype(np.float64)
            values = (values - GELU_SHIFT * columns).astype(np.float32)
        return self._keep(f"{names[0]}.bias", values)

    def _norm(self, source: str, name: str) -> str:
        # Not the fused SkipLayerNormalization: on the CPU it measured ten times slower than its parts.
        weight = self._keep(f"{name}.weight", self._weights.vector(f"{name}.weight"))
        bias = self._keep(f"{name}.bias", self._weights.vector(f"{name}.bias"))
        epsilon = self._weights.shape.epsilon
        return self._add("LayerNormalization", [source, weight, bias], f"{name}.out", axis=-1, epsilon=epsilon)

    def _ints(self, name: str, values: list[int]) -> str:
        return self._keep(name, np.array(values, np.int64))

    def _keep(self, name: str, value: Tensor) -> str:
        self.tensors.setdefault(name, value)
        return name

    def _add(self, op: str, inputs: list[str], output: str, domain: str = "", **attributes: Attribute) -> str:
        self.nodes.append(Node(op, tuple(inputs), (output,), domain, attributes))
        return output
