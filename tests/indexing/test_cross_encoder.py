"""The served cross-encoder: its graph against numpy, pairs and their cuts, laws of a score, its folder."""

from __future__ import annotations

import json
import threading
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from tests.indexing import tiny_bert
from twindex.indexing.encoders.bert_graph import bert_graph
from twindex.indexing.encoders.bert_weights import SafetensorsBert
from twindex.indexing.encoders.cross_encoder import CrossEncoder, open_cross_encoder, pair_of, resolve_reranker
from twindex.indexing.encoders.pair_graph import ScoreHead, pair_graph
from twindex.indexing.encoders.tokenizer import TextTokenizer
from twindex.indexing.encoders.windows import Windows
from twindex.indexing.encoding import PairScorer
from twindex.indexing.errors import ConfigError, CorruptIndexError, ModelNotFoundError
from twindex.indexing.types import Float32Array

VOCABULARY = 30_522
WORDS = "embeddings.word_embeddings.weight"
LENGTH = tiny_bert.POSITIONS
QUERY = "who keeps the hive warm?"
TEXTS = [
    "bees keep the hive warm",
    "salt",
    "",
    "the kettle boils, the kettle sings; the lid is on " * 5,
    "Bees",
    "\ud800 \0",
]


def arrays() -> dict[str, Float32Array]:
    rng = np.random.default_rng(3)
    made = tiny_bert.weights()
    made[WORDS] = (0.3 * rng.standard_normal((VOCABULARY, tiny_bert.HIDDEN))).astype(np.float32)
    made["head.score.weight"] = rng.standard_normal((1, tiny_bert.HIDDEN)).astype(np.float32)
    made["head.score.bias"] = np.array([0.25], np.float32)
    return made


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> SafetensorsBert:
    path = tmp_path_factory.mktemp("cross") / "model.safetensors"
    tiny_bert.write_safetensors(path, arrays())
    return SafetensorsBert(path, tiny_bert.SHAPE)


def graph(weights: SafetensorsBert, precision: str) -> bytes:
    made = arrays()
    head = ScoreHead(made["head.score.weight"].reshape(-1), made["head.score.bias"])
    return pair_graph(weights, head, precision, LENGTH)  # type: ignore[arg-type]


def encoder(weights: SafetensorsBert, precision: str = "fp32", *, threads: int = 1) -> CrossEncoder:
    return CrossEncoder(graph(weights, precision), LENGTH, name="tiny", digest="d", threads=threads)


