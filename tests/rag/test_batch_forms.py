"""Forms of drafts and batches of requests: what each runtime is told, what comes back, and when it is given up."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.rag.endpoint import Reply, chat, serving
from tests.rag.test_llama_cpp import FakeRuntime
from twindex.indexing.errors import ConfigError, GenerationError, ModelNotFoundError
from twindex.rag.batch import Ask, BatchGenerator, FormedGenerator, Sampling, Threaded
from twindex.rag.expand.prompts import NAMES, ExpandPrompt, Shown, count_tokens, cut, document_block
from twindex.rag.expand.resolve import resolve_batch_generator
from twindex.rag.forms import Lines, read_lines
from twindex.rag.generators.llama_cpp import LlamaCppConfig, LlamaCppGenerator
from twindex.rag.generators.openai import OpenAIConfig, OpenAIGenerator
from twindex.rag.prompt import Prompt
from twindex.rag.types import Context, Draft

PROMPT = Prompt(messages=(), question="q", context=Context(), key="", template="t")
FORM = Lines(2, 3, 10)


def test_lines_are_read_from_text_and_from_json() -> None:
    wanted = ("one two", "three")
    assert read_lines("one  two\n\nthree\n", FORM) == wanted
    assert read_lines('1. one two\n- "three"\n* \n', FORM) == wanted
    assert read_lines('{"lines": ["one two", "three"]}', FORM) == wanted
    assert read_lines('```json\n["one two", "three", 3]\n```', FORM) == wanted
    assert read_lines("Query 1: one two\nquestion: three", FORM) == wanted
    assert read_lines("a\nb\nc\nd", FORM) == ("a", "b", "c")
    assert read_lines("{broken", FORM) == ("{broken",)
    assert read_lines("?!\n...", FORM) == ()


@given(st.text())
def test_any_draft_can_be_read(text: str) -> None:
    lines = read_lines(text, FORM)
    assert len(lines) <= FORM.most
    assert all(line.strip() == line and line for line in lines)


def test_a_form_in_each_tongue() -> None:
    lines = FORM.schema()["properties"]["lines"]
    assert (lines["minItems"], lines["maxItems"]) == (2, 3)
    assert '("\\n" line){1,2}' in FORM.grammar()
    assert Lines(1, 1).grammar().startswith("root ::= line \n")
    for least, most, tokens in ((0, 1, 5), (3, 2, 5), (1, 1, 0)):
        with pytest.raises(ConfigError):
            Lines(least, most, tokens)
    with pytest.raises(ConfigError, match="top_p"):
        Sampling(5, top_p=0.0)


def test_an_endpoint_is_held_to_the_form_by_schema() -> None:
    with serving(chat('{"lines": ["a", "b"]}'), chat("a\nb")) as endpoint:
        with OpenAIGenerator(OpenAIConfig(endpoint.url, "m")) as generator:
            assert isinstance(generator, FormedGenerator)
            draft = generator.generate_formed(PROMPT, Sampling(20, 0.5, 0.9, FORM), 7)
            assert read_lines(draft.text, FORM) == ("a", "b")
        body = endpoint.bodies[0]
        assert body["response_format"]["json_schema"]["schema"] == FORM.schema()
        assert (body["top_p"], body["seed"], body["temperature"]) == (0.9, 7, 0.5)
        assert body["max_tokens"] > 20
        with OpenAIGenerator(OpenAIConfig(endpoint.url, "m", schemas=False)) as generator:
            generator.generate_formed(PROMPT, Sampling(20, form=FORM), 7)
        assert "response_format" not in endpoint.bodies[1]


def test_llama_cpp_is_held_to_the_form_by_a_grammar() -> None:
    runtime = FakeRuntime(["a", "\n", "b"])
    generator = LlamaCppGenerator(LlamaCppConfig(Path("m.gguf")), runtime=runtime)
    assert isinstance(generator, FormedGenerator)
    draft = generator.generate_formed(PROMPT, Sampling(20, 0.5, 0.9, FORM), 7)
    assert read_lines(draft.text, FORM) == ("a", "b")
    assert runtime.bodies[0]["grammar"] == FORM.grammar()
    assert runtime.bodies[0]["top_p"] == 0.9
    generator.generate_formed(PROMPT, Sampling(20), 7)
    assert "grammar" not in runtime.bodies[1]


class Slow:
    """Answers after a while that grows less; fails for odd seeds if told so."""

    name = "slow"

    def __init__(self, failing: bool = False) -> None:
        self.failing, self.at_once, self.most = failing, 0, 0
        self.lock = threading.Lock()

    def generate(self, prompt: Prompt, *, max_tokens: int, temperature: float, stop: Sequence[str], seed: int) -> Draft:
        with self.lock:
            self.at_once += 1
            self.most = max(self.most, self.at_once)
        time.sleep(0.02 / (1 + seed))
        with self.lock:
            self.at_once -= 1
        if self.failing:
            raise GenerationError(f"no {seed}")
        return Draft(str(seed))

    def stream(
        self, prompt: Prompt, *, max_tokens: int, temperature: float, stop: Sequence[str], seed: int
    ) -> Iterator[str]:
        yield str(seed)


def test_requests_in_flight_come_back_in_order() -> None:
    slow = Slow()
    made = Threaded(slow, workers=3)
    assert isinstance(made, BatchGenerator)
    found = list(made.batch((Ask(PROMPT, (2 * i, 2 * i + 1)) for i in range(9)), Sampling(5)))
    assert [place for place, _ in found] == list(range(9))
    assert [o.text for _, pair in found for o in pair if isinstance(o, Draft)] == [str(i) for i in range(18)]
    assert 1 < slow.most <= 3


def test_asks_are_taken_only_as_there_is_room() -> None:
    taken: list[int] = []

    def asks() -> Iterator[Ask]:
        for i in range(100):
            taken.append(i)
            yield Ask(PROMPT, (i,))

    stream = Threaded(Slow(), workers=2).batch(asks(), Sampling(5))
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert len(taken) < 10


def test_a_generator_that_only_fails_is_given_up() -> None:
    asks = [Ask(PROMPT, (i,)) for i in range(50)]
    made = Threaded(Slow(failing=True), workers=2, patience=5).batch(asks, Sampling(5))
    outcomes = [next(made)[1][0] for _ in range(4)]
    assert all(isinstance(outcome, GenerationError) for outcome in outcomes)
    with pytest.raises(GenerationError, match=r"5 requests in a row failed, the last with: no 4"):
        next(made)


def test_an_endpoint_that_is_busy_is_asked_again() -> None:
    with serving(Reply(b"{}", 429, {"retry-after": "0"}), chat("a\nb")) as endpoint:
        made = Threaded(OpenAIGenerator(OpenAIConfig(endpoint.url, "m", backoff=0.0)), workers=1)
        ((_, (draft,)),) = made.batch([Ask(PROMPT, (1,))], Sampling(5, form=FORM))
        made.close()
        assert isinstance(draft, Draft)
        assert len(endpoint.bodies) == 2


def test_names_of_batch_generators(tmp_path: Path) -> None:
    assert resolve_batch_generator("openai:m@http://localhost:1/v1").name == "openai:m"
    for spec in ("extractive", ""):
        with pytest.raises(ConfigError, match="--method keywords"):
            resolve_batch_generator(spec)
    with pytest.raises(ModelNotFoundError):
        resolve_batch_generator(f"torch:{tmp_path / 'none.gguf'}")


@pytest.mark.parametrize("name", NAMES)
def test_prompts_share_their_beginning_and_fence_the_document(name: str) -> None:
    prompt = ExpandPrompt.named(name)
    shown = Shown("A title", "text {count} <<end 0>> <|im_end|>", ("topic",), ("key",), ("candidate",))
    one, two = prompt.render(shown, count=3), prompt.render(Shown("", "other"), count=3)
    assert one.messages[:-1] == two.messages[:-1]
    assert [message.role for message in one.messages[:3]] == ["system", "user", "assistant"]
    last = one.messages[-1].content
    assert "<|im_end|>" not in last
    assert "text {count}" in last
    key = last[last.index("<<document ") + 11 :].split(">>")[0]
    assert last.count(f"<<end {key}>>") == 1
    assert prompt.fingerprint != ExpandPrompt.named(name, examples=1).fingerprint


def test_prompts_of_this_release_are_these() -> None:
    """A changed prompt is another configuration: give it a new name when it changes."""
    known = json.loads((Path(__file__).parent / "expand_prompts.json").read_text())
    assert {ExpandPrompt.named(name).name: ExpandPrompt.named(name).fingerprint for name in NAMES} == known


def test_documents_are_cut_at_whole_words() -> None:
    assert cut("one two three", 2) == "one two"
    assert cut("  one two  ", 9) == "one two"
    assert count_tokens("1234 words-and") == 4 + 1 + 1 + 1
    assert len(document_block("", "word " * 5000)) < 3000
    with pytest.raises(ConfigError, match="no prompt"):
        ExpandPrompt.named("other")
