"""From a name to a generator."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from twindex.indexing.analysis.base import Analyzer
from twindex.indexing.errors import ConfigError
from twindex.rag.generator import Generator
from twindex.rag.generators.extractive import ExtractiveGenerator
from twindex.rag.generators.llama_cpp import LlamaCppConfig, LlamaCppGenerator
from twindex.rag.generators.openai import OpenAIConfig, OpenAIGenerator

#: What may be written, with what it means.
FORMS: Final = ("extractive", "openai:MODEL@URL", "gguf:FILE")


def resolve_generator(
    spec: str, *, api_key: str = "", timeout: float = 120.0, analyzer: Analyzer | None = None
) -> Generator:
    """The generator that a name stands for.

    Args:
        spec: "extractive"; "openai:MODEL@URL", as in "openai:qwen2.5:7b@http://localhost:11434/v1"; or
            "gguf:FILE", as in "gguf:/models/qwen2.5-1.5b.gguf".
        api_key: For an endpoint that wants one.
        timeout: Seconds of silence before an endpoint is given up.
        analyzer: What the extractive generator compares words by; the English analyzer if None.

    Raises:
        ConfigError: If the name has none of these forms.
        ModelNotFoundError: If a model file is not there.
        MissingExtraError: If a GGUF model is asked for and no runtime is installed.
    """
    kind, _, rest = spec.strip().partition(":")
    if kind == "extractive" and not rest:
        return ExtractiveGenerator(analyzer=analyzer)
    if kind == "gguf" and rest:
        return LlamaCppGenerator(LlamaCppConfig(Path(rest).expanduser()))
    if kind == "openai":
        # The model's name may hold "@" and ":"; the address begins at the last "@" before a scheme.
        for scheme in ("@http://", "@https://"):
            model, found, address = rest.rpartition(scheme)
            if found and model and address:
                config = OpenAIConfig(scheme[1:] + address, model, api_key=api_key, timeout=timeout)
                return OpenAIGenerator(config)
    raise ConfigError(
        f"generator {spec!r}",
        expected="one of " + ", ".join(FORMS),
        remedy="as in openai:qwen2.5:7b@http://localhost:11434/v1 or gguf:/models/qwen2.5-1.5b.gguf",
    )
