"""Prompts of the expansion stage: data files of ours, rendered so that all documents share one beginning.

The document stands between fences whose key is a hash of it, so no document can close its own fence. The key
is in the last turn only: system text and worked examples are the same for every document, and a runtime that
keeps what it computed for a common beginning computes them once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from importlib.resources import files
from typing import Any, Final

from twindex.indexing.errors import ConfigError
from twindex.indexing.types import Passage
from twindex.rag.fences import fence_key, neutralise
from twindex.rag.prompt import Message, Prompt
from twindex.rag.types import Context

#: Prompts that come with the package, by their short names.
NAMES: Final = ("focus", "plain", "select", "label", "training")
#: Tokens of a document that a prompt shows. Source: the Doc2Query++ authors' code.
DOCUMENT_TOKENS: Final = 512
_FIELD: Final = re.compile(r"\{(document|keywords|focus|candidates|count)\}")
#: About one token of the common vocabularies: up to six letters, one digit, one sign.
_TOKEN: Final = re.compile(r"[^\W\d_]{1,6}|\d|[^\w\s]|_")


@dataclass(frozen=True, slots=True)
class Shown:
    """What a prompt shows of one document."""

    title: str
    text: str
    topics: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()
    candidates: tuple[str, ...] = ()

    @classmethod
    def of(cls, passage: Passage) -> Shown:
        """A passage, without topics and keywords."""
        return cls(passage.title, passage.text)


@dataclass(frozen=True, slots=True)
class ExpandPrompt:
    """Words around a document, and worked examples with their answers."""

    name: str
    system: str
    user: str
    examples: tuple[tuple[Shown, tuple[str, ...]], ...]

    @classmethod
    def named(cls, name: str, *, examples: int = 4, lines: int | None = None) -> ExpandPrompt:
        """The prompt of that short name, from the package's data.

        Args:
            name: One of :data:`NAMES`.
            examples: Worked examples that it has, at most.
            lines: Lines that an answer of an example has, at most; None = all.

        Raises:
            ConfigError: If there is no such prompt.
        """
        if name not in NAMES:
            raise ConfigError(f"no prompt {name!r}", expected=", ".join(NAMES))
        found = _data(f"expand-{name}.json")
        worked = [
            (_shown(example, found["answer"]), _answer(example, found["answer"])[:lines])
            for example in _data("expand-examples.json")["examples"][:examples]
        ]
        return cls(found["name"], found["system"], found["user"], tuple(worked))

    @property
    def fingerprint(self) -> str:
        """Hash of all words of the prompt, 16 hexadecimal digits; part of a configuration."""
        parts = [self.name, self.system, self.user]
        for shown, answer in self.examples:
            parts += [repr(shown), *answer]
        return blake2b("\0".join(parts).encode(), digest_size=8).hexdigest()

    def render(self, shown: Shown, *, count: int) -> Prompt:
        """The prompt for one document, asking for ``count`` lines."""
        messages = [Message("system", self.system)]
        for example, answer in self.examples:
            messages.append(Message("user", self._user(example, len(answer))))
            messages.append(Message("assistant", "\n".join(answer)))
        messages.append(Message("user", self._user(shown, count)))
        key = fence_key([shown.title, shown.text])
        return Prompt(messages=tuple(messages), question="", context=Context(), key=key, template=self.name)

    def _user(self, shown: Shown, count: int) -> str:
        fields = {
            "document": document_block(shown.title, shown.text),
            "keywords": ", ".join(map(_inline, shown.keywords)) or "(none)",
            "candidates": ", ".join(map(_inline, shown.candidates)) or "(none)",
            "focus": _focus(shown),
            "count": str(count),
        }
        return _FIELD.sub(lambda match: fields[match.group(1)], self.user)


def document_block(title: str, text: str) -> str:
    """A document within its fences, cut to what a prompt shows."""
    head, body = _inline(title), neutralise(cut(text, DOCUMENT_TOKENS))
    key = fence_key([title, text, head, body])
    return "\n".join([f"<<document {key}>>", *([f"Title: {head}"] if head else []), body, f"<<end {key}>>"])


def cut(text: str, tokens: int) -> str:
    """The text up to about so many tokens, ended after a whole word."""
    for number, match in enumerate(_TOKEN.finditer(text)):
        if number == tokens:
            short = text[: match.start()]
            whole = short[-1:].isspace() or " " not in short
            return (short if whole else short.rsplit(None, 1)[0]).rstrip()
    return text.strip()


def count_tokens(text: str) -> int:
    """About how many tokens a text has."""
    return sum(1 for _ in _TOKEN.finditer(text))


def _inline(text: str) -> str:
    return " ".join(neutralise(text).split())


def _data(file: str) -> Any:
    return json.loads(files("twindex.rag").joinpath("prompts", file).read_text("utf-8"))


def _focus(shown: Shown) -> str:
    """As in "zinc acetate, throat (treatment of colds)"; one of the two where there is no other."""
    keywords, topics = ", ".join(map(_inline, shown.keywords)), "; ".join(map(_inline, shown.topics))
    return f"{keywords} ({topics})" if keywords and topics else keywords or topics or "(none)"


def _shown(example: dict[str, Any], kind: str) -> Shown:
    """What an example shows: all that guides it, or its focus if that is what its answer is about."""
    given = example["focus"] if kind == "focused" else example
    lists: dict[str, Sequence[str]] = {key: given.get(key, ()) for key in ("topics", "keywords", "candidates")}
    return Shown(example["title"], example["text"], **{key: tuple(value) for key, value in lists.items()})


def _answer(example: dict[str, Any], kind: str) -> tuple[str, ...]:
    value = example[kind]
    return (value,) if isinstance(value, str) else tuple(value)
