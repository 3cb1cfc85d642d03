from __future__ import annotations

import numpy as np
import pytest

from twindex.eval import compare as module
from twindex.eval.compare import TestOptions, adjust, compare, compare_mean, holm, most_changed
from twindex.indexing.errors import ConfigError, UsageError

FAST = TestOptions(resamples=4000)


def noise(n: int, shift: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    b = rng.random(n)
    return b + rng.normal(shift, 0.1, n), b


def test_a_clear_difference_is_significant_and_none_is_not() -> None:
    clear = compare(*noise(200, 0.1), FAST)
    assert clear.p_randomisation < 0.01
    assert clear.p_bootstrap < 0.01
    assert clear.low < clear.difference < clear.high
    assert clear.low > 0
    assert clear.wins + clear.losses + clear.ties == clear.queries == 200
    assert clear.effect == pytest.approx(1.0, abs=0.2)
    none = compare(*noise(200, 0.0, seed=3), FAST)
    assert none.p_randomisation > 0.05
    assert none.low < 0 < none.high


def test_p_values_match_the_normal_law_for_many_queries() -> None:
    a, b = noise(400, 0.01, seed=7)
    found = compare(a, b, TestOptions(resamples=20_000))
    d = a - b
    z = abs(d.mean()) / (d.std(ddof=1) / np.sqrt(len(d)))
    from math import erfc, sqrt

    expected = erfc(z / sqrt(2))
    assert found.p_randomisation == pytest.approx(expected, abs=0.02)
    assert found.p_bootstrap == pytest.approx(expected, abs=0.02)
    half = 1.96 * d.std(ddof=1) / np.sqrt(len(d))
    assert found.low == pytest.approx(d.mean() - half, abs=half * 0.1)
    assert found.high == pytest.approx(d.mean() + half, abs=half * 0.1)


def test_the_short_way_for_repeated_values_follows_the_same_law(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    a = rng.choice([0.0, 0.5, 1.0], 300)
    b = rng.choice([0.0, 0.5, 1.0], 300, p=[0.4, 0.3, 0.3])
    short = compare(a, b, TestOptions(resamples=20_000))
    # Tiny distinct offsets leave the same problem, but no value comes twice: the long way.
    offset = np.arange(300) * 1e-7
    long = compare(a + offset, b, TestOptions(resamples=20_000))
    assert short.p_randomisation == pytest.approx(long.p_randomisation, abs=0.02)
    assert short.low == pytest.approx(long.low, abs=0.005)
    monkeypatch.setattr(module, "CHUNK", 1000)
    assert compare(a + offset, b, FAST).p_randomisation == pytest.approx(long.p_randomisation, abs=0.03)


def test_exact_small_case() -> None:
    """Three queries, all won: the sign patterns at least as extreme are 2 of 8."""
    found = compare(np.array([0.5, 0.5, 0.5]), np.zeros(3), TestOptions(resamples=20_000))
    assert found.p_randomisation == pytest.approx(0.25, abs=0.01)
    assert found.low == found.high == 0.5


def test_equal_systems() -> None:
    a = np.array([0.1, 0.2, 0.1 + 0.2])
    found = compare(a, np.array([0.1, 0.2, 0.3]), FAST)
    assert (found.difference, found.ties, found.effect) == (0.0, 3, 0.0)
    assert found.p_randomisation == 1.0
    assert found.p_bootstrap == 1.0


def test_order_of_systems_changes_the_sign_only() -> None:
    a, b = noise(50, 0.05)
    one, two = compare(a, b, FAST), compare(b, a, FAST)
    assert one.difference == -two.difference
    assert one.p_randomisation == pytest.approx(two.p_randomisation, abs=0.02)
    assert (one.wins, one.losses) == (two.losses, two.wins)


def test_the_mean_over_sets_weighs_sets_alike() -> None:
    found = compare_mean([(np.ones(10), np.zeros(10)), (np.zeros(1000), np.zeros(1000))], FAST)
    assert found.difference == 0.5
    assert found.mean_a == 0.5
    assert found.p_randomisation < 0.01


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    family = adjust([compare(*noise(100, 0.1), FAST), compare(*noise(100, 0.0, seed=9), FAST)])
    assert family[0].significant()
    assert not family[1].significant()
    assert all(c.p_adjusted >= c.p_randomisation for c in family)


def test_most_changed() -> None:
    a = {"q1": 1.0, "q2": 0.5, "q3": 0.2, "q4": 0.3}
    b = {"q1": 0.5, "q2": 1.0, "q3": 0.2, "other": 1.0}
    changes = most_changed(a, b)
    assert [c.query_id for c in changes] == ["q1", "q2"]
    assert changes[1].difference == -0.5
    assert most_changed(a, b, 1)[0].query_id == "q1"


def test_what_cannot_be_compared() -> None:
    with pytest.raises(UsageError, match="one length"):
        compare(np.ones(3), np.ones(4))
    with pytest.raises(UsageError, match="not empty"):
        compare(np.ones(0), np.ones(0))
    with pytest.raises(ConfigError, match="resamples"):
        TestOptions(resamples=1)
    with pytest.raises(ConfigError, match="alpha"):
        TestOptions(alpha=0)
