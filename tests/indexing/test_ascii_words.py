"""Words of many texts as array operations: exactly those of the regular expressions, whatever the bytes."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.properties.strategies import texts
from twindex.indexing.analysis import Analyzer, Vocabulary, cached, get_analyzer
from twindex.indexing.analysis import classes_12_1 as classes
from twindex.indexing.analysis.ascii_words import Block, tokens
from twindex.indexing.analysis.packed import PACKED, PackedWords
from twindex.indexing.analysis.word_table import WordTable, distinct
from twindex.indexing.analysis.words import WordBreaker

SETTINGS = settings(max_examples=100, deadline=None)
BREAKER = WordBreaker(classes.RUNS)
#: Where words begin, end and hold together; and pieces about as long as 8, 16 and 255 bytes.
ASCII = st.lists(
    st.sampled_from(
        [*"aZz09_:.',;- \n\t\x1c\x00~", "a" * 7, "b" * 8, "c" * 15, "d" * 16, "e" * 17, "f" * 254, "g" * 255, "_" * 254]
    ),
    max_size=14,
).map("".join)


@pytest.fixture(autouse=True, params=["arrays", "compiled"])
def always_by_word(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    monkeypatch.setattr(cached, "_SMALL", 0)
    if request.param == "compiled":
        pytest.importorskip("numba")
        monkeypatch.setattr(cached, "COMPILED_CHARS", 0)


def by_regular_expression(text: str) -> list[str]:
    return [word.lower() for word in BREAKER.words(text)]


@settings(max_examples=400, deadline=None)
@given(batch=st.lists(ASCII, max_size=4))
def test_tokens_are_those_of_the_regular_expressions(batch: list[str]) -> None:
    table, block = WordTable(), Block.of(batch)
    found = tokens(block, table)
    words = [[word] for word in table.words(0).texts()]
    read = [words[row] for row in found.rows.tolist()] if words else [[] for _ in found.rows]
    for token, start, end in found.specials.tolist():
        read[token] = by_regular_expression(block.text(start, end))
    for number, text in enumerate(batch):
        first, last = found.offsets[number : number + 2].tolist()
        assert [word for part in read[first:last] for word in part] == by_regular_expression(text)


@SETTINGS
@given(batch=st.lists(st.one_of(texts(), ASCII), max_size=5))
def test_compiled_code_finds_the_same(batch: list[str]) -> None:
    pytest.importorskip("numba")
    from twindex.indexing.analysis import kernels_words

    block, one, two = Block.of(batch), WordTable(), WordTable()
    expected, found = tokens(block, one), kernels_words.tokens(block, two)
    assert (found.rows.dtype, found.offsets.dtype) == (expected.rows.dtype, expected.offsets.dtype)
    assert found.rows.tolist() == expected.rows.tolist()
    assert found.offsets.tolist() == expected.offsets.tolist()
    assert found.specials.tolist() == expected.specials.tolist()
    assert two.words(0).texts() == one.words(0).texts()


@settings(max_examples=5, deadline=None)
@given(batch=st.lists(ASCII, max_size=4))
def test_compiled_code_goes_on_in_a_table_that_has_grown(batch: list[str]) -> None:
    """Rows stand for words that both tables know, and others are there that both have to pass."""
    pytest.importorskip("numba")
    from twindex.indexing.analysis import kernels_words

    known = PackedWords.of([f"w{n}" for n in range(40_000)])
    block, one, two = (
        Block.of([*batch, " ".join(f"w{n} x{n}" for n in range(35_000, 50_000))]),
        WordTable(),
        WordTable(),
    )
    for table in (one, two):
        table.rows(known)
    assert kernels_words.tokens(block, two).rows.tolist() == tokens(block, one).rows.tolist()
    assert two.words(0).texts() == one.words(0).texts()


@settings(max_examples=200, deadline=None)
@given(words=st.lists(st.text("abz09_'", min_size=1, max_size=PACKED), max_size=30))
def test_packed_words_are_themselves(words: list[str]) -> None:
    packed = PackedWords.of(words)
    assert packed.texts() == words
    firsts, which = distinct(packed)
    assert [words[place] for place in firsts.tolist()] == list(dict.fromkeys(words)), "by first occurrence"
    assert [words[int(firsts[group])] for group in which.tolist()] == words


def test_a_table_keeps_words_apart_that_share_a_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WordTable, "_places", lambda self, words: np.full(len(words), len(self.slots) - 2))
    table = WordTable()
    words = [f"word{n}" for n in range(50)]
    for _ in range(2):
        assert table.rows(PackedWords.of(words[:30])).tolist() == list(range(30))
        assert table.rows(PackedWords.of(words)).tolist() == list(range(50))
    assert table.words(0).texts() == words


def test_a_table_that_grows_keeps_its_rows() -> None:
    table = WordTable()
    words = PackedWords.of([f"w{n}" for n in range(100_000)])
    rows = [table.rows(words[np.arange(start, start + 1000)]) for start in range(0, 100_000, 1000)]
    assert np.concatenate(rows).tolist() == list(range(100_000))
    assert table.rows(words).tolist() == list(range(100_000))


def test_a_long_word_is_not_taken_for_its_beginning() -> None:
    analyzer, vocabulary = get_analyzer("unicode"), Vocabulary()
    text = "neurodevelopmental neurodevelopment neurodevelopmentally neurodevelopment"
    for _ in range(2):  # the second time from memory
        batch = analyzer.analyze([text], vocabulary)
        assert [vocabulary.terms[number] for number in batch.ids] == text.split()


@pytest.fixture(params=["english", "unicode"])
def analyzer(request: pytest.FixtureRequest) -> Analyzer:
    return get_analyzer(request.param)


@settings(max_examples=200, deadline=None)
@given(batch=st.lists(st.one_of(texts(), ASCII), max_size=5), name=st.sampled_from(["english", "unicode"]))
def test_a_batch_equals_its_texts_one_by_one(batch: list[str], name: str) -> None:
    analyzer, vocabulary = get_analyzer(name), Vocabulary()
    for _ in range(2):
        found = analyzer.analyze(batch, vocabulary)
        rows = [found.ids[a:b] for a, b in zip(found.offsets, found.offsets[1:])]
        assert [[vocabulary.terms[n] for n in row] for row in rows] == [analyzer.terms(text) for text in batch]


def test_without_numba_arrays_do(analyzer: Analyzer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cached, "available", lambda _: False)
    monkeypatch.setattr(cached, "COMPILED_CHARS", 0)
    monkeypatch.setitem(sys.modules, "twindex.indexing.analysis.kernels_words", None)
    vocabulary = Vocabulary()
    found = analyzer.analyze(["The lamps, naïve lamps"], vocabulary)
    assert [vocabulary.terms[n] for n in found.ids] == analyzer.terms("The lamps, naïve lamps")


def test_blocks_join(analyzer: Analyzer, monkeypatch: pytest.MonkeyPatch) -> None:
    many = [f"Word{n % 7} naïve{n % 3} it's {n}" for n in range(40)]
    whole, vocabulary = Vocabulary(), Vocabulary()
    expected = analyzer.analyze(many, whole)
    monkeypatch.setattr(cached, "_BLOCK", 7)
    found = analyzer.analyze(many, vocabulary)
    assert [vocabulary.terms[n] for n in found.ids] == [whole.terms[n] for n in expected.ids]
    assert found.offsets.tolist() == expected.offsets.tolist()


def test_the_table_forgets_rather_than_grows(analyzer: Analyzer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cached, "MOST", 5)
    vocabulary = Vocabulary()
    for text in ["alpha beta gamma delta", "delta epsilon zeta", "eta alpha", "alpha eta beta"]:
        found = analyzer.analyze([text], vocabulary)
        assert [vocabulary.terms[n] for n in found.ids] == analyzer.terms(text)
    assert len(vars(analyzer)["_table"]) == 3, "begun anew before the last text"
