"""Words of many texts as array operations: exactly those of the regular expressions, whatever the bytes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.properties.strategies import texts
from twindex.indexing.analysis import Analyzer, Vocabulary, cached, get_analyzer
from twindex.indexing.analysis import classes_12_1 as classes
from twindex.indexing.analysis.ascii_words import split
from twindex.indexing.analysis.word_table import UNKNOWN, WordTable
from twindex.indexing.analysis.words import WordBreaker

BREAKER = WordBreaker(classes.RUNS)
#: Where words begin, end and hold together; and pieces about as long as 8, 16 and 255 bytes.
ASCII = st.lists(
    st.sampled_from(
        [*"aZz09_:.',;- \n\t\x1c\x00~", "a" * 7, "b" * 8, "c" * 15, "d" * 16, "e" * 17, "f" * 254, "g" * 255, "_" * 254]
    ),
    max_size=14,
).map("".join)


@pytest.fixture(autouse=True)
def always_by_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cached, "_SMALL", 0)


def by_regular_expression(text: str) -> list[str]:
    return [word.lower() for word in BREAKER.words(text)]


@settings(max_examples=400, deadline=None)
@given(batch=st.lists(ASCII, max_size=4))
def test_tokens_are_those_of_the_regular_expressions(batch: list[str]) -> None:
    found = split(batch)
    data = found.data.tobytes()
    tokens = [(start, found.word(number)) for number, start in enumerate(found.starts.tolist())]
    for start, end in found.pieces.tolist():
        piece = data[start:end].decode()
        tokens += [(start, word) for word in by_regular_expression(piece)]
    tokens.sort(key=lambda pair: pair[0])
    for number, text in enumerate(batch):
        first, last = found.bounds[number : number + 2].tolist()
        assert [word for start, word in tokens if first <= start < last] == by_regular_expression(text)


@settings(max_examples=200, deadline=None)
@given(batch=st.lists(ASCII, max_size=4))
@example(batch=["dddddddddddddddda", "dddddddddddddddd", "dddddddddddddddd"])
def test_distinct_words_cover_all_tokens(batch: list[str]) -> None:
    found = split(batch)
    chosen, which = found.distinct(*found.packed())
    words = [found.word(number) for number in chosen.tolist()]
    assert [words[group] for group in which.tolist()] == [found.word(n) for n in range(len(found.starts))]
    long_heads = {word[:16] for word in words if len(word) > 16}  # a word that shares its key may be there twice
    alone = [word for word in words if word[:16] not in long_heads]
    assert len(alone) == len(set(alone))
    assert np.all(np.diff(chosen) > 0), "by first occurrence"


def test_words_that_share_a_key_stay_apart() -> None:
    """No two words are known to share a key, so the keys are made equal here."""
    found = split(["alpha beta alpha gamma beta"])
    low, high, keys = found.packed()
    chosen, which = found.distinct(low, high, np.zeros_like(keys))
    words = [found.word(number) for number in chosen.tolist()]
    assert [words[group] for group in which.tolist()] == ["alpha", "beta", "alpha", "gamma", "beta"]


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


def test_blocks_join(analyzer: Analyzer, monkeypatch: pytest.MonkeyPatch) -> None:
    many = [f"Word{n % 7} naïve{n % 3} it's {n}" for n in range(40)]
    whole, vocabulary = Vocabulary(), Vocabulary()
    expected = analyzer.analyze(many, whole)
    monkeypatch.setattr(cached, "_BLOCK", 7)
    found = analyzer.analyze(many, vocabulary)
    assert [vocabulary.terms[n] for n in found.ids] == [whole.terms[n] for n in expected.ids]
    assert found.offsets.tolist() == expected.offsets.tolist()


def test_the_table_forgets_rather_than_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("twindex.indexing.analysis.word_table.MOST", 5)
    table = WordTable()
    for start in (0, 4):
        low = np.arange(start, start + 4, dtype=np.uint64)
        table.learn(low, low, low, low.astype(np.int32))
        assert table.find(low, low, low).tolist() == low.tolist()
    assert len(table) == 4
    gone = np.arange(3, dtype=np.uint64)
    assert table.find(gone, gone, gone).tolist() == [UNKNOWN] * 3
