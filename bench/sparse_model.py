"""The text model behind the generated corpora: topics over a Zipf vocabulary, pages, and bursts.

Independent terms would be a different problem: pruning lives on documents that hold several query terms at once,
and clustering on documents that are alike. So:

1.  **Vocabulary.** Term r (from 0) has marginal probability p(r) ~ (r + q)^-s1, and ~ r^-s2 beyond ``bend`` (two
    regimes: R. Ferrer i Cancho, R. V. Sole, "Two regimes in the frequency of words", J. Quantitative Linguistics
    2001).
2.  **Topics.** K topics, sizes log-normal. A term belongs to a share c(r) of them: all, for the ``common`` most
    frequent; (1 + r / rare)^-0.8 10^-U(0, spread) for the others (rare terms are at home in few places), yet so that
    no topic gives a term more than ``most`` of its tokens.
    P(r | topic) ~ p(r) / c(r), which keeps the marginal p(r) in expectation.
3.  **Pages.** Documents come in runs (geometric, mean ``page``), as MS MARCO's neighbouring passages were found for
    one question. A page has two topics and ``keywords`` terms of its own, the rarest of several draws from its first
    topic.
4.  **Tokens.** Each is a copy of an earlier token of its document (``burst``: tf has a heavy tail), or else comes from
    the page's keywords, its first topic, its second topic or the background.

Everything is drawn from numpy's Philox by (seed, chunk), so that any chunk can be made by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class Model:
    """Constants of the text model; see the module."""

    vocabulary: int
    s1: float
    s2: float
    q: float
    bend: int
    topics: int = 1024
    common: int = 60
    rare: int = 2_000
    spread: float = 2.4
    most: float = 0.04
    page: float = 7.0
    keywords: int = 6
    draws: int = 3
    keyword_share: float = 0.16
    first_share: float = 0.34
    second_share: float = 0.12
    burst: float = 0.06


@dataclass(frozen=True)
class Tables:
    """The model's probabilities, ready to draw from.

    Shapes: ``marginal`` float64[V]; ``background`` float64[V], cumulated; ``topic_ptr`` int64[K + 1], ``topic_terms``
    int32[X] and ``topic_cdf`` float64[X], cumulated within each topic; ``topic_sizes`` float64[K], cumulated.
    """

    model: Model
    marginal: Array
    background: Array
    topic_ptr: Array
    topic_terms: Array
    topic_cdf: Array
    topic_sizes: Array


def generator(seed: int, *stream: int) -> np.random.Generator:
    """The random numbers of one stream of one seed."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence((seed, *stream))))


def zipf(model: Model) -> Array:
    """Marginal probabilities, descending: float64[V]."""
    r = np.arange(model.vocabulary, dtype=np.float64)
    p = (r + model.q) ** -model.s1
    tail = r > model.bend
    p[tail] = (model.bend + model.q) ** -model.s1 * (r[tail] / model.bend) ** -model.s2
    return p / p.sum()


def tables(model: Model, seed: int) -> Tables:
    """Draw the topics."""
    rng = generator(seed, 1)
    p = zipf(model)
    coverage = 10.0 ** -rng.uniform(0.0, model.spread, model.vocabulary)
    coverage *= (1.0 + np.arange(model.vocabulary) / model.rare) ** -0.8
    coverage = np.maximum(coverage, p / model.most)
    coverage[: model.common] = 1.0
    homes = np.clip(np.rint(coverage * model.topics), 1, model.topics).astype(np.int64)
    terms = np.repeat(np.arange(model.vocabulary, dtype=np.int32), homes)
    topics = _homes(homes, model.topics, rng)
    sizes = rng.lognormal(0.0, 0.9, model.topics)
    order = np.lexsort((terms, topics))
    terms, topics = terms[order], topics[order]
    ptr = np.zeros(model.topics + 1, np.int64)
    np.cumsum(np.bincount(topics, minlength=model.topics), out=ptr[1:])
    cdf = _cumulated((p / homes)[terms], ptr)
    return Tables(model, p, np.cumsum(p), ptr, terms, cdf, np.cumsum(sizes / sizes.sum()))


