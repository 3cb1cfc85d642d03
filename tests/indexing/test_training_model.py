"""The student against slow twins: batches token by token, the sparse head by plain autograd, a whole run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch: Any = pytest.importorskip("torch")
pytest.importorskip("safetensors")
from tests.indexing import tiny_bert  # noqa: E402
from twindex.indexing.encoders.own_terms import saturated  # noqa: E402
from twindex.indexing.errors import ConfigError  # noqa: E402
from twindex.indexing.training import sparse_head  # noqa: E402
from twindex.indexing.training.batches import CLS, SEP, DeviceTable, assemble  # noqa: E402
from twindex.indexing.training.bert import WORDS, bert_states, load_bert, mean_pool  # noqa: E402
from twindex.indexing.training.candidates import bm25_candidates, dense_candidates  # noqa: E402
from twindex.indexing.training.config import TrainConfig  # noqa: E402
from twindex.indexing.training.health import CollapseError, check  # noqa: E402
from twindex.indexing.training.model import Twin  # noqa: E402
from twindex.indexing.training.own_terms import OwnTerms, document_weights  # noqa: E402
from twindex.indexing.training.packing import pack, unpack  # noqa: E402
from twindex.indexing.training.probe import Probe, ProbeResult, ndcg  # noqa: E402
from twindex.indexing.training.rerank import CrossTeacher, pair_batch, pair_scores, with_score_head  # noqa: E402
from twindex.indexing.training.sampling import Sampler  # noqa: E402
from twindex.indexing.training.teachers import TeacherVectors, bert_teacher, teacher_vectors  # noqa: E402
from twindex.indexing.training.tokens import TokenTable  # noqa: E402
from twindex.indexing.training.trainer import Trainer  # noqa: E402
from twindex.indexing.training.training_set import TrainingSet  # noqa: E402

torch.set_num_threads(1)  # on a busy machine several threads wait for each other; sums have one order
VOCABULARY = 120  # ids up to [SEP] = 102 occur
#: Columns 0 to 99; terms are token numbers, so that those from 100 on have none.
COLUMN_OF = np.where(np.arange(VOCABULARY) < 100, np.arange(VOCABULARY), -1).astype(np.int32)


def base(folder: Path) -> Path:
    """Random weights of two layers over a vocabulary of 120, on disk."""
    arrays = tiny_bert.weights()
    rng = np.random.default_rng(3)
    arrays[WORDS] = rng.standard_normal((VOCABULARY, tiny_bert.HIDDEN)).astype(np.float32)
    tiny_bert.write_safetensors(folder / "model.safetensors", arrays)
    return folder / "model.safetensors"


def student(folder: Path) -> Twin:
    return Twin.load(base(folder), shape=tiny_bert.SHAPE, column_of=COLUMN_OF)


def training_set(seed: int = 0) -> TrainingSet:
    """Forty passages of a topic's tokens each; queries are drawn from their passage."""
    rng = np.random.default_rng(seed)
    passages = [rng.integers(1 + 10 * (i % 9), 11 + 10 * (i % 9), 12) for i in range(40)]
    queries, positive, spans = [], [], []
    for i, ids in enumerate(passages):
        for start in (2, 5):
            queries.append(ids[start : start + 4])
            positive.append(i)
            spans.append((start, start + 4) if start == 2 else (-1, -1))
    n = len(queries)
    return TrainingSet(
        passages=TokenTable.of(passages),
        titles=TokenTable.of([[7, 8] for _ in passages]),
        queries=TokenTable.of(queries),
        positive=np.array(positive, np.int32),
        negatives=np.full((n, 1), -1, np.int32),
        spans=np.array(spans, np.int32),
        source=np.zeros(n, np.int32),
        titled=np.array([span[0] >= 0 for span in spans]),
        passage_terms=TokenTable.of(passages, np.int32),
        title_terms=TokenTable.of([[7, 8] for _ in passages], np.int32),
        query_terms=TokenTable.of(queries, np.int32),
        names=("made up",),
        about={"sha256": f"seed {seed}"},
    )


def teacher(folder: Path, data: TrainingSet, cache: Path | None = None) -> TeacherVectors:
    embed = bert_teacher(base(folder), tiny_bert.SHAPE, "cpu")
    return teacher_vectors("tiny", embed, data, device="cpu", digest="d", cache=cache, limit=32)


