"""Our own BERT graph against a slow twin, its 8-bit form, and the wire format that carries it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.indexing.tiny_bert import (
    CONFIG,
    HIDDEN,
    SHAPE,
    WORDS,
    float_weights,
    int8_weights,
    slow_bert,
    weights,
    write_safetensors,
)
from twindex.indexing.encoders.bert_graph import Pooling, Precision, bert_graph
from twindex.indexing.encoders.bert_weights import (
    BertWeights,
    Int8OnnxBert,
    SafetensorsBert,
    bert_shape,
    quantise,
)
from twindex.indexing.encoders.onnx_wire import Node, Port, read_tensors, write_model
from twindex.indexing.errors import ConfigError
from twindex.indexing.optional import load
from twindex.indexing.types import Float32Array


def run(source: BertWeights, precision: Precision, pooling: Pooling, ids: list[int]) -> Float32Array:
    ort = load("onnxruntime", purpose="tests")
    session = ort.InferenceSession(bert_graph(source, precision, pooling), providers=["CPUExecutionProvider"])
    found = session.run(["embedding"], {"input_ids": np.array([ids], np.int64)})[0]
    assert found.shape == (1, HIDDEN)
    return np.asarray(found[0])


def cosine(a: Any, b: Any) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


@pytest.mark.parametrize("length", [2, 3, 17, 40])
@pytest.mark.parametrize("pooling", ["mean", "cls", "max"])
def test_float32_equals_the_slow_twin(tmp_path: Path, length: int, pooling: Pooling) -> None:
    arrays = weights()
    ids = np.random.default_rng(length).integers(0, len(WORDS), length).tolist()
    states = slow_bert(arrays, ids)
    wanted = {"mean": states.mean(axis=0), "cls": states[0], "max": states.max(axis=0)}[pooling]
    assert np.allclose(run(float_weights(tmp_path, arrays), "fp32", pooling, ids), wanted, atol=2e-5)


@pytest.mark.parametrize("seed", range(4))
def test_eight_bits_stay_close(tmp_path: Path, seed: int) -> None:
    arrays = weights(seed)
    ids = np.random.default_rng(seed).integers(0, len(WORDS), 20).tolist()
    wanted = slow_bert(arrays, ids).mean(axis=0)
    assert cosine(run(float_weights(tmp_path, arrays), "int8", "mean", ids), wanted) > 0.99


def test_eight_bits_are_the_same_model_from_either_source(tmp_path: Path) -> None:
    arrays = weights()
    source = float_weights(tmp_path, arrays)
    assert bert_graph(source, "int8", "mean") == bert_graph(int8_weights(source, arrays), "int8", "mean")


def test_half_precision_and_prefixed_names(tmp_path: Path) -> None:
    arrays = {name: array.astype(np.float16).astype(np.float32) for name, array in weights().items()}
    write_safetensors(tmp_path / "half", arrays, prefix="bert.", half=True)
    write_safetensors(tmp_path / "full", arrays)
    half, full = (SafetensorsBert(tmp_path / name, SHAPE) for name in ("half", "full"))
    assert bert_graph(half, "fp32", "mean") == bert_graph(full, "fp32", "mean")


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 99), st.sampled_from([1e-6, 1.0, 1e6]))
def test_quantised_weights_are_within_half_a_step(rows: int, columns: int, seed: int, size: float) -> None:
    values = (np.random.default_rng(seed).standard_normal((rows, columns)) * size).astype(np.float32)
    values[:, 0] *= seed % 2  # a column of zeros at times
    codes, scales = quantise(values, axis=0)
    assert codes.dtype == np.int8
    assert int(np.abs(codes.astype(int)).max()) <= 127
    assert bool((np.abs(codes * scales.astype(np.float64) - values) <= scales * 0.5001).all())


@pytest.mark.parametrize(
    "change",
    [
        {"model_type": "mpnet"},
        {"hidden_act": "relu"},
        {"position_embedding_type": "relative_key"},
        {"is_decoder": True},
    ],
)
def test_other_architectures_are_told_apart(change: dict[str, Any]) -> None:
    assert bert_shape(CONFIG) == SHAPE
    assert bert_shape({**CONFIG, **change}) is None
    assert bert_shape({}) is None


@pytest.mark.parametrize("content", [b"", b"1234567", b"\xff" * 64, (5).to_bytes(8, "little") + b"[1,2]"])
def test_files_that_are_not_safetensors(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="safetensors"):
        SafetensorsBert(path, SHAPE)


def test_truncated_safetensors(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    write_safetensors(path, weights())
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ConfigError, match="safetensors"):
        SafetensorsBert(path, SHAPE)


def test_an_onnx_file_of_another_model() -> None:
    node = Node("Identity", ("x",), ("y",))
    ports = [Port("x", "float32", (1,))], [Port("y", "float32", (1,))]
    model = write_model([node], {}, inputs=ports[0], outputs=ports[1], opsets={"": 17})
    with pytest.raises(ConfigError, match="0 int8 matrices"):
        Int8OnnxBert(model, SHAPE)
    with pytest.raises(ConfigError, match="cannot be read"):
        Int8OnnxBert(b"\x3a\xff\xff", SHAPE)


NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=5)
ARRAYS = st.tuples(
    st.sampled_from(["float32", "uint8", "int8", "int32", "int64", "bool"]),
    st.lists(st.integers(0, 3), max_size=3),
    st.integers(0, 9),
)


@given(st.dictionaries(NAMES, ARRAYS, max_size=5))
def test_tensors_survive_the_wire(described: dict[str, tuple[str, list[int], int]]) -> None:
    tensors = {}
    for name, (dtype, shape, seed) in described.items():
        rng = np.random.default_rng(seed)
        tensors[name] = rng.integers(0, 2, shape).astype(dtype)
    found = read_tensors(write_model([], tensors, inputs=[], outputs=[], opsets={}))
    assert list(found) == list(tensors)
    for name, tensor in tensors.items():
        assert found[name].dtype == tensor.dtype
        assert found[name].shape == tensor.shape
        assert np.array_equal(found[name], tensor)


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    try:
        read_tensors(content)
    except ValueError:
        return


def test_attributes_of_every_kind_reach_the_runtime() -> None:
    """Negative, float, string and list attributes, checked by what the operations compute."""
    nodes = [
        Node("Softmax", ("x",), ("a",), attributes={"axis": -1}),
        Node("LeakyRelu", ("a",), ("b",), attributes={"alpha": 0.25}),
        Node("Transpose", ("b",), ("c",), attributes={"perm": [1, 0]}),
        Node("DepthToSpace", ("d",), ("e",), attributes={"blocksize": 1, "mode": "CRD"}),
    ]
    inputs = [Port("x", "float32", ("n", 3)), Port("d", "float32", (1, 1, 1, 1))]
    outputs = [Port("c", "float32", (3, "n")), Port("e", "float32", (1, 1, 1, 1))]
    ort = load("onnxruntime", purpose="tests")
    model = write_model(nodes, {}, inputs=inputs, outputs=outputs, opsets={"": 17})
    x = np.array([[1, 2, 3], [0, 0, 0]], np.float32)
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    found = session.run(["c"], {"x": x, "d": np.ones((1, 1, 1, 1), np.float32)})[0]
    share = np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)
    assert np.allclose(found, share.T, atol=1e-6)
    assert json.dumps(found.shape) == "[3, 2]"
