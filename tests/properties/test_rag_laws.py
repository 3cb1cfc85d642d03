"""Laws of sentences, contexts, prompts, citations and answers."""

from __future__ import annotations

import itertools
import re
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from tests.contracts.generator_kit import REQUEST
from tests.rag.fakes import TERMS, FakeHit, FakeSource, PlainAnalyzer, Scripted, context_of
from twindex.rag.citations import CitationConfig, check_draft, parse_markers, render_markers
from twindex.rag.context import ContextBuilder, ContextConfig
from twindex.rag.engine import AnswerEngine, EngineConfig
from twindex.rag.evidence import Evidence
from twindex.rag.fences import neutralise
from twindex.rag.generators.extractive import ExtractiveConfig, ExtractiveGenerator
from twindex.rag.prompt import BRIEF, CITED, render
from twindex.rag.sentences import MAX_CHARS, split_sentences
from twindex.rag.tokens import EstimatedTokens
from twindex.rag.types import Answer, Draft

WORDS = [
    "rain",
    "bridge",
    "the",
    "1911",
    "3.14",
    "Dr.",
    "e.g.",
    "Tarn.",
    "opened.",
    "Who?",
    "x[1]",
    "[2]",
    "-",
    "is",
]
HOSTILE = [
    "<<end 1",
    "<<passage 2",
    "0a1b2c3d4e5f>>",
    "<|im_end|>",
    "[INST]",
    "\n\n",
    "\n- ",
    "\u202e",
    "。",
    "\x00",
]
prose = st.lists(st.sampled_from(WORDS + HOSTILE), max_size=60).map(" ".join)
texts = st.one_of(prose, st.text(max_size=200))
contexts = st.lists(texts, min_size=1, max_size=4).map(lambda parts: context_of(*parts, starts=range(len(parts))))
drafts = st.lists(
    st.sampled_from([*WORDS, "[1]", "[1, 2]", "[9]", "[1-3].", "opened [2].", "Rain.", "[Passage 1]"]),
    max_size=30,
).map(" ".join)


@st.composite
def hits(draw: st.DrawFn) -> list[FakeHit]:
    """Spans of a few documents, overlapping as they like, a few of them contradicting."""
    documents = draw(st.lists(texts, min_size=1, max_size=3))
    found = []
    for i in range(draw(st.integers(0, 8))):
        number = draw(st.integers(0, len(documents) - 1))
        text = documents[number]
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, len(text)))
        found.append(FakeHit(f"h{i}", text[start:end], doc_id=f"d{number}", start=start, score=float(-i)))
    return found


@given(texts)
def test_sentences_cover_the_text_exactly(text: str) -> None:
    spans = split_sentences(text)
    assert "".join("".join(span.of(text).split()) for span in spans) == "".join(text.split())
    for left, right in itertools.pairwise(spans):
        assert left.end <= right.start
    for span in spans:
        piece = span.of(text)
        assert piece == piece.strip() != ""
        assert len(piece) <= MAX_CHARS


@given(texts, texts)
def test_the_estimate_grows_with_the_text(a: str, b: str) -> None:
    counter = EstimatedTokens()
    assert max(counter.count(a), counter.count(b)) <= counter.count(a + b) <= counter.count(a) + counter.count(b)


@given(hits(), texts, st.integers(1, 400), st.integers(1, 200), st.sampled_from(["rank", "edges", "document"]))
def test_a_context_keeps_its_budget_and_its_spans(
    found: list[FakeHit], question: str, budget: int, most: int, order: Any
) -> None:
    config = ContextConfig(budget=budget, max_passage=most, min_passage=10, order=order)
    context = ContextBuilder(config, terms=TERMS).build(question, found)
    counter = EstimatedTokens()
    prompt = render(BRIEF, question, context)
    blocks = re.findall(
        rf"<<passage \d+ {prompt.key}>>\n.*?\n<<end \d+ {prompt.key}>>",
        prompt.messages[-1].content,
        re.DOTALL,
    )
    assert context.tokens == sum(p.tokens for p in context.passages) <= budget
    assert sum(map(counter.count, blocks)) <= budget
    assert [p.number for p in context.passages] == list(range(1, len(context) + 1))
    by_id = {hit.id: hit for hit in found}
    for passage in context.passages:
        assert passage.tokens <= most
        assert passage.end - passage.start == len(passage.text)
        assert passage.id in [part.id for part in passage.parts]
        for part in passage.parts:
            low, high = max(part.start, passage.start), min(part.end, passage.end)
            hit = by_id[part.id]
            assert passage.slice(low, high) == hit.text[low - hit.start : high - hit.start]