def test_batches_are_the_sequences_token_by_token() -> None:
    texts, titles = TokenTable.of([[11, 12, 13, 14, 15], [], [21, 22]]), TokenTable.of([[1], [2, 3], []])
    table, heads = DeviceTable(texts, "cpu"), DeviceTable(titles, "cpu")
    at = torch.tensor([2, 0, 1, 0])
    spans = torch.tensor([[-1, -1], [1, 3], [0, 0], [0, 0]])
    expected = {
        0: [CLS, 21, 22, SEP],
        1: [CLS, 1, 11, 14, 15, SEP],
        2: [CLS, 2, 3, SEP],
        3: [CLS, 1, 11, 12, 13, 14, SEP],  # cut at seven
    }
    for pieces in (1, 2, 4):
        seen = {}
        for batch in assemble(table, at, limit=7, titles=heads, spans=spans, pieces=pieces):
            for row, ids, mask, inner in zip(batch.rows.tolist(), batch.ids, batch.mask, batch.inner, strict=True):
                seen[row] = ids[mask].tolist()
                assert ids[inner].tolist() == seen[row][1:-1]
                assert not ids[~mask].any()
        assert seen == expected


def test_the_body_is_bert_as_numpy_computes_it(tmp_path: Path) -> None:
    twin = student(tmp_path)
    (batch,) = assemble(DeviceTable(TokenTable.of([[5, 6, 7], [8]]), "cpu"), torch.tensor([0, 1]), limit=16, pieces=1)
    together = bert_states(twin.weights, twin.shape, batch.ids, batch.mask)
    alone = bert_states(twin.weights, twin.shape, batch.ids[:1, :3], batch.mask[:1, :3])
    assert batch.ids[0, :3].tolist() == [CLS, 8, SEP]  # shortest first
    assert torch.allclose(together[0, :3], alone[0], atol=1e-5)  # padding changes nothing
    pooled = mean_pool(together, batch.mask)
    assert torch.allclose(pooled.norm(dim=1), torch.ones(2))
    plain = alone[0].mean(dim=0)
    assert torch.allclose(pooled[0], plain / plain.norm(), atol=1e-5)


def plain_expansions(weights: Any, states: Any, mask: Any) -> Any:
    """The head without tricks: the whole product, plain autograd."""
    moved = states @ weights[sparse_head.WEIGHT].T + weights[sparse_head.SHIFT]
    logits = moved @ weights[sparse_head.TABLE].T
    best = logits.masked_fill(~mask.unsqueeze(-1), -torch.inf).max(dim=1).values
    return torch.log1p(torch.relu(best + weights[sparse_head.BIAS]))


def test_the_sparse_head_equals_plain_autograd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    twin = student(tmp_path)
    torch.manual_seed(0)
    states = torch.randn(5, 6, tiny_bert.HIDDEN)
    mask = torch.arange(6)[None, :] < torch.tensor([6, 3, 1, 5, 2])[:, None]
    twin.weights[sparse_head.BIAS] -= 1.0
    grads = []
    for function in (sparse_head.expansions, plain_expansions):
        leaves = {k: v.clone().requires_grad_() for k, v in twin.weights.items()}
        inputs = states.clone().requires_grad_()
        monkeypatch.setattr(sparse_head, "PIECE", 700)  # several pieces
        found = function(leaves, inputs, mask)
        (found * torch.arange(1.0, found.shape[1] + 1)).sum().backward()
        names = [sparse_head.WEIGHT, sparse_head.SHIFT, sparse_head.TABLE, sparse_head.BIAS]
        grads.append([found.detach(), inputs.grad, *(leaves[name].grad for name in names)])
    assert 0 < int((grads[0][0] > 0).sum()) < grads[0][0].numel()
    for ours, plain in zip(*grads, strict=True):
        assert torch.allclose(ours, plain, rtol=1e-4, atol=1e-4)


def test_a_text_without_tokens_has_no_expansions(tmp_path: Path) -> None:
    twin = student(tmp_path)
    mask = torch.zeros(1, 2, dtype=torch.bool)
    assert not sparse_head.expansions(twin.weights, torch.randn(1, 2, tiny_bert.HIDDEN), mask).any()


