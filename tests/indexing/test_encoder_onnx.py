"""ONNX encoders: the default model, model folders, bits that do not depend on threads, bad models."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.contracts.encoder_kit import ODD, TEXTS, EncoderKit
from tests.indexing.tiny_bert import HIDDEN, WORDS, slow_bert, weights, write_folder
from twindex.indexing.encoders.find import DEFAULT_ENCODER
from twindex.indexing.encoders.folder import is_model_folder, open_folder, read_settings
from twindex.indexing.encoders.models import MINILM
from twindex.indexing.encoders.onnx import EncoderSettings, OnnxEncoder
from twindex.indexing.encoders.onnx_wire import Node, Port, write_model
from twindex.indexing.encoders.resolve import resolve_encoder
from twindex.indexing.encoders.tokenizer import TextTokenizer
from twindex.indexing.encoding import Encoder
from twindex.indexing.errors import ConfigError, DeviceError
from twindex.indexing.types import Float32Array

needs_minilm = pytest.mark.skipif(MINILM.sources[0].path() is None, reason='needs the extra "minilm"')


@pytest.fixture(scope="module")
def default() -> Encoder:
    return resolve_encoder(DEFAULT_ENCODER)


class TestDefault(EncoderKit):
    @pytest.fixture
    def encoder(self, default: Encoder) -> Encoder:
        return default


class TestFolder(EncoderKit):
    means_something = False

    @pytest.fixture
    def encoder(self, tmp_path: Path) -> Encoder:
        prompts = {"prompts": {"query": "query: ", "document": "passage: "}}
        return open_folder(write_folder(tmp_path, config_sentence_transformers=prompts), name="tiny", threads=3)


def test_identity_of_the_default(default: Encoder) -> None:
    info = default.info
    assert (info.name, info.dim, info.max_length, info.similarity) == ("twindex-twin", 384, 256, "cosine")


@needs_minilm
def test_identity_of_a_known_model() -> None:
    info = resolve_encoder("all-MiniLM-L6-v2").info
    assert (info.name, info.dim, info.max_length, info.similarity) == ("all-MiniLM-L6-v2", 384, 256, "cosine")
    # Indices in the world carry this; whatever changes it raises a VERSION and breaks them.
    assert info.fingerprint == "onnx/v1/db3fe62d14eed5dbda1733e10ebb0e57"


def test_meaning(default: Encoder) -> None:
    texts = ["How do cats show that they are happy?", "Felines purr when content.", "Interest rates rose again."]
    query, good, bad = default.encode_documents(texts)
    assert query @ good > 0.45
    assert query @ bad < 0.1


def test_bits_do_not_depend_on_threads_or_batch(default: Encoder) -> None:
    texts = [*TEXTS, *ODD, *(text[::-1] for text in TEXTS)] * 2
    wanted = default.encode_documents(texts)
    for threads in (1, 4):
        encoder = resolve_encoder(DEFAULT_ENCODER, threads=threads)
        assert encoder.encode_documents(texts).tobytes() == wanted.tobytes()
        one_by_one = np.concatenate([encoder.encode_documents([text]) for text in texts])
        assert one_by_one.tobytes() == wanted.tobytes()


def test_bits_do_not_depend_on_the_process() -> None:
    code = (
        "import hashlib; from twindex.indexing.encoders.find import *\n"
        f"print(hashlib.sha256(find_encoder(DEFAULT_ENCODER).encode_documents({TEXTS!r}).tobytes()).hexdigest())"
    )
    found = set()
    for seed, threads in (("1", "1"), ("2", "3")):
        env = {**os.environ, "PYTHONHASHSEED": seed, "OMP_NUM_THREADS": threads}
        done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
        found.add(done.stdout)
    assert len(found) == 1


def test_a_failing_thread_is_heard(default: Encoder) -> None:
    with pytest.raises(TypeError):
        default.encode_documents(["a", 5])  # type: ignore[list-item]


def tiny_vectors(texts: list[str]) -> Float32Array:
    """What the tiny folder should give: the slow twin's mean, normalised."""
    rows = []
    for text in texts:
        ids = [2, *(WORDS.index(word) for word in text.replace(":", " : ").split()), 3]
        mean = slow_bert(weights(), ids).mean(axis=0)
        rows.append(mean / np.linalg.norm(mean))
    return np.array(rows, np.float32)


def test_safetensors_folder_with_prompts(tmp_path: Path) -> None:
    prompts = {"prompts": {"query": "query: ", "passage": "passage: "}}
    encoder = open_folder(write_folder(tmp_path, config_sentence_transformers=prompts), name="tiny")
    assert encoder.info.query_prompt == "query: "
    assert encoder.info.document_prompt == "passage: "
    assert np.allclose(encoder.encode_queries(["a b"]), tiny_vectors(["query: a b"]), atol=1e-5)
    assert np.allclose(encoder.encode_documents(["c"]), tiny_vectors(["passage: c"]), atol=1e-5)


def test_fingerprints_follow_what_shapes_the_vectors(tmp_path: Path) -> None:
    plain = write_folder(tmp_path / "plain")
    copy = write_folder(tmp_path / "copy")
    other = write_folder(tmp_path / "other", seed=1)
    prompted = write_folder(tmp_path / "prompt", config_sentence_transformers={"prompts": {"query": "query: "}})
    shorter = write_folder(tmp_path / "short", sentence_bert_config={"max_seq_length": 7})
    prints = [open_folder(folder, name="x").info.fingerprint for folder in (plain, other, prompted, shorter)]
    prints.append(open_folder(plain, name="x", precision="int8").info.fingerprint)
    assert len(set(prints)) == 5
    assert open_folder(copy, name="another name").info.fingerprint == prints[0]


