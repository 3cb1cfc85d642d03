from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contracts.generator_kit import REQUEST, GeneratorKit, streamed
from tests.rag.fakes import context_of
from twindex.indexing.errors import ConfigError, GenerationError, MissingExtraError, ModelNotFoundError
from twindex.indexing.optional import available
from twindex.rag.generator import Generator
from twindex.rag.generators import llama_cpp
from twindex.rag.generators.llama_cpp import LlamaCppConfig, LlamaCppGenerator
from twindex.rag.prompt import BRIEF, Prompt, render
from twindex.rag.types import Usage

MODEL = os.environ.get("TWINDEX_GGUF", "")


class FakeRuntime:
    """Says its words whatever it is asked, one at a time, and notices when two ask at once."""

    def __init__(self, words: list[str], fail: Exception | None = None) -> None:
        self.words = words
        self.fail = fail
        self.closed = 0
        self.bodies: list[dict[str, Any]] = []
        self._busy = threading.Lock()

    def chat(self, body: dict[str, Any]) -> Any:
        assert self._busy.acquire(blocking=False), "two at a time"
        try:
            self.bodies.append(body)
            time.sleep(0.005)  # long enough for others to come in, if they could
            if self.fail is not None:
                raise self.fail
            message = {"role": "assistant", "content": "".join(self.words)}
            usage = {"prompt_tokens": 9, "completion_tokens": len(self.words)}
            return {"choices": [{"message": message, "finish_reason": "stop"}], "usage": usage}
        finally:
            self._busy.release()

    def chat_stream(self, body: dict[str, Any]) -> Iterator[Any]:
        if self.fail is not None:
            raise self.fail
        try:
            for word in self.words:
                yield {"choices": [{"delta": {"content": word}, "finish_reason": None}]}
            yield {"choices": [{"delta": {}, "finish_reason": "length"}]}
        finally:
            self.closed += 1


@pytest.fixture
def prompt() -> Prompt:
    return render(BRIEF, "When?", context_of("It was in May."))


def made(runtime: FakeRuntime) -> LlamaCppGenerator:
    return LlamaCppGenerator(LlamaCppConfig(Path("/models/small.gguf")), runtime=runtime)


class TestContract(GeneratorKit):
    @pytest.fixture
    def generator(self) -> Generator:
        runtime = FakeRuntime(["In ", "May", " [1]."])
        stream = runtime.chat_stream
        runtime.chat_stream = lambda body: (  # type: ignore[method-assign]
            event for event in stream(body) if event["choices"][0]["finish_reason"] is None
        )
        return made(runtime)


def test_the_runtime_is_asked_in_the_chat_form(prompt: Prompt) -> None:
    runtime = FakeRuntime(["x"])
    draft = made(runtime).generate(prompt, **{**REQUEST, "stop": ["END"]})
    assert draft.usage == Usage(9, 1, estimated=False)
    assert runtime.bodies[0]["messages"][0]["role"] == "system"
    assert runtime.bodies[0]["stop"] == ["END"]
    assert runtime.bodies[0]["max_tokens"] == 60


def test_a_streamed_draft_says_how_it_ended(prompt: Prompt) -> None:
    bits, draft = streamed(made(FakeRuntime(["a", "", "b"])), prompt)
    assert (bits, draft.finish) == (["a", "b"], "length")


def test_leaving_a_stream_frees_the_model(prompt: Prompt) -> None:
    runtime = FakeRuntime(["a", "b", "c"])
    generator = made(runtime)
    stream = generator.stream(prompt, **REQUEST)
    assert next(stream) == "a"
    stream.close()
    assert runtime.closed == 1
    assert generator.generate(prompt, **REQUEST).text == "abc"


@pytest.mark.parametrize("error", [RuntimeError("no kv slot"), ValueError("exceeds the context window")])
def test_failures_of_the_runtime_are_ours(prompt: Prompt, error: Exception) -> None:
    generator = made(FakeRuntime(["x"], fail=error))
    with pytest.raises(GenerationError, match=str(error)):
        generator.generate(prompt, **REQUEST)
    with pytest.raises(GenerationError, match=str(error)):
        streamed(generator, prompt)


def test_no_text_is_an_error(prompt: Prompt) -> None:
    generator = made(FakeRuntime([" "]))
    with pytest.raises(GenerationError):
        generator.generate(prompt, **REQUEST)
    with pytest.raises(GenerationError, match="streamed no text"):
        streamed(generator, prompt)


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(ModelNotFoundError, match="no file /nowhere"):
        LlamaCppGenerator(LlamaCppConfig(Path("/nowhere/x.gguf")))


def test_a_file_that_is_no_model(tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(b"PK\x03\x04")
    with pytest.raises(ConfigError, match="expected a GGUF model file"):
        LlamaCppGenerator(LlamaCppConfig(path))


def test_no_runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(b"GGUF")
    monkeypatch.setattr(llama_cpp, "available", lambda name: False)
    with pytest.raises(MissingExtraError, match=r"twindex\[llm-prebuilt\]"):
        LlamaCppGenerator(LlamaCppConfig(path))


@pytest.mark.parametrize("wrong", [{"context": 10}, {"threads": -1}, {"gpu_layers": -1}, {"runtime": "torch"}])
def test_settings_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        LlamaCppConfig(Path("x.gguf"), **wrong)


real = pytest.mark.skipif(
    not MODEL or not (available("llama_cpp") or available("xllamacpp")),
    reason="needs TWINDEX_GGUF, the path of a small GGUF model, and the extra llm or llm-prebuilt",
)


@real
@pytest.mark.timeout(600)
def test_a_real_model_writes_and_streams(prompt: Prompt) -> None:
    generator = LlamaCppGenerator(LlamaCppConfig(Path(MODEL), context=2048, threads=2))
    request = {**REQUEST, "max_tokens": 8}
    draft = generator.generate(prompt, **request)
    assert draft.usage is not None
    assert 0 < draft.usage.completion_tokens <= 8
    assert streamed(generator, prompt, max_tokens=8)[1].text == draft.text
    left = generator.stream(prompt, **request)
    next(left)
    left.close()
    long = render(BRIEF, "When?", context_of("It was in May. " * 1000))
    with pytest.raises(GenerationError):
        generator.generate(long, **request)
    with pytest.raises(GenerationError):
        streamed(generator, long, max_tokens=8)


@real
@pytest.mark.timeout(600)
def test_a_broken_model_file_is_a_clear_error(prompt: Prompt, tmp_path: Path) -> None:
    path = tmp_path / "broken.gguf"
    path.write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(GenerationError, match="broken"):
        LlamaCppGenerator(LlamaCppConfig(path)).generate(prompt, **REQUEST)
