"""Weights of BERT encoders, read from where they are: safetensors files, and an int8 ONNX export.

Both give the same numbers under the same names (those of the safetensors files, without a "bert."
prefix). Quantisation is symmetric and per output column: scale = max|w| / 127. The packaged int8
export of all-MiniLM-L6-v2 holds exactly what :func:`quantise` makes of the official float32 weights,
so an encoder has the same fingerprint whichever of the two it was read from.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from twindex.indexing.encoders.onnx_wire import Tensor, read_tensors
from twindex.indexing.errors import ConfigError
from twindex.indexing.types import Float32Array

Int8Array = NDArray[np.int8]
#: Linear maps of one layer, in the order in which a forward pass uses them.
LINEARS: Final = (
    "attention.self.query",
    "attention.self.key",
    "attention.self.value",
    "attention.output.dense",
    "intermediate.dense",
    "output.dense",
)
LEVELS: Final = 127
SAFETENSORS_TYPES: Final[dict[str, np.dtype[Any]]] = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2")}


@dataclass(frozen=True, slots=True)
class BertShape:
    """The numbers of a BERT encoder that its weights alone do not say."""

    layers: int
    heads: int
    hidden: int
    epsilon: float = 1e-12


class BertWeights(Protocol):
    """Named arrays of one model."""

    @property
    def shape(self) -> BertShape:
        """Layers, heads, width."""

    def vector(self, name: str) -> Float32Array:
        """A bias or a LayerNorm parameter: float32[n]."""

    def floats(self, name: str) -> Float32Array:
        """A linear map as float32[in, out], or an embedding table as float32[rows, hidden]."""

    def int8(self, name: str) -> tuple[Int8Array, Float32Array]:
        """The same in 8 bits: int8 of the shape of ``floats`` and its scales.

        Shapes: scales float32[out] of a linear map, float32[rows, 1] of a table.
        """


class SafetensorsBert:
    """Weights from a ``model.safetensors``.

    Args:
        path: The file.
        shape: The model's shape, from its ``config.json``.

    Raises:
        ConfigError: If the file is not safetensors, or a weight of BERT is not there as float32 or float16.
    """

    def __init__(self, path: Path, shape: BertShape) -> None:
        self._shape = shape
        self._path = path
        self._tensors = _read_safetensors(path)

    @property
    def shape(self) -> BertShape:
        """Layers, heads, width."""
        return self._shape

    def vector(self, name: str) -> Float32Array:
        """A bias or a LayerNorm parameter."""
        return self._get(name).astype(np.float32)

    def floats(self, name: str) -> Float32Array:
        """A linear map or a table. The file holds linear maps as [out, in]."""
        values = self._get(name).astype(np.float32)
        return values if _is_table(name) else np.ascontiguousarray(values.T)

    def int8(self, name: str) -> tuple[Int8Array, Float32Array]:
        """The same in 8 bits."""
        values = self.floats(name)
        if _is_table(name):
            return quantise(values, axis=1)
        codes, scales = quantise(values, axis=0)
        return codes, scales.reshape(-1)

    def _get(self, name: str) -> Tensor:
        tensor = self._tensors.get(name)
        if tensor is None:
            raise ConfigError(f"{self._path} without the weights {name!r}", expected="those of a BERT encoder")
        return tensor


class Int8OnnxBert:
    """Weights from an ONNX export whose matrices are stored as ``NAME_q`` (int8) and ``NAME_scale``.

    The exporter kept the names of vectors and tables, and numbered the linear maps (``val_49_q``) in
    the order of a forward pass. Biases and norms are float32.

    Args:
        model: The serialised model.
        shape: The model's shape.

    Raises:
        ConfigError: If the weights are not laid out like that.
    """

    PREFIX = "inner."

    def __init__(self, model: bytes, shape: BertShape) -> None:
        try:
            self._tensors = read_tensors(model)
        except ValueError as error:
            raise ConfigError(f"an ONNX file that cannot be read: {error}") from error
        numbered = sorted(int(m[1]) for m in map(re.compile(r"val_(\d+)_q").fullmatch, self._tensors) if m)
        names = [f"encoder.layer.{layer}.{part}" for layer in range(shape.layers) for part in LINEARS]
        if len(numbered) != len(names):
            raise ConfigError(f"an ONNX file with {len(numbered)} int8 matrices", expected=f"{len(names)} of them")
        self._numbers = {f"{name}.weight": f"val_{n}" for name, n in zip(names, numbered)}
        self._shape = shape

    @property
    def shape(self) -> BertShape:
        """Layers, heads, width."""
        return self._shape

    def vector(self, name: str) -> Float32Array:
        """A bias or a LayerNorm parameter."""
        return self._tensors[self.PREFIX + name]

    def floats(self, name: str) -> Float32Array:
        """A table that is stored as float32, or the numbers that the 8 bits stand for."""
        stored = self._tensors.get(self.PREFIX + name)
        if stored is not None:
            return stored
        codes, scales = self.int8(name)
        return codes.astype(np.float32) * scales

    def int8(self, name: str) -> tuple[Int8Array, Float32Array]:
        """Codes and scales as they are stored."""
        stem = self._numbers.get(name, self.PREFIX + name)
        scales = self._tensors[f"{stem}_scale"]
        return self._tensors[f"{stem}_q"], scales if _is_table(name) else scales.reshape(-1)


def quantise(values: Float32Array, *, axis: int) -> tuple[Int8Array, Float32Array]:
    """Symmetric 8-bit codes, and scales of the same rank with ``axis`` reduced to one.

    ``codes * scales`` is within half a scale of ``values``; codes are within +-127.
    """
    largest = np.abs(values).max(axis=axis, keepdims=True)
    scales = np.where(largest > 0, largest / np.float32(LEVELS), np.float32(1)).astype(np.float32)
    return np.round(values / scales).astype(np.int8), scales


def bert_shape(config: Mapping[str, Any]) -> BertShape | None:
    """The shape by a Hugging Face ``config.json``; None if it is not a plain BERT with exact GELU."""
    plain = (
        config.get("model_type") == "bert"
        and config.get("hidden_act", "gelu") == "gelu"
        and config.get("position_embedding_type", "absolute") in ("absolute", None)
        and not config.get("is_decoder", False)
    )
    if not plain:
        return None
    return BertShape(
        layers=int(config["num_hidden_layers"]),
        heads=int(config["num_attention_heads"]),
        hidden=int(config["hidden_size"]),
        epsilon=float(config.get("layer_norm_eps", 1e-12)),
    )


def _is_table(name: str) -> bool:
    return name.startswith("embeddings.")


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    """Views of a memory map. The format: u64 length, a JSON header, raw tensors (safetensors README)."""
    try:
        content = np.memmap(path, np.uint8, mode="r")
        size = int(content[:8].view("<u8")[0])
        header = json.loads(content[8 : 8 + size].tobytes())
        tensors: dict[str, Tensor] = {}
        for name, entry in header.items():
            dtype = SAFETENSORS_TYPES.get(entry.get("dtype", ""))
            if dtype is not None:  # integer tables, such as position ids, are no weights
                start, end = (8 + size + offset for offset in entry["data_offsets"])
                # A copy where needed: the header may leave the data unaligned.
                raw = np.frombuffer(content[start:end].tobytes(), dtype)
                tensors[name.removeprefix("bert.")] = raw.reshape(entry["shape"])
    except (ValueError, KeyError, IndexError, AttributeError, TypeError) as error:
        raise ConfigError(f"{path} is not a safetensors file ({error})") from error
    return tensors
