"""The promises about sparse search, compared with what was measured."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

Result = dict[str, Any]
#: Load average above which two threads did not have two cores; our own batches make one to two of it.
BUSY = 2.5
#: Share of the exact list that an approximate engine must find.
RECALL = 0.95


@dataclass(frozen=True)
class Verdict:
    """One promise. ``met`` None = not measured."""

    bar: str
    measured: str
    met: bool | None

    @property
    def word(self) -> str:
        return (
            ("not to be judged" if self.measured else "not measured")
            if self.met is None
            else "met"
            if self.met
            else "NOT MET"
        )


def verdicts(measured: list[Result], built: list[Result], in_turns: Iterable[Result] = ()) -> Iterator[Verdict]:
    """Every bar."""
    by_name = {result["corpus"]["name"]: result for result in measured}
    both = ("bm25s", "pisa")
    for name, times, against in (
        ("scifact", 2.0, both),
        ("acm-cr", 4.0, both),
        ("all", 4.0, both),
        ("bm25-1m", 2.0, ("pisa",)),
        ("bm25-8.8m", 2.0, ("pisa",)),
    ):
        yield _faster(by_name, name, times, against, f"BM25 exact, {name}, k = 10, 1 thread")
    for name in ("idf-1m", "splade-1m"):
        yield _faster(by_name, name, 5.0, ("pisa",), f"learned sparse exact, {name}, k = 10, 1 thread")
    for name in ("idf-1m", "splade-1m"):
        bar = f"learned sparse at 95 % recall, {name}, k = 10, 1 thread"
        yield _faster(by_name, name, 1.0, ("seismic",), bar, ours="twindex-95")
        yield _faster(by_name, name, 1.0, ("seismic",), f"{bar}, by the clock", ours="twindex-95", what="median")
    yield _same_lists(measured)
    for result in measured:
        yield _planner(result)
    for result in in_turns:
        yield _client_side(result)
    for result in measured:
        yield _threads(result)
    for result in built:
        yield _building(result)


def _rate(result: Result | None, engine: str, key: str = "10/1", what: str = "per_cpu") -> float | None:
    """Queries per second of processor time, or by the clock with ``what`` "median"."""
    found = (result or {}).get("engines", {}).get(engine, {}).get("qps", {}).get(key)
    return float(found[what]) if found else None


def _rounds(result: Result | None, engine: str, key: str = "10/1", what: str = "all_cpu") -> list[float]:
    """The same of every round."""
    found = (result or {}).get("engines", {}).get(engine, {}).get("qps", {}).get(key, {})
    return [float(rate) for rate in found.get(what, found.get("all", []))]


def _ratio(mine: list[float], other: list[float]) -> float:
    """Median of the ratios of a round: the machine's own speed changes from one round to the next by a half."""
    return statistics.median(one / two for one, two in zip(mine, other, strict=True))


def _faster(
    by_name: dict[str, Result],
    name: str,
    times: float,
    against: tuple[str, ...],
    bar: str,
    *,
    ours: str = "twindex",
    what: str = "per_cpu",
) -> Verdict:
    result, rounds = by_name.get(name), "all_cpu" if what == "per_cpu" else "all"
    mine = _rate(result, ours, what=what)
    ratios = {
        peer: _ratio(_rounds(result, ours, what=rounds), _rounds(result, peer, what=rounds))
        for peer in against
        if mine is not None and _rate(result, peer) is not None
    }
    text = f"{bar}: at least {times:g}x {' and '.join(against)}"
    if mine is None or not ratios:
        return Verdict(text, "", None)
    best = min(ratios, key=lambda peer: ratios[peer])
    ratio = ratios[best]
    shown = f"{ratio:.2f}x (medians {mine:,.0f} to {best}'s {_rate(result, best, what=what) or 0:,.0f} QPS)"
    recalls = [_recall(result, engine) for engine in (ours, best)]
    if None in recalls:
        return Verdict(text, shown, ratio >= times)
    told = " to ".join(f"{recall:.3f}" for recall in recalls)
    return Verdict(text, f"{shown}, recall {told}", ratio >= times and (recalls[0] or 0) >= RECALL)


def _recall(result: Result | None, engine: str) -> float | None:
    """Recall of an approximate engine's lists of ten."""
    check = (result or {}).get("engines", {}).get(engine, {}).get("check", {}).get("10", {})
    return float(check["value"]) if check.get("kind") == "recall" else None


def _same_lists(measured: list[Result]) -> Verdict:
    text = "identical lists to exhaustive scoring on every query, k = 10 and 1000"
    checks = [
        (result["corpus"]["name"], k, check)
        for result in measured
        for k, check in result["engines"].get("twindex", {}).get("check", {}).items()
    ]
    if not checks:
        return Verdict(text, "", None)
    bad = [f"{name} k = {k}: {c['of'] - c['good']} of {c['of']}" for name, k, c in checks if c["good"] != c["of"]]
    total = sum(check["of"] for _, _, check in checks)
    return Verdict(text, f"{total:,} lists, differences: {', '.join(bad) or 'none'}", not bad)


def _planner(result: Result) -> Verdict:
    """The planner's choice against exhaustive scoring, as timed when strategies were compared; 5 % is noise."""
    text = f"never slower than exhaustive, {result['corpus']['name']}, k = 10 and 1000"
    tuned = result["engines"].get("twindex", {}).get("tuned", {})
    ratios = {k: t["table"]["auto"]["qps"] / t["table"]["exhaustive"]["qps"] for k, t in tuned.items()}
    if not ratios:
        return Verdict(text, "", None)
    shown = ", ".join(f"{ratio:.2f}x at k = {k}" for k, ratio in ratios.items())
    return Verdict(text, shown, min(ratios.values()) >= 0.95)


def _client_side(result: Result) -> Verdict:
    text = f"inference-free p50 at most 1.1x our BM25 p50, in turns ({result['client']})"
    words, learned = (result["p50"][leg] * 1e6 for leg in ("bm25", "learned"))
    return Verdict(text, f"{result['ratio']:.2f}x ({learned:,.0f} to {words:,.0f} us)", result["ratio"] <= 1.1)


def _threads(result: Result) -> Verdict:
    name, threads = result["corpus"]["name"], result["threads"]
    text = f"two threads at least 1.8x one on batches, {name}"
    ratios = {}
    for k in (10, 1000):
        one, two = (_rounds(result, "twindex", f"{k}/{count}", "all") for count in (1, 2))
        if one and two:
            ratios[k] = _ratio(two, one)
    if threads < 2 or not ratios:
        return Verdict(text, "", None)
    shown = ", ".join(f"{ratio:.2f}x at k = {k}" for k, ratio in ratios.items()) + " by the clock"
    if result.get("scaling"):
        cache, memory = result["scaling"]["cache"], result["scaling"]["memory"]
        shown += f" (a plain loop: {cache:.2f}x in cache, {memory:.2f}x through memory)"
    if min(ratios.values()) < 1.8 and result.get("load", 0.0) > BUSY:
        return Verdict(text, f"{shown}: load average {result['load']:.1f}, the cores were not free", None)
    return Verdict(text, shown, min(ratios.values()) >= 1.8)


def _building(result: Result) -> Verdict:
    text = f"building {result['building']} from text at least 1.5x bm25s's docs/s"
    engines = result["engines"]
    rates = [engines.get(name, {}).get("median") for name in ("twindex", "bm25s")]
    if None in rates:
        return Verdict(text, "", None)
    return Verdict(text, f"{rates[0] / rates[1]:.2f}x ({rates[0]:,.0f} to {rates[1]:,.0f})", rates[0] >= 1.5 * rates[1])
