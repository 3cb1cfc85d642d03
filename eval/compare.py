"""Whether system A is better than system B on the same queries, by how much, and on which ones.

Two tests that assume no distribution: the paired bootstrap (Efron and Tibshirani 1993, ch. 16; for
retrieval Sakai, SIGIR 2006) gives a confidence interval and a p-value, the paired randomisation test
(Fisher; for retrieval Smucker, Allan and Carterette, CIKM 2007) another p-value. Several comparisons
together are corrected after Holm (1979). Random numbers are seeded: equal scores give equal verdicts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from twindex.eval.measures import Float64Array
from twindex.indexing.errors import ConfigError, UsageError

#: Differences closer than this are rounding of sums taken in another order, not differences.
NOISE: Final = 1e-9
#: Numbers drawn at one time.
CHUNK: Final = 1 << 23


@dataclass(frozen=True, slots=True)
class TestOptions:
    """How to test.

    ``resamples``: of either test. ``confidence``: of the interval. ``alpha``: below which an adjusted p-value
    counts as significant.

    Raises:
        ConfigError: If a value is out of range.
    """

    __test__ = False  # it is no test, whatever its name says to pytest

    resamples: int = 10_000
    confidence: float = 0.95
    alpha: float = 0.05
    seed: int = 1

    def __post_init__(self) -> None:
        if self.resamples < 100:
            raise ConfigError(f"{self.resamples} resamples", expected="at least 100")
        for name, value in (("confidence", self.confidence), ("alpha", self.alpha)):
            if not 0 < value < 1:
                raise ConfigError(f"{name} {value}", expected="a number between 0 and 1")


@dataclass(frozen=True, slots=True)
class Comparison:
    """System A against system B on one measure.

    ``difference`` is the mean of A - B over ``queries``, with its confidence interval ``low`` to ``high``.
    ``effect`` is that mean over the standard deviation of the differences (Cohen's d of paired samples), 0
    if they do not vary. ``p_bootstrap`` and ``p_randomisation`` are two-sided; ``p_adjusted`` is the latter
    after :func:`adjust`, equal to it before.
    """

    queries: int
    mean_a: float
    mean_b: float
    difference: float
    low: float
    high: float
    effect: float
    p_bootstrap: float
    p_randomisation: float
    p_adjusted: float
    wins: int
    losses: int
    ties: int

    def significant(self, alpha: float = 0.05) -> bool:
        """Whether the adjusted p-value is below alpha."""
        return self.p_adjusted < alpha

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Change:
    """One query whose value differs between A and B."""

    query_id: str
    a: float
    b: float

    @property
    def difference(self) -> float:
        """A - B."""
        return self.a - self.b


def compare(a: Float64Array, b: Float64Array, options: TestOptions | None = None) -> Comparison:
    """Compare two systems query by query.

    Args:
        a: One value a query.
        b: One value for each of the same queries, in the same order.
        options: How to test.

    Raises:
        UsageError: If the lengths differ, or there is no query.
    """
    return compare_mean([(a, b)], options)


def compare_mean(pairs: Sequence[tuple[Float64Array, Float64Array]], options: TestOptions | None = None) -> Comparison:
    """Compare the unweighted mean over several sets: each set's queries are resampled within the set.

    Args:
        pairs: The values of A and B on each set.
        options: How to test.

    Raises:
        UsageError: If there is no set, a set has no query, or lengths differ in a set.
    """
    options = options or TestOptions()
    if not pairs or any(a.shape != b.shape or a.ndim != 1 or not len(a) for a, b in pairs):
        raise UsageError(
            f"value lists of shapes {[(a.shape, b.shape) for a, b in pairs]}",
            expected="for each set two lists of one length, not empty",
        )
    rng = np.random.default_rng(options.seed)
    deltas = [np.where(np.abs(a - b) < NOISE, 0.0, a - b) for a, b in pairs]
    mean = float(np.mean([d.mean() for d in deltas]))
    boot = np.mean([_bootstrap(d, options.resamples, rng) for d in deltas], axis=0)
    flip = np.mean([_flips(d, options.resamples, rng) for d in deltas], axis=0)
    tail = (1 - options.confidence) / 2
    low, high = np.quantile(boot, [tail, 1 - tail]).tolist()
    every = np.concatenate(deltas)
    p = _p_value(flip, mean)
    return Comparison(
        len(every),
        float(np.mean([a.mean() for a, _ in pairs])),
        float(np.mean([b.mean() for _, b in pairs])),
        mean,
        low,
        high,
        _effect(every),
        _p_value(boot - mean, mean),
        p,
        p,
        int((every > 0).sum()),
        int((every < 0).sum()),
        int((every == 0).sum()),
    )


def interval(values: Float64Array, options: TestOptions | None = None) -> tuple[float, float]:
    """Bootstrap confidence interval of a mean; the mean itself twice for fewer than two values."""
    options = options or TestOptions()
    if len(values) < 2:
        mean = float(values.mean()) if len(values) else 0.0
        return mean, mean
    means = _bootstrap(values, options.resamples, np.random.default_rng(options.seed))
    tail = (1 - options.confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail]).tolist()
    return low, high


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values, in the order given: reject those below alpha to err at most alpha in all."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    out = [0.0] * len(p_values)
    highest = 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[i]))
        out[i] = highest
    return out


def adjust(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """The comparisons, corrected as one family."""
    adjusted = holm([c.p_randomisation for c in comparisons])
    fields = [asdict(c) | {"p_adjusted": p} for c, p in zip(comparisons, adjusted)]
    return [Comparison(**values) for values in fields]


def most_changed(a: Mapping[str, float], b: Mapping[str, float], limit: int = 10) -> list[Change]:
    """The queries with the greatest difference either way, greatest first, ties by query id."""
    changes = [Change(q, a[q], b[q]) for q in a if q in b and abs(a[q] - b[q]) >= NOISE]
    return sorted(changes, key=lambda c: (-abs(c.difference), c.query_id))[:limit]


def _effect(deltas: Float64Array) -> float:
    spread = float(deltas.std(ddof=1)) if len(deltas) > 1 else 0.0
    return float(deltas.mean()) / spread if spread > 0 else 0.0


def _p_value(null: Float64Array, observed: float) -> float:
    """Share of draws at least as far from zero, the observed one counted in, so never 0."""
    extreme = int((np.abs(null) >= abs(observed) - NOISE).sum())
    return (extreme + 1) / (len(null) + 1)


def _bootstrap(deltas: Float64Array, resamples: int, rng: np.random.Generator) -> Float64Array:
    """Means of samples with replacement: float64[resamples].

    Where few values occur often (one relevant document, ten ranks), drawing how often each value occurs
    is the same law as drawing queries, and much less work.
    """
    values, counts = _tally(deltas)
    if len(values) * 4 <= len(deltas):
        drawn = rng.multinomial(len(deltas), counts / len(deltas), size=resamples)
        return np.asarray(drawn @ values / len(deltas), np.float64)
    out = np.empty(resamples)
    for part in _chunks(resamples, len(deltas)):
        picks = rng.integers(0, len(deltas), (part.stop - part.start, len(deltas)), np.int32)
        out[part] = deltas[picks].mean(axis=1)
    return out


def _flips(deltas: Float64Array, resamples: int, rng: np.random.Generator) -> Float64Array:
    """Means under random exchange of A and B on each query: float64[resamples]."""
    sizes, counts = _tally(np.abs(deltas))
    if len(sizes) * 4 <= len(deltas):
        heads = rng.binomial(counts, 0.5, size=(resamples, len(counts)))
        return np.asarray((2 * heads - counts) @ sizes / len(deltas), np.float64)
    out = np.empty(resamples)
    for part in _chunks(resamples, len(deltas)):
        signs = rng.integers(0, 2, (part.stop - part.start, len(deltas)), np.int8).astype(np.float32)
        out[part] = (2 * signs - 1) @ deltas / len(deltas)
    return out


def _tally(values: Float64Array) -> tuple[Float64Array, np.ndarray[Any, np.dtype[np.int64]]]:
    distinct, counts = np.unique(np.round(values, 12), return_counts=True)
    return distinct, counts.astype(np.int64)


def _chunks(total: int, width: int) -> list[slice]:
    step = max(1, CHUNK // max(1, width))
    return [slice(start, min(start + step, total)) for start in range(0, total, step)]
