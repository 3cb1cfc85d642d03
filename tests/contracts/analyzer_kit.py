"""What every Analyzer must do. An implementation inherits the class and gives the fixture."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.properties.strategies import texts
from twindex.indexing.analysis import Analyzer, TermBatch, Vocabulary

TEXTS = [
    "The keeper's lamps were lit at dusk; 3.14 lamps, to be exact.",
    "naïve café, Ελλάδα, 東京タワー, 한국어, 👩‍👩‍👧",
    "the same words, the same words",
    "",
]
#: Everything that a file may hold and a text should not.
ODD = [" ", "\n\t\x1f", "\0", "a\0b", "\ud800", "a\udfffb", "\U0010ffff", "\u202ea\ufeffb", "e\u0301" * 400, "_" * 3000]
#: A kit runs its laws once an implementation, which Hypothesis takes for an accident unless it is told.
KIT = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
)


def rows(batch: TermBatch, vocabulary: Vocabulary) -> list[list[str]]:
    """The terms of each text of a batch."""
    return [
        [vocabulary.terms[number] for number in batch.ids[start:end].tolist()]
        for start, end in zip(batch.offsets[:-1].tolist(), batch.offsets[1:].tolist(), strict=True)
    ]


class AnalyzerKit:
    """Override ``analyzer`` with a fixture that gives a new one."""

    @pytest.fixture
    def analyzer(self) -> Analyzer:
        raise NotImplementedError

    def test_implements_the_protocol(self, analyzer: Analyzer) -> None:
        assert isinstance(analyzer, Analyzer)
        assert analyzer.name
        assert analyzer.name in analyzer.fingerprint

    def test_shapes_and_dtypes(self, analyzer: Analyzer) -> None:
        for given_texts in ([], [""], TEXTS):
            batch = analyzer.analyze(given_texts, Vocabulary())
            assert (batch.ids.dtype, batch.offsets.dtype) == (np.int32, np.int64)
            assert batch.offsets.shape == (len(given_texts) + 1,)
            assert batch.offsets[0] == 0
            assert batch.offsets[-1] == len(batch.ids)

    @KIT
    @given(batch=st.lists(texts(), max_size=5))
    def test_a_batch_equals_its_texts_one_by_one(self, analyzer: Analyzer, batch: list[str]) -> None:
        vocabulary = Vocabulary()
        assert rows(analyzer.analyze(batch, vocabulary), vocabulary) == [analyzer.terms(text) for text in batch]
        assert rows(analyzer.analyze(iter(batch), vocabulary), vocabulary) == [analyzer.terms(text) for text in batch]

    @KIT
    @given(text=texts())
    def test_terms_are_texts_and_the_same_each_time(self, analyzer: Analyzer, text: str) -> None:
        terms = analyzer.terms(text)
        assert all(isinstance(term, str) and term for term in terms)
        assert analyzer.terms(text) == terms

    @KIT
    @given(a=texts(), b=texts())
    def test_white_space_is_a_border(self, analyzer: Analyzer, a: str, b: str) -> None:
        assert analyzer.terms(f"{a}\n{b}") == analyzer.terms(a) + analyzer.terms(b)

    def test_numbers_go_by_first_occurrence_and_continue(self, analyzer: Analyzer) -> None:
        vocabulary = Vocabulary()
        analyzer.analyze(TEXTS[:1], vocabulary)
        first = list(vocabulary.terms)
        assert first == list(dict.fromkeys(analyzer.terms(TEXTS[0])))
        analyzer.analyze(TEXTS, vocabulary)
        assert vocabulary.terms[: len(first)] == first
        assert [vocabulary.ids[term] for term in vocabulary.terms] == list(range(len(vocabulary)))

    def test_another_vocabulary_starts_anew(self, analyzer: Analyzer) -> None:
        one, other = Vocabulary(), Vocabulary()
        other.add("something else")
        expected = [analyzer.terms(text) for text in TEXTS]
        for vocabulary in (one, other, one):
            assert rows(analyzer.analyze(TEXTS, vocabulary), vocabulary) == expected

    def test_odd_texts(self, analyzer: Analyzer) -> None:
        vocabulary = Vocabulary()
        assert rows(analyzer.analyze(ODD, vocabulary), vocabulary) == [analyzer.terms(text) for text in ODD]

    def test_a_text_of_a_megabyte(self, analyzer: Analyzer) -> None:
        """In linear time: with quadratic time none of these would end."""
        for unit, size in (("word ", 1_000_000), *((unit, 100_000) for unit in "xé_東\u0301"), ("🐝\u200d", 100_000)):
            text = unit * (size // len(unit))
            vocabulary = Vocabulary()
            assert rows(analyzer.analyze([text], vocabulary), vocabulary) == [analyzer.terms(text)]

    def test_threads_may_share_one(self, analyzer: Analyzer) -> None:
        expected = [analyzer.terms(text) for text in TEXTS]

        def work(_: int) -> list[list[str]]:
            vocabulary = Vocabulary()
            return rows(analyzer.analyze(TEXTS, vocabulary), vocabulary)

        with ThreadPoolExecutor(4) as pool:
            assert all(found == expected for found in pool.map(work, range(40)))