@given(contexts, texts)
def test_no_passage_closes_its_fence(context: Any, question: str) -> None:
    prompt = render(CITED, question, context)
    last = prompt.messages[-1].content
    assert prompt.key not in question + "".join(p.text for p in context.passages)
    for passage in context.passages:
        open_, close = (
            f"<<passage {passage.number} {prompt.key}>>\n",
            f"\n<<end {passage.number} {prompt.key}>>",
        )
        assert last.count(open_.strip()) == last.count(close.strip()) == 1
        assert last.split(open_)[1].split(close)[0] == neutralise(passage.text)
    assert last.count(prompt.key) == 2 * len(context)
    assert render(CITED, question, context) == prompt


@given(texts)
def test_neutralising_twice_is_neutralising_once(text: str) -> None:
    assert neutralise(neutralise(text)) == neutralise(text)


@given(st.lists(st.integers(0, 9999), min_size=1, max_size=6, unique=True))
def test_markers_are_read_as_they_are_written(numbers: list[int]) -> None:
    clean, markers = parse_markers(f"It rains {render_markers(numbers)}. Then it stops.")
    assert clean == "It rains. Then it stops."
    assert [n for marker in markers for n in marker.numbers] == numbers
    joined = ", ".join(map(str, numbers))
    assert [m.numbers for m in parse_markers(f"It rains [{joined}].")[1]] == [tuple(numbers)]


def holds(answer_text: str, citations: Any, context: Any) -> None:
    """Every citation's span lies within its passage and has the quote; its claim lies within the answer."""
    for citation in citations:
        passage = context.passages[citation.marker - 1]
        assert passage.start <= citation.start < citation.end <= passage.end
        assert citation.quote == passage.slice(citation.start, citation.end)
        assert citation.id in [part.id for part in passage.parts]
        assert 0.0 <= citation.support <= 1.0
        assert 0 <= citation.claim_start < citation.claim_end <= len(answer_text)


@given(contexts, drafts, st.floats(0, 1), st.booleans())
def test_checked_citations_are_bound_to_what_exists(context: Any, text: str, least: float, repair: bool) -> None:
    config = CitationConfig(min_support=least, repair=repair)
    checked = check_draft(Draft(text), Evidence(context, TERMS), config)
    holds(checked.text, checked.citations, context)
    assert 0.0 <= checked.support <= 1.0 + 1e-9
    assert all(c.support >= min(least, config.repair_support) for c in checked.citations)
    # What stays in the text is what is bound, and words are neither lost nor added.
    clean, markers = parse_markers(checked.text)
    assert {n for m in markers for n in m.numbers} == {c.marker for c in checked.citations}
    assert clean.split() == parse_markers(text)[0].split()


@given(contexts, st.one_of(prose, texts), st.integers(1, 3), st.floats(0, 1))
def test_extracted_sentences_are_verbatim(context: Any, question: str, most: int, least: float) -> None:
    config = ExtractiveConfig(max_sentences=most, min_support=least, ratio=0.1)
    generator = ExtractiveGenerator(config, analyzer=PlainAnalyzer())
    prompt = render(BRIEF, question, context)
    draft = generator.generate(prompt, **REQUEST)
    assert draft == generator.generate(prompt, **REQUEST)
    assert draft.bindings is not None
    assert len(draft.bindings) <= most
    rest = draft.text
    for binding in draft.bindings:
        passage = context.passages[binding.number - 1]
        claim = draft.text[binding.claim_start : binding.claim_end]
        assert claim == passage.slice(binding.start, binding.end)
        rest = rest.replace(f"{claim} [{binding.number}]", "", 1)
    assert rest.strip() == ""


@given(hits(), st.one_of(prose, texts), drafts, st.booleans())
def test_answers_are_bound_or_abstain(found: list[FakeHit], question: str, text: str, extract: bool) -> None:
    generator = ExtractiveGenerator(analyzer=PlainAnalyzer()) if extract else Scripted(text)
    config = EngineConfig(context=ContextConfig(budget=300))
    engine = AnswerEngine(FakeSource(found), generator, config, analyzer=PlainAnalyzer())
    answer = engine.answer(question)
    assert answer.abstained == (not answer.citations)
    holds(answer.text, answer.citations, answer.context)
    assume(question.strip())
    *_, final = engine.stream(question)
    streamed = getattr(final, "answer", None)
    assert isinstance(streamed, Answer)
    assert streamed.to_dict() | {"took_ms": 0} == answer.to_dict() | {"took_ms": 0}
    assert [line.id for line in answer.ranking] == [hit.id for hit in found][: len(answer.ranking)]
