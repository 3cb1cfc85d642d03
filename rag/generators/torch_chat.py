"""Chats as tokens, and what each token of a vocabulary does to a text of lines."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import Any, Final

from twindex.indexing.errors import ConfigError
from twindex.rag.generators.torch_sampling import BANNED, ENDS_LINE, OPENS, PLAIN, STOPS
from twindex.rag.prompt import Message

START: Final = "<|im_start|>"
END: Final = "<|im_end|>"
#: Texts whose tokens are kept.
KNOWN: Final = 1024
#: Signs that no line may begin with: bullets, headings, quotes, code.
_NO_OPENING: Final = frozenset("-*•–—#\"'`“”‘’>|[]{}()/\\.,;:!?+=_~&^@")


class ChatMl:
    """Chats in the ChatML form (Qwen, SmolLM2 and others), as token numbers.

    Args:
        tokenizer: Of the package tokenizers.
        template: The model's own chat template, to see that it is of this form.

    Raises:
        ConfigError: If the model chats in another form.
    """

    def __init__(self, tokenizer: Any, template: str = START) -> None:
        if START not in template or tokenizer.token_to_id(START) is None:
            raise ConfigError(
                "the model's chat form is not ChatML",
                expected=f"a vocabulary with {START} and {END}",
                remedy="run this model through llama.cpp or an endpoint",
            )
        self.tokenizer = tokenizer
        self._known: dict[str, tuple[int, ...]] = {}
        self._start, self._end = int(tokenizer.token_to_id(START)), int(tokenizer.token_to_id(END))
        self._break = self._plain("\n")

    def encode(self, messages: Sequence[Message]) -> list[int]:
        """Token numbers of a chat, ended where the assistant is to go on. Text never becomes a control token."""
        tokens: list[int] = []
        for message in messages:
            head = self._plain(f"{message.role}\n")
            tokens += [self._start, *head, *self._plain(message.content), self._end, *self._break]
        return [*tokens, self._start, *self._plain("assistant\n")]

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of a draft, up to its stop token."""
        return self.decode_many([tokens])[0]

    def decode_many(self, drafts: Sequence[Sequence[int]]) -> list[str]:
        """The texts of drafts, each up to its stop token."""
        cut = [list(takewhile(lambda token: token != self._end, tokens)) for tokens in drafts]
        return [str(text) for text in self.tokenizer.decode_batch(cut, skip_special_tokens=True)]

    def kinds(self, size: int) -> list[int]:
        """What each token of a vocabulary of ``size`` does, as :mod:`.torch_sampling` names it."""
        special = {token for token, added in self.tokenizer.get_added_tokens_decoder().items() if added.special}
        known = self.tokenizer.get_vocab_size(with_added_tokens=True)
        kinds = [BANNED] * size
        for token in range(min(size, known)):
            if token not in special:
                kinds[token] = _kind(self.tokenizer.decode([token], skip_special_tokens=False))
        kinds[self._end] = STOPS
        return kinds

    def _plain(self, text: str) -> tuple[int, ...]:
        """Tokens of a text in which names of control tokens are only text. Prompts repeat most of their texts."""
        known = self._known.get(text)
        if known is None:
            plain = text.replace("<|", "< |")
            known = tuple(self.tokenizer.encode(plain, add_special_tokens=False).ids)
            if len(self._known) >= KNOWN:
                self._known.clear()
            self._known[text] = known
        return known


def _kind(text: str) -> int:
    body = text[:-1] if text.endswith("\n") else text
    if any(sign in body for sign in "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"):
        return BANNED
    if text.endswith("\n"):
        return ENDS_LINE
    if not text or text[0].isspace() or text[0] in _NO_OPENING or "\ufffd" in text:
        return PLAIN
    return OPENS
