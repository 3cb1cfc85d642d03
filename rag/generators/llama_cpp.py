"""Local GGUF models on llama.cpp, through whichever binding is installed.

``llama_cpp`` (llama-cpp-python) compiles when it is installed; ``xllamacpp`` comes compiled. Both speak the
Chat Completions form with the chat template of the model file.
"""

from __future__ import annotations

import queue
import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Generator as Stream
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, Protocol, get_args

from twindex.indexing.errors import ConfigError, GenerationError, MissingExtraError, ModelNotFoundError
from twindex.indexing.optional import available, load
from twindex.rag.batch import Sampling
from twindex.rag.generator import check_request
from twindex.rag.generators.chat import chat_body, error_text, quoted, read_delta, read_reply
from twindex.rag.prompt import Prompt
from twindex.rag.types import Draft, Finish, Usage

RuntimeName = Literal["auto", "llama_cpp", "xllamacpp"]
_MAGIC: Final = b"GGUF"
#: How long a stream waits for the model's next token, seconds.
_SILENCE: Final = 600.0


@dataclass(frozen=True, slots=True)
class LlamaCppConfig:
    """Which file, and how it is run.

    ``context``: tokens of prompt and draft together. ``threads``: 0 = as the runtime chooses.
    ``gpu_layers``: layers put on a GPU if the runtime was built for one.
    """

    path: Path
    context: int = 8192
    threads: int = 0
    gpu_layers: int = 0
    runtime: RuntimeName = "auto"

    def __post_init__(self) -> None:
        if self.context < 256:
            raise ConfigError(f"context = {self.context}", expected="256 tokens or more")
        if self.threads < 0 or self.gpu_layers < 0:
            raise ConfigError("a negative number of threads or layers", expected="0 or more")
        if self.runtime not in get_args(RuntimeName):
            raise ConfigError(f"runtime = {self.runtime!r}", expected=" or ".join(get_args(RuntimeName)))


class Runtime(Protocol):
    """A loaded model that takes Chat Completions bodies. Called by one thread at a time."""

    def chat(self, body: dict[str, Any]) -> Any:
        """The whole reply."""

    def chat_stream(self, body: dict[str, Any]) -> Iterator[Any]:
        """The events of the reply; closing the iterator stops the model."""


class LlamaCppGenerator:
    """Drafts from a GGUF file. The model is loaded at first use; one request runs at a time.

    Args:
        config: File and sizes.
        runtime: A loaded model, instead of loading ``config.path``.

    Raises:
        ModelNotFoundError: If the file is not there.
        ConfigError: If it is no GGUF file.
        MissingExtraError: If no binding is installed.
    """

    def __init__(self, config: LlamaCppConfig, *, runtime: Runtime | None = None) -> None:
        self.config = config
        self._lock = threading.Lock()
        self._runtime = runtime
        if runtime is None:
            _check_file(config.path)
            self._binding = _binding(config.runtime)

    def __repr__(self) -> str:
        return f"LlamaCppGenerator({self.config!r})"

    @property
    def name(self) -> str:
        """As in "gguf:smollm2.gguf"."""
        return f"gguf:{self.config.path.name}"

    def generate(self, prompt: Prompt, *, max_tokens: int, temperature: float, stop: Sequence[str], seed: int) -> Draft:
        """The whole draft.

        Raises:
            GenerationError: If the model cannot be loaded, the prompt is longer than its context, or no
                text came of it.
        """
        check_request(max_tokens=max_tokens, temperature=temperature)
        return self._draft(chat_body(prompt, max_tokens=max_tokens, temperature=temperature, stop=stop, seed=seed))

    def generate_formed(self, prompt: Prompt, sampling: Sampling, seed: int) -> Draft:
        """The whole draft, held to its form by a grammar.

        Raises:
            GenerationError: As above.
        """
        body = chat_body(
            prompt, max_tokens=sampling.max_tokens, temperature=sampling.temperature, stop=(), seed=seed
        ) | {"top_p": sampling.top_p}
        return self._draft(body if sampling.form is None else body | {"grammar": sampling.form.grammar()})

    def _draft(self, body: dict[str, Any]) -> Draft:
        with self._lock:
            try:
                reply = self._loaded().chat(body)
            except (RuntimeError, ValueError) as error:
                raise self._failed(error) from error
        return read_reply(reply, self.name)

    def stream(
        self, prompt: Prompt, *, max_tokens: int, temperature: float, stop: Sequence[str], seed: int
    ) -> Stream[str, None, Draft]:
        """The draft bit by bit.

        Raises:
            GenerationError: As above.
        """
        check_request(max_tokens=max_tokens, temperature=temperature)
        body = chat_body(prompt, max_tokens=max_tokens, temperature=temperature, stop=stop, seed=seed)
        bits: list[str] = []
        finish: Finish = "stop"
        usage: Usage | None = None
        with self._lock:
            for event in self._events(body):
                delta = read_delta(event, self.name)
                finish, usage = delta.finish or finish, delta.usage or usage
                if delta.text:
                    bits.append(delta.text)
                    yield delta.text
        text = "".join(bits)
        if not text.strip():
            raise GenerationError(f"{self.name} streamed no text", remedy="raise max_tokens, or try another model")
        return Draft(text, usage=usage, finish=finish)

    def _events(self, body: dict[str, Any]) -> Iterator[Any]:
        try:
            yield from self._loaded().chat_stream(body)
        except (RuntimeError, ValueError) as error:
            raise self._failed(error) from error

    def _loaded(self) -> Runtime:
        if self._runtime is None:
            self._runtime = _BINDINGS[self._binding](self.config)
        return self._runtime

    def _failed(self, error: Exception) -> GenerationError:
        return GenerationError(
            f"{self.name} failed: {quoted(str(error))}",
            remedy=f"if the prompt is too long, lower the budget or raise context (now {self.config.context} tokens)",
        )


