"""``twindex doctor``: what is installed, what is missing, and what that means."""

from __future__ import annotations

import os
import platform
import sys
from importlib import metadata
from typing import Any, Final

import typer

from twindex.api.cli import options
from twindex.api.cli.console import stdout, table
from twindex.api.cli.plain import emit_json
from twindex.api.settings import Settings
from twindex.indexing import optional
from twindex.indexing.encoders.find import DEFAULT_ENCODER
from twindex.indexing.encoders.resolve import resolve_encoder
from twindex.indexing.encoders.shipped import MODELS, check_folder, shipped_models
from twindex.indexing.errors import TwindexError

#: Import name, distribution, what it gives.
PARTS: Final[tuple[tuple[str, str, str], ...]] = (
    ("numpy", "numpy", "arrays"),
    ("duckdb", "duckdb", "metadata filters, stored results"),
    ("faiss", "faiss-cpu", "dense search"),
    ("onnxruntime", "onnxruntime", "encoders without torch"),
    ("tokenizers", "tokenizers", "encoders without torch"),
    ("fastapi", "fastapi", "the REST API"),
    ("numba", "numba", "compiled kernels for batches"),
    ("pypdf", "pypdf", "PDF files in a corpus folder"),
    ("torch", "torch", "training, fp32 encoders"),
    ("sentence_transformers", "sentence-transformers", "training, fp32 encoders"),
    ("llama_cpp", "llama-cpp-python", "answers from a local GGUF model"),
    ("xllamacpp", "xllamacpp", "answers from a local GGUF model"),
    ("pyserini", "pyserini", "Lucene behind the same protocol"),
    ("rank_bm25", "rank-bm25", "benchmarks"),
)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor")(doctor)


def doctor(json: options.Json = False) -> None:
    """Say what is installed, what is missing and what to type to get it."""
    report = examine()
    if json:
        emit_json(report)
        return
    console = stdout()
    machine = f"{report['machine']}, {report['cores']} cores"
    console.print(f"twindex {report['twindex']}, Python {report['python']}, {machine}")
    parts = table("package", "version", "gives", "to get it")
    for part in report["parts"]:
        parts.add_row(part["package"], part["version"] or "-", part["gives"], part["install"])
    console.print(parts)
    console.print(f"default encoder: {report['encoder']}")
    for model in report["models"]:
        size = f"{model['bytes'] / 1e6:.1f} MB"
        console.print(f"model of the package: {model['name']} ({model['kind']}), {size}, {model['state']}")
    if not report["models"]:
        console.print("models of the package: none in this release")
    console.print(f"data folder (TWINDEX_DATA): {report['data'] or 'not set'}")


def examine() -> dict[str, Any]:
    """The report as plain values."""
    settings = Settings.from_environment()
    return {
        "twindex": metadata.version("twindex"),
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "cores": len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count(),
        "parts": [_part(*part) for part in PARTS],
        "encoder": _encoder(),
        "models": [_model(name) for name in shipped_models()],
        "data": str(settings.data) if settings.data else None,
    }


def _part(module: str, distribution: str, gives: str) -> dict[str, Any]:
    present = optional.available(module)
    extra = optional.EXTRA_OF.get(module, "")
    target = f"twindex[{extra}]" if extra else "twindex"
    return {
        "package": distribution,
        "version": _version(distribution) if present else None,
        "gives": gives,
        "install": "" if present else f"pip install '{target}'",
    }


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "present"


def _model(name: str) -> dict[str, Any]:
    """A model that came with the package, every byte of it compared with its manifest."""
    folder = MODELS / name
    found: dict[str, Any] = {"name": name, "kind": "", "bytes": 0, "state": "every file as its manifest says"}
    try:
        model = check_folder(folder)
        found |= {"kind": model.kind, "bytes": sum((folder / file).stat().st_size for file in model.files)}
    except TwindexError as error:
        found["state"] = f"not usable: {error.message}"
    return found


def _encoder() -> str:
    try:
        info = resolve_encoder(DEFAULT_ENCODER).info
    except TwindexError as error:
        return f"not usable: {error.message}"
    return f"{info.name}, {info.dim} dimensions, {info.max_length} tokens"