def onnx_model(*, extra_input: str = "attention_mask", output: str = "last_hidden_state") -> bytes:
    """Token states are rows of an embedding table."""
    table = np.random.default_rng(5).standard_normal((len(WORDS), HIDDEN)).astype(np.float32)
    inputs = [Port(name, "int64", ("batch", "n")) for name in ("input_ids", extra_input)]
    return write_model(
        [Node("Gather", ("table", "input_ids"), (output,))],
        {"table": table},
        inputs=inputs,
        outputs=[Port(output, "float32", ("batch", "n", HIDDEN))],
        opsets={"": 17},
    )


def onnx_folder(folder: Path, place: str = "model.onnx", model: bytes | None = None, **files: Any) -> Path:
    write_folder(folder, **files)
    (folder / "model.safetensors").unlink()
    (folder / place).parent.mkdir(exist_ok=True)
    (folder / place).write_bytes(onnx_model() if model is None else model)
    return folder


@pytest.mark.parametrize("place", ["model.onnx", "onnx/model.onnx"])
@pytest.mark.parametrize("pooling", ["mean", "cls", "max"])
def test_onnx_folder(tmp_path: Path, place: str, pooling: str) -> None:
    flags = {"mean": "mean_tokens", "cls": "cls_token", "max": "max_tokens"}
    modes = {f"pooling_mode_{flag}": name == pooling for name, flag in flags.items()}
    files: dict[str, Any] = {"1_Pooling__config": modes}
    encoder = open_folder(onnx_folder(tmp_path, place, **files), name="x")
    table = np.random.default_rng(5).standard_normal((len(WORDS), HIDDEN)).astype(np.float32)
    states = table[[2, WORDS.index("a"), WORDS.index("b"), 3]].astype(np.float64)
    wanted = {"mean": states.mean(axis=0), "cls": states[0], "max": states.max(axis=0)}[pooling]
    assert np.allclose(encoder.encode_documents(["a b"])[0], wanted / np.linalg.norm(wanted), atol=1e-6)


def test_dot_products_keep_their_length(tmp_path: Path) -> None:
    folder = onnx_folder(tmp_path, config_sentence_transformers={"similarity_fn_name": "dot"})
    encoder = open_folder(folder, name="x")
    assert encoder.info.similarity == "dot"
    assert abs(np.linalg.norm(encoder.encode_documents(["a"])[0]) - 1) > 0.1


def test_weights_beside_the_model_are_part_of_the_fingerprint(tmp_path: Path) -> None:
    folder = onnx_folder(tmp_path)
    before = open_folder(folder, name="x").info.fingerprint
    (folder / "model.onnx_data").write_bytes(b"weights")
    assert open_folder(folder, name="x").info.fingerprint != before


def test_models_that_cannot_run(tmp_path: Path) -> None:
    broken = onnx_folder(tmp_path / "broken", model=b"no model")
    with pytest.raises(ConfigError, match="cannot be loaded"):
        open_folder(broken, name="x")
    greedy = onnx_folder(tmp_path / "greedy", model=onnx_model(extra_input="pixel_values"))
    with pytest.raises(ConfigError, match="pixel_values"):
        open_folder(greedy, name="x")
    (greedy / "sentence_bert_config.json").write_text("{")
    with pytest.raises(ConfigError, match="not JSON"):
        open_folder(greedy, name="x")
    incomplete = write_folder(tmp_path / "incomplete")
    (incomplete / "config.json").write_text(
        (incomplete / "config.json").read_text().replace('"num_hidden_layers": 2', '"num_hidden_layers": 3')
    )
    with pytest.raises(ConfigError, match=r"encoder\.layer\.2"):
        open_folder(incomplete, name="x")


@pytest.mark.parametrize("device", ["cuda", "cuda:1", "tpu", "cuda:x"])
def test_absent_devices(tmp_path: Path, device: str) -> None:
    with pytest.raises(DeviceError, match="device"):
        open_folder(onnx_folder(tmp_path), name="x", device=device)


def test_threads_are_at_least_one(tmp_path: Path) -> None:
    folder = write_folder(tmp_path)
    with pytest.raises(ConfigError, match="threads = 0"):
        OnnxEncoder(
            folder / "model.onnx",
            TextTokenizer.from_file(folder / "tokenizer.json", 8),
            EncoderSettings(8),
            name="x",
            digest="",
            threads=0,
        )


@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        ({}, EncoderSettings(40)),
        ({"sentence_bert_config": {"max_seq_length": 12}}, EncoderSettings(12)),
        ({"tokenizer_config": {"model_max_length": 10**30}}, EncoderSettings(40)),
        ({"tokenizer_config": {"model_max_length": 20}}, EncoderSettings(20)),
        ({"1_Pooling__config": {"pooling_mode": "cls"}}, EncoderSettings(40, "cls")),
        ({"1_Pooling__config": {"pooling_mode": "weightedmean"}}, None),
        ({"1_Pooling__config": {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True}}, None),
        ({"1_Pooling__config": {"pooling_mode_mean_sqrt_len_tokens": True}}, None),
        ({"modules": [{"type": "sentence_transformers.models.Dense"}]}, None),
        (
            {"modules": [{"type": "sentence_transformers.models.Transformer"}, {"type": "x.Normalize"}]},
            EncoderSettings(40),
        ),
        (
            {"config_sentence_transformers": {"prompts": {"x": "do: "}, "default_prompt_name": "x"}},
            EncoderSettings(40, query_prompt="do: ", document_prompt="do: "),
        ),
    ],
)
def test_settings_of_a_folder(tmp_path: Path, files: dict[str, Any], wanted: EncoderSettings | None) -> None:
    folder = write_folder(tmp_path, **files)
    assert read_settings(folder) == wanted
    assert is_model_folder(folder)
    assert not is_model_folder(tmp_path / "absent")
