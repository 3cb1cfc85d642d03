"""The served twin encoder: its graph against numpy, its laws, its folder. No torch."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.indexing import tiny_bert
from twindex.indexing.encoders.bert_weights import SafetensorsBert
from twindex.indexing.encoders.onnx import EncoderSettings
from twindex.indexing.encoders.tokenizer import SPECIALS, TextTokenizer
from twindex.indexing.encoders.twin import InferenceFreeQueries, SparseVectors, TwinEncoder, open_queries, open_twin
from twindex.indexing.encoders.twin_graph import PARTS, SparseHead, allowed_entries, twin_graph
from twindex.indexing.errors import ConfigError, CorruptIndexError
from twindex.indexing.training.export import export_twin
from twindex.indexing.training.idf import save_idf
from twindex.indexing.types import Float32Array

VOCABULARY = 30_522
WORDS = "embeddings.word_embeddings.weight"
TEXTS = ["bees keep the hive warm", "salt", "", "the kettle boils, the kettle sings; the lid is on " * 5, "Bees keep"]


def arrays() -> dict[str, Float32Array]:
    """A tiny body over the whole vocabulary, and a head with a threshold that most entries miss."""
    rng = np.random.default_rng(5)
    made = tiny_bert.weights()
    made[WORDS] = rng.standard_normal((VOCABULARY, tiny_bert.HIDDEN)).astype(np.float32)
    width = tiny_bert.HIDDEN
    made["head.transform.weight"] = (np.eye(width) + 0.1 * rng.standard_normal((width, width))).astype(np.float32)
    made["head.transform.bias"] = (0.1 * rng.standard_normal(width)).astype(np.float32)
    made["head.gain"] = rng.uniform(0.1, 0.2, VOCABULARY).astype(np.float32)
    made["head.bias"] = rng.uniform(-3.5, -2.5, VOCABULARY).astype(np.float32)
    made["head.own"] = np.array([1.5], np.float32)
    made["head.centre"] = made[WORDS].mean(axis=0)
    return made


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a training run, as the trainer leaves it."""
    folder = tmp_path_factory.mktemp("run")
    tiny_bert.write_safetensors(folder / "model.safetensors", arrays())
    idf = np.linspace(0, 9, VOCABULARY, dtype=np.float32)
    save_idf(folder / "idf.json", idf)
    about = {"step": 3, "config": {"activation": "log1p"}, "about": {"base": "none"}}
    (folder / "run.json").write_text(json.dumps(about))
    return folder


def encoder(run: Path, precision: str, *, threads: int = 1, activation: str = "log1p", top: int = 256) -> TwinEncoder:
    weights = SafetensorsBert(run / "model.safetensors", tiny_bert.SHAPE)
    parts = {name: weights.vector(name) for name in PARTS}
    head = SparseHead.fold(parts, weights.floats(WORDS), activation)  # type: ignore[arg-type]
    graph = twin_graph(weights, head, precision, top=top)  # type: ignore[arg-type]
    settings = EncoderSettings(max_length=tiny_bert.POSITIONS)
    tokenizer = TextTokenizer.bert_uncased(settings.max_length)
    return TwinEncoder(graph, tokenizer, settings, name="tiny", digest="d", threads=threads)