def test_words_of_one_stem_share_a_column(tmp_path: Path) -> None:
    words = torch.randn(5, 8)
    head = sparse_head.initial_head(words, np.array([1, -1, 0, 1, -1], np.int32))
    centred = torch.nn.functional.normalize(words - words.mean(dim=0), dim=1)
    both = torch.nn.functional.normalize(centred[0] + centred[3], dim=0)
    assert torch.allclose(head[sparse_head.TABLE], torch.stack([centred[2], both]), atol=1e-6)
    assert head[sparse_head.OWN].tolist() == [1.0, 1.0, 1.0]


def test_double_log_is_the_logarithm_of_the_logarithm() -> None:
    logits = torch.tensor([-1.0, 0.0, 3.0])
    assert sparse_head.activate(logits, "log1p").tolist() == pytest.approx([0, 0, np.log(4)])
    assert sparse_head.activate(logits, "log1p-log1p").tolist() == pytest.approx([0, 0, np.log1p(np.log(4))])


def test_calibration_leaves_the_wanted_number_of_entries(tmp_path: Path) -> None:
    twin = student(tmp_path)
    torch.manual_seed(1)
    states, mask = torch.randn(30, 8, tiny_bert.HIDDEN), torch.ones(30, 8, dtype=torch.bool)
    sparse_head.calibrate(twin.weights, states, mask, active=10, size=0.5)
    found = sparse_head.expansions(twin.weights, states, mask)
    assert float((found > 0).sum(dim=1).float().mean()) == pytest.approx(10, abs=0.5)
    assert float(torch.expm1(found[found > 0]).mean()) == pytest.approx(0.5, abs=0.02)


def test_own_terms_are_counted_as_the_served_encoder_counts_them() -> None:
    data = training_set()
    idf = torch.linspace(0.5, 2.0, VOCABULARY)
    terms = OwnTerms(data, idf, "cpu")
    at = torch.tensor([0, 3, 4])
    asked = terms.asked(at)
    wanted = sorted({int(t) for n in at.tolist() for t in data.query_terms[n]})
    assert asked.stems.tolist() == wanted
    documents = torch.tensor([0, 1, 2, 0])
    taken = (torch.tensor([3]), asked.counts[:1])  # the first query's own sentence, out of the last row
    own = terms.saturated(documents, asked, titled=True, taken=taken)
    for row, document in enumerate(documents.tolist()):
        numbers = [*data.passage_terms[document].tolist(), 7, 8]
        for number in data.query_terms[0].tolist() if row == 3 else []:
            numbers.remove(number)
        distinct, weights = saturated(np.array(numbers, np.int32))
        expected = dict(zip(distinct.tolist(), weights.tolist(), strict=True))
        assert own[row].tolist() == pytest.approx([expected.get(stem, 0.0) for stem in wanted])
    for row, number in enumerate(at.tolist()):
        there = set(data.query_terms[number].tolist())
        assert asked.weights[row].tolist() == pytest.approx([float(idf[t]) * (t in there) for t in wanted])


def test_weights_are_gained_frequencies_and_expansions() -> None:
    own, expanded = torch.tensor([[0.5, 0.25, 0.5]]), torch.tensor([[0.0, 1.0, 0.0, 0.0]])
    weights = {sparse_head.OWN: torch.tensor([1.0, 2.0, 1.0, 1.0, 3.0])}
    found = document_weights(weights, own, expanded, torch.tensor([0, 1, 90]))
    assert found.tolist() == [[0.5, 1.5, 1.5]]  # the last has no column: the common gain, no expansion


def test_candidates_are_those_of_an_exhaustive_search(tmp_path: Path) -> None:
    data = training_set()
    vectors = teacher(tmp_path, data)
    dense = dense_candidates(data, vectors, 3)
    query = 3
    scores = vectors.queries[query] @ vectors.texts.T
    best = [i for i in scores.argsort(descending=True).tolist() if i != data.positive[query]]
    assert dense[query].tolist() == best[:3]
    lexical = bm25_candidates(data, np.ones(VOCABULARY, np.float32), 3, "cpu")
    topic = data.positive[query] % 9
    assert all(int(ordinal) % 9 == topic for ordinal in lexical[query])


