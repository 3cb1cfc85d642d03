"""The Chat Completions form, which endpoints and local runtimes share: bodies out, replies and deltas in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from twindex.indexing.errors import GenerationError
from twindex.rag.prompt import Prompt
from twindex.rag.types import Draft, Finish, Usage

#: How much of somebody else's message is quoted in ours.
MAX_QUOTE: Final = 500


def chat_body(prompt: Prompt, *, max_tokens: int, temperature: float, stop: Sequence[str], seed: int) -> dict[str, Any]:
    """The fields of a request that every server knows."""
    body: dict[str, Any] = {
        "messages": [message.to_dict() for message in prompt.messages],
        "max_tokens": max_tokens,
        "temperature": temperature,
        "seed": seed,
    }
    if stop:
        body["stop"] = list(stop)
    return body


def quoted(text: str) -> str:
    """What somebody said, in one line of bearable length."""
    line = " ".join(text.split())
    return line if len(line) <= MAX_QUOTE else line[:MAX_QUOTE] + "..."


def read_reply(reply: Any, who: str) -> Draft:
    """The draft in a whole reply.

    Raises:
        GenerationError: If the reply is an error or has no text.
    """
    choice = _choice(reply, who)
    message = choice.get("message") if choice is not None else None
    if choice is None or not isinstance(message, Mapping):
        raise _misshapen(reply, who)
    text = message.get("content")
    if not isinstance(text, str) or not text.strip():
        raise GenerationError(
            f"{who} answered without text (finish reason {choice.get('finish_reason')!r})",
            expected="a message with content",
            remedy="raise max_tokens, or try another model",
        )
    return Draft(text, usage=read_usage(reply), finish=_finish(choice))


@dataclass(frozen=True, slots=True)
class Delta:
    """One event of a streamed reply: a bit of text, and how it ended if it did."""

    text: str = ""
    finish: Finish | None = None
    usage: Usage | None = None


def read_delta(event: Any, who: str) -> Delta:
    """The bit of text in one event of a stream.

    Raises:
        GenerationError: If the event is an error, or misshapen.
    """
    choice = _choice(event, who)
    if choice is None:
        return Delta(usage=read_usage(event))
    delta = choice.get("delta")
    text = delta.get("content") if isinstance(delta, Mapping) else None
    return Delta(
        text=text if isinstance(text, str) else "",
        finish=_finish(choice) if choice.get("finish_reason") else None,
        usage=read_usage(event),
    )


def read_usage(reply: Mapping[str, Any]) -> Usage | None:
    """Tokens as the server counted them, None if it did not."""
    usage = reply.get("usage")
    if not isinstance(usage, Mapping):
        return None
    counts = [usage.get(name) for name in ("prompt_tokens", "completion_tokens")]
    if not all(isinstance(count, int) for count in counts):
        return None
    return Usage(prompt_tokens=int(counts[0] or 0), completion_tokens=int(counts[1] or 0), estimated=False)


def error_text(reply: Any) -> str:
    """What a server's error says, "" if it is none. Servers send a text, or an object with a message."""
    if not isinstance(reply, Mapping):
        return ""
    error = reply.get("error", reply.get("detail"))
    if isinstance(error, Mapping):
        error = error.get("message") or error.get("type") or str(dict(error))
    return quoted(str(error)) if error else ""


def _choice(reply: Any, who: str) -> Mapping[str, Any] | None:
    """The first choice, None if the list of choices is empty (an event with nothing but usage)."""
    said = error_text(reply)
    if said:
        raise GenerationError(f"{who} failed: {said}")
    choices = reply.get("choices") if isinstance(reply, Mapping) else None
    if not isinstance(choices, list) or not all(isinstance(choice, Mapping) for choice in choices):
        raise _misshapen(reply, who)
    return choices[0] if choices else None


def _misshapen(reply: Any, who: str) -> GenerationError:
    return GenerationError(
        f"{who} sent {quoted(str(reply))!r}",
        expected="a Chat Completions reply with choices[0]",
        remedy="check that the address is that of a chat model (often it ends in /v1)",
    )


def _finish(choice: Mapping[str, Any]) -> Finish:
    return "length" if choice.get("finish_reason") == "length" else "stop"
