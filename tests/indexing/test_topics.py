"""Topics: found again in a made collection, the same in every run, whatever the threads; saved, loaded, refused."""

import os
import random
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from twindex.indexing.encoders.hashing import HashingEncoder
from twindex.indexing.errors import ConfigError, CorpusError, CorruptIndexError, FormatVersionError, IndexNotFoundError
from twindex.indexing.expansion.sentences import SentenceConfig
from twindex.indexing.expansion.topic_config import TopicConfig
from twindex.indexing.expansion.topic_store import load_topics, save_topics
from twindex.indexing.expansion.topics import TopicModel, with_context
from twindex.indexing.expansion.whole_vectors import norms
from twindex.indexing.types import Float32Array

WORDS = {
    "garden": "tulip soil compost seedling pruning orchard fertiliser greenhouse hedge mulch",
    "court": "judge verdict appeal plaintiff statute testimony jury lawyer tribunal clause",
    "orbit": "satellite rocket thruster telemetry payload apogee booster launchpad reentry antenna",
    "dough": "yeast flour kneading oven crust sourdough baking loaf pastry gluten",
}
THEMES = {theme: words.split() for theme, words in WORDS.items()}
CONFIG = TopicConfig(topics=4, min_size=2, outliers=0.0)


def collection(texts: int = 80, seed: int = 3) -> list[tuple[str, str]]:
    """Theme and text: each text speaks of one theme, in sentences of its words."""
    draw = random.Random(seed)
    found = []
    for number in range(texts):
        theme = list(THEMES)[number % len(THEMES)]
        sentences = (f"The {' and the '.join(draw.sample(THEMES[theme], 5))}." for _ in range(draw.randint(2, 5)))
        found.append((theme, " ".join(sentences)))
    return found


@pytest.fixture(scope="module")
def model() -> TopicModel:
    return TopicModel.fit([text for _, text in collection()], HashingEncoder(64), CONFIG)


def test_each_theme_is_one_topic(model: TopicModel) -> None:
    of_theme: dict[str, set[int]] = {}
    for theme, text in collection():
        topics = model.document(text)
        assert topics.weights[0][1] > 0.5
        of_theme.setdefault(theme, set()).add(topics.weights[0][0])
    assert all(len(topics) == 1 for topics in of_theme.values())
    assert len(set.union(*of_theme.values())) == 4
    for theme, (number,) in of_theme.items():
        # the describing phrases are words of the theme, and pairs of them
        assert {word for phrase in model.topics[number].words for word in phrase.split()} <= set(THEMES[theme])
        assert model.topics[number].label == ", ".join(model.topics[number].words[:4])


def test_a_text_of_two_themes_has_both_topics_by_their_share_of_sentences() -> None:
    plain = TopicModel.fit([text for _, text in collection()], HashingEncoder(64), replace(CONFIG, context=0.0))
    of_theme = {theme: plain.document(text).weights[0][0] for theme, text in collection()}
    sentence = {theme: f"The {' and the '.join(words[:6])}." for theme, words in THEMES.items()}
    mixed = " ".join([sentence["garden"]] * 3 + [sentence["court"]])
    weights = dict(plain.document(mixed).weights)
    assert weights[of_theme["garden"]] == pytest.approx(0.75, abs=0.1)
    assert weights[of_theme["court"]] == pytest.approx(0.25, abs=0.1)


def test_shares_and_outliers_make_one(model: TopicModel) -> None:
    odd = "Nothing here was seen: zyxgard brollop fnurk. The tulip and the soil and the compost and the hedge."
    for text in [odd, *(text for _, text in collection(12))]:
        topics = model.document(text)
        assert sum(share for _, share in topics.weights) + topics.outliers == pytest.approx(1.0, abs=1e-5)
        assert list(topics.weights) == sorted(topics.weights, key=lambda pair: (-pair[1], pair[0]))
    assert model.document(odd).outliers > 0
    assert model.document("").weights == ()


def test_outliers_are_counted_and_have_no_topic() -> None:
    texts = [text for _, text in collection()]
    fitted = TopicModel.fit(texts, HashingEncoder(64), replace(CONFIG, outliers=0.2))
    assert fitted.outliers == pytest.approx(0.2 * fitted.sentences, abs=0.05 * fitted.sentences)
    assert sum(topic.size for topic in fitted.topics) == fitted.sentences - fitted.outliers


def test_small_topics_are_dissolved() -> None:
    texts = [text for _, text in collection()]
    fitted = TopicModel.fit(texts, HashingEncoder(64), replace(CONFIG, topics=40, min_size=8))
    assert 1 <= len(fitted.topics) < 40
    assert min(topic.size for topic in fitted.topics) >= 8


def test_batches_do_not_matter(model: TopicModel) -> None:
    texts = [text for _, text in collection(30)]
    assert model.documents(texts) == [model.document(text) for text in texts]
    assert model.documents(texts[::-1]) == model.documents(texts)[::-1]


