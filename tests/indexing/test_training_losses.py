"""Losses against numbers worked out by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest

torch: Any = pytest.importorskip("torch")
from twindex.indexing.training import losses  # noqa: E402

DOCS = [[1.0, 0.0, 3.0], [3.0, 0.0, 0.0]]


def tensor(values: Any) -> Any:
    return torch.tensor(values)


def test_queries_weigh_each_distinct_token_by_its_idf() -> None:
    ids, mask = tensor([[2, 2, 1, 0]]), tensor([[True, True, True, False]])
    found = losses.inference_free_queries(ids, mask, tensor([9.0, 0.5, 4.0]))
    assert found.tolist() == [[0.0, 0.5, 4.0]]


def test_the_score_is_the_idf_weighted_sum_of_shared_tokens() -> None:
    asked = losses.inference_free_queries(tensor([[0, 2]]), tensor([[True, True]]), tensor([2.0, 1.0, 0.5]))
    assert (asked @ tensor(DOCS).T).tolist() == [[2.0 * 1 + 0.5 * 3, 2.0 * 3]]


def test_flops_is_the_sum_of_squared_means() -> None:
    assert float(losses.flops(tensor(DOCS))) == pytest.approx(2.0**2 + 1.5**2)


def test_the_l0_mask_spares_short_documents_but_counts_them() -> None:
    # only the first has more than one non-zero: means 0.5, 0, 1.5
    assert float(losses.flops(tensor(DOCS), least=1)) == pytest.approx(0.25 + 2.25)
    assert float(losses.flops(tensor(DOCS), least=2)) == 0.0


def test_idf_flops_divides_by_idf_and_leaves_out_tokens_without() -> None:
    found = losses.idf_flops(tensor(DOCS), tensor([4.0, 1.0, 0.0]))
    assert float(found) == pytest.approx((2.0 / 4.0) ** 2)


def test_both_forms_of_idf_flops_are_one_up_to_a_change_of_variables() -> None:
    """Plain FLOPS of u with the score idf . u equals divided FLOPS of w = idf u with the score 1 . w."""
    idf = tensor([4.0, 2.0, 0.5])
    u = tensor(DOCS)
    assert float(losses.idf_flops(u * idf, idf)) == pytest.approx(float(losses.flops(u)))


@pytest.mark.parametrize(("share", "weight"), [(0.0, 0.0), (0.01, 0.0), (0.1, 0.5), (1.0, 1.0)])
def test_df_flops_weighs_by_document_frequency(share: float, weight: float) -> None:
    vectors = tensor([[2.0]])
    assert float(losses.df_flops(vectors, tensor([share]))) == pytest.approx((2.0 * weight) ** 2, abs=1e-4)


@pytest.mark.parametrize(
    ("step", "until", "share"), [(0, 10, 0.0), (5, 10, 0.25), (10, 10, 1.0), (20, 10, 1.0), (0, 0, 1.0)]
)
def test_the_ramp_is_quadratic(step: int, until: int, share: float) -> None:
    assert losses.ramp(step, until) == share


def test_teachers_are_normalised_before_they_are_averaged() -> None:
    first, second = tensor([[1.0, 2.0, 3.0]]), tensor([[500.0, 100.0, 300.0]])
    mixed = losses.ensemble([first, second], [1.0, 1.0], 30.0)
    assert mixed.tolist() == [[15.0, 7.5, 22.5]]
    weighted = losses.ensemble([first, second], [3.0, 1.0], 4.0)
    assert weighted.tolist() == [[1.0, 1.5, 3.5]]


def test_a_teacher_that_cannot_tell_says_nothing() -> None:
    assert losses.min_max(tensor([[7.0, 7.0]])).tolist() == [[0.0, 0.0]]


def test_distillation_is_the_mean_kl_divergence() -> None:
    teacher, student = tensor([[math.log(3.0), 0.0]]), tensor([[0.0, 0.0]])
    expected = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    assert float(losses.distillation(student, teacher)) == pytest.approx(expected)
    assert float(losses.distillation(teacher, teacher)) == pytest.approx(0.0, abs=1e-7)


def test_contrastive_ignores_what_is_no_negative_but_never_the_positive() -> None:
    scores, positive = tensor([[0.0, math.log(3.0), 5.0]]), tensor([1])
    everything = losses.contrastive(scores, positive)
    assert float(everything) == pytest.approx(math.log(1 + 3 + math.exp(5)) - math.log(3))
    ignored = losses.contrastive(scores, positive, tensor([[False, True, True]]))
    assert float(ignored) == pytest.approx(math.log(4 / 3))


def test_matryoshka_averages_over_normalised_heads_of_the_vectors() -> None:
    queries, documents = tensor([[3.0, 4.0]]), tensor([[1.0, 0.0]])
    found = losses.matryoshka(lambda q, d: (q @ d.T).sum(), queries, documents, (1, 2))
    assert float(found) == pytest.approx((1.0 + 0.6) / 2)


def test_gradients_reach_only_active_entries() -> None:
    vectors = tensor([[0.0, 2.0]]).requires_grad_()
    losses.flops(vectors).backward()
    assert vectors.grad.tolist() == [[0.0, 4.0]]
