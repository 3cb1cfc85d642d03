"""The few ONNX messages that we read and write, in protobuf's wire format.

Reading: the initializers (weights) of a model. Writing: a model of nodes, weights, inputs and outputs.
The ``onnx`` package does this and far more, in 90 MB of dependencies; a model of ours needs five messages.
Source: onnx.proto (field numbers) and the protobuf encoding guide (varints, length-delimited fields).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

#: TensorProto.DataType of the numpy types that occur.
CODES: Final[dict[str, int]] = {
    "float32": 1,
    "uint8": 2,
    "int8": 3,
    "int32": 6,
    "int64": 7,
    "bool": 9,
}
DTYPES: Final = {code: np.dtype(name) for name, code in CODES.items()}
#: Wire types: varint, 8 bytes, length-delimited, 4 bytes.
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
#: AttributeProto.AttributeType.
ATTR_FLOAT, ATTR_INT, ATTR_STRING, ATTR_INTS = 1, 2, 3, 7
IR_VERSION: Final = 8

Tensor: TypeAlias = "NDArray[Any]"
Attribute: TypeAlias = "int | float | str | Sequence[int]"


@dataclass(frozen=True, slots=True)
class Node:
    """One operation. ``domain`` "" is ONNX itself."""

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    domain: str = ""
    attributes: Mapping[str, Attribute] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output of the graph; a string in ``shape`` names a free dimension."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]


def read_tensors(model: memoryview | bytes) -> dict[str, Tensor]:
    """The initializers of a serialised ModelProto by name; views of ``model``, not copies.

    Raises:
        ValueError: If the bytes are not such a message, or a tensor is stored in another way than raw.
    """
    tensors: dict[str, Tensor] = {}
    for number, graph in _fields(memoryview(model)):
        if number == 7 and isinstance(graph, memoryview):
            for inner, value in _fields(graph):
                if inner == 5 and isinstance(value, memoryview):
                    name, tensor = _read_tensor(value)
                    tensors[name] = tensor
    return tensors


def write_model(
    nodes: Sequence[Node],
    tensors: Mapping[str, Tensor],
    *,
    inputs: Sequence[Port],
    outputs: Sequence[Port],
    opsets: Mapping[str, int],
) -> bytes:
    """A serialised ModelProto. The same arguments give the same bytes."""
    graph = [_bytes(1, _node(node)) for node in nodes]
    graph.append(_text(2, "twindex"))
    graph += [_bytes(5, _tensor(name, value)) for name, value in tensors.items()]
    graph += [_bytes(11, _port(port)) for port in inputs]
    graph += [_bytes(12, _port(port)) for port in outputs]
    parts = [_int(1, IR_VERSION), _text(2, "twindex"), _bytes(7, b"".join(graph))]
    parts += [_bytes(8, _text(1, domain) + _int(2, version)) for domain, version in opsets.items()]
    return b"".join(parts)


def _varint_at(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise ValueError("a number runs past the end of the message")
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    at = 0
    while at < len(data):
        key, at = _varint_at(data, at)
        kind = key & 7
        value: int | memoryview
        if kind == VARINT:
            value, at = _varint_at(data, at)
        else:
            if kind == BYTES:
                size, at = _varint_at(data, at)
            elif kind in (FIXED32, FIXED64):
                size = 4 if kind == FIXED32 else 8
            else:
                raise ValueError(f"wire type {kind}")
            if at + size > len(data):
                raise ValueError("a field runs past the end of the message")
            value, at = data[at : at + size], at + size
        yield key >> 3, value


def _read_tensor(message: memoryview) -> tuple[str, Tensor]:
    name, code, dims, raw = "", 0, [], None
    for number, value in _fields(message):
        if number == 1:
            dims += _numbers(value)
        elif number == 2 and isinstance(value, int):
            code = value
        elif number == 8 and isinstance(value, memoryview):
            name = bytes(value).decode()
        elif number == 9 and isinstance(value, memoryview):
            raw = value
    if raw is None or code not in DTYPES:
        raise ValueError(f"tensor {name!r} of type {code} is not stored as raw bytes")
    return name, np.frombuffer(raw, DTYPES[code]).reshape(dims)


def _numbers(value: int | memoryview) -> list[int]:
    """A repeated number: one entry, or many packed into one field."""
    if isinstance(value, int):
        return [value]
    numbers, at = [], 0
    while at < len(value):
        number, at = _varint_at(value, at)
        numbers.append(number)
    return numbers


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1  # negative numbers are written as 64-bit two's complement
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _int(number: int, value: int) -> bytes:
    return _varint(number << 3 | VARINT) + _varint(value)


def _bytes(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | BYTES) + _varint(len(value)) + value


def _text(number: int, value: str) -> bytes:
    return _bytes(number, value.encode())


def _attribute(name: str, value: Attribute) -> bytes:
    out = _text(1, name)
    if isinstance(value, int):
        return out + _int(3, value) + _int(20, ATTR_INT)
    if isinstance(value, float):
        return out + _varint(2 << 3 | FIXED32) + struct.pack("<f", value) + _int(20, ATTR_FLOAT)
    if isinstance(value, str):
        return out + _text(4, value) + _int(20, ATTR_STRING)
    return out + b"".join(_int(8, item) for item in value) + _int(20, ATTR_INTS)


def _node(node: Node) -> bytes:
    parts = [_text(1, name) for name in node.inputs]
    parts += [_text(2, name) for name in node.outputs]
    parts += [_text(3, node.outputs[0]), _text(4, node.op)]
    parts += [_bytes(5, _attribute(name, value)) for name, value in node.attributes.items()]
    if node.domain:
        parts.append(_text(7, node.domain))
    return b"".join(parts)


def _tensor(name: str, value: Tensor) -> bytes:
    head = b"".join(_int(1, size) for size in value.shape) + _int(2, CODES[value.dtype.name])
    return head + _text(8, name) + _bytes(9, np.ascontiguousarray(value).tobytes())


def _port(port: Port) -> bytes:
    dims = b"".join(_bytes(1, _text(2, size) if isinstance(size, str) else _int(1, size)) for size in port.shape)
    tensor = _int(1, CODES[port.dtype]) + _bytes(2, dims)
    return _text(1, port.name) + _bytes(2, _bytes(1, tensor))
