"""Any model that sentence-transformers can run, on the CPU or a GPU: the float32 reference path.

Texts of one batch are padded to the longest, and matrix products group rows by batch, so the last
bits of a vector depend on its neighbours: these encoders are not batch invariant.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from twindex.indexing.encoders.digests import files_sha256, fingerprint
from twindex.indexing.encoders.tokenizer import without_surrogates
from twindex.indexing.encoding import EncoderInfo, Similarity
from twindex.indexing.errors import ConfigError, DeviceError
from twindex.indexing.optional import load
from twindex.indexing.types import Float32Array

VERSION: Final = 1
BATCH: Final = 32
#: Files of a model folder that shape its vectors.
SHAPING: Final = frozenset({".safetensors", ".bin", ".json", ".txt", ".model", ".py"})


class SentenceTransformerEncoder:
    """A model folder, run by torch.

    Args:
        folder: The model, as ``SentenceTransformer.save`` or the hub writes it.
        name: What the resolver knows the encoder by; None = the folder's path.
        device: "cpu", "cuda", "cuda:N", "mps".
        batch_size: Texts that run at the same time; it may change the last bits.

    Raises:
        MissingExtraError: If the extra ``train`` is not installed.
        ConfigError: If the folder holds no such model.
        DeviceError: If the device is absent.
    """

    def __init__(self, folder: Path, *, name: str | None = None, device: str = "cpu", batch_size: int = BATCH) -> None:
        library = load("sentence_transformers", purpose=f"encoding with the model in {folder}")
        torch = load("torch", purpose="encoding with sentence-transformers")
        if batch_size < 1:
            raise ConfigError(f"batch_size = {batch_size}", expected="at least 1")
        _check_device(torch, device)
        try:
            self._model = library.SentenceTransformer(str(folder), device=device, local_files_only=True)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigError(
                f"sentence-transformers cannot load {folder} ({error})", expected="a model folder"
            ) from error
        self._model.eval()
        self._batch = batch_size
        self._info = self._describe(folder, name or str(folder))

    @property
    def info(self) -> EncoderInfo:
        """Identity and shape of the vectors."""
        return self._info

    @property
    def batch_invariant(self) -> bool:
        """False: padding and kernels depend on the batch."""
        return False

    def encode_documents(self, texts: Sequence[str]) -> Float32Array:
        """Vectors of documents.

        Shapes: result float32[len(texts), info.dim].
        """
        return self._encode(texts, self._info.document_prompt)

    def encode_queries(self, texts: Sequence[str]) -> Float32Array:
        """Vectors of queries.

        Shapes: result float32[len(texts), info.dim].
        """
        return self._encode(texts, self._info.query_prompt)

    def _encode(self, texts: Sequence[str], prompt: str) -> Float32Array:
        if not texts:
            return np.empty((0, self._info.dim), np.float32)
        found = self._model.encode(
            [without_surrogates(text) for text in texts],
            prompt=prompt or None,
            batch_size=self._batch,
            show_progress_bar=False,
            convert_to_numpy=True,
            normalize_embeddings=self._info.similarity == "cosine",
        )
        return np.ascontiguousarray(found, np.float32)

    def _describe(self, folder: Path, name: str) -> EncoderInfo:
        model = self._model
        prompts: dict[str, str] = {key: text for key, text in dict(model.prompts or {}).items() if text}
        default = prompts.get(model.default_prompt_name or "", "")
        model.default_prompt_name = None  # prompts are ours to add, once
        query = prompts.get("query", default)
        document = prompts.get("document", prompts.get("passage", default))
        similarity: Similarity = "dot" if str(model.similarity_fn_name) == "dot" else "cosine"
        length = int(model.get_max_seq_length() or 0)
        return EncoderInfo(
            name=name,
            fingerprint=fingerprint("torch", VERSION, _digest_folder(folder), length, similarity, query, document),
            dim=int(_dim(model)),
            max_length=length,
            similarity=similarity,
            query_prompt=query,
            document_prompt=document,
        )


def _dim(model: Any) -> int:
    """The method was renamed in sentence-transformers 6."""
    if hasattr(model, "get_embedding_dimension"):
        return int(model.get_embedding_dimension())
    return int(model.get_sentence_embedding_dimension())


def _check_device(torch: Any, device: str) -> None:
    kind, _, number = device.partition(":")
    there = {
        "cpu": True,
        "cuda": torch.cuda.is_available() and int(number or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }
    if not there.get(kind, False):
        present = ", ".join(name for name, found in there.items() if found)
        raise DeviceError(f"device {device!r}", expected=f"one that is here: {present}")


def _digest_folder(folder: Path) -> str:
    return files_sha256(folder, [path for path in folder.rglob("*") if path.suffix in SHAPING and path.is_file()])
