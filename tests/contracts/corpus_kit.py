"""What every Corpus must do. An implementation inherits the class and gives the fixtures."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from twindex.indexing.corpus import Corpus
from twindex.indexing.corpus.base import storable_value
from twindex.indexing.types import Document

#: What the corpora of the kit hold, where their kind of file can say it.
DOCUMENTS = [
    Document("b", "Bees visit flowers, né à 東京 🐝.", "Bees", {"year": 2020, "lang": "en"}),
    Document("a", "", "", {"year": 1999, "lang": "de"}),
    Document("10", "A line\nand another.", 'Quote " and, comma', {"year": -5, "lang": "en"}),
]


class CorpusKit:
    """Override ``corpus`` with a fixture, and ``documents`` with what it holds if that is not DOCUMENTS.

    ``counted``: the number of documents is known before they are read.
    """

    counted = False

    @pytest.fixture
    def corpus(self) -> Corpus:
        raise NotImplementedError

    @pytest.fixture
    def documents(self) -> list[Document]:
        return DOCUMENTS

    def test_implements_the_protocol(self, corpus: Corpus) -> None:
        assert isinstance(corpus, Corpus)
        assert corpus.name

    def test_documents_in_their_order(self, corpus: Corpus, documents: list[Document]) -> None:
        assert list(corpus) == documents
        assert corpus.skipped_count == 0
        assert corpus.skipped == []

    def test_each_iteration_is_a_new_stream(self, corpus: Corpus) -> None:
        first = list(corpus)
        assert list(corpus) == first
        one, other = iter(corpus), iter(corpus)
        assert isinstance(one, Iterator)
        assert next(one) == next(other) == first[0]
        assert list(itertools.islice(one, 1)) == first[1:2]

    def test_a_stream_may_be_left(self, corpus: Corpus) -> None:
        stream = iter(corpus)
        first = next(stream)
        del stream
        assert next(iter(corpus)) == first

    def test_the_total_is_the_number_or_unknown(self, corpus: Corpus) -> None:
        count = sum(1 for _ in corpus)
        assert corpus.total == (count if self.counted else None)

    def test_documents_can_be_stored(self, corpus: Corpus) -> None:
        for document in corpus:
            assert isinstance(document, Document)
            assert isinstance(document.id, str)
            assert document.id
            assert isinstance(document.text, str)
            assert isinstance(document.title, str)
            assert all(isinstance(key, str) and storable_value(value) for key, value in document.metadata.items())