def slow_sparse(ids: list[int]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """The head as its definition says, in float64."""
    w = {name: value.astype(np.float64) for name, value in arrays().items()}
    states = tiny_bert.slow_bert(arrays(), ids)[1:-1]
    moved = states @ w["head.transform.weight"].T + w["head.transform.bias"]
    table = (w[WORDS] - w["head.centre"]) * w["head.gain"][:, None]
    logits = (moved @ table.T).max(axis=0) + w["head.bias"]
    logits[np.unique(ids[1:-1])] += w["head.own"][0]
    return np.log1p(np.maximum(logits, 0)) * allowed_entries(VOCABULARY)


def test_the_graph_equals_the_definition(run: Path) -> None:
    made = encoder(run, "fp32", top=4000)
    dense, sparse = made.encode_twins(TEXTS)
    tokenizer = TextTokenizer.bert_uncased(tiny_bert.POSITIONS)
    for at, text in enumerate(TEXTS):
        ids = tokenizer.ids(text)
        mean = tiny_bert.slow_bert(arrays(), ids).mean(axis=0)
        assert np.allclose(dense[at], mean / np.linalg.norm(mean), atol=2e-5)
        entries, weights = sparse.row(at)
        if len(ids) == 2:
            assert not len(entries)
            continue
        expected = slow_sparse(ids)
        assert 20 < len(entries) < 4000
        found = np.zeros(VOCABULARY)
        found[entries] = weights
        assert np.allclose(found, expected, atol=2e-4)


def test_only_the_heaviest_are_kept(run: Path) -> None:
    whole, few = encoder(run, "fp32", top=4000), encoder(run, "fp32", top=10)
    for text in TEXTS[:2]:
        _, all_of_it = whole.encode_twins([text])
        _, top = few.encode_twins([text])
        ids, weights = all_of_it.row(0)
        best = np.sort(ids[np.argsort(-weights, kind="stable")[:10]])
        assert top.row(0)[0].tolist() == best.tolist()
        assert bool((np.diff(top.row(0)[0]) > 0).all())


def test_eight_bits_are_near(run: Path) -> None:
    exact, coarse = encoder(run, "fp32"), encoder(run, "int8")
    (dense, sparse), (dense8, sparse8) = exact.encode_twins(TEXTS), coarse.encode_twins(TEXTS)
    assert float((dense * dense8).sum(axis=1).min()) > 0.99
    for at in (0, 1, 3):
        full, near = np.zeros((2, VOCABULARY))
        full[sparse.row(at)[0]], near[sparse8.row(at)[0]] = sparse.row(at)[1], sparse8.row(at)[1]
        assert full @ near / np.linalg.norm(full) / np.linalg.norm(near) > 0.95


def test_each_row_depends_on_its_text_alone(run: Path) -> None:
    one, two = encoder(run, "int8"), encoder(run, "int8", threads=2)
    dense, sparse = one.encode_twins(TEXTS)
    again, rows = two.encode_twins(TEXTS[::-1])
    assert np.array_equal(dense, again[::-1])
    assert np.array_equal(one.encode_documents(TEXTS), dense)
    for at in range(len(TEXTS)):
        for ours, theirs in zip(sparse.row(at), rows.row(len(TEXTS) - 1 - at), strict=True):
            assert np.array_equal(ours, theirs)


def test_the_second_logarithm(run: Path) -> None:
    once, twice = encoder(run, "fp32"), encoder(run, "fp32", activation="log1p-log1p")
    a, b = (made.encode_twins(TEXTS[:1])[1] for made in (once, twice))
    assert np.array_equal(a.ids, b.ids)
    assert np.allclose(np.log1p(a.weights), b.weights, atol=1e-6)


def test_special_tokens_are_never_active(run: Path) -> None:
    _, sparse = encoder(run, "fp32", top=4000).encode_twins(["[MASK] [unused3] [PAD] bees"])
    assert not set(sparse.ids.tolist()) & set(SPECIALS.values())


def test_queries_are_the_idf_of_their_tokens() -> None:
    tokenizer = TextTokenizer.bert_uncased(64)
    idf = np.zeros(VOCABULARY, np.float32)
    bees, warm = (tokenizer.ids(word)[1] for word in ("bees", "warm"))
    idf[[bees, warm]] = 7.5, 2.0
    found = InferenceFreeQueries(tokenizer, idf).encode(["warm bees, warm bees and more", ""])
    ids, weights = found.row(0)
    assert dict(zip(ids.tolist(), weights.tolist(), strict=True)) == {bees: 7.5, warm: 2.0}
    assert bool((np.diff(ids) > 0).all())
    assert len(found) == 2
    assert not len(found.row(1)[0])


def test_a_folder_is_exported_the_same_way_twice_and_checked_when_opened(run: Path, tmp_path: Path) -> None:
    options = {"shape": tiny_bert.SHAPE, "max_length": tiny_bert.POSITIONS}
    first = export_twin(run, tmp_path / "a", **options)  # type: ignore[arg-type]
    second = export_twin(run, tmp_path / "b", **options)  # type: ignore[arg-type]
    assert first["sha256"] == second["sha256"]
    opened = open_twin(tmp_path / "a", threads=1)
    ours, theirs = opened.encode_twins(TEXTS), encoder(run, "int8").encode_twins(TEXTS)
    assert np.array_equal(ours[0], theirs[0])
    assert np.array_equal(ours[1].weights, theirs[1].weights)
    query = open_queries(tmp_path / "a").encode(["bees"])
    assert query.weights.tolist() == pytest.approx([9 * query.ids[0] / (VOCABULARY - 1)])
    content = bytearray((tmp_path / "a" / "model.onnx").read_bytes())
    content[-1] ^= 1
    (tmp_path / "a" / "model.onnx").write_bytes(bytes(content))
    with pytest.raises(CorruptIndexError, match="sha256"):
        open_twin(tmp_path / "a")
    with pytest.raises(ConfigError):
        open_twin(tmp_path / "nowhere")


def test_a_head_that_lacks_a_part_is_refused(run: Path) -> None:
    weights = SafetensorsBert(run / "model.safetensors", tiny_bert.SHAPE)
    with pytest.raises(ConfigError, match=r"head\.gain"):
        SparseHead.fold({n: weights.vector(n) for n in PARTS if n != "head.gain"}, weights.floats(WORDS), "log1p")
    head = SparseHead.fold({n: weights.vector(n) for n in PARTS}, weights.floats(WORDS), "log1p")
    with pytest.raises(ConfigError, match="top"):
        twin_graph(weights, head, "fp32", top=VOCABULARY + 1)


def test_rows_of_sparse_vectors() -> None:
    rows = [
        (np.array([3, 5], np.int32), np.array([1, 2], np.float32)),
        (np.empty(0, np.int32), np.empty(0, np.float32)),
    ]
    made = SparseVectors.of(rows)
    assert len(made) == 2
    assert made.row(0)[0].tolist() == [3, 5]
    assert made.row(1)[1].tolist() == []
    assert len(SparseVectors.of([])) == 0


def test_the_graph_equals_the_model_that_was_trained(run: Path) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("safetensors")
    from twindex.indexing.training.batches import DeviceTable, assemble
    from twindex.indexing.training.model import Twin
    from twindex.indexing.training.tokens import TokenTable

    twin = Twin.load(run / "model.safetensors", shape=tiny_bert.SHAPE)
    tokenizer = TextTokenizer.bert_uncased(tiny_bert.POSITIONS)
    table = DeviceTable(TokenTable.from_texts(TEXTS, tokenizer), "cpu")
    at = torch.arange(len(TEXTS))
    with torch.no_grad():
        (batch,) = assemble(table, at, limit=tiny_bert.POSITIONS, pieces=1)
        states, back = twin.states(batch), batch.rows.argsort()
        dense, sparse = twin.dense(batch, states)[back].numpy(), twin.sparse(batch, states)[back].numpy()
    ours, rows = encoder(run, "fp32", top=4000).encode_twins(TEXTS)
    assert np.allclose(ours, dense, atol=2e-5)
    for number in range(len(TEXTS)):
        found = np.zeros(VOCABULARY, np.float32)
        found[rows.row(number)[0]] = rows.row(number)[1]
        assert np.allclose(found, sparse[number], atol=2e-4)
