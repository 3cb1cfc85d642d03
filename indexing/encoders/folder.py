"""Encoders from a model folder as the hub lays it out: ONNX, BERT safetensors, else sentence-transformers."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, cast, get_args

from twindex.indexing.encoders.bert_graph import VERSION, Pooling, Precision, bert_graph
from twindex.indexing.encoders.bert_weights import BertWeights, SafetensorsBert, bert_shape
from twindex.indexing.encoders.digests import files_sha256
from twindex.indexing.encoders.onnx import EncoderSettings, OnnxEncoder
from twindex.indexing.encoders.sentence_transformers import SentenceTransformerEncoder
from twindex.indexing.encoders.tokenizer import TextTokenizer
from twindex.indexing.encoders.twin import ABOUT as TWIN
from twindex.indexing.encoders.twin import open_twin
from twindex.indexing.encoding import Encoder, Similarity
from twindex.indexing.errors import ConfigError

ONNX_FILES: Final = ("model.onnx", "onnx/model.onnx")
WEIGHTS: Final = "model.safetensors"
TOKENIZER: Final = "tokenizer.json"
#: Modules of a sentence-transformers folder that our own runtimes cover.
MODULES: Final = ("Transformer", "Pooling", "Normalize")
DEFAULT_MAX_LENGTH: Final = 512
#: Tokenizer configurations write an absurd number for "no limit".
NO_LIMIT: Final = 100_000

Json = dict[str, Any]


def is_model_folder(folder: Path) -> bool:
    """Whether the folder holds a model in one of the layouts that are read."""
    return (folder / "config.json").is_file() or any((folder / name).is_file() for name in ONNX_FILES)


def open_folder(
    folder: Path,
    *,
    name: str,
    precision: Precision | None = None,
    device: str | None = None,
    threads: int | None = None,
) -> Encoder:
    """The encoder in a folder.

    ``model.onnx`` (or ``onnx/model.onnx``) with ``tokenizer.json`` runs as it is. Without it, or if a
    ``precision`` is asked for, the safetensors of a plain BERT become our own graph. A twin encoder gives its dense
    side. Anything else needs sentence-transformers.

    Raises:
        ConfigError: If a file of the folder cannot be understood.
        MissingExtraError: If it needs sentence-transformers, which is not installed.
        DeviceError: If the device is absent.
    """
    device = device or "cpu"
    if (folder / TWIN).is_file():
        if precision is not None or device != "cpu":
            raise ConfigError(
                f"the twin encoder {folder} in {precision or 'its own precision'} on {device!r}",
                expected="the CPU, and the precision that it was exported in",
                remedy="leave both out, or export the run again: twindex train export --precision",
            )
        return open_twin(folder, name=name, threads=threads)
    settings = read_settings(folder)
    if settings is not None and (folder / TOKENIZER).is_file():
        tokenizer = TextTokenizer.from_file(folder / TOKENIZER, settings.max_length)
        if precision is None:
            for file in ONNX_FILES:
                path = folder / file
                if path.is_file():
                    # weights beside an ONNX file (model.onnx_data) count as well
                    digest = files_sha256(folder, path.parent.glob(f"{path.name}*"))
                    return OnnxEncoder(
                        path, tokenizer, settings, name=name, digest=digest, device=device, threads=threads
                    )
        shape = bert_shape(_json(folder / "config.json"))
        if device == "cpu" and shape is not None and (folder / WEIGHTS).is_file():
            weights = SafetensorsBert(folder / WEIGHTS, shape)
            return bert_encoder(weights, precision or "fp32", tokenizer, settings, name=name, threads=threads)
    if precision == "int8":
        raise ConfigError(f"{folder} in int8", expected="the safetensors of a plain BERT encoder on the CPU")
    return SentenceTransformerEncoder(folder, name=name, device=device)


def bert_encoder(
    weights: BertWeights,
    precision: Precision,
    tokenizer: TextTokenizer,
    settings: EncoderSettings,
    *,
    name: str,
    threads: int | None = None,
) -> OnnxEncoder:
    """An encoder on our own graph. Its fingerprint follows from the weights, not from their file."""
    model = bert_graph(weights, precision, settings.pooling)
    digest = f"bert/v{VERSION}/{sha256(model).hexdigest()}"
    return OnnxEncoder(model, tokenizer, settings, name=name, digest=digest, threads=threads)


def read_settings(folder: Path) -> EncoderSettings | None:
    """What the folder's files say; None if its vectors need more than a transformer and one pooling.

    Raises:
        ConfigError: If a file is not JSON, or a value is impossible.
    """
    for module in _json(folder / "modules.json", default=[]):
        if str(module.get("type", "")).rpartition(".")[2] not in MODULES:
            return None
    pooling = _pooling(_json(folder / "1_Pooling" / "config.json"))
    if pooling is None:
        return None
    options = _json(folder / "config_sentence_transformers.json")
    prompts = options.get("prompts") or {}
    default = prompts.get(options.get("default_prompt_name") or "", "")
    similarity: Similarity = "dot" if options.get("similarity_fn_name") == "dot" else "cosine"
    return EncoderSettings(
        max_length=_max_length(folder),
        pooling=pooling,
        similarity=similarity,
        query_prompt=prompts.get("query", default),
        document_prompt=prompts.get("document", prompts.get("passage", default)),
    )


def _max_length(folder: Path) -> int:
    candidates = (
        ("sentence_bert_config.json", "max_seq_length"),
        ("tokenizer_config.json", "model_max_length"),
        ("config.json", "max_position_embeddings"),
    )
    limits = []
    for file, key in candidates:
        value = _json(folder / file).get(key)
        if isinstance(value, int | float) and 2 < value < NO_LIMIT:
            limits.append(int(value))
    return min(limits, default=DEFAULT_MAX_LENGTH)


def _pooling(config: Json) -> Pooling | None:
    """The one pooling of a sentence-transformers configuration; the mean if there is none."""
    name = config.get("pooling_mode")
    if isinstance(name, str):
        return cast(Pooling, name) if name in get_args(Pooling) else None
    keys = {"mean": "mean_tokens", "cls": "cls_token", "max": "max_tokens"}
    wanted = [key for key, value in config.items() if key.startswith("pooling_mode_") and value]
    if not wanted:
        return "mean"
    for pooling in get_args(Pooling):
        if wanted == [f"pooling_mode_{keys[pooling]}"]:
            return cast(Pooling, pooling)
    return None


def _json(path: Path, default: Any = None) -> Any:
    """The content, or ``default`` (an empty object) where there is no such file."""
    if not path.is_file():
        return {} if default is None else default
    try:
        return json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ConfigError(f"{path} is not JSON ({error})") from error