def test_teacher_vectors_come_from_the_cache_the_second_time(tmp_path: Path) -> None:
    data = training_set()
    first = teacher(tmp_path, data, tmp_path / "cache")
    files = sorted((tmp_path / "cache").glob("*.npy"))
    assert len(files) == 3
    np.save(next(f for f in files if "queries" in f.name), np.zeros((1, 1), np.float16))
    again = teacher(tmp_path, data, tmp_path / "cache")
    assert again.queries.shape == (1, 1)
    assert torch.equal(again.texts, first.texts)
    assert teacher(tmp_path, training_set(1), tmp_path / "cache").queries.shape == first.queries.shape


def test_a_step_is_a_function_of_seed_and_number() -> None:
    sampler = Sampler(training_set(), TrainConfig(title_share=0.5, sentence_share=0.5, seed=4))
    first, again, other = (sampler.step(n, 6, 4) for n in (9, 9, 10))
    assert torch.equal(first.documents, again.documents)
    assert not torch.equal(first.documents, other.documents)
    assert len(set(first.queries.tolist())) == 6
    positive = torch.from_numpy(training_set().positive)[first.queries]
    assert torch.equal(first.documents[:, 0], positive.long())
    kinds = [(choice.sentences, choice.titled) for choice in (sampler.step(n, 6, 4) for n in range(40))]
    assert set(kinds) == {(True, True), (False, False)}  # sentences with titles, titles without
    shared = Sampler(training_set(), TrainConfig(title_share=0.2, sentence_share=0.3, seed=4))
    assert {shared.step(n, 6, 4).sentences for n in range(20)} == {True, False}  # there are no judged queries
    with pytest.raises(ConfigError, match="without queries"):
        Sampler(training_set(), TrainConfig(title_share=0.0, sentence_share=0.0))


SETTINGS = TrainConfig(
    steps=40, queries=8, group=4, document_tokens=32, warm_up=4, penalty_ramp=10, learning_rate=1e-3, head_rate=1e-2,
    head_ratio=2.0, penalty_weight=0.01, target_nonzeros=0, first_active=128, first_size=0.3, sparse_share=1.0,
    bm25_weight=1.0, cosine_share=0.5, title_share=0.4, sentence_share=0.6, dims=(32, 16), scale=5.0,
)  # fmt: skip


def trainer(folder: Path, out: Path, config: TrainConfig = SETTINGS) -> Trainer:
    data = training_set()
    idf = torch.ones(VOCABULARY)
    vectors = [teacher(folder, data)]
    return Trainer(config, data, student(folder), vectors, idf, out=out, device="cpu", probes={"itself": data})


def look(made: Trainer) -> ProbeResult:
    return Probe(training_set(), VOCABULARY, "cpu").look(made.model, limit=32)


def test_training_learns(tmp_path: Path) -> None:
    made = trainer(tmp_path, tmp_path / "run")
    before = look(made)
    assert made.run(probe_every=20) is True
    after = look(made)
    assert after.dense > before.dense + 0.05
    assert after.bm25 == before.bm25
    assert after.sparse > before.sparse - 0.06  # its own words answer nearly all that is asked here
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert {"step", "loss", "sparse", "dense", "nonzeros", "flops", "gradient"} <= set(lines[-2])
    assert [line["step"] for line in lines if "probe" in line] == [0, 20, 40]
    best = max((line for line in lines if "probe" in line), key=lambda line: line["dense"] + line["pruned"])
    kept = load_bert(tmp_path / "run" / "best.safetensors")
    assert made.best == pytest.approx(best["dense"] + best["pruned"], abs=1e-5)
    assert set(kept) == set(made.model.weights)


def test_without_expansions_the_sparse_side_is_bm25(tmp_path: Path) -> None:
    made = trainer(tmp_path, tmp_path / "run")
    made.model.weights[sparse_head.BIAS].detach().fill_(-1e4)
    found = look(made)
    assert found.sparse == found.pruned == found.bm25
    assert found.nonzeros == 0


