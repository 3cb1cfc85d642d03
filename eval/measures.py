"""Measures as values: printable, parseable, hashable, sorted, and equal to trec_eval's.

``parse("nDCG@10")`` gives ``Measure("nDCG", cut=10)``, and ``str`` gives the text back. ``P(rel=2)@5`` asks
for documents of level 2 or more. Names are those of the literature; common other spellings (MAP, MRR@10,
Recall@100) are understood and print in the one form.

A measure maps a :class:`~twindex.eval.join.Join` to one float64 a query. A query without hits, or without a
document that could be found, has the value 0: averages do not quietly shrink.

===========  ======================================================================  ===================
name         value of one query                                                      trec_eval
===========  ======================================================================  ===================
nDCG, nDCG@k discounted cumulative gain over the ideal one; gain = level,            ndcg, ndcg_cut_k
             discount = log2(rank + 1)
R@k          relevant among the first k, of all relevant                             recall_k
P@k          relevant among the first k, of k                                        P_k
AP, AP@k     precision at each relevant hit (among the first k), of all relevant     map, map_cut_k
RR, RR@k     one over the rank of the first relevant hit (0 beyond k)                recip_rank
Success@k    1 if a relevant hit is among the first k                                success_k
judged@k     judged among the first k, of the hits there are                         (none)
===========  ======================================================================  ===================
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import total_ordering
from typing import Final

import numpy as np
from numpy.typing import NDArray

from twindex.eval.join import Join
from twindex.indexing.errors import ConfigError
from twindex.indexing.types import BoolArray

Float64Array = NDArray[np.float64]


@total_ordering
@dataclass(frozen=True, slots=True)
class Measure:
    """A measure with its settings.

    ``cut`` is the number of hits looked at, 0 for all; ``rel`` the least level that counts as relevant.

    Raises:
        ConfigError: If the name is unknown, or the setting makes no sense for it.
    """

    name: str
    cut: int = 0
    rel: int = 1

    def __post_init__(self) -> None:
        if self.name not in _KINDS:
            raise ConfigError(f"measure {self.name!r}", expected=f"one of {', '.join(names())}")
        kind = _KINDS[self.name]
        if self.cut < 0 or (kind.needs_cut and self.cut == 0):
            raise ConfigError(f"measure {self.name} with cut {self.cut}", expected=f"a cut as in {self.name}@10")
        if self.rel < 1 or (self.rel != 1 and not kind.takes_rel):
            expected = "a level of 1 or more" if kind.takes_rel else f"{self.name} without a level"
            raise ConfigError(f"measure {self.name} with rel={self.rel}", expected=expected)

    def __str__(self) -> str:
        level = f"(rel={self.rel})" if self.rel != 1 else ""
        return f"{self.name}{level}" + (f"@{self.cut}" if self.cut else "")

    def __lt__(self, other: object) -> bool:
        return (self._key < other._key) if isinstance(other, Measure) else NotImplemented

    @property
    def _key(self) -> tuple[int, int, int]:
        return list(_KINDS).index(self.name), self.rel, self.cut

    def values(self, join: Join) -> Float64Array:
        """One value a query.

        Shapes: float64[len(join)], each from 0 to 1.
        """
        return _KINDS[self.name].compute(join, self)


@dataclass(frozen=True, slots=True)
class _Kind:
    compute: Callable[[Join, Measure], Float64Array]
    needs_cut: bool
    takes_rel: bool = True


def names() -> list[str]:
    """The legal forms, for help texts and messages."""
    out: list[str] = []
    for name, kind in _KINDS.items():
        out += [f"{name}@k"] if kind.needs_cut else [name, f"{name}@k"]
    return [*out, "each but nDCG and judged also as in P(rel=2)@k"]


def parse(text: str) -> Measure:
    """The measure that the text names.

    Raises:
        ConfigError: If it names none; the message lists the legal names.
    """
    match = _FORM.fullmatch(text.strip())
    name = _SPELLINGS.get(match["name"].lower()) if match else None
    if match is None or name is None:
        raise ConfigError(f"measure {text!r}", expected=f"one of {', '.join(names())}")
    return Measure(name, int(match["cut"] or 0), int(match["rel"] or 1))


def parse_all(texts: Iterable[str] | str) -> tuple[Measure, ...]:
    """Several measures, from a list or from one text with commas or blanks between them; no repetitions."""
    parts = re.split(r"[,\s]+(?![^(]*\))", texts.strip(", \n\t")) if isinstance(texts, str) else texts
    return tuple(dict.fromkeys(parse(part) for part in parts))


def _per_query(join: Join, mask: BoolArray, weights: Float64Array | None = None) -> Float64Array:
    """Sum of the weights (None = 1 each) of the judged hits under the mask, by query."""
    picked = None if weights is None else weights[mask]
    return np.bincount(join.row[mask], picked, minlength=len(join)).astype(np.float64)


def _hits(join: Join, measure: Measure) -> BoolArray:
    relevant: BoolArray = join.level >= measure.rel
    return relevant & (join.rank <= measure.cut) if measure.cut else relevant


def _ratio(part: Float64Array, whole: NDArray[np.float64] | NDArray[np.int64]) -> Float64Array:
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)


def _ndcg(join: Join, measure: Measure) -> Float64Array:
    gains = join.level / np.log2(join.rank + 1.0)
    starts = np.searchsorted(join.pool_row, np.arange(len(join)))
    ideal_rank = np.arange(len(join.pool_row)) - starts[join.pool_row] + 1
    ideal = join.pool_level / np.log2(ideal_rank + 1.0)
    cut = measure.cut or np.iinfo(np.int64).max
    near = ideal_rank <= cut
    best = np.bincount(join.pool_row[near], ideal[near], minlength=len(join))
    return _ratio(_per_query(join, join.rank <= cut, gains), best.astype(np.float64))


def _recall(join: Join, measure: Measure) -> Float64Array:
    return _ratio(_per_query(join, _hits(join, measure)), join.relevant(measure.rel))


def _precision(join: Join, measure: Measure) -> Float64Array:
    return _per_query(join, _hits(join, measure)) / measure.cut


def _average_precision(join: Join, measure: Measure) -> Float64Array:
    mask = _hits(join, measure)
    rows, ranks = join.row[mask], join.rank[mask]
    starts = np.searchsorted(rows, np.arange(len(join)))
    nth = np.arange(len(rows)) - starts[rows] + 1  # rows come by query and rank: the n-th relevant hit
    total = np.bincount(rows, nth / ranks, minlength=len(join)).astype(np.float64)
    return _ratio(total, join.relevant(measure.rel))


def _reciprocal_rank(join: Join, measure: Measure) -> Float64Array:
    mask = _hits(join, measure)
    out = np.zeros(len(join))
    np.maximum.at(out, join.row[mask], 1.0 / join.rank[mask])
    return out


def _success(join: Join, measure: Measure) -> Float64Array:
    return np.minimum(_per_query(join, _hits(join, measure)), 1.0)


def _judged(join: Join, measure: Measure) -> Float64Array:
    return _ratio(_per_query(join, join.rank <= measure.cut), np.minimum(join.retrieved, measure.cut))


_KINDS: Final[dict[str, _Kind]] = {
    "nDCG": _Kind(_ndcg, needs_cut=False, takes_rel=False),
    "R": _Kind(_recall, needs_cut=True),
    "AP": _Kind(_average_precision, needs_cut=False),
    "RR": _Kind(_reciprocal_rank, needs_cut=False),
    "P": _Kind(_precision, needs_cut=True),
    "Success": _Kind(_success, needs_cut=True),
    "judged": _Kind(_judged, needs_cut=True, takes_rel=False),
}

_SPELLINGS: Final[dict[str, str]] = {
    **{name.lower(): name for name in _KINDS},
    "recall": "R",
    "map": "AP",
    "mrr": "RR",
    "precision": "P",
    "hit": "Success",
    "hits": "Success",
}

_FORM: Final = re.compile(r"(?P<name>[A-Za-z]+)(?:\(\s*rel\s*=\s*(?P<rel>\d+)\s*\))?(?:@(?P<cut>[1-9]\d*))?")

#: What is reported when nothing else is asked for.
DEFAULT_MEASURES: Final = parse_all("nDCG@10 R@100 AP RR@10")
