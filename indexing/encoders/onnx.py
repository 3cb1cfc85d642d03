"""Encoders on ONNX Runtime: no torch, and each vector a function of its own text.

Texts are run one by one, so there is no padding and no neighbour, by sessions that use one thread
each; several Python threads share the session (its ``run`` releases the interpreter lock). Hence the
result depends neither on the batch nor on the number of threads, bit for bit.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from twindex.indexing.encoders.bert_graph import OUTPUT, Pooling
from twindex.indexing.encoders.digests import fingerprint
from twindex.indexing.encoders.tokenizer import TextTokenizer
from twindex.indexing.encoding import EncoderInfo, Similarity
from twindex.indexing.errors import ConfigError, DeviceError
from twindex.indexing.optional import load
from twindex.indexing.types import Float32Array, Int64Array

#: Raised whenever the same model and settings would give other vectors.
VERSION: Final = 1
PURPOSE: Final = "encoding with an ONNX model"
#: Outputs that are already one vector a text.
POOLED: Final = (OUTPUT, "sentence_embedding")
QUIET: Final = 3  # ONNX Runtime's severity "error"

#: How each input of a transformer is made for n unpadded tokens.
INPUTS: Final[dict[str, Callable[[Int64Array], Int64Array]]] = {
    "input_ids": lambda ids: ids,
    "attention_mask": np.ones_like,
    "token_type_ids": np.zeros_like,
    "position_ids": lambda ids: np.arange(ids.size, dtype=np.int64).reshape(1, -1),
}


@dataclass(frozen=True, slots=True)
class EncoderSettings:
    """What a model's folder says about its use.

    ``max_length`` counts tokens, special ones included. With similarity "cosine" vectors are L2-normalised.
    """

    max_length: int
    pooling: Pooling = "mean"
    similarity: Similarity = "cosine"
    query_prompt: str = ""
    document_prompt: str = ""


class OnnxEncoder:
    """A transformer as ONNX model, with its tokenizer.

    Args:
        model: The serialised model, or the path of its file.
        tokenizer: Cuts at ``settings.max_length`` tokens.
        settings: Pooling, prompts, similarity.
        name: What the resolver knows the encoder by.
        digest: Hash of the model; part of the fingerprint.
        device: "cpu", "cuda" or "cuda:N".
        threads: Texts that run at the same time; None = the processors that this process may use.

    Raises:
        ConfigError: If the model cannot be loaded, or asks for inputs that a text does not have.
        DeviceError: If the device is absent.
        MissingExtraError: If onnxruntime is not installed.
    """

    def __init__(
        self,
        model: bytes | Path,
        tokenizer: TextTokenizer,
        settings: EncoderSettings,
        *,
        name: str,
        digest: str,
        device: str = "cpu",
        threads: int | None = None,
    ) -> None:
        if threads is not None and threads < 1:
            raise ConfigError(f"threads = {threads}", expected="at least 1")
        self._tokenizer = tokenizer
        self._settings = settings
        self._threads = threads or available_processors()
        self._session = make_session(model, device, name)
        self._inputs = _inputs(self._session, name)
        self._output, self._pooled = _output(self._session)
        dim = int(self._run(tokenizer.ids("a")).shape[0])
        self._info = EncoderInfo(
            name=name,
            fingerprint=fingerprint("onnx", VERSION, digest, tokenizer.digest, settings),
            dim=dim,
            max_length=settings.max_length,
            similarity=settings.similarity,
            query_prompt=settings.query_prompt,
            document_prompt=settings.document_prompt,
        )

    @property
    def info(self) -> EncoderInfo:
        """Identity and shape of the vectors."""
        return self._info

    @property
    def batch_invariant(self) -> bool:
        """True: each text runs alone."""
        return True

    def encode_documents(self, texts: Sequence[str]) -> Float32Array:
        """Vectors of documents.

        Shapes: result float32[len(texts), info.dim].
        """
        return self._encode(texts, self._settings.document_prompt)

    def encode_queries(self, texts: Sequence[str]) -> Float32Array:
        """Vectors of queries.

        Shapes: result float32[len(texts), info.dim].
        """
        return self._encode(texts, self._settings.query_prompt)

    def _encode(self, texts: Sequence[str], prompt: str) -> Float32Array:
        out = np.empty((len(texts), self._info.dim), np.float32)
        tokens = [self._tokenizer.ids(prompt + text) for text in texts]

        def fill(row: int) -> None:
            out[row] = self._finish(self._run(tokens[row]))

        for_each(fill, [len(ids) for ids in tokens], self._threads)
        return out

    def _run(self, ids: list[int]) -> NDArray[np.float32]:
        """The pooled vector of one text, float32[dim]."""
        row = np.array([ids], np.int64)
        feed = {name: INPUTS[name](row) for name in self._inputs}
        found = self._session.run([self._output], feed)[0][0]
        if not self._pooled:
            found = pool_tokens(found, self._settings.pooling)
        return np.asarray(found, np.float32)

    def _finish(self, vector: Float32Array) -> Float32Array:
        return normalised(vector) if self._settings.similarity == "cosine" else vector


def pool_tokens(states: Float32Array, pooling: Pooling) -> Float32Array:
    """One vector from the states of a text's tokens, none of which is padding.

    Shapes: ``states`` float32[n, dim], result float32[dim].
    """
    if pooling == "cls":
        return np.asarray(states[0], np.float32)
    if pooling == "max":
        return np.asarray(states.max(axis=0), np.float32)
    return np.asarray(states.astype(np.float64).mean(axis=0), np.float32)


def normalised(vector: Float32Array) -> Float32Array:
    """The vector at length 1; the zero vector stays."""
    wide = vector.astype(np.float64)
    norm = float(np.sqrt((wide * wide).sum()))
    return vector if norm == 0.0 else np.asarray(wide / norm, np.float32)


def available_processors() -> int:
    """Processors that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def make_session(model: bytes | Path, device: str, name: str) -> Any:
    """A session that gives the same bits whatever the machine's load: one thread, deterministic operations.

    Raises:
        ConfigError: If the model cannot be loaded.
        DeviceError: If the device is absent.
    """
    ort = load("onnxruntime", purpose=PURPOSE)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = QUIET
    options.use_deterministic_compute = True
    # Texts differ in length: plans for each length would only fill memory.
    options.enable_mem_pattern = False
    source = model if isinstance(model, bytes) else str(model)
    try:
        return ort.InferenceSession(source, options, providers=_providers(ort, device))
    except DeviceError:
        raise
    except Exception as error:  # onnxruntime's exceptions share no base but Exception
        raise ConfigError(
            f"the ONNX model of {name!r} cannot be loaded ({error})",
            expected="a model that this release of onnxruntime runs",
            remedy="update onnxruntime, or export the model again",
        ) from error


