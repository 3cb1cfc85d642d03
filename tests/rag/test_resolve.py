from __future__ import annotations

from pathlib import Path

import pytest

from tests.rag.fakes import PlainAnalyzer
from twindex.indexing.errors import ConfigError, ModelNotFoundError
from twindex.rag.generators import llama_cpp
from twindex.rag.generators.extractive import ExtractiveGenerator
from twindex.rag.generators.llama_cpp import LlamaCppGenerator
from twindex.rag.generators.openai import OpenAIGenerator
from twindex.rag.resolve import FORMS, resolve_generator


def test_extractive() -> None:
    generator = resolve_generator("extractive", analyzer=PlainAnalyzer())
    assert isinstance(generator, ExtractiveGenerator)
    assert generator.name == "extractive"


@pytest.mark.parametrize(
    ("spec", "model", "url"),
    [
        ("openai:gpt@http://127.0.0.1:1/v1", "gpt", "http://127.0.0.1:1/v1"),
        ("openai:qwen2.5:7b@https://h.example/v1", "qwen2.5:7b", "https://h.example/v1"),
        ("openai:org/m@main@http://h/v1", "org/m@main", "http://h/v1"),
    ],
)
def test_endpoints(spec: str, model: str, url: str) -> None:
    generator = resolve_generator(spec, api_key="k", timeout=3.0)
    assert isinstance(generator, OpenAIGenerator)
    assert (generator.config.model, generator.config.base_url) == (model, url)
    assert (generator.config.api_key, generator.config.timeout) == ("k", 3.0)


def test_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(b"GGUF")
    monkeypatch.setattr(llama_cpp, "available", lambda name: name == "xllamacpp")
    generator = resolve_generator(f"gguf:{path}")
    assert isinstance(generator, LlamaCppGenerator)
    assert generator.name == "gguf:m.gguf"
    with pytest.raises(ModelNotFoundError):
        resolve_generator("gguf:/nowhere/m.gguf")


@pytest.mark.parametrize(
    "spec",
    [
        "",
        "extractiv",
        "extractive:x",
        "openai",
        "openai:m",
        "openai:m@h/v1",
        "openai:@http://h",
        "gguf",
        "gguf:",
        "hf:m",
    ],
)
def test_other_names_are_refused_with_the_legal_forms(spec: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve_generator(spec)
    assert all(form in str(caught.value) for form in FORMS)