def test_the_graph_equals_the_definition(weights: SafetensorsBert) -> None:
    made = encoder(weights)
    assert isinstance(made, PairScorer)
    tokenizer = TextTokenizer.bert_uncased(512)
    found = made.score(QUERY, TEXTS)
    asked = tokenizer.ids(QUERY)[1:-1][: LENGTH // 2]
    head = arrays()
    for text, score in zip(TEXTS, found.tolist(), strict=True):
        body = tokenizer.ids(text)[1:-1][: LENGTH - 3 - len(asked)]
        ids = [101, *asked, 102, *body, 102]
        kinds = [0] * (len(asked) + 2) + [1] * (len(body) + 1)
        assert len(ids) <= LENGTH
        state = tiny_bert.slow_bert(arrays(), ids, kinds)[0]
        assert score == pytest.approx(float(state @ head["head.score.weight"][0] + 0.25), abs=2e-4)
    assert len({round(score, 4) for score in found.tolist()}) > 3  # the texts matter, and so does the query
    assert not np.allclose(found, made.score("salt", TEXTS), atol=1e-3)


def test_eight_bits_are_near(weights: SafetensorsBert) -> None:
    exact, coarse = encoder(weights).score(QUERY, TEXTS), encoder(weights, "int8").score(QUERY, TEXTS)
    assert float(np.abs(exact - coarse).max()) < 0.15 * float(exact.max() - exact.min()) + 0.1


def test_a_score_depends_on_its_pair_alone(weights: SafetensorsBert) -> None:
    one, two = encoder(weights, "int8"), encoder(weights, "int8", threads=3)
    together = one.score(QUERY, TEXTS)
    assert two.score(QUERY, TEXTS[::-1])[::-1].tobytes() == together.tobytes()
    assert np.concatenate([one.score(QUERY, [text]) for text in TEXTS]).tobytes() == together.tobytes()
    assert one.score(QUERY, []).shape == (0,)
    results: list[bytes] = []
    threads = [threading.Thread(target=lambda: results.append(two.score(QUERY, TEXTS).tobytes())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(results) == {together.tobytes()}
    assert len(results) == 4


def test_windows_cover_a_text_to_its_end() -> None:
    made = Windows(10, 6, 4)
    assert made.reach == 28
    assert [made.starts(count) for count in (0, 10, 11, 16, 17)] == [[0], [0], [0, 1], [0, 6], [0, 6, 7]]
    assert made.starts(28) == [0, 6, 12, 18]
    assert made.starts(500) == [0, 6, 12, 18]  # no more than four
    for count in range(1, 29):
        read = {place for start in made.starts(count) for place in range(start, min(start + 10, count))}
        assert read == set(range(count))
    for settings in ((0, 1, 1), (4, 5, 1), (4, 0, 1), (4, 4, 0)):
        with pytest.raises(ConfigError, match="windows"):
            Windows(*settings)


def test_a_long_text_counts_by_its_best_window(weights: SafetensorsBert) -> None:
    windows = Windows(6, 4, 3)
    content = graph(weights, "int8")
    made = CrossEncoder(content, LENGTH, name="tiny", digest="d", windows=windows, threads=2)
    plain = encoder(weights, "int8")
    assert made.fingerprint != plain.fingerprint
    texts = ["bees keep salt warm", "salt " * 5 + "bees keep the hive warm all through winter", ""]
    words = [text.split() for text in texts]  # each word is one token here
    tokenizer = TextTokenizer.bert_uncased(512)
    assert all(len(tokenizer.ids(text)) - 2 == len(split) for text, split in zip(texts, words, strict=True))
    parts = [[" ".join(split[s : s + 6]) for s in windows.starts(len(split))] for split in words]
    expected = [max(plain.score(QUERY, part).tolist()) for part in parts]
    assert [len(part) for part in parts] == [1, 3, 1]
    assert made.score(QUERY, texts).tolist() == expected
    assert made.score(QUERY, []).shape == (0,)


def test_long_queries_leave_room_for_the_text(weights: SafetensorsBert) -> None:
    made = encoder(weights)
    long = "the kettle " * 200
    scores = made.score(long, ["bees", "salt"])
    assert scores[0] != scores[1]
    ids, kinds = pair_of([7, 8], [9])
    assert ids.tolist() == [[101, 7, 8, 102, 9, 102]]
    assert kinds.tolist() == [[0, 0, 0, 0, 1, 1]]


def test_a_folder_is_checked_when_it_is_opened(weights: SafetensorsBert, tmp_path: Path) -> None:
    folder = tmp_path / "cross"
    folder.mkdir()
    content = graph(weights, "int8")
    (folder / "model.onnx").write_bytes(content)
    about = {"kind": "rerank", "max_length": LENGTH, "sha256": {"model.onnx": sha256(content).hexdigest()}}
    (folder / "rerank.json").write_text(json.dumps(about))
    opened = resolve_reranker(str(folder), threads=1)
    assert opened.score(QUERY, TEXTS).tobytes() == encoder(weights, "int8").score(QUERY, TEXTS).tobytes()
    assert opened.fingerprint == open_cross_encoder(folder).fingerprint
    (folder / "model.onnx").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(CorruptIndexError, match="sha256"):
        resolve_reranker(str(folder))
    (folder / "rerank.json").write_text("{}")
    with pytest.raises(ConfigError):
        open_cross_encoder(folder)
    for name in ("no-such-reranker", str(tmp_path)):
        with pytest.raises(ModelNotFoundError, match="no reranker"):
            resolve_reranker(name)


def test_what_is_no_cross_encoder_is_refused(weights: SafetensorsBert, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="over 3 numbers"):
        pair_graph(weights, ScoreHead(np.zeros(3, np.float32), np.zeros(1, np.float32)), "fp32", LENGTH)
    with pytest.raises(ConfigError, match="head"):
        ScoreHead(np.full(32, np.nan, np.float32), np.zeros(1, np.float32))
    with pytest.raises(ConfigError, match="loaded"):
        CrossEncoder(b"no model", 64, name="x", digest="d")
    for settings in ({"max_length": 4}, {"max_length": 64, "threads": 0}):
        with pytest.raises(ConfigError):
            CrossEncoder(graph(weights, "fp32"), name="x", digest="d", **settings)  # type: ignore[arg-type]

    with pytest.raises(ConfigError, match="inputs"):
        CrossEncoder(bert_graph(weights, "fp32", "mean"), 64, name="x", digest="d")


def test_the_package_s_own_reranker_finds_the_answer_wherever_it_stands() -> None:
    made = resolve_reranker(threads=1)
    assert made.name == "twindex-rerank"
    question = "how do bees keep their hive warm in winter?"
    answer = "In winter the bees form a cluster and shiver their flight muscles, which keeps the hive warm."
    filler = "The harbour was rebuilt after the storm, and ships of all sizes unload their cargo there again. " * 20
    near = "Bees were brought to the island by settlers, who sold the honey on the market of the town."
    scores = made.score(question, [answer, near, filler, filler + answer]).tolist()
    assert scores[0] > scores[1] > scores[2]
    assert scores[3] > scores[1]  # read by windows, to the end
