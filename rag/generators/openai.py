"""Any endpoint that speaks the Chat Completions API, hosted or local."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Generator as Stream
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import urlsplit

from twindex.indexing.errors import ConfigError, GenerationError
from twindex.indexing.optional import load
from twindex.rag.batch import Sampling
from twindex.rag.generator import check_request
from twindex.rag.generators.chat import chat_body, error_text, quoted, read_delta, read_reply
from twindex.rag.generators.sse import events
from twindex.rag.prompt import Prompt
from twindex.rag.types import Draft, Finish, Usage

if TYPE_CHECKING:
    import httpx

#: Statuses that a second try may change.
RETRIED: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_LOOPBACK: Final = re.compile(r"localhost|127(?:\.\d{1,3}){3}|::1")
#: An error page is read up to this many bytes.
_MAX_ERROR: Final = 64 << 10


@dataclass(frozen=True, slots=True)
class OpenAIConfig:
    """Where the endpoint is and how patient we are.

    Units: ``timeout`` (of silence, between bytes), ``connect_timeout``, ``backoff`` and ``max_backoff`` in
    seconds. The n-th retry (from 0) waits ``backoff * 2**n``, or what the server's Retry-After says, at most
    ``max_backoff``. ``limit_field`` is what the server calls the limit of tokens; ``extra`` are further
    fields of the body; ``schemas``: whether drafts with a form are asked for by JSON schema, or only in words.
    The key never shows in ``repr`` or in messages.
    """

    base_url: str
    model: str
    api_key: str = field(default="", repr=False)
    timeout: float = 120.0
    connect_timeout: float = 10.0
    retries: int = 3
    backoff: float = 0.5
    max_backoff: float = 20.0
    limit_field: str = "max_tokens"
    schemas: bool = True
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        parts = urlsplit(self.base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(f"base_url = {self.base_url!r}", expected="http://HOST/v1 or https://HOST/v1")
        if parts.username or parts.password:
            raise ConfigError("base_url holds a user or password", remedy="pass the key as api_key")
        if not self.model:
            raise ConfigError("model is empty", expected="the name that the endpoint knows the model by")
        if self.timeout <= 0 or self.connect_timeout <= 0:
            raise ConfigError(f"timeout = {self.timeout}, connect_timeout = {self.connect_timeout}", expected="above 0")
        if self.retries < 0 or self.backoff < 0 or self.max_backoff < 0:
            raise ConfigError("a negative number of retries or seconds of backoff", expected="0 or more")
        if not re.fullmatch(r"[\x21-\x7e]*", self.api_key):
            raise ConfigError("api_key holds blanks or characters beyond ASCII", remedy="check how it was pasted")

    @property
    def url(self) -> str:
        """Where requests go."""
        base = self.base_url.rstrip("/")
        return base if base.endswith("/chat/completions") else f"{base}/chat/completions"

    @property
    def local(self) -> bool:
        """Whether the endpoint is on this machine: no proxy is asked then."""
        return _LOOPBACK.fullmatch(urlsplit(self.base_url).hostname or "") is not None


class OpenAIGenerator:
    """Drafts from a Chat Completions endpoint. Safe to share between threads.

    Args:
        config: Endpoint, model, patience.
        sleep: What waits between tries, for tests.
    """

    def __init__(self, config: OpenAIConfig, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self.config = config
        self._sleep = sleep
        self._lock = Lock()
        self._client: httpx.Client | None = None

    def __repr__(self) -> str:
        return f"OpenAIGenerator({self.config!r})"

    @property
    def name(self) -> str:
        """As in "openai:MODEL"."""
        return f"openai:{self.config.model}"

    def close(self) -> None:
        """Give connections back. The generator opens new ones if it is used again."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def generate(self, prompt: Prompt, *, max_tokens: int, temperature: float, stop: Sequence[str], seed: int) -> Draft:
        """The whole draft.

        Raises:
            GenerationError: If the endpoint cannot be reached, refuses, or sends what is no reply.
        """
        check_request(max_tokens=max_tokens, temperature=temperature)
        return self._draft(self._body(prompt, max_tokens, temperature, stop, seed))

    def _draft(self, body: Mapping[str, Any]) -> Draft:
        with self._response(body) as response, self._translated():
            text = response.read().decode("utf-8", "replace")
        try:
            reply = json.loads(text)
        except ValueError as error:
            raise GenerationError(
                f"{self._who} sent {quoted(self._masked(text))!r}",
                expected="JSON",
                remedy="check the address; it often ends in /v1",
            ) from error
        return read_reply(reply, self._who)

    def generate_formed(self, prompt: Prompt, sampling: Sampling, seed: int) -> Draft:
        """The whole draft, held to its form by a JSON schema where ``config.schemas`` says that the endpoint can.

        Raises:
            GenerationError: As above.
        """
        body = self._body(prompt, sampling.max_tokens, sampling.temperature, (), seed)
        body["top_p"] = sampling.top_p
        if sampling.form is not None and self.config.schemas:
            schema = {"name": "lines", "strict": True, "schema": sampling.form.schema()}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
            # Braces, quotes and commas come on top of the lines.
            body[self.config.limit_field] += 16 + 6 * sampling.form.most
        return self._draft(body | dict(self.config.extra))

    def stream(
        self, prompt: Prompt, *, max_tokens: int, temperature: float, stop: Sequence[str], seed: int
    ) -> Stream[str, None, Draft]:
        """The draft bit by bit, as the endpoint sends it. Tries again only before the first bit.

        Raises:
            GenerationError: As above, and if the stream breaks off before its end.
        """
        check_request(max_tokens=max_tokens, temperature=temperature)
        body = self._body(prompt, max_tokens, temperature, stop, seed) | {"stream": True}
        bits: list[str] = []
        finish: Finish | None = None
        usage: Usage | None = None
        done = False
        with self._response(body) as response:
            for data in events(self._lines(response)):
                if data.strip() == "[DONE]":
                    done = True
                    break
                delta = read_delta(self._event(data), self._who)
                finish, usage = delta.finish or finish, delta.usage or usage
                if delta.text:
                    bits.append(delta.text)
                    yield delta.text
        if not done and finish is None:
            raise GenerationError(
                f"the stream of {self._who} broke off after {len(bits)} events",
                expected="a finish reason or [DONE]",
                remedy="ask again",
            )
        return self._streamed("".join(bits), finish, usage)

    def _streamed(self, text: str, finish: Finish | None, usage: Usage | None) -> Draft:
        if not text.strip():
            raise GenerationError(f"{self._who} streamed no text (finish reason {finish!r})", remedy="raise max_tokens")
        return Draft(text, usage=usage, finish=finish or "stop")

    @property
    def _who(self) -> str:
        return f"model {self.config.model!r} at {self.config.base_url}"

    def _body(
        self, prompt: Prompt, max_tokens: int, temperature: float, stop: Sequence[str], seed: int
    ) -> dict[str, Any]:
        body = chat_body(prompt, max_tokens=max_tokens, temperature=temperature, stop=stop, seed=seed)
        body["model"] = self.config.model
        body[self.config.limit_field] = body.pop("max_tokens")
        return body | dict(self.config.extra)

    def _event(self, data: str) -> Any:
        try:
            return json.loads(data)
        except ValueError as error:
            raise GenerationError(f"{self._who} streamed {quoted(data)!r}", expected="JSON events") from error

    def _lines(self, response: httpx.Response) -> Iterator[str]:
        with self._translated():
            yield from response.iter_lines()

    @contextmanager
    def _response(self, body: Mapping[str, Any]) -> Iterator[httpx.Response]:
        """An open response of status 200, after as many tries as it took."""
        content = json.dumps(body, ensure_ascii=True).encode()
        response = self._tried(content)
        try:
            yield response
        finally:
            response.close()

    def _tried(self, content: bytes) -> httpx.Response:
        for attempt in range(self.config.retries + 1):
            last = attempt == self.config.retries
            response = self._send(content, last=last)
            if response is not None and response.status_code == 200:
                return response
            wait = self.config.backoff * 2**attempt
            if response is not None:
                if last or response.status_code not in RETRIED:
                    raise self._refusal(response, attempt + 1)
                wait = _retry_after(response.headers.get("retry-after", ""), wait)
                response.close()
            self._sleep(min(wait, self.config.max_backoff))
        raise AssertionError("the last try returns or raises")

    def _send(self, content: bytes, *, last: bool) -> httpx.Response | None:
        """The response, None if no connection came about and there is a try left."""
        library = load("httpx", purpose="asking a model over HTTP")
        client = self._opened()
        headers = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
        if self.config.api_key:
            headers["authorization"] = f"Bearer {self.config.api_key}"
        request = client.build_request("POST", self.config.url, content=content, headers=headers)
        try:
            with self._translated():
                return client.send(request, stream=True)
        except GenerationError as error:
            # A model that has begun to think should not be asked twice: only failed connections are retried.
            if last or not isinstance(error.__cause__, (library.ConnectError, library.ConnectTimeout)):
                raise
            return None

    def _opened(self) -> httpx.Client:
        with self._lock:
            if self._client is None:
                library = load("httpx", purpose="asking a model over HTTP")
                timeout = library.Timeout(self.config.timeout, connect=self.config.connect_timeout)
                # Redirects would carry the question, and perhaps the key, to an address nobody named.
                self._client = library.Client(timeout=timeout, follow_redirects=False, trust_env=not self.config.local)
            return self._client

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Errors of the HTTP library as ours."""
        library = load("httpx", purpose="asking a model over HTTP")
        try:
            yield
        except library.TimeoutException as error:
            raise GenerationError(
                f"{self._who} did not answer within {self.config.timeout:g} s ({type(error).__name__})",
                remedy="raise the timeout, or ask a faster model",
            ) from error
        except (library.HTTPError, library.StreamError) as error:
            raise GenerationError(
                f"could not talk to {self._who}: {quoted(self._masked(str(error)))} ({type(error).__name__})",
                remedy="check that the endpoint runs and that the address is right",
            ) from error

    def _refusal(self, response: httpx.Response, tries: int) -> GenerationError:
        raw = bytearray()
        with self._translated():
            for chunk in response.iter_bytes():
                raw += chunk
                if len(raw) > _MAX_ERROR:
                    break
        response.close()
        text = bytes(raw).decode("utf-8", "replace")
        try:
            said = error_text(json.loads(text)) or quoted(text)
        except ValueError:
            said = quoted(text)
        again = f" after {tries} tries" if tries > 1 else ""
        status = response.status_code
        return GenerationError(
            f"{self._who} refused with status {status}{again}: {self._masked(said) or 'no reason given'}",
            remedy=_REMEDIES.get(status, "see what the server says"),
        )

    def _masked(self, text: str) -> str:
        """The text without the key, should the server repeat it."""
        return text.replace(self.config.api_key, "***") if self.config.api_key else text


_REMEDIES: Final[Mapping[int, str]] = {
    401: "give a valid API key",
    403: "check what the API key may do",
    404: "check model name and address; the address often ends in /v1",
    413: "lower the budget of the context",
    429: "ask less often, or later",
}


def _retry_after(header: str, default: float) -> float:
    """Seconds from a Retry-After header; its date form and anything else count as not given."""
    return max(default, float(header)) if re.fullmatch(r"\d{1,6}(?:\.\d+)?", header.strip()) else default