def _homes(homes: Array, topics: int, rng: np.random.Generator) -> Array:
    """Topics of every (term, home) pair: a random start and a random odd stride, so never the same topic twice."""
    start = np.repeat(rng.integers(0, topics, len(homes)), homes)
    stride = np.repeat(rng.integers(0, topics // 2, len(homes)) * 2 + 1, homes)
    step = np.arange(int(homes.sum())) - np.repeat(np.cumsum(homes) - homes, homes)
    return ((start + stride * step) % topics).astype(np.int32)


def _cumulated(weights: Array, ptr: Array) -> Array:
    """Probabilities cumulated within each part, ending at 1."""
    total = np.concatenate([[0.0], np.cumsum(weights)])
    low = np.repeat(total[ptr[:-1]], np.diff(ptr))
    width = np.repeat(np.diff(total[ptr]), np.diff(ptr))
    scaled: Array = (total[1:] - low) / width
    return scaled


@dataclass(frozen=True)
class Pages:
    """Pages of one chunk of documents.

    Shapes: ``of`` int64[n], the page of each document; ``first``, ``second`` int32[pages], topics; ``keywords``
    int32[pages, keywords].
    """

    of: Array
    first: Array
    second: Array
    keywords: Array


def pages(table: Tables, count: int, rng: np.random.Generator) -> Pages:
    """Runs of documents with their topics and keywords."""
    model = table.model
    new = rng.random(count) < 1.0 / model.page
    new[0] = True
    of = np.cumsum(new) - 1
    n = int(of[-1]) + 1
    first, second = (np.searchsorted(table.topic_sizes, rng.random(n)).astype(np.int32) for _ in range(2))
    shape = (n, model.keywords, model.draws)
    topic = np.broadcast_to(first[:, None, None], shape)
    drawn = draw(table.topic_cdf, table.topic_terms, table.topic_ptr, topic.ravel(), rng.random(topic.size))
    return Pages(of, first, second, drawn.reshape(shape).max(axis=2))


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _find(cdf: Array, low: Any, high: Any, u: Any) -> Any:
    last = high - 1
    while low < last:
        middle = (low + last) >> 1
        if cdf[middle] < u:
            low = middle + 1
        else:
            last = middle
    return low


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def draw(cdf: Array, terms: Array, ptr: Array, topic: Array, u: Array) -> Array:
    """One term of each given topic, by inversion of the cumulated probabilities."""
    out = np.empty(u.size, np.int32)
    for i in range(u.size):
        out[i] = terms[_find(cdf, ptr[topic[i]], ptr[topic[i] + 1], u[i])]
    return out


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def write_tokens(
    starts: Array, page: Array, topics: Any, keywords: Array, shares: Array, table: Any, u: Any, out: Array
) -> None:
    """Tokens of documents. ``u``: two float64[T], what kind of token and which; ``shares``: cumulated, see below."""
    background, topic_ptr, topic_terms, topic_cdf = table
    kind, which = u
    width = keywords.shape[1]
    for d in range(starts.size - 1):
        own = page[d]
        for i in range(starts[d], starts[d + 1]):
            x, y = kind[i], which[i]
            before = i - starts[d]
            if x < shares[0] and before > 0:
                out[i] = out[starts[d] + np.int64(y * before)]
            elif x < shares[1]:
                out[i] = keywords[own, np.int64(y * y * width)]
            elif x < shares[3]:
                z = topics[0][own] if x < shares[2] else topics[1][own]
                out[i] = topic_terms[_find(topic_cdf, topic_ptr[z], topic_ptr[z + 1], y)]
            else:
                out[i] = _find(background, 0, background.size, y)


def tokens(table: Tables, own: Pages, starts: Array, rng: np.random.Generator) -> Array:
    """Token streams of a chunk of documents: int32[T]. ``starts`` int64[n + 1]."""
    model = table.model
    shares = np.cumsum([model.burst, model.keyword_share, model.first_share, model.second_share])
    u = (rng.random(int(starts[-1])), rng.random(int(starts[-1])))
    out = np.empty(int(starts[-1]), np.int32)
    parts = (table.background, table.topic_ptr, table.topic_terms, table.topic_cdf)
    write_tokens(starts, own.of, (own.first, own.second), own.keywords, shares, parts, u, out)
    return out
