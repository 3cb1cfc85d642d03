"""Importing twindex is cheap: heavy libraries are loaded at first use, torch and a JVM never."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = (
    "torch",
    "sentence_transformers",
    "pyserini",
    "jnius",
    "numba",
    "faiss",
    "onnxruntime",
    "duckdb",
    "fastapi",
)


@pytest.mark.parametrize("module", ["twindex.indexing", "twindex.retrieval", "twindex.rag", "twindex.eval"])
def test_importing_a_room_loads_no_heavy_library(module: str) -> None:
    code = f"import sys, {module}; print([m for m in {HEAVY!r} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


#: What a server loads only with the first request that needs it, or behind the first searches.
LATER = (
    *(name for name in HEAVY if name != "fastapi"),
    "rich",
    "scipy",
    "twindex.eval.evaluate",
    "twindex.indexing.encoders.resolve",
    "twindex.indexing.writer",
    "twindex.rag.engine",
)


def test_a_server_starts_without_what_it_may_never_need() -> None:
    code = f"import sys, twindex.api.cli.serve; print([m for m in {LATER!r} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
