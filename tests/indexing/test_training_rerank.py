"""The reranker's side of training: pairs token by token, steps in chunks, teachers that read both, MPNet."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch: Any = pytest.importorskip("torch")
pytest.importorskip("safetensors")
from tests.indexing.test_training_model import SETTINGS, trainer  # noqa: E402
from twindex.indexing.training.batches import CLS, SEP, DeviceTable  # noqa: E402
from twindex.indexing.training.bert import DISTANCES, WORDS, attention_mask  # noqa: E402
from twindex.indexing.training.mpnet import as_bert  # noqa: E402
from twindex.indexing.training.rerank import pair_batch  # noqa: E402
from twindex.indexing.training.tokens import TokenTable  # noqa: E402


def test_pairs_are_laid_out_token_by_token() -> None:
    queries, texts = TokenTable.of([[11, 12], [13, 14, 15, 16, 17]]), TokenTable.of([[21, 22, 23, 24, 25], [31]])
    tables = DeviceTable(queries, "cpu"), DeviceTable(texts, "cpu")
    ids, mask, kinds = pair_batch(tables[0], torch.tensor([0, 0, 1]), tables[1], torch.tensor([0, 1, 0]), 8)
    found = [row[there].tolist() for row, there in zip(ids, mask, strict=True)]
    assert found == [
        [CLS, 11, 12, SEP, 21, 22, 23, SEP],  # the document is cut
        [CLS, 11, 12, SEP, 31, SEP],
        [CLS, 13, 14, 15, 16, SEP, 21, SEP],  # a query takes half at most
    ]
    assert ids.shape[1] % 16 == 0  # so that few shapes occur
    assert kinds[0, :8].tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    assert kinds[1, :8].tolist() == [0, 0, 0, 0, 1, 1, 0, 0]
    assert not kinds[:, 8:].any()
    assert not mask[:, 8:].any()
    heads = DeviceTable(TokenTable.of([[41], []]), "cpu")
    ids, mask, _ = pair_batch(tables[0], torch.tensor([0, 0]), tables[1], torch.tensor([0, 1]), 8, heads)
    found = [row[there].tolist() for row, there in zip(ids, mask, strict=True)]
    assert found == [[CLS, 11, 12, SEP, 41, 21, 22, SEP], [CLS, 11, 12, SEP, 31, SEP]]


def test_a_reranker_learns_to_put_the_answer_first(tmp_path: Path) -> None:
    config = replace(SETTINGS, recipe="rerank", steps=60, label_weight=0.0)
    made = trainer(tmp_path, tmp_path / "run", config)
    made._probe()
    assert {"before", "after", "fused"} <= set(made.history[-1])
    assert not any(name.startswith("head.") and "score" not in name for name in made.parameters)
    losses_seen = [made._one()["loss"] for _ in range(60)]
    assert np.mean(losses_seen[-10:]) < 0.8 * np.mean(losses_seen[:10])


def test_a_reranker_s_step_in_chunks_is_the_step(tmp_path: Path) -> None:
    """Gradients of chunks add up to those of one pass; random passages stand last; frozen weights stay."""
    config = replace(SETTINGS, recipe="rerank", easy=2, frozen=("embeddings.word_embeddings",))
    seen = []
    for chunk in (0, 3):
        made = trainer(tmp_path, tmp_path / f"run{chunk}", replace(config, chunk=chunk))
        before = made.model.weights[WORDS].clone()
        figures = made._one()
        seen.append((figures, {name: value.grad for name, value in made.parameters.items()}))
        assert WORDS not in made.parameters
        assert torch.equal(before, made.model.weights[WORDS])
    (whole, wanted), (parts, found) = seen
    assert parts["loss"] == pytest.approx(whole["loss"], rel=1e-5)
    for name, value in wanted.items():
        assert torch.allclose(value, found[name], atol=1e-5), name


def test_a_reranker_learns_the_scores_of_a_larger_one(tmp_path: Path) -> None:
    config = replace(
        SETTINGS, recipe="rerank", label_weight=1.0, cross_weight=1.0, contrast_share=0.0, distil_share=0.0
    )
    made = trainer(tmp_path, tmp_path / "run", config)
    made.objective.cross = lambda choice, at, documents: -(documents % 7).float()
    losses_seen = [made._one()["loss"] for _ in range(60)]
    assert np.mean(losses_seen[-10:]) < 0.9 * np.mean(losses_seen[:10])


def test_an_mpnet_reads_as_a_bert_with_distances() -> None:
    """Special tokens, positions and the table of distances are where BERT's functions look for them."""
    words = 40
    draw = torch.Generator().manual_seed(3)
    shape = {"word_embeddings": (words, 8), "position_embeddings": (20, 8)}
    stored = {f"embeddings.{name}.weight": torch.randn(size, generator=draw) for name, size in shape.items()}
    stored |= {DISTANCES: torch.randn(32, 2, generator=draw), "pooler.dense.weight": torch.zeros(8, 8)}
    for part in ("q", "k", "v", "o"):
        stored[f"encoder.layer.0.attention.attn.{part}.weight"] = torch.randn(8, 8, generator=draw)
    for name in ("embeddings.LayerNorm", "encoder.layer.0.attention.LayerNorm", "encoder.layer.0.output.LayerNorm"):
        stored |= {f"{name}.weight": torch.ones(8), f"{name}.bias": torch.zeros(8)}
    specials = {"[CLS]": 3, "[SEP]": 4, "[PAD]": 0}
    got = as_bert(stored, Path("there"), specials)
    assert len(got[WORDS]) == words - 5
    assert torch.equal(got[WORDS][3], stored[WORDS][0])
    assert torch.equal(got[WORDS][0], stored[WORDS][1])
    assert torch.equal(got[WORDS][7], stored[WORDS][11])
    assert len(got["embeddings.position_embeddings.weight"]) == 18
    assert "encoder.layer.0.attention.self.query.weight" in got
    assert "pooler.dense.weight" not in got
    mask = torch.tensor([[True] * 6, [True] * 4 + [False] * 2])
    bias = attention_mask(got, mask)
    assert bias.shape == (2, 2, 6, 6)
    assert torch.isinf(bias[1, :, :, 4:]).all()
    table = stored[DISTANCES]
    assert torch.equal(bias[0, :, 2, 1], table[1])  # one to the left: the second row
    assert torch.equal(bias[0, :, 1, 2], table[17])  # one to the right: the second half
