"""A BERT of two small layers with random weights, on disk as the hub lays it out, and a slow twin in numpy."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from twindex.indexing.encoders.bert_weights import LINEARS, BertShape, BertWeights, Int8OnnxBert, SafetensorsBert
from twindex.indexing.encoders.onnx_wire import Node, Port, Tensor, write_model
from twindex.indexing.optional import load
from twindex.indexing.types import Float32Array

LAYERS, HEADS, HIDDEN, INNER, POSITIONS = 2, 4, 32, 64, 40
SHAPE = BertShape(LAYERS, HEADS, HIDDEN)
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *(chr(97 + i) for i in range(26)), "query", ":", "passage"]
CONFIG = {
    "model_type": "bert",
    "hidden_act": "gelu",
    "hidden_size": HIDDEN,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "max_position_embeddings": POSITIONS,
}


def weights(seed: int = 0) -> dict[str, Float32Array]:
    """Arrays under the names of a safetensors file, linear maps as [out, in]."""
    rng = np.random.default_rng(seed)
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (len(WORDS), HIDDEN),
        "embeddings.position_embeddings.weight": (POSITIONS, HIDDEN),
        "embeddings.token_type_embeddings.weight": (2, HIDDEN),
    }
    for layer in range(LAYERS):
        for part in LINEARS:
            out = INNER if part == "intermediate.dense" else HIDDEN
            width = INNER if part == "output.dense" else HIDDEN
            shapes[f"encoder.layer.{layer}.{part}.weight"] = (out, width)
            shapes[f"encoder.layer.{layer}.{part}.bias"] = (out,)
    arrays = {name: rng.standard_normal(shape).astype(np.float32) * np.float32(0.3) for name, shape in shapes.items()}
    norms = ["embeddings.LayerNorm"]
    for layer in range(LAYERS):
        norms += [f"encoder.layer.{layer}.{part}.LayerNorm" for part in ("attention.output", "output")]
    for name in norms:
        arrays[f"{name}.weight"] = (1 + 0.1 * rng.standard_normal(HIDDEN)).astype(np.float32)
        arrays[f"{name}.bias"] = (0.1 * rng.standard_normal(HIDDEN)).astype(np.float32)
    return arrays


def write_safetensors(path: Path, arrays: dict[str, Float32Array], *, prefix: str = "", half: bool = False) -> None:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    content = bytearray()
    for name, array in arrays.items():
        data = array.astype("<f2" if half else "<f4").tobytes()
        offsets = [len(content), len(content) + len(data)]
        dtype = "F16" if half else "F32"
        header[prefix + name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": offsets}
        content += data
    header["embeddings.position_ids"] = {"dtype": "I64", "shape": [0], "data_offsets": [len(content)] * 2}
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(content))


def write_tokenizer(path: Path) -> None:
    lib = load("tokenizers", purpose="tests")
    vocabulary = {word: number for number, word in enumerate(WORDS)}
    tokenizer = lib.Tokenizer(lib.models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = lib.normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = lib.pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = lib.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.enable_padding(length=12)  # as published tokenizers do; it must not reach the model
    tokenizer.enable_truncation(5)
    tokenizer.save(str(path))


def write_folder(folder: Path, *, seed: int = 0, **files: Any) -> Path:
    """A model folder; keyword arguments are further JSON files (``a__b`` is ``a/b.json``)."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    write_safetensors(folder / "model.safetensors", weights(seed))
    write_tokenizer(folder / "tokenizer.json")
    for name, content in files.items():
        path = folder / (name.replace("__", "/") + ".json")
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content))
    return folder


def float_weights(folder: Path, arrays: dict[str, Float32Array]) -> BertWeights:
    write_safetensors(folder / "tiny.safetensors", arrays)
    return SafetensorsBert(folder / "tiny.safetensors", SHAPE)


def int8_weights(source: BertWeights, arrays: dict[str, Float32Array]) -> BertWeights:
    """The same model as an int8 export writes it: linear maps numbered, the rest under its name."""
    tensors: dict[str, Tensor] = {}
    number = 7
    for name, array in arrays.items():
        if name.startswith("encoder") and name.endswith(".weight") and "LayerNorm" not in name:
            stem, number = f"val_{number}", number + 3
            codes, scales = source.int8(name)
            scales = scales.reshape(1, -1)
        elif name.startswith(("embeddings.word", "embeddings.position")):
            stem = f"inner.{name}"
            codes, scales = source.int8(name)
        else:
            tensors[f"inner.{name}"] = array
            continue
        tensors[f"{stem}_q"], tensors[f"{stem}_scale"] = codes, scales
    node = Node("Identity", ("x",), ("y",))
    ports = [Port("x", "float32", (1,))], [Port("y", "float32", (1,))]
    model = write_model([node], tensors, inputs=ports[0], outputs=ports[1], opsets={"": 17})
    return Int8OnnxBert(model, SHAPE)


def slow_bert(arrays: dict[str, Float32Array], ids: list[int], kinds: list[int] | None = None) -> NDArray[np.float64]:
    """States of the last layer, written down from Devlin et al. 2019 and Vaswani et al. 2017, in float64.

    ``kinds``: token types; None = all 0.
    """
    w = {name: array.astype(np.float64) for name, array in arrays.items()}

    def norm(x: NDArray[np.float64], name: str) -> NDArray[np.float64]:
        centred = x - x.mean(axis=-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-12)
        return cast("NDArray[np.float64]", scaled * w[f"{name}.weight"] + w[f"{name}.bias"])

    def linear(x: NDArray[np.float64], name: str) -> NDArray[np.float64]:
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    erf = np.vectorize(math.erf)
    kind = w["embeddings.token_type_embeddings.weight"][kinds or [0] * len(ids)]
    x = w["embeddings.word_embeddings.weight"][ids] + kind
    x = norm(x + w["embeddings.position_embeddings.weight"][: len(ids)], "embeddings.LayerNorm")
    size = HIDDEN // HEADS
    for layer in range(LAYERS):
        p = f"encoder.layer.{layer}."
        q, k, v = (linear(x, f"{p}attention.self.{part}") for part in ("query", "key", "value"))
        parts = []
        for head in range(HEADS):
            at = slice(head * size, (head + 1) * size)
            logits = q[:, at] @ k[:, at].T / math.sqrt(size)
            share = np.exp(logits - logits.max(axis=1, keepdims=True))
            parts.append(share / share.sum(axis=1, keepdims=True) @ v[:, at])
        attended = linear(np.concatenate(parts, axis=1), f"{p}attention.output.dense")
        x = norm(x + attended, f"{p}attention.output.LayerNorm")
        wide = linear(x, f"{p}intermediate.dense")
        wide = wide * 0.5 * (1 + erf(wide / math.sqrt(2)))
        x = norm(x + linear(wide, f"{p}output.dense"), f"{p}output.LayerNorm")
    return x
