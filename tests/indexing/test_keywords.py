"""Keywords: what a text is about, in phrases that are its own or its topics'; the same every time."""

import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twindex.indexing.encoders.hashing import HashingEncoder
from twindex.indexing.errors import ConfigError
from twindex.indexing.expansion.keyword_queries import keyword_queries
from twindex.indexing.expansion.keywords import KeywordConfig, KeywordSelector, stemmed
from twindex.indexing.expansion.mmr import diverse
from twindex.indexing.expansion.sentences import SentenceConfig, split
from twindex.indexing.expansion.topic_config import TopicConfig
from twindex.indexing.expansion.topic_samples import topic_samples
from twindex.indexing.expansion.topics import TopicModel
from twindex.indexing.expansion.whole_vectors import cosines, dots, levels, whole
from twindex.indexing.expansion.words import STOP_WORDS, phrases, words

TEXTS = [
    "Heat pumps move heat. A heat pump uses a refrigerant and a compressor to warm a house in winter.",
    "The compressor of a heat pump raises the pressure of the refrigerant before the condenser.",
    "A condenser gives heat to the house; an evaporator takes heat from the cold air outside in winter.",
    "Bread rises because yeast makes gas. The baker kneads the dough until the gluten is elastic.",
    "Sourdough bread has wild yeast, and the dough ferments overnight before the baker shapes the loaf.",
    "A loaf with a good crust needs steam in the oven while the dough expands and the gluten sets.",
] * 2
ENCODER = HashingEncoder(256)


@pytest.fixture(scope="module")
def selector() -> KeywordSelector:
    config = TopicConfig(topics=2, min_size=2, outliers=0.0)
    return KeywordSelector(TopicModel.fit(TEXTS, ENCODER, config))


def test_phrases_keep_to_their_runs() -> None:
    assert phrases("Heat pumps, and the heat pump of 1987 in U.S. houses") == [
        "heat", "heat pumps", "pumps", "heat", "heat pump", "pump", "houses",
    ]  # fmt: skip
    assert phrases("well-known T-cells’ 3d x") == ["well-known", "well-known t-cells", "t-cells", "3d"]
    assert words("The patient's heart") == ["patient", "heart"]
    assert words("of the 12 345") == []
    assert "the" in STOP_WORDS
    assert all(word == word.lower() for word in STOP_WORDS)


@given(st.text(max_size=400))
@settings(max_examples=60, deadline=None)
def test_any_text_is_cut_without_loss_or_failure(text: str) -> None:
    pieces = split(text, SentenceConfig())
    assert all(piece in text or " " in piece for piece in pieces)
    for phrase in phrases(text):
        assert 1 <= len(phrase.split(" ")) <= 2
        assert not any(word in STOP_WORDS for word in phrase.split(" "))


def test_sentences_are_neither_fragments_nor_endless() -> None:
    config = SentenceConfig(min_words=4, max_words=6)
    text = "Yes. See Fig. 3 of it now please. One two three four five six seven eight nine ten. 12 13 14 15 16."
    pieces = split(text, config)
    assert pieces[0].startswith("Yes. See Fig. 3")
    assert max(len(piece.split()) for piece in pieces) <= 6
    assert not any(piece.startswith("12") for piece in pieces)
    many = " ".join(f"Sentence number {word} stands right here." for word in "abcdefghij")
    limited = split(many, SentenceConfig(limit=3))
    assert len(limited) == 3
    assert limited == split(many, SentenceConfig(limit=3))


def test_own_keywords_are_phrases_of_the_text_and_unlike_each_other(selector: KeywordSelector) -> None:
    vectors = ENCODER.encode_documents(TEXTS)
    for text, choice in zip(TEXTS, selector.select_many(TEXTS, vectors)):
        own = [keyword.text for keyword in choice.own]
        assert own
        assert set(own) <= set(phrases(text))
        assert len({stemmed(name) for name in own}) == len(own)
        assert all(0 < keyword.score <= 1 and keyword.source == "document" for keyword in choice.own)
        assert len(choice.own) <= 10
        assert len(choice.chosen) == len(choice.own)


def test_fitting_keywords_are_what_the_topic_has_and_the_text_has_not(selector: KeywordSelector) -> None:
    text = "The baker kneads the dough."
    choice = selector.select(text, ENCODER.encode_documents([text])[0])
    have = {stemmed(phrase) for phrase in phrases(text)}
    assert choice.fitting
    for keyword in choice.fitting:
        assert keyword.text in selector.model.topics[keyword.topic].words
        assert stemmed(keyword.text) not in have
    fitting = {word for keyword in choice.fitting for word in keyword.text.split()}
    assert fitting & {"yeast", "gluten", "loaf", "bread"}
    assert not fitting & {"compressor", "refrigerant", "condenser"}


def test_batches_do_not_matter_and_nothing_is_random(selector: KeywordSelector) -> None:
    vectors = ENCODER.encode_documents(TEXTS)
    together = selector.select_many(TEXTS, vectors)
    assert together == [selector.select(text, vector) for text, vector in zip(TEXTS, vectors)]
    assert selector.select_many(TEXTS) == [selector.select(text) for text in TEXTS]