RUN = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_topics import CONFIG, collection
from twindex.indexing.encoders.hashing import HashingEncoder
from twindex.indexing.expansion.topics import TopicModel
texts = [text for _, text in collection(200, seed=5)]
print(TopicModel.fit(texts, HashingEncoder(256), CONFIG).fingerprint)
"""


@pytest.mark.parametrize("threads", ["1", "2"])
def test_the_same_topics_whatever_the_threads_and_the_hash_seed(threads: str) -> None:
    counts = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), threads)
    run = subprocess.run(
        [sys.executable, "-c", RUN, str(Path(__file__).parent)],
        env={**os.environ, **counts, "PYTHONHASHSEED": threads},
        capture_output=True,
        text=True,
        check=True,
    )
    texts = [text for _, text in collection(200, seed=5)]
    assert run.stdout.strip() == TopicModel.fit(texts, HashingEncoder(256), CONFIG).fingerprint


def test_another_seed_or_collection_is_another_model(model: TopicModel) -> None:
    texts = [text for _, text in collection()]
    encoder = HashingEncoder(64)
    assert TopicModel.fit(iter(texts), encoder, CONFIG).fingerprint == model.fingerprint
    assert TopicModel.fit(texts[1:], encoder, CONFIG).fingerprint != model.fingerprint
    assert TopicModel.fit(texts, HashingEncoder(128), CONFIG).fingerprint != model.fingerprint


def test_words_are_encoded_once_and_kept(tmp_path: Path) -> None:
    class Counting(HashingEncoder):
        seen = 0

        def encode_documents(self, texts: Sequence[str]) -> Float32Array:
            self.seen += len(texts)
            return super().encode_documents(texts)

    texts = [text for _, text in collection()]
    encoder = Counting(64)
    first = TopicModel.fit(texts, encoder, CONFIG, cache=tmp_path)
    assert encoder.seen == len(first.space.words) == 40
    assert TopicModel.fit(texts, encoder, CONFIG, cache=tmp_path).fingerprint == first.fingerprint
    assert encoder.seen == 40


def test_saved_and_loaded_it_is_the_same(model: TopicModel, tmp_path: Path) -> None:
    refined = model.labelled({2: "a better name"})
    assert refined.topics[2].label == "a better name"
    assert refined.fingerprint != model.fingerprint
    for given in (model, refined):
        save_topics(given, tmp_path / "topics")
        loaded = load_topics(tmp_path / "topics")
        assert loaded.fingerprint == given.fingerprint
        assert loaded.topics == given.topics
        texts = [text for _, text in collection(20)]
        assert loaded.documents(texts) == given.documents(texts)


def test_what_cannot_be_read_is_refused(model: TopicModel, tmp_path: Path) -> None:
    with pytest.raises(IndexNotFoundError, match=r"topics\.json"):
        load_topics(tmp_path)
    save_topics(model, tmp_path)
    arrays, about = tmp_path / "arrays.npz", tmp_path / "topics.json"
    content, text = arrays.read_bytes(), about.read_text()
    flipped = bytearray(content)
    flipped[len(content) // 2] ^= 1
    for bad in (content[: len(content) // 2], b"", bytes(flipped)):
        arrays.write_bytes(bad)
        with pytest.raises(CorruptIndexError):
            load_topics(tmp_path)
    arrays.write_bytes(content)
    about.write_text(text.replace('"format": 1', '"format": 9'))
    with pytest.raises(FormatVersionError, match="make them again"):
        load_topics(tmp_path)
    about.write_text(text[:100])
    with pytest.raises(CorruptIndexError):
        load_topics(tmp_path)


def test_settings_that_make_no_sense() -> None:
    for wrong in ({"topics": 0}, {"outliers": 1.0}, {"context": -1.0}, {"min_size": 0}, {"context": float("nan")}):
        with pytest.raises(ConfigError, match="expected"):
            TopicConfig(**wrong)  # type: ignore[arg-type]
    with pytest.raises(ConfigError):
        SentenceConfig(min_words=9, max_words=3)
    assert TopicConfig.from_dict(CONFIG.to_dict()) == CONFIG
    assert TopicConfig().count(10) == 2
    assert TopicConfig().count(10**7) == 1024


def test_texts_without_words_have_no_topics() -> None:
    for texts in ([], ["", "12 34 56"], ["only once, this"]):
        with pytest.raises(CorpusError, match="expected sentences"):
            TopicModel.fit(texts, HashingEncoder(64), CONFIG)


def test_one_text_is_enough() -> None:
    text = " ".join(text for _, text in collection(8))
    fitted = TopicModel.fit([text], HashingEncoder(64), CONFIG)
    assert len(fitted.space.words) == 40
    assert fitted.document(text).weights


def test_context_draws_sentences_to_their_text() -> None:
    rows = np.array([[100, 0, 0], [0, 100, 0], [0, 0, 100]], np.int8)
    assert with_context(rows, np.array([0, 0, 1], np.int32), 0.0) is rows
    drawn = with_context(rows, np.array([0, 0, 1], np.int32), 1.0)
    cosine = (drawn[0].astype(int) @ drawn[1].astype(int)) / (norms(drawn)[0] * norms(drawn)[1])
    assert cosine > 0.5
    assert not (drawn[:2].astype(int) @ drawn[2].astype(int)).any()
