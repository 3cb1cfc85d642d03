"""What every generator must do. A test class inherits the kit and supplies the fixture ``generator``."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.rag.fakes import context_of
from twindex.indexing.errors import ConfigError
from twindex.rag.generator import Generator, drain
from twindex.rag.prompt import BRIEF, Prompt, render
from twindex.rag.types import Draft

REQUEST: dict[str, Any] = {"max_tokens": 60, "temperature": 0.0, "stop": (), "seed": 7}


def streamed(generator: Generator, prompt: Prompt, **request: Any) -> tuple[list[str], Draft]:
    """The bits of a stream, and the draft it ended in."""
    stream = drain(generator.stream(prompt, **{**REQUEST, **request}))
    bits: list[str] = []
    while True:
        try:
            bits.append(next(stream))
        except StopIteration as end:
            draft = end.value
            assert isinstance(draft, Draft)
            return bits, draft


class GeneratorKit:
    """Laws of the protocol."""

    @pytest.fixture
    def prompt(self) -> Prompt:
        context = context_of(
            "The old bridge over the river Tarn was opened in 1911. It carries two tracks.",
            "Trains cross the river Tarn on a bridge of steel.",
        )
        return render(BRIEF, "When was the bridge over the river Tarn opened?", context)

    def test_is_a_generator_with_a_name(self, generator: Generator) -> None:
        assert isinstance(generator, Generator)
        assert generator.name
        assert generator.name == generator.name.strip()

    def test_a_draft_has_text_or_is_an_abstention(self, generator: Generator, prompt: Prompt) -> None:
        draft = generator.generate(prompt, **REQUEST)
        assert bool(draft.text.strip()) != (draft.finish == "abstained")
        assert draft.support is None or 0.0 <= draft.support <= 1.0

    def test_the_stream_joined_is_the_draft(self, generator: Generator, prompt: Prompt) -> None:
        bits, draft = streamed(generator, prompt)
        assert "".join(bits) == draft.text
        assert all(bits), "no empty bits"
        whole = generator.generate(prompt, **REQUEST)
        assert (whole.text, whole.finish, whole.bindings) == (draft.text, draft.finish, draft.bindings)

    def test_without_temperature_the_same_prompt_has_the_same_draft(self, generator: Generator, prompt: Prompt) -> None:
        assert generator.generate(prompt, **REQUEST) == generator.generate(prompt, **REQUEST)

    def test_many_threads_may_ask(self, generator: Generator, prompt: Prompt) -> None:
        expected = generator.generate(prompt, **REQUEST).text
        with ThreadPoolExecutor(4) as pool:
            drafts = list(pool.map(lambda _: generator.generate(prompt, **REQUEST).text, range(4)))
        assert drafts == [expected] * 4

    def test_bindings_name_claims_and_spans_that_exist(self, generator: Generator, prompt: Prompt) -> None:
        draft = generator.generate(prompt, **REQUEST)
        for binding in draft.bindings or ():
            passage = prompt.context.passage(binding.number)
            assert passage is not None
            assert passage.start <= binding.start < binding.end <= passage.end
            assert 0 <= binding.claim_start < binding.claim_end <= len(draft.text)

    def test_a_stop_text_is_not_part_of_the_draft(self, generator: Generator, prompt: Prompt) -> None:
        word = "1911"
        assert word not in generator.generate(prompt, **{**REQUEST, "stop": (word,)}).text

    def test_usage_counts_up_from_zero(self, generator: Generator, prompt: Prompt) -> None:
        usage = generator.generate(prompt, **REQUEST).usage
        assert usage is None or (usage.prompt_tokens >= 0 and usage.completion_tokens >= 0)

    @pytest.mark.parametrize("wrong", [{"max_tokens": 0}, {"temperature": -0.1}])
    def test_requests_that_cannot_be_right_are_refused(
        self, generator: Generator, prompt: Prompt, wrong: dict[str, Any]
    ) -> None:
        with pytest.raises(ConfigError):
            generator.generate(prompt, **{**REQUEST, **wrong})
        with pytest.raises(ConfigError):
            streamed(generator, prompt, **wrong)

    def test_a_stream_may_be_left(self, generator: Generator, prompt: Prompt) -> None:
        stream = drain(generator.stream(prompt, **REQUEST))
        next(stream)
        stream.close()
        assert generator.generate(prompt, **REQUEST).text
