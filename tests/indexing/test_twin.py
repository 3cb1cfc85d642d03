"""The served twin encoder: its graph against numpy, its laws, its folder. No torch."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.indexing import tiny_bert
from twindex.indexing.encoders.bert_weights import SafetensorsBert
from twindex.indexing.encoders.cross_encoder import open_cross_encoder
from twindex.indexing.encoders.idf_table import idf_bytes
from twindex.indexing.encoders.onnx import EncoderSettings
from twindex.indexing.encoders.own_terms import ExpansionRule, QueryRule, saturated
from twindex.indexing.encoders.term_space import SIZE, TermSpace
from twindex.indexing.encoders.tokenizer import TextTokenizer
from twindex.indexing.encoders.twin import (
    InferenceFreeQueries,
    SparseVectors,
    TermWeights,
    TwinEncoder,
    open_queries,
    open_twin,
)
from twindex.indexing.encoders.twin_graph import SparseHead, twin_graph
from twindex.indexing.encoders.twin_sides import TwinSparse
from twindex.indexing.errors import ConfigError, CorruptIndexError
from twindex.indexing.training.export import TUNED, export_reranker, export_twin
from twindex.indexing.types import Float32Array

VOCABULARY = 30_522
SPACE = TermSpace.bert_uncased()
COLUMNS = SPACE.columns
IDF = np.linspace(0, 9, SIZE, dtype=np.float32)
GAINS = np.linspace(0.5, 1.5, COLUMNS + 1, dtype=np.float32)
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
    made["head.table"] = (0.15 * rng.standard_normal((COLUMNS, width))).astype(np.float32)
    made["head.bias"] = rng.uniform(-3.5, -2.5, COLUMNS).astype(np.float32)
    made["head.own"] = GAINS
    return made


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a training run, as the trainer leaves it."""
    folder = tmp_path_factory.mktemp("run")
    tiny_bert.write_safetensors(folder / "model.safetensors", arrays())
    (folder / "idf.npz").write_bytes(idf_bytes(IDF, SPACE))
    about = {"step": 3, "config": {"activation": "log1p"}, "about": {"base": "none"}}
    (folder / "run.json").write_text(json.dumps(about))
    return folder


def encoder(
    run: Path,
    precision: str,
    *,
    threads: int = 1,
    activation: str = "log1p",
    top: int = 256,
    kept: int = 64,
    rule: ExpansionRule | None = None,
) -> TwinEncoder:
    weights = SafetensorsBert(run / "model.safetensors", tiny_bert.SHAPE)
    head = SparseHead.fold(weights, activation)  # type: ignore[arg-type]
    graph = twin_graph(weights, head, precision, top=top)  # type: ignore[arg-type]
    settings = EncoderSettings(max_length=tiny_bert.POSITIONS)
    tokenizer = TextTokenizer.bert_uncased(settings.max_length)
    terms = TermWeights(SPACE, IDF, GAINS, rule or ExpansionRule(kept=kept))
    return TwinEncoder(graph, tokenizer, settings, terms, name="tiny", digest="d", threads=threads)