def _providers(ort: Any, device: str) -> list[Any]:
    if device == "cpu":
        return ["CPUExecutionProvider"]
    kind, _, number = device.partition(":")
    if kind != "cuda" or not (number or "0").isdigit():
        raise DeviceError(f"device {device!r}", expected="cpu, cuda or cuda:N")
    if "CUDAExecutionProvider" not in ort.get_available_providers():
        raise DeviceError(
            f"device {device!r} with an onnxruntime that only runs on the CPU",
            remedy="install onnxruntime-gpu, or leave the device out",
        )
    return [("CUDAExecutionProvider", {"device_id": int(number or 0)}), "CPUExecutionProvider"]


def _inputs(session: Any, name: str) -> list[str]:
    names = [port.name for port in session.get_inputs()]
    unknown = sorted(set(names) - set(INPUTS))
    if unknown or "input_ids" not in names:
        raise ConfigError(
            f"the ONNX model of {name!r} has the inputs {', '.join(names)}",
            expected=f"input_ids, and of the others only {', '.join(list(INPUTS)[1:])}",
        )
    return names


def _output(session: Any) -> tuple[str, bool]:
    """The output to read, and whether it is one vector a text already."""
    names = [port.name for port in session.get_outputs()]
    pooled = [name for name in POOLED if name in names]
    return (pooled[0], True) if pooled else (names[0], False)


def for_each(work: Callable[[int], None], sizes: Sequence[int], threads: int) -> None:
    """Runs ``work`` for each number below ``len(sizes)``, the largest first, so that the threads end together."""
    order = sorted(range(len(sizes)), key=lambda row: -sizes[row])
    if threads == 1 or len(sizes) < 2:
        for row in order:
            work(row)
        return
    with ThreadPoolExecutor(min(threads, len(sizes))) as pool:
        for _ in pool.map(work, order):  # consuming the results raises what a thread raised
            continue