def test_a_run_in_slices_equals_a_run_in_one(tmp_path: Path) -> None:
    whole = trainer(tmp_path, tmp_path / "whole")
    whole.run()
    ticks = iter(range(1000))
    sliced = trainer(tmp_path, tmp_path / "sliced")
    assert sliced.run(seconds=15, clock=lambda: float(next(ticks))) is False
    stopped_at = sliced.step
    assert 0 < stopped_at < SETTINGS.steps
    resumed = trainer(tmp_path, tmp_path / "sliced")
    assert resumed.step == stopped_at
    assert resumed.run() is True
    for name, value in whole.model.weights.items():
        assert torch.equal(value, resumed.model.weights[name]), name
    with pytest.raises(ConfigError, match="other settings"):
        trainer(tmp_path, tmp_path / "sliced", TrainConfig(steps=3))


@pytest.mark.parametrize("recipe", ["sparse", "dense"])
@pytest.mark.parametrize("penalty", ["flops", "idf-flops", "df-flops"])
def test_every_recipe_and_penalty_runs(tmp_path: Path, recipe: Any, penalty: Any) -> None:
    if recipe == "dense" and penalty != "flops":
        pytest.skip("a dense run has no penalty")
    config = TrainConfig(recipe=recipe, penalty=penalty, steps=2, queries=4, group=3, document_tokens=32, least=3)
    made = trainer(tmp_path, tmp_path / "run", config)
    assert made.run() is True
    figures = made.history[-1]
    assert ("sparse" in figures) == (recipe == "sparse")
    assert ("dense" in figures) == (recipe == "dense")


@pytest.mark.parametrize(
    ("figures", "message"),
    [
        ({"loss": float("nan")}, "loss not finite"),
        ({"nonzeros": 0.2}, "died"),
        ({"nonzeros": 9_000.0}, "became dense"),
    ],
)
def test_collapse_is_named(figures: dict[str, float], message: str) -> None:
    check({"loss": 1.0, "nonzeros": 120.0}, vocabulary=30_522, step=1)
    with pytest.raises(CollapseError, match=message):
        check(figures, vocabulary=30_522, step=7)


def test_packed_weights_come_back_within_half_a_step(tmp_path: Path) -> None:
    source = base(tmp_path)
    parts = pack(source, tmp_path / "parts", part_bytes=5000)
    assert len(parts) > 1
    unpack(tmp_path / "parts", tmp_path / "back" / "model.safetensors")
    back = load_bert(tmp_path / "back" / "model.safetensors")
    for name, value in load_bert(source).items():
        step = value.abs().amax(dim=-1, keepdim=True) / 127
        assert bool(((back[name] - value).abs() <= 0.5 * step + 2e-3 * value.abs() + 1e-6).all()), name


def test_ndcg_by_hand() -> None:
    scores = torch.tensor([[0.1, 0.9, 0.5], [1.0, 1.0, 0.0]])
    expected = (1 / np.log2(3) + 1.0) / 2  # the second's tie goes to the first document
    assert ndcg(scores, [[2], [0]]) == pytest.approx(expected)
    assert ndcg(scores[:1], [[1, 2]]) == pytest.approx(1.0)


def test_a_cross_encoder_as_a_teacher_scores_each_pair_by_itself(tmp_path: Path) -> None:
    twin = student(tmp_path)
    with_score_head(twin.weights, 5)
    data = training_set()
    tables = [DeviceTable(table, "cpu") for table in (data.queries, data.passages, data.titles)]
    teacher_of_pairs = CrossTeacher(twin.weights, twin.shape, (tables[0], tables[1], tables[2]), 24)
    choice = Sampler(data, TrainConfig(title_share=0.0, sentence_share=1.0)).step(3, 4, 3)
    together = teacher_of_pairs(choice, choice.queries, choice.documents)
    for row in range(4):
        for column in range(3):
            one = (choice.queries[row : row + 1], choice.documents[row, column : column + 1])
            pair = pair_batch(tables[0], one[0], tables[1], one[1], 24, tables[2])
            alone = pair_scores(twin.weights, twin.shape, *pair)
            assert float(together[row, column]) == pytest.approx(float(alone), abs=1e-5)


def test_a_probe_weighs_queries_by_the_idf_it_is_given(tmp_path: Path) -> None:
    twin, data = student(tmp_path), training_set()
    nothing = torch.zeros(VOCABULARY)
    found = Probe(data, VOCABULARY, "cpu", idf=nothing).look(twin, limit=32)
    assert found.bm25 < Probe(data, VOCABULARY, "cpu").look(twin, limit=32).bm25
    assert found.sparse == found.bm25  # every document scores 0
