"""Which queries and candidates a step trains on: a function of the seed and the step's number alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from twindex.indexing.errors import ConfigError
from twindex.indexing.training.config import TrainConfig
from twindex.indexing.training.torch_door import Tensor, torch
from twindex.indexing.training.training_set import TrainingSet
from twindex.indexing.types import BoolArray, Int32Array

#: A source of n queries is drawn in proportion to n to this power.
FLATTEN: Final = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """A step's queries and their documents; the positive comes first.

    Shapes: ``queries`` int64[q], ``documents`` int64[q, g]. ``titled``: texts carry their titles; ``sentences``: the
    queries are spans of their texts. Both hold for all queries of a step.
    """

    queries: Tensor
    documents: Tensor
    titled: bool
    sentences: bool


class Sampler:
    """Draws steps from a training set.

    Args:
        data: The set, with its candidates as negatives.
        config: Shares of the kinds of queries, and the seed: equal seeds give equal steps. A kind that the set lacks
            leaves its share to the others.

    Raises:
        ConfigError: If the set lacks every kind of query that is asked for.
    """

    def __init__(self, data: TrainingSet, config: TrainConfig) -> None:
        self._positive = torch.from_numpy(data.positive).long()
        self._negatives = torch.from_numpy(data.negatives).long()
        self._passages, self._seed, self._easy = len(data.passages), config.seed, config.easy
        kinds = _kinds(data)
        shares = {"titles": config.title_share, "sentences": config.sentence_share}
        shares["queries"] = max(0.0, 1.0 - sum(shares.values()))
        self._names = [kind for kind, share in shares.items() if share > 1e-9 and kinds[kind].any()]
        if not self._names:
            wanted = ", ".join(kind for kind, share in shares.items() if share > 1e-9)
            raise ConfigError(f"a training set without {wanted}", expected="a set that has some of what is trained on")
        self._until = torch.tensor([shares[kind] for kind in self._names], dtype=torch.float64).cumsum(0)
        self._at = {kind: torch.from_numpy(np.flatnonzero(kinds[kind])) for kind in self._names}
        self._reach = {kind: _odds(data.source[kinds[kind]]).cumsum(0) for kind in self._names}

    def step(self, number: int, queries: int, group: int) -> Choice:
        """The choice of one step."""
        draw = torch.Generator().manual_seed(self._seed * 1_000_003 + number)
        spot = torch.rand(1, generator=draw, dtype=torch.float64) * self._until[-1]
        kind = self._names[min(int(torch.searchsorted(self._until, spot, right=True)), len(self._names) - 1)]
        at = self._at[kind][_distinct(self._reach[kind], queries, draw)]
        documents = torch.cat([self._positive[at].unsqueeze(1), self._wrong(at, group - 1, draw)], dim=1)
        return Choice(at, documents, kind != "titles", kind == "sentences")

    def _wrong(self, at: Tensor, count: int, draw: Tensor) -> Tensor:
        """Candidates in random order, then random passages, more where there are few of them: int64[q, count]."""
        pool = self._negatives[at]
        order = torch.rand(pool.shape, generator=draw) - 2.0 * (pool < 0)
        best = order.argsort(dim=1, descending=True)[:, : max(0, count - self._easy)]
        chosen = torch.gather(pool, 1, best)
        if chosen.shape[1] < count:
            gap = torch.full((len(at), count - chosen.shape[1]), -1)
            chosen = torch.cat([chosen, gap], dim=1)
        other = torch.randint(self._passages, chosen.shape, generator=draw)
        return torch.where(chosen < 0, other, chosen)


def _kinds(data: TrainingSet) -> dict[str, BoolArray]:
    sentences = data.is_sentence
    return {"titles": ~data.titled, "sentences": sentences & data.titled, "queries": data.titled & ~sentences}


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
