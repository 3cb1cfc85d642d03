"""What a generator is: a prompt in, a draft out.

An implementation is one file in ``generators/`` that passes the kit in tests/contracts.
"""

from __future__ import annotations

from collections.abc import Generator as Stream
from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

from twindex.indexing.errors import ConfigError
from twindex.rag.prompt import Prompt
from twindex.rag.types import Draft


@runtime_checkable
class Generator(Protocol):
    """Writes drafts. May be called from many threads at a time."""

    @property
    def name(self) -> str:
        """Short name with the model, as in "openai:qwen2.5"; part of answers and reports."""

    def generate(self, prompt: Prompt, *, max_tokens: int, temperature: float, stop: Sequence[str], seed: int) -> Draft:
        """The whole draft.

        Args:
            prompt: Rendered prompt.
            max_tokens: Tokens of the draft, at most.
            temperature: 0 = always the likeliest token; the same prompt then has the same draft, as far
                as the runtime can promise it.
            stop: Texts that end the draft; they are not part of it.
            seed: Of the sampling, if there is any.

        Raises:
            GenerationError: If no usable draft came of it.
        """

    def stream(
        self, prompt: Prompt, *, max_tokens: int, temperature: float, stop: Sequence[str], seed: int
    ) -> Iterator[str]:
        """The draft bit by bit.

        Law: the bits joined are the text of the draft. A stream that is a Python generator may return its
        :class:`Draft`, which adds what text cannot carry: usage, and citations that are bound already.

        Raises:
            GenerationError: As above, also in the middle.
        """


def check_request(*, max_tokens: int, temperature: float) -> None:
    """Nothing, if the request can be right.

    Raises:
        ConfigError: If ``max_tokens`` is below 1 or ``temperature`` is negative.
    """
    if max_tokens < 1:
        raise ConfigError(f"max_tokens = {max_tokens}", expected="1 or more")
    if temperature < 0:
        raise ConfigError(f"temperature = {temperature}", expected="0 or more")


def drain(bits: Iterator[str]) -> Stream[str, None, Draft]:
    """Passes the bits on, and returns the draft: the stream's own, or else one of the joined text."""
    seen: list[str] = []
    while True:
        try:
            bit = next(bits)
        except StopIteration as end:
            return end.value if isinstance(end.value, Draft) else Draft("".join(seen))
        seen.append(bit)
        yield bit
