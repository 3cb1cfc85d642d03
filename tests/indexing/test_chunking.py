"""Chunking: spans point back, nothing is lost, sizes hold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twindex.indexing.chunking import ChunkConfig, make_chunker
from twindex.indexing.errors import ConfigError
from twindex.indexing.types import Document, Passage

TEXTS = st.text(st.sampled_from("ab .!?\n。'\"é\t\u2003"), max_size=200)
CONFIGS = st.one_of(
    st.just(ChunkConfig()),
    st.tuples(st.sampled_from(["words", "sentences"]), st.integers(1, 12), st.integers(0, 5))
    .filter(lambda parts: parts[2] < parts[1])
    .map(lambda parts: ChunkConfig(*parts)),  # type: ignore[arg-type]
)


def chunk(config: ChunkConfig, text: str) -> list[Passage]:
    return list(make_chunker(config).chunk(Document("d", text, "T", {"k": 1})))


@given(config=CONFIGS, text=TEXTS)
def test_spans_point_back_and_cover_everything(config: ChunkConfig, text: str) -> None:
    passages = chunk(config, text)
    assert passages
    covered = set()
    for passage in passages:
        assert passage.text == text[passage.start : passage.end]
        assert (passage.doc_id, passage.title, passage.metadata) == ("d", "T", {"k": 1})
        covered.update(range(passage.start, passage.end))
    assert all(at in covered for at, character in enumerate(text) if not character.isspace())
    assert len({passage.id for passage in passages}) == len(passages)
    starts = [passage.start for passage in passages]
    assert starts == sorted(set(starts))


@given(config=CONFIGS, text=TEXTS)
def test_no_passage_has_more_words_than_its_size(config: ChunkConfig, text: str) -> None:
    if config.kind != "none":
        assert all(len(passage.text.split()) <= config.size for passage in chunk(config, text))


@given(config=CONFIGS)
def test_configurations_print_and_parse(config: ChunkConfig) -> None:
    assert ChunkConfig.parse(str(config)) == config
    assert ChunkConfig(**config.to_dict()) == config


def test_words() -> None:
    passages = chunk(ChunkConfig("words", 3, 1), "a b c d e f")
    assert [(passage.id, passage.text) for passage in passages] == [("d#0", "a b c"), ("d#1", "c d e"), ("d#2", "e f")]


def test_sentences() -> None:
    text = "One two. Three four five! Six? Seven eight nine ten eleven twelve thirteen.\n\nLast"
    passages = chunk(ChunkConfig("sentences", 6, 1), text)
    assert [passage.text for passage in passages] == [
        "One two. Three four five! Six?",
        "Six?",
        "Seven eight nine ten eleven twelve",
        "thirteen.\n\nLast",
    ]


def test_without_chunking_the_passage_is_the_document() -> None:
    assert chunk(ChunkConfig(), "text") == [Passage("d", "d", "text", "T", 0, 4, {"k": 1})]


@pytest.mark.parametrize("text", ["bits", "words:x", "words:0", "words:5:5", "none:3", "words:1:2:3", "words:-1", ""])
def test_wrong_configurations(text: str) -> None:
    with pytest.raises(ConfigError):
        ChunkConfig.parse(text)
