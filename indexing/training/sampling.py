"""Which queries and candidates a step trains on: a function of the seed and the step's number alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from twindex.indexing.errors import ConfigError
from twindex.indexing.training.torch_door import Tensor, torch
from twindex.indexing.training.training_set import TrainingSet
from twindex.indexing.types import Int32Array

#: A source of n queries is drawn in proportion to n to this power.
FLATTEN: Final = 0.6


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """A step's queries and their documents; the positive comes first.

    Shapes: ``queries`` int64[q], ``documents`` int64[q, g]; ``sentences`` tells the kind of all of them.
    """

    queries: Tensor
    documents: Tensor
    sentences: bool


class Sampler:
    """Draws steps from a training set.

    Args:
        data: The set, with its candidates as negatives.
        sentence_share: Share of steps whose queries are sentences.
        seed: Equal seeds give equal steps.

    Raises:
        ConfigError: If the set lacks a kind of query that is asked for.
    """

    def __init__(self, data: TrainingSet, sentence_share: float, seed: int) -> None:
        self._positive = torch.from_numpy(data.positive).long()
        self._negatives = torch.from_numpy(data.negatives).long()
        self._passages = len(data.passages)
        self._share, self._seed = sentence_share, seed
        kinds = {True: np.flatnonzero(data.is_sentence), False: np.flatnonzero(~data.is_sentence)}
        for kind, wanted in ((True, sentence_share > 0), (False, sentence_share < 1)):
            if wanted and not len(kinds[kind]):
                name = "sentences" if kind else "titles or judged queries"
                raise ConfigError(f"a training set without {name}", expected=f"sentence_share {0 if kind else 1}")
        self._kinds = {kind: torch.from_numpy(at) for kind, at in kinds.items()}
        self._reach = {kind: _odds(data.source[at]).cumsum(0) for kind, at in kinds.items() if len(at)}

    def step(self, number: int, queries: int, group: int) -> Choice:
        """The choice of one step."""
        draw = torch.Generator().manual_seed(self._seed * 1_000_003 + number)
        sentences = bool(torch.rand(1, generator=draw) < self._share)
        at = self._kinds[sentences][_distinct(self._reach[sentences], queries, draw)]
        documents = torch.cat([self._positive[at].unsqueeze(1), self._wrong(at, group - 1, draw)], dim=1)
        return Choice(at, documents, sentences)

    def _wrong(self, at: Tensor, count: int, draw: Tensor) -> Tensor:
        """Candidates in random order; random passages where there are too few: int64[q, count]."""
        pool = self._negatives[at]
        order = torch.rand(pool.shape, generator=draw) - 2.0 * (pool < 0)
        best = order.argsort(dim=1, descending=True)[:, :count]
        chosen = torch.gather(pool, 1, best)
        if chosen.shape[1] < count:
            gap = torch.full((len(at), count - chosen.shape[1]), -1)
            chosen = torch.cat([chosen, gap], dim=1)
        other = torch.randint(self._passages, chosen.shape, generator=draw)
        return torch.where(chosen < 0, other, chosen)


def _distinct(reach: Tensor, count: int, draw: Tensor) -> Tensor:
    """``count`` distinct places (or all there are), each drawn in proportion to its step in ``reach``: int64[count]."""
    count = min(count, len(reach))
    found: dict[int, None] = {}
    while len(found) < count:
        spots = torch.rand(2 * count, generator=draw, dtype=torch.float64) * reach[-1]
        places = torch.searchsorted(reach, spots, right=True).clamp(max=len(reach) - 1)
        found.update(dict.fromkeys(places.tolist()))
    return torch.tensor(list(found)[:count])


def _odds(source: Int32Array) -> Tensor:
    counts = np.bincount(source)
    share = np.zeros(len(counts))
    np.power(counts, FLATTEN - 1, out=share, where=counts > 0)
    return torch.from_numpy(share[source])
