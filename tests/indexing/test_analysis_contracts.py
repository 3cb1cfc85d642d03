"""The analyzers pass one kit, and so does the smallest one that a test may bring along."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest

from tests.contracts.analyzer_kit import AnalyzerKit
from twindex.indexing.analysis import Analyzer, TermBatch, Vocabulary, analyzer_names, get_analyzer
from twindex.indexing.errors import ConfigError


class TestEnglish(AnalyzerKit):
    @pytest.fixture
    def analyzer(self) -> Analyzer:
        return get_analyzer("english")


class TestUnicode(AnalyzerKit):
    @pytest.fixture
    def analyzer(self) -> Analyzer:
        return get_analyzer("unicode")


class TestWhitespace(AnalyzerKit):
    @pytest.fixture
    def analyzer(self) -> Analyzer:
        return get_analyzer("whitespace")


class Plain:
    """No memory, no pieces: the protocol and nothing else."""

    name = "plain"
    fingerprint = "plain/1"

    def terms(self, text: str) -> list[str]:
        return text.lower().split()

    def analyze(self, texts: Iterable[str], vocabulary: Vocabulary) -> TermBatch:
        found = [self.terms(text) for text in texts]
        ids = [vocabulary.add(term) for row in found for term in row]
        return TermBatch(np.array(ids, np.int32), np.cumsum([0, *map(len, found)]).astype(np.int64))


class TestPlain(AnalyzerKit):
    @pytest.fixture
    def analyzer(self) -> Analyzer:
        return Plain()


def test_registry() -> None:
    assert analyzer_names() == ("english", "unicode", "whitespace")
    for name in analyzer_names():
        assert get_analyzer(name).name == name
        assert get_analyzer(name) is not get_analyzer(name)
    with pytest.raises(ConfigError, match="klingon") as raised:
        get_analyzer("klingon")
    assert raised.value.expected == "english or unicode or whitespace"


def test_fingerprints() -> None:
    """Indexes record these texts: one that changes refuses every older index, so terms changed as well."""
    assert [get_analyzer(name).fingerprint for name in analyzer_names()] == [
        "english/1 (uax29-12.1, possessive, lower, stop-33, porter)",
        "unicode/1 (nfkc-casefold-14.0, uax29-17.0, bigrams)",
        "whitespace/1",
    ]