def slow_expansions(ids: list[int]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """The head as its definition says, in float64."""
    w = {name: value.astype(np.float64) for name, value in arrays().items()}
    states = tiny_bert.slow_bert(arrays(), ids)[1:-1]
    moved = states @ w["head.transform.weight"].T + w["head.transform.bias"]
    logits = (moved @ w["head.table"].T).max(axis=0) + w["head.bias"]
    return np.log1p(np.maximum(logits, 0))


def own_part(text: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Gained frequencies of a text's own stems: float64[SIZE]."""
    out = np.zeros(SIZE)
    numbers, weights = saturated(SPACE.numbers(text))
    out[numbers] = weights * GAINS[np.minimum(numbers, COLUMNS)]
    return out


def test_the_graph_equals_the_definition(run: Path) -> None:
    made = encoder(run, "fp32", top=4000, kept=4000)
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
        expansions = slow_expansions(ids)
        assert 10 < int((expansions > 0).sum()) < 4000
        expected = own_part(text)
        expected[:COLUMNS] += expansions
        found = np.zeros(SIZE)
        found[entries] = weights
        assert np.allclose(found, expected, atol=2e-4)


def test_own_stems_stay_and_the_expansions_that_matter_most(run: Path) -> None:
    whole, few = encoder(run, "fp32", top=4000, kept=4000), encoder(run, "fp32", top=4000, kept=10)
    for text in TEXTS[:2]:
        ids, weights = whole.encode_twins([text])[1].row(0)
        kept, same = few.encode_twins([text])[1].row(0)
        own = set(SPACE.numbers(text).tolist())
        new = [at for at, number in enumerate(ids.tolist()) if number not in own]
        best = sorted(new, key=lambda at: (-weights[at] * IDF[ids[at]], ids[at]))[:10]
        assert kept.tolist() == sorted(own | {int(ids[at]) for at in best})
        table = dict(zip(ids.tolist(), weights.tolist(), strict=True))
        assert same.tolist() == [table[number] for number in kept.tolist()]


def test_the_model_s_say_is_scaled_apart_for_own_and_new_stems(run: Path) -> None:
    text = TEXTS[0]
    plain, scaled = (
        encoder(run, "fp32", top=4000, rule=ExpansionRule(own, new, 4000)).encode_twins([text])[1].row(0)
        for own, new in ((1.0, 1.0), (0.5, 3.0))
    )
    assert np.array_equal(plain[0], scaled[0])
    own = own_part(text)[plain[0]]
    expected = own + np.where(own > 0, 0.5, 3.0) * (plain[1] - own)
    assert np.allclose(scaled[1], expected, atol=1e-5)
    with pytest.raises(ConfigError):
        ExpansionRule(own_scale=-1.0)


def test_words_beyond_the_model_s_reach_still_count(run: Path) -> None:
    text = "kettle " * tiny_bert.POSITIONS + "zirconium Gruenfeld42"
    ids, weights = encoder(run, "int8").encode_twins([text])[1].row(0)
    found = dict(zip(ids.tolist(), weights.tolist(), strict=True))
    name = SPACE.number("gruenfeld42")
    assert name >= COLUMNS
    assert found[name] == pytest.approx(own_part(text)[name])
    assert found[SPACE.number("zirconium")] > 0


def test_eight_bits_are_near(run: Path) -> None:
    exact, coarse = encoder(run, "fp32"), encoder(run, "int8")
    (dense, sparse), (dense8, sparse8) = exact.encode_twins(TEXTS), coarse.encode_twins(TEXTS)
    assert float((dense * dense8).sum(axis=1).min()) > 0.99
    for at in (0, 1, 3):
        full, near = np.zeros((2, SIZE))
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
    text = TEXTS[0]
    own = own_part(text)
    once, twice = (
        encoder(run, "fp32", activation=kind, top=4000, kept=4000).encode_twins([text])[1].row(0)
        for kind in ("log1p", "log1p-log1p")
    )
    assert np.array_equal(once[0], twice[0])
    assert np.allclose(np.log1p(once[1] - own[once[0]]), twice[1] - own[once[0]], atol=1e-6)


def test_queries_are_the_idf_of_their_stems() -> None:
    idf = np.zeros(SIZE, np.float32)
    bee, warm, name = (SPACE.number(stem) for stem in ("bee", "warm", "gruenfeld42"))
    idf[[bee, warm, name]] = 7.5, 2.0, 9.0
    queries = InferenceFreeQueries(SPACE, idf)
    found = queries.encode(["warm bees, warm bee and the Gruenfeld42 more", ""])
    ids, weights = found.row(0)
    assert dict(zip(ids.tolist(), weights.tolist(), strict=True)) == pytest.approx(
        {bee: 7.5 * np.sqrt(2), warm: 2.0 * np.sqrt(2), name: 9.0}
    )
    assert bool((np.diff(ids) > 0).all())
    assert len(found) == 2
    assert not len(found.row(1)[0])
    assert queries.words("warm bees and more") == {warm: "warm", bee: "bee"}
    ids, weights = queries.query("warm bees and more")
    assert dict(zip(ids.tolist(), weights.tolist(), strict=True)) == {warm: 2.0, bee: 7.5}
    assert queries.words("") == {}


def test_what_a_model_adds_to_a_query(run: Path, tmp_path: Path) -> None:
    export_twin(run, tmp_path / "twin", precision="fp32", shape=tiny_bert.SHAPE, max_length=tiny_bert.POSITIONS)
    sparse, text = TwinSparse(tmp_path / "twin", threads=1), "bees keep the hive"
    found = slow_expansions(TextTokenizer.bert_uncased(tiny_bert.POSITIONS).ids(text))
    found[np.intersect1d(SPACE.numbers(text), np.arange(COLUMNS))] = 0
    best = np.sort(np.argsort(-found * IDF[:COLUMNS], kind="stable")[: QueryRule().kept])
    best = best[found[best] > 0]
    dimensions, shares = sparse.expand_query(text)
    assert len(best) > 5
    assert dimensions.tolist() == best.tolist()
    assert np.allclose(shares, QueryRule().scale * found[best], atol=1e-5)
    assert sparse.idf_of(dimensions).tolist() == IDF[best].tolist()
    assert sparse.names_of([0, COLUMNS]) == {0: SPACE.label(0)}  # buckets have no name
    few = sparse._queries.added(text, (best.astype(np.int32), found[best].astype(np.float32)), QueryRule(2.0, 3))
    assert set(few[0].tolist()) <= set(best.tolist())
    assert len(few[0]) == 3
    assert [len(part) for part in sparse.expand_query("")] == [0, 0]
    with pytest.raises(ConfigError, match="QueryRule"):
        QueryRule(scale=-1.0)


def test_columns_are_stems_of_whole_words() -> None:
    assert SPACE.label(SPACE.number("cell")) == "cell"
    assert SPACE.label(SPACE.number("gruenfeld42")) is None
    assert SPACE.numbers("Cells of the cell")[0] == SPACE.numbers("cell")[0]
    assert set(SPACE.column_of[[0, 100, 101, 102, 103]].tolist()) == {-1}
    words = {label for label in (SPACE.label(number) for number in range(COLUMNS)) if label}
    assert len(words) == COLUMNS
    assert "##ing" not in words
    assert COLUMNS <= SPACE.number("gruenfeld42") < SIZE


def test_a_folder_is_exported_the_same_way_twice_and_checked_when_opened(run: Path, tmp_path: Path) -> None:
    options = {"shape": tiny_bert.SHAPE, "max_length": tiny_bert.POSITIONS}
    first = export_twin(run, tmp_path / "a", **options)  # type: ignore[arg-type]
    second = export_twin(run, tmp_path / "b", **options)  # type: ignore[arg-type]
    assert first["sha256"] == second["sha256"]
    opened = open_twin(tmp_path / "a", threads=1)
    ours, theirs = opened.encode_twins(TEXTS), encoder(run, "int8", rule=TUNED).encode_twins(TEXTS)
    assert np.array_equal(ours[0], theirs[0])
    assert np.array_equal(ours[1].weights, theirs[1].weights)
    query = open_queries(tmp_path / "a").encode(["bees"])
    assert query.weights.tolist() == pytest.approx([9 * query.ids[0] / (SIZE - 1)])
    own_idf = open_queries(tmp_path / "a", idf=np.full(SIZE, 3.0, np.float32))
    assert own_idf.encode(["bees"]).weights.tolist() == [3.0]
    content = bytearray((tmp_path / "a" / "model.onnx").read_bytes())
    content[-1] ^= 1
    (tmp_path / "a" / "model.onnx").write_bytes(bytes(content))
    with pytest.raises(CorruptIndexError, match="sha256"):
        open_twin(tmp_path / "a")
    with pytest.raises(ConfigError):
        open_twin(tmp_path / "nowhere")


def test_a_head_that_lacks_a_part_is_refused(run: Path, tmp_path: Path) -> None:
    parts = {name: value for name, value in arrays().items() if name != "head.bias"}
    tiny_bert.write_safetensors(tmp_path / "model.safetensors", parts)
    with pytest.raises(ConfigError, match=r"head\.bias"):
        SparseHead.fold(SafetensorsBert(tmp_path / "model.safetensors", tiny_bert.SHAPE), "log1p")
    weights = SafetensorsBert(run / "model.safetensors", tiny_bert.SHAPE)
    with pytest.raises(ConfigError, match="top"):
        twin_graph(weights, SparseHead.fold(weights, "log1p"), "fp32", top=COLUMNS + 1)


def test_the_weights_that_probes_liked_best_are_exported(run: Path, tmp_path: Path) -> None:
    for file in run.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    better = arrays()
    better["head.own"] = GAINS * 2
    tiny_bert.write_safetensors(tmp_path / "best.safetensors", better)
    about = export_twin(tmp_path, tmp_path / "out", shape=tiny_bert.SHAPE, max_length=tiny_bert.POSITIONS)
    assert about["training"]["weights"] == "best.safetensors"
    assert TermWeights.from_bytes((tmp_path / "out" / "terms.npz").read_bytes()).gains[-1] == 2 * GAINS[-1]
    (tmp_path / "idf.npz").unlink()
    with pytest.raises(ConfigError, match=r"idf\.npz"):
        export_twin(tmp_path, tmp_path / "out")


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
        dense, expanded = twin.dense(batch, states)[back].numpy(), twin.expansions(batch, states)[back].numpy()
    ours, rows = encoder(run, "fp32", top=4000, kept=4000).encode_twins(TEXTS)
    assert np.allclose(ours, dense, atol=2e-5)
    for number, text in enumerate(TEXTS):
        found = np.zeros(SIZE, np.float32)
        found[rows.row(number)[0]] = rows.row(number)[1]
        expected = own_part(text)
        expected[:COLUMNS] += expanded[number]
        assert np.allclose(found, expected, atol=2e-4)


def test_a_reranker_s_run_is_exported_as_well(run: Path, tmp_path: Path) -> None:
    made = {name: value for name, value in arrays().items() if not name.startswith("head.")}
    rng = np.random.default_rng(7)
    made["head.score.weight"] = rng.standard_normal((1, tiny_bert.HIDDEN)).astype(np.float32)
    made["head.score.bias"] = np.array([0.25], np.float32)
    tiny_bert.write_safetensors(tmp_path / "model.safetensors", made)
    (tmp_path / "run.json").write_text((run / "run.json").read_text())
    about = export_reranker(
        tmp_path, tmp_path / "out", precision="fp32", shape=tiny_bert.SHAPE, max_length=tiny_bert.POSITIONS
    )
    assert about["training"]["weights"] == "model.safetensors"
    scores = open_cross_encoder(tmp_path / "out", threads=1).score("who moved salt", ["mules carried salt", "bees"])
    assert scores.shape == (2,)
    assert np.isfinite(scores).all()
    assert scores[0] != scores[1]
