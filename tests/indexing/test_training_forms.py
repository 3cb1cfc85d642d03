"""Forms of training beside the default one: which side carries idf, queries that the model reads, ablations."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch: Any = pytest.importorskip("torch")
pytest.importorskip("safetensors")
from tests.indexing import tiny_bert  # noqa: E402
from tests.indexing.test_training_model import COLUMN_OF, SETTINGS, VOCABULARY, trainer, training_set  # noqa: E402
from twindex.indexing.training import sparse_head  # noqa: E402
from twindex.indexing.training.matching import Matching  # noqa: E402
from twindex.indexing.training.model import Twin  # noqa: E402
from twindex.indexing.training.own_terms import OwnTerms  # noqa: E402
from twindex.indexing.training.recipes import ablations  # noqa: E402
from twindex.indexing.training.trainer import Trainer  # noqa: E402


def test_idf_on_either_side_gives_own_words_the_same_score() -> None:
    data = training_set()
    idf = torch.linspace(0.5, 2.0, VOCABULARY)
    asked = OwnTerms(data, idf, "cpu").asked(torch.tensor([0, 3]))
    own = torch.rand(4, len(asked.stems), generator=torch.Generator().manual_seed(1))
    expanded = torch.zeros(4, 100)
    expanded[:, asked.stems[0]] = 1.0
    weights = {sparse_head.OWN: torch.ones(101)}
    scores = []
    for matching in (Matching(idf, "queries"), Matching(idf, "documents")):
        queries = matching.queries(asked)
        scores.append([queries @ matching.documents(weights, asked, own, e).T for e in (0 * expanded, expanded)])
    (plain, added), (other, more) = scores
    assert torch.allclose(plain, other, atol=1e-6)
    at, there = int(asked.stems[0]), asked.counts[:, :1] > 0
    assert torch.allclose(added - plain, (there * idf[at]).expand(2, 4), atol=1e-6)  # multiplied by idf
    assert torch.allclose(more - other, there.float().expand(2, 4), atol=1e-6)  # as it is


def test_expanded_queries_reach_words_that_they_lack() -> None:
    data = training_set()
    idf = torch.linspace(0.5, 2.0, VOCABULARY)
    terms = OwnTerms(data, idf, "cpu")
    at, few = torch.tensor([0, 3]), terms.asked(torch.tensor([0, 3]))
    asked = terms.asked(at, 100)
    assert asked.stems[:100].tolist() == list(range(100))
    assert torch.equal(asked.counts[:, few.stems], few.counts)  # no stem of these queries lies above the columns
    expanded = torch.zeros(2, 100)
    expanded[0, 57] = 0.25
    found = Matching(idf, "queries", 2.0).queries(asked, expanded)
    difference = found - asked.weights
    assert difference.nonzero().tolist() == [[0, 57]]
    assert float(difference[0, 57]) == pytest.approx(2.0 * 0.25 * float(idf[57]))
    assert torch.equal(Matching(idf).queries(asked, expanded), asked.weights)


@pytest.mark.parametrize("changes", [{"query_expansion": 1.0}, {"idf_side": "documents"}, {"recipe": "sparse"}])
def test_other_forms_of_matching_learn(tmp_path: Path, changes: dict[str, Any]) -> None:
    made = trainer(tmp_path, tmp_path / "run", replace(SETTINGS, steps=30, **changes))
    made._probe()
    losses_seen = [made._one()["loss"] for _ in range(30)]
    assert np.mean(losses_seen[-5:]) < np.mean(losses_seen[:5])
    assert made.history[-1]["pruned"] > 0.5  # of 40 passages
    if "query_expansion" in changes:  # the expansions of queries take part in the loss and in its penalty
        assert made._one()["query_nonzeros"] > 0


def test_each_ablation_changes_something_else() -> None:
    made = ablations(SETTINGS)
    assert made["plain"] == SETTINGS
    plain = set(map(str, SETTINGS.to_dict().items()))
    changed = {name: set(map(str, config.to_dict().items())) - plain for name, config in made.items()}
    changed.pop("plain")
    assert all(changed.values())
    assert len({frozenset(items) for items in changed.values()}) == len(changed)
    assert {config.penalty for config in made.values()} == {"flops", "idf-flops", "df-flops"}


def test_a_head_that_was_trained_is_not_calibrated_again(tmp_path: Path) -> None:
    made = trainer(tmp_path, tmp_path / "run", replace(SETTINGS, steps=3))
    made.run()
    onward = Twin.load(tmp_path / "run" / "model.safetensors", shape=tiny_bert.SHAPE, column_of=COLUMN_OF)
    before = onward.weights[sparse_head.BIAS].clone()
    data, idf = training_set(), torch.ones(VOCABULARY)
    again = Trainer(replace(SETTINGS, seed=9), data, onward, [], idf, out=tmp_path / "again", device="cpu")
    assert torch.equal(again.model.weights[sparse_head.BIAS].detach(), before)
    fresh = trainer(tmp_path, tmp_path / "fresh").model.weights[sparse_head.BIAS]
    assert float(fresh.detach().abs().max()) > 0