def _check_file(path: Path) -> None:
    if not path.is_file():
        raise ModelNotFoundError(f"no file {path}", expected="a GGUF model file", remedy="check the path")
    with path.open("rb") as file:
        head = file.read(len(_MAGIC))
    if head != _MAGIC:
        raise ConfigError(f"{path} begins with {head!r}", expected="a GGUF model file")


def _binding(wanted: RuntimeName) -> Literal["llama_cpp", "xllamacpp"]:
    names: tuple[Literal["llama_cpp", "xllamacpp"], ...] = ("llama_cpp", "xllamacpp")
    for name in names:
        if wanted in ("auto", name) and available(name):
            return name
    named = "llama_cpp or xllamacpp" if wanted == "auto" else wanted
    raise MissingExtraError(
        f"running a GGUF model needs the package {named}, which is not installed here",
        remedy="run: pip install 'twindex[llm-prebuilt]', or 'twindex[llm]', which compiles for minutes",
    )


class _LlamaCpp:
    """The binding llama-cpp-python."""

    def __init__(self, config: LlamaCppConfig) -> None:
        library = self._library = load("llama_cpp", purpose="running a GGUF model")
        self._model = library.Llama(
            model_path=str(config.path),
            n_ctx=config.context,
            n_threads=config.threads or None,
            n_gpu_layers=config.gpu_layers,
            verbose=False,
        )

    def chat(self, body: dict[str, Any]) -> Any:
        return self._model.create_chat_completion(**self._with_grammar(body))

    def chat_stream(self, body: dict[str, Any]) -> Iterator[Any]:
        yield from self._model.create_chat_completion(**body, stream=True)

    def _with_grammar(self, body: dict[str, Any]) -> dict[str, Any]:
        if "grammar" not in body:
            return body
        return body | {"grammar": self._library.LlamaGrammar.from_string(body["grammar"], verbose=False)}


class _Xllamacpp:
    """The binding xllamacpp.

    It opens a listener on the loopback address, which a random key closes to others.
    """

    def __init__(self, config: LlamaCppConfig) -> None:
        library = load("xllamacpp", purpose="running a GGUF model")
        params = library.CommonParams()
        params.model.path = str(config.path)
        params.n_ctx = config.context
        params.n_parallel = 1
        params.n_gpu_layers = config.gpu_layers
        if config.threads:
            params.cpuparams.n_threads = config.threads
        params.verbosity = -1
        params.warmup = False
        params.ui = False
        params.api_keys = [secrets.token_hex(32)]
        self._server = library.Server(params)

    def chat(self, body: dict[str, Any]) -> Any:
        return self._server.handle_chat_completions(body)

    def chat_stream(self, body: dict[str, Any]) -> Iterator[Any]:
        """Events from a callback, carried over by a thread."""
        events: queue.Queue[Any] = queue.Queue()
        closed = threading.Event()
        end = object()

        def receive(event: Any) -> bool:
            events.put(event)
            return closed.is_set()

        def run() -> None:
            try:
                reply = self._server.handle_chat_completions(body | {"stream": True}, receive)
                if error_text(reply):
                    events.put(reply)
            except (RuntimeError, ValueError) as error:
                events.put(error)
            finally:
                events.put(end)

        worker = threading.Thread(target=run, name="twindex-gguf", daemon=True)
        worker.start()
        try:
            yield from _taken(events, end)
        finally:
            closed.set()
            worker.join()


def _taken(events: queue.Queue[Any], end: object) -> Iterator[Any]:
    while True:
        try:
            event = events.get(timeout=_SILENCE)
        except queue.Empty as error:
            raise RuntimeError(f"the model was silent for {_SILENCE:g} s") from error
        if event is end:
            return
        if isinstance(event, Exception):
            raise event
        yield event


_BINDINGS: Final[dict[str, Callable[[LlamaCppConfig], Runtime]]] = {
    "llama_cpp": _LlamaCpp,
    "xllamacpp": _Xllamacpp,
}
