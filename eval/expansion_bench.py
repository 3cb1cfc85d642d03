"""One collection and one set of generated queries: every way to use them, each with settings chosen out of fold.

Settings are chosen on train or dev queries where the collection has them; else by nested cross-validation: a query is
searched with settings that were chosen without its fold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from twindex.eval.addresses import Addresses, locate
from twindex.eval.beir import Dataset
from twindex.eval.expansion_sets import TRAINING
from twindex.eval.expansion_settings import APPENDED, TEXT, Setting, dual_settings, field_settings
from twindex.eval.harness import cut, score
from twindex.eval.latency import latency
from twindex.eval.legs import Leg, search
from twindex.eval.measures import Float64Array, parse_all
from twindex.eval.qrels import Qrels
from twindex.eval.registry import drops_self_matches, report_split
from twindex.eval.tune import TuneOptions, choose, fold_of, sampled
from twindex.indexing.encoding import Encoder
from twindex.indexing.types import Int64Array, Progress, no_progress
from twindex.retrieval.engine import Searcher
from twindex.retrieval.options import SearchOptions
from twindex.retrieval.profile import DEFAULT
from twindex.retrieval.types import Query, Ranking
from twindex.retrieval.view import Mode

#: What is reported, and by which of them settings are chosen.
MEASURES: Final = parse_all("nDCG@10 R@100 AP")
CHOSEN_BY: Final = MEASURES[0]
DEPTH: Final = 1000
#: Training queries of another split, at most.
TRAINED_ON: Final = 300


@dataclass(frozen=True, slots=True)
class Outcome:
    """One way to search, on the reported queries. ``chosen``: the settings, in words.

    Shapes: ``values``: one number a query for each measure, in the order of ``queries``.
    """

    condition: str
    chosen: str
    values: Mapping[str, tuple[float, ...]]
    seconds: float = 0.0
    query_ms: float = 0.0

    def mean(self, measure: str) -> float:
        """The average over queries."""
        return float(np.mean(self.values[measure])) if self.values[measure] else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Outcome:
        """The outcome that plain values stand for."""
        return cls(**{**plain, "values": {name: tuple(values) for name, values in plain["values"].items()}})


@dataclass(frozen=True, slots=True)
class Searched:
    """Rankings of the reported queries under one setting each, and the settings in words."""

    rankings: tuple[Ranking, ...]
    chosen: str
    seconds: float


class ExpansionBench:
    """An open index and the judged queries of its collection.

    Args:
        dataset: The collection.
        searcher: Its index, with or without generated queries.
        timed: The encoder of queries while latency is measured; None = the searcher's.
        progress: Called with each setting that is searched.
    """

    def __init__(
        self,
        dataset: Dataset,
        searcher: Searcher,
        *,
        timed: Encoder | None = None,
        progress: Progress = no_progress,
    ) -> None:
        self.dataset = dataset
        self.searcher = searcher
        self._timed = timed
        self._legs: dict[tuple[Mode, str, str], Leg] = {}
        self._progress = progress
        self.drop = drops_self_matches(dataset)
        self.split = report_split(dataset)
        self.qrels = answerable(dataset.qrels(self.split))
        self.training = self._training()
        judged = {doc for qrels in (self.qrels, self.training) for docs in qrels.values() for doc in docs}
        own = {*self.qrels, *self.training} if self.drop else set()
        self.addresses: Addresses = locate(searcher.snapshot, judged | own)
        self._texts = {name: [q.text for q in dataset.queries(some)] for name, some in self._splits().items()}

    @property
    def protocol(self) -> str:
        """How settings are chosen, in words."""
        if self.training:
            return f"{len(self.training)} queries of another split"
        return f"{TuneOptions().folds} folds of its own queries, nested"

    def plain(self, mode: Mode, condition: str) -> tuple[Outcome, Searched]:
        """A mode without generated queries."""
        return self._reported(condition, mode, self.fixed(mode, TEXT), TEXT.options)

    def appended(self) -> tuple[Outcome, Searched]:
        """BM25 as if the queries stood behind the text."""
        return self._reported("appended", "sparse", self.fixed("sparse", APPENDED), APPENDED.options)

    def field(self) -> tuple[Outcome, Searched]:
        """BM25 with the generated queries as a field; form and weight chosen."""
        settings = field_settings()
        return self._reported("field", "sparse", self.chosen("sparse", settings), settings[0].options)

    def form(self, form: Any) -> tuple[Outcome, Searched]:
        """The same in one form; its weight chosen."""
        settings = field_settings((form,))
        return self._reported(f"field ({form})", "sparse", self.chosen("sparse", settings), settings[0].options)

    def dual(self) -> tuple[Outcome, Searched]:
        """Dual-Index Fusion; share and aggregate chosen."""
        settings = dual_settings()
        return self._reported("dual", "dense", self.chosen("dense", settings), settings[0].options)

    def hybrid(self, sparse: Searched, dense: Searched, condition: str) -> Outcome:
        """Both legs fused as a search without a profile fuses them."""
        pairs = zip(sparse.rankings, dense.rankings, strict=True)
        rankings = [DEFAULT.recipe.fusion.fuse(pair, DEPTH) for pair in pairs]
        return Outcome(condition, f"{sparse.chosen} + {dense.chosen}", self.values(rankings))

    def fixed(self, mode: Mode, setting: Setting) -> Searched:
        """The reported queries under one setting."""
        leg = self._search(mode, setting, "reported")
        return Searched(leg.rankings, setting.name, leg.seconds)

    def chosen(self, mode: Mode, settings: Sequence[Setting]) -> Searched:
        """The reported queries, each under a setting that was chosen without it."""
        legs = [self._search(mode, setting, "reported") for setting in settings]
        picked, words = self._pick(mode, settings, legs)
        rankings = tuple(legs[number].rankings[row] for row, number in enumerate(picked.tolist()))
        return Searched(rankings, words, sum(leg.seconds for leg in legs) / max(len(legs), 1))

    def values(self, rankings: Sequence[Ranking], *, qrels: Qrels | None = None) -> dict[str, tuple[float, ...]]:
        """Scores of rankings, one a query."""
        used = self.qrels if qrels is None else qrels
        kept, _ = cut(Leg(tuple(rankings), 0.0), list(used), self.addresses, DEPTH, drop=self.drop)
        report = score(kept, used, self.addresses, MEASURES)
        return {str(measure): tuple(values.tolist()) for measure, values in report.values.items()}

    def _pick(self, mode: Mode, settings: Sequence[Setting], legs: Sequence[Leg]) -> tuple[Int64Array, str]:
        """The setting of each reported query: int64[Q], and in words."""
        options = TuneOptions(gate=False)
        if self.training:
            training = [self._search(mode, setting, "training") for setting in settings]
            table = self._table(training, self.training)
            best = choose(table, np.zeros((table.shape[1], 0)), options).best
            return np.full(len(self.qrels), best, np.int64), settings[best].name
        table = self._table(legs, self.qrels)
        folds = np.array([fold_of(query, options.folds) for query in self.qrels], np.int64)
        picked = np.zeros(len(folds), np.int64)
        for fold in range(options.folds):
            picked[folds == fold] = choose(table[:, folds != fold], np.zeros((0, 0)), options).best
        numbers, counts = np.unique(picked, return_counts=True)
        order = np.argsort(-counts, kind="stable")
        return picked, ", ".join(settings[number].name for number in numbers[order].tolist())

    def _table(self, legs: Sequence[Leg], qrels: Qrels) -> Float64Array:
        """Every setting on every query, by the measure that chooses: float64[settings, Q]."""
        name = str(CHOSEN_BY)
        return np.array([self.values(leg.rankings, qrels=qrels)[name] for leg in legs], np.float64)

    def _reported(self, condition: str, mode: Mode, found: Searched, timed: SearchOptions) -> tuple[Outcome, Searched]:
        with Searcher.open(self.searcher.snapshot.path, encoder=self._timed) if self._timed else nullcontext() as other:
            milliseconds = latency(other or self.searcher, self._texts["reported"], mode, timed).p50
        return Outcome(condition, found.chosen, self.values(found.rankings), found.seconds, milliseconds), found

    def _search(self, mode: Mode, setting: Setting, split: str) -> Leg:
        known = self._legs.get((mode, setting.name, split))
        if known is not None:
            return known
        self._progress(f"{setting.name} ({mode})", 0, None)
        retriever = self.searcher.retriever(mode, setting.options)
        queries = [Query(text) for text in self._texts[split]]
        leg = search(retriever, queries, DEPTH + self.drop, addresses=self.addresses)
        self._legs[mode, setting.name, split] = leg
        return leg

    def _splits(self) -> dict[str, Qrels]:
        return {"reported": self.qrels, "training": self.training}

    def _training(self) -> Qrels:
        """The judged queries of train and dev, those that are reported left out: a fixed sample of them."""
        merged: dict[str, Mapping[str, int]] = {}
        for split in TRAINING:
            if split in self.dataset.splits and split != self.split:
                merged |= {q: d for q, d in answerable(self.dataset.qrels(split)).items() if q not in self.qrels}
        names = list(merged)
        if len(names) < TuneOptions().least:
            return Qrels({})
        return Qrels({names[row]: merged[names[row]] for row in sampled(names, TRAINED_ON).tolist()})


def answerable(qrels: Qrels) -> Qrels:
    """The queries that have a relevant document: the others cannot score."""
    return qrels.subset(qrels.answerable())
