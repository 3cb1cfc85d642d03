from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tests.contracts.generator_kit import REQUEST, GeneratorKit, streamed
from tests.rag.endpoint import Endpoint, Reply, chat, serving, sse
from tests.rag.fakes import context_of
from twindex.indexing.errors import ConfigError, GenerationError
from twindex.rag.generator import Generator
from twindex.rag.generators.openai import OpenAIConfig, OpenAIGenerator
from twindex.rag.generators.sse import events
from twindex.rag.prompt import BRIEF, Prompt, render
from twindex.rag.types import Usage

KEY = "sk-very-secret-0123456789"


@pytest.fixture
def prompt() -> Prompt:
    return render(BRIEF, "When?", context_of("It was in May."))


class Naps(list[float]):
    """Remembers how long one would have slept."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)


def made(endpoint: Endpoint, naps: Naps | None = None, **config: Any) -> OpenAIGenerator:
    settings: dict[str, Any] = {"api_key": KEY, "timeout": 5.0, **config}
    return OpenAIGenerator(OpenAIConfig(endpoint.url, "m-1", **settings), sleep=Naps() if naps is None else naps)


class TestContract(GeneratorKit):
    @pytest.fixture
    def generator(self) -> Iterator[Generator]:
        bits = ["It was ", "in May", " [1]."]

        class Choosing(list[Reply]):
            def __len__(self) -> int:
                return 1

            def __getitem__(self, index: Any) -> Any:
                return sse(bits) if endpoint.bodies[-1].get("stream") else chat("".join(bits))

        with serving(chat("x")) as endpoint:
            endpoint.replies = Choosing()
            with made(endpoint) as generator:
                yield generator


def test_a_request_has_the_agreed_form(prompt: Prompt) -> None:
    reply = chat("In May [1].", usage={"prompt_tokens": 11, "completion_tokens": 4})
    with serving(reply) as endpoint, made(endpoint, extra={"top_k": 1}) as generator:
        draft = generator.generate(prompt, **{**REQUEST, "stop": ("END",)})
    assert draft.text == "In May [1]."
    assert draft.usage == Usage(11, 4, estimated=False)
    assert endpoint.paths == ["/v1/chat/completions"]
    assert endpoint.headers[0]["authorization"] == f"Bearer {KEY}"
    assert endpoint.bodies == [
        {
            "model": "m-1",
            "messages": [message.to_dict() for message in prompt.messages],
            "max_tokens": 60,
            "temperature": 0.0,
            "seed": 7,
            "stop": ["END"],
            "top_k": 1,
        }
    ]


def test_the_limit_may_have_another_name(prompt: Prompt) -> None:
    with serving(chat("x")) as endpoint, made(endpoint, limit_field="max_completion_tokens") as generator:
        generator.generate(prompt, **REQUEST)
    assert endpoint.bodies[0]["max_completion_tokens"] == 60
    assert "max_tokens" not in endpoint.bodies[0]


def test_without_a_key_no_header_is_sent(prompt: Prompt) -> None:
    with serving(chat("x")) as endpoint, made(endpoint, api_key="") as generator:
        generator.generate(prompt, **REQUEST)
    assert "authorization" not in endpoint.headers[0]


def test_a_draft_that_was_cut_off_says_so(prompt: Prompt) -> None:
    with serving(chat("It was", finish="length")) as endpoint, made(endpoint) as generator:
        assert generator.generate(prompt, **REQUEST).finish == "length"


@pytest.mark.parametrize("status", [429, 500, 503])
def test_passing_failures_are_retried_with_backoff(prompt: Prompt, status: int) -> None:
    naps = Naps()
    failure = Reply(b"busy", status=status)
    with serving(failure, failure, chat("At last.")) as endpoint, made(endpoint, naps) as generator:
        assert generator.generate(prompt, **REQUEST).text == "At last."
    assert naps == [0.5, 1.0]


def test_the_server_may_say_when(prompt: Prompt) -> None:
    naps = Naps()
    soon = Reply(b"", status=429, headers={"retry-after": "3"})
    never = Reply(b"", status=429, headers={"retry-after": "9999"})
    date = Reply(b"", status=429, headers={"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"})
    with serving(soon, never, date, chat("x")) as endpoint, made(endpoint, naps) as generator:
        generator.generate(prompt, **REQUEST)
    assert naps == [3.0, 20.0, 2.0]


def test_retries_end(prompt: Prompt) -> None:
    said = json.dumps({"error": {"message": "the cluster is on fire", "type": "server_error"}}).encode()
    naps = Naps()
    with (
        serving(Reply(said, status=500)) as endpoint,
        made(endpoint, naps, retries=2) as generator,
        pytest.raises(GenerationError, match="status 500 after 3 tries: the cluster is on fire"),
    ):
        generator.generate(prompt, **REQUEST)
    assert len(endpoint.bodies) == 3
    assert len(naps) == 2


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 302])
def test_lasting_failures_are_not_retried(prompt: Prompt, status: int) -> None:
    reply = Reply(b'{"detail": "no such thing"}', status=status, headers={"location": "http://127.0.0.1:1/"})
    with (
        serving(reply) as endpoint,
        made(endpoint) as generator,
        pytest.raises(GenerationError, match=f"status {status}: no such thing"),
    ):
        generator.generate(prompt, **REQUEST)
    assert len(endpoint.bodies) == 1


def test_the_key_shows_nowhere(prompt: Prompt) -> None:
    echo = Reply(f'{{"error": "bad key {KEY}"}}'.encode(), status=401)
    with serving(echo) as endpoint, made(endpoint) as generator:
        assert KEY not in repr(generator)
        assert KEY not in repr(generator.config)
        with pytest.raises(GenerationError) as caught:
            generator.generate(prompt, **REQUEST)
    assert KEY not in str(caught.value)
    assert "bad key ***" in str(caught.value)


def test_silence_is_an_error_and_not_retried(prompt: Prompt) -> None:
    slow = chat("x")
    slow.wait = 1.0
    with (
        serving(slow) as endpoint,
        made(endpoint, timeout=0.1) as generator,
        pytest.raises(GenerationError, match=r"did not answer within 0\.1 s"),
    ):
        generator.generate(prompt, **REQUEST)
    assert len(endpoint.bodies) == 1


def test_a_dead_address_is_tried_again_and_named(prompt: Prompt) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    naps = Naps()
    generator = OpenAIGenerator(OpenAIConfig(f"http://127.0.0.1:{port}/v1", "m", retries=1), sleep=naps)
    with generator, pytest.raises(GenerationError, match=f"could not talk to .*{port}"):
        generator.generate(prompt, **REQUEST)
    assert naps == [0.5]


@pytest.mark.parametrize(
    "body",
    [
        b"<html>hello</html>",
        b"",
        b"[]",
        b"{}",
        b'"text"',
        b'{"choices": []}',
        b'{"choices": [1]}',
        b'{"choices": [{}]}',
        b'{"choices": [{"message": {"content": null}, "finish_reason": "length"}]}',
        b'{"choices": [{"message": {"content": "  "}}]}',
        b'{"choices": [{"message": {"content": [1]}}]}',
        b'{"error": {"message": "overloaded"}}',
        b'\xff\xfe{"choices"',
    ],
)
def test_what_is_no_reply_is_an_error(prompt: Prompt, body: bytes) -> None:
    with serving(Reply(body)) as endpoint, made(endpoint) as generator, pytest.raises(GenerationError, match="m-1"):
        generator.generate(prompt, **REQUEST)


def test_a_reply_that_breaks_off_is_an_error(prompt: Prompt) -> None:
    reply = chat("half")
    reply.cut = True
    with (
        serving(reply) as endpoint,
        made(endpoint) as generator,
        pytest.raises(GenerationError, match="could not talk to"),
    ):
        generator.generate(prompt, **REQUEST)


def test_streaming(prompt: Prompt) -> None:
    with serving(sse(["It ", "was \u00e9", "\n[1]."])) as endpoint, made(endpoint) as generator:
        bits, draft = streamed(generator, prompt)
    assert bits == ["It ", "was \u00e9", "\n[1]."]
    assert draft.text == "It was \u00e9\n[1]."
    assert draft.finish == "stop"
    assert endpoint.bodies[0]["stream"] is True


def test_a_stream_without_done_but_with_a_reason_is_whole(prompt: Prompt) -> None:
    with serving(sse(["x"], done=False, finish="length")) as endpoint, made(endpoint) as generator:
        _, draft = streamed(generator, prompt)
    assert draft.finish == "length"
    assert draft.usage == Usage(5, 1, estimated=False)


def test_a_stream_that_just_ends_is_an_error(prompt: Prompt) -> None:
    with (
        serving(sse(["x", "y"], done=False, finish=None)) as endpoint,
        made(endpoint) as generator,
        pytest.raises(GenerationError, match="broke off after 2 events"),
    ):
        streamed(generator, prompt)


def test_a_stream_whose_connection_dies_is_an_error(prompt: Prompt) -> None:
    with (
        serving(sse(["x"], done=False, finish=None, cut=True)) as endpoint,
        made(endpoint) as generator,
        pytest.raises(GenerationError, match="could not talk to"),
    ):
        streamed(generator, prompt)


def test_a_stream_without_text_is_an_error(prompt: Prompt) -> None:
    with (
        serving(sse([])) as endpoint,
        made(endpoint) as generator,
        pytest.raises(GenerationError, match="streamed no text"),
    ):
        streamed(generator, prompt)


@pytest.mark.parametrize("event", ["data: {oops", 'data: {"error": "out of memory"}', "data: 5"])
def test_a_bad_event_is_an_error(prompt: Prompt, event: str) -> None:
    with (
        serving(Reply(f"{event}\n\n".encode())) as endpoint,
        made(endpoint) as generator,
        pytest.raises(GenerationError, match="m-1"),
    ):
        streamed(generator, prompt)


def test_a_stream_is_retried_before_its_first_bit(prompt: Prompt) -> None:
    naps = Naps()
    with serving(Reply(b"", status=503), sse(["x"])) as endpoint, made(endpoint, naps) as generator:
        assert streamed(generator, prompt)[0] == ["x"]
    assert naps == [0.5]


def test_a_closed_generator_opens_again(prompt: Prompt) -> None:
    with serving(chat("x")) as endpoint:
        generator = made(endpoint)
        generator.close()
        generator.generate(prompt, **REQUEST)
        generator.close()
        generator.generate(prompt, **REQUEST)
        generator.close()


def test_events_of_a_stream() -> None:
    lines = [
        "data: a",
        "data: b",
        "",
        ": comment",
        "event: x",
        "data:c",
        "",
        "",
        "id: 1",
        "data",
        "",
        "data: cut",
    ]
    assert list(events(lines)) == ["a\nb", "c", "", "cut"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"base_url": "localhost:8000"},
        {"base_url": "ftp://host/v1"},
        {"base_url": "http://user:pw@host/v1"},
        {"model": ""},
        {"timeout": 0},
        {"connect_timeout": -1},
        {"retries": -1},
        {"backoff": -0.1},
        {"api_key": "two words"},
        {"api_key": "new\nline"},
    ],
)
def test_settings_that_cannot_be_right_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        OpenAIConfig(**{"base_url": "http://127.0.0.1/v1", "model": "m", **wrong})
    assert "pw" not in str(caught.value)


def test_addresses() -> None:
    assert OpenAIConfig("http://h/v1/", "m").url == "http://h/v1/chat/completions"
    assert OpenAIConfig("http://h/v1/chat/completions", "m").url == "http://h/v1/chat/completions"
    assert OpenAIConfig("http://localhost:1/v1", "m").local
    assert OpenAIConfig("http://[::1]:1/v1", "m").local
    assert not OpenAIConfig("http://127.0.0.1.example.org/v1", "m").local