def test_a_text_without_words_has_no_keywords(selector: KeywordSelector) -> None:
    for text in ("", "12 34", "zzyzx qwrtp"):
        choice = selector.select(text)
        assert choice.own == choice.fitting == choice.chosen == ()
        assert keyword_queries(choice, 5) == ()


def test_vectors_of_another_encoder_are_refused(selector: KeywordSelector) -> None:
    with pytest.raises(ConfigError, match="256 dimensions"):
        selector.select_many(TEXTS, np.zeros((len(TEXTS), 12), np.float32))
    for wrong in ({"diversity": 2.0}, {"count": 0}, {"count": 30}, {"topics": -1}):
        with pytest.raises(ConfigError, match="expected"):
            KeywordConfig(**wrong)  # type: ignore[arg-type]


def test_queries_are_distinct_begin_the_same_and_join_text_and_topic(selector: KeywordSelector) -> None:
    choice = selector.select(TEXTS[3], ENCODER.encode_documents([TEXTS[3]])[0])
    many = keyword_queries(choice, 30)
    assert len(many) == len(set(many)) > 5
    for count in (1, 5, 10):
        assert keyword_queries(choice, count) == many[:count]
    own, topical = (
        [{stemmed(word) for word in keyword.text.split(" ")} for keyword in keywords]
        for keywords in (choice.own, choice.topical)
    )
    for query in many:
        stems = {stemmed(word) for word in query.split()}
        assert any(phrase <= stems for phrase in own)
        assert any(phrase <= stems for phrase in topical)
        assert stems <= set().union(*own, *topical)
    # the first queries take turns through the text's own phrases
    assert all(keyword.text in query for keyword, query in zip(choice.own, many[:3]))


def test_without_topics_queries_are_made_of_own_phrases(selector: KeywordSelector) -> None:
    alone = KeywordSelector(selector.model, KeywordConfig(topics=0))
    queries = keyword_queries(alone.select(TEXTS[0]), 5)
    assert queries
    assert {word for query in queries for word in query.split()} <= set(words(TEXTS[0]))


def test_samples_are_sentences_of_the_topic(selector: KeywordSelector) -> None:
    model = selector.model
    samples = topic_samples(model, TEXTS, 2)
    assert len(samples) == len(model.topics)
    sentences = {" ".join(piece.split()) for text in TEXTS for piece in split(text, model.config.sentences)}
    for number, found in enumerate(samples):
        assert len(found) == len(set(found)) == 2
        assert set(found) <= sentences
        assert (
            len({word for text in found for word in words(text)} & set(" ".join(model.topics[number].words).split()))
            > 1
        )


def test_mmr_takes_the_relevant_then_the_different() -> None:
    relevance = np.array([0.9, 0.89, 0.5, 0.1], np.float32)
    likeness = np.eye(4, dtype=np.float32)
    likeness[0, 1] = likeness[1, 0] = 0.99
    assert diverse(relevance, likeness, 3, 0.0).tolist() == [0, 1, 2]
    assert diverse(relevance, likeness, 3, 0.5).tolist() == [0, 2, 3]
    assert diverse(relevance, likeness, 9, 0.5).tolist() == [0, 2, 3, 1]
    assert diverse(np.ones(3, np.float32), np.eye(3, dtype=np.float32), 3, 0.6).tolist() == [0, 1, 2]


def test_products_are_exact_at_any_width() -> None:
    draw = np.random.default_rng(1)
    for dim in (1, 384, 1040, 1041, 4096):
        assert dim * levels(dim) ** 2 < 1 << 24
        rows = whole(draw.normal(size=(50, dim)))
        assert np.array_equal(dots(rows, rows), rows.astype(np.int64) @ rows.astype(np.int64).T)
        assert np.abs(rows).max() == levels(dim)
    exact = draw.normal(size=(40, 384)).astype(np.float32)
    unit = exact / np.linalg.norm(exact, axis=1, keepdims=True)
    assert np.abs(cosines(whole(exact), whole(exact)) - unit @ unit.T).max() < 0.01
    assert not whole(np.zeros((2, 8))).any()


def test_keywords_are_found_at_200_texts_a_second(selector: KeywordSelector) -> None:
    """A quarter of the bar, one thread's processor time: a busy machine must not fail it."""
    texts = [f"{TEXTS[at % 6]} {TEXTS[(at + 1) % 6]} {TEXTS[(at + 2) % 6]} Number {at}." for at in range(200)]
    vectors = ENCODER.encode_documents(texts)
    start = time.process_time()
    choices = selector.select_many(texts, vectors)
    queries = [keyword_queries(choice, 10) for choice in choices]
    assert len(queries) / (time.process_time() - start) > 50


def test_a_label_is_part_of_the_fingerprint(selector: KeywordSelector) -> None:
    with pytest.raises(ConfigError, match="a text for a topic"):
        selector.model.labelled({0: " "})
    with pytest.raises(ConfigError, match="a text for a topic"):
        selector.model.labelled({9: "x"})
    assert replace(selector.model).fingerprint == selector.model.fingerprint
