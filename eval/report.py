"""The report of a result store: Markdown for a repository, one self-contained HTML page for a browser."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twindex.eval.report_data import Cell, ReportData, SetRow, gather
from twindex.eval.report_html import render_html
from twindex.eval.results import Results
from twindex.indexing.errors import ConfigError

MARKS = {"+": " ▲", "-": " ▼", "": ""}


@dataclass(frozen=True, slots=True)
class ReportOptions:
    """Where the results are, and where the pages go; None leaves a page out."""

    results: Path
    markdown: Path | None = None
    html: Path | None = None


def write_report(options: ReportOptions) -> ReportData:
    """Write the pages and return what they show.

    Raises:
        ConfigError: If there is no result file, or no matrix has run.
        CorruptIndexError: If the result file cannot be opened.
    """
    if not options.results.exists():
        raise ConfigError(f"no result file at {options.results}", remedy="run: twindex eval matrix")
    with Results(options.results) as store:
        data = gather(store)
    if not data.sets:
        raise ConfigError("no matrix in the result file", remedy="run: twindex eval matrix")
    if options.markdown is not None:
        options.markdown.write_text(render_markdown(data), encoding="utf-8")
    if options.html is not None:
        options.html.write_text(render_html(data), encoding="utf-8")
    return data


def render_markdown(data: ReportData) -> str:
    """The tables, without the plots."""
    head = ["set", "queries", *data.systems]
    lines = [
        "# Evaluation report",
        "",
        f"{data.measure}, mean over the queries that have a relevant document. ▲ significantly above the better",
        "single leg of the set, ▼ significantly below (paired randomisation test, Holm over the whole table, 0.05).",
        "Bold: the best of a row.",
        *([f"Encoder of the dense leg: {data.encoders}."] if data.encoders else []),
        "",
        f"| {' | '.join(head)} |",
        f"|---|---:|{'---:|' * len(data.systems)}",
    ]
    lines += [_row(data, row) for row in data.sets]
    if data.means:
        cells = " | ".join(f"{data.means[s]:.4f}" if s in data.means else "" for s in data.systems)
        lines.append(f"| **mean of {len(data.sets)} sets** | | {cells} |")
    lines += ["", "## Over all sets", "", *(_overall(o) for o in data.overall)]
    if data.tuning:
        lines += ["", "## Tuning", "", *_tuning(data)]
    lines += ["", "## Speed and size", "", *_speed(data)]
    return "\n".join([*lines, ""])


def _row(data: ReportData, row: SetRow) -> str:
    best = max((c.value for c in row.cells.values()), default=0.0)
    cells = " | ".join(_cell(row.cells.get(s), best) for s in data.systems)
    return f"| {row.dataset} ({row.split}) | {row.queries:,} | {cells} |"


def _cell(cell: Cell | None, best: float) -> str:
    if cell is None:
        return ""
    text = f"{cell.value:.4f}{MARKS[cell.mark]}"
    return f"**{text}**" if cell.value == best else text


def _overall(result: Mapping[str, Any]) -> str:
    verdict = "significant" if result["p_adjusted"] < 0.05 else "not significant"
    return (
        f"- {result['a']} against {result['b']}: {result['difference']:+.4f} "
        f"[{result['low']:+.4f}, {result['high']:+.4f}], p = {result['p_adjusted']:.4f}, {verdict}"
    )


def _tuning(data: ReportData) -> list[str]:
    lines = [
        "Out of fold: every query is scored by settings that were chosen without it. The oracle picks the best",
        "setting for each query with its judgements in view: no system, but the head-room.",
        "",
        "| set | chosen on | settings | out of fold | gated | oracle |",
        "|---|---|---|---:|---:|---:|",
    ]
    lines += [
        f"| {t['dataset']} | {t['protocol']} | {t['chosen']} | {t['out_of_fold']:.4f} | {t['gated']:.4f} "
        f"| {t['oracle']:.4f} |"
        for t in data.tuning
    ]
    return lines


def _speed(data: ReportData) -> list[str]:
    """Milliseconds and megabytes, a row a set; what was not timed is left out."""
    timed = [s for s in data.systems if any(_there(row, s, "query_ms") for row in data.sets)]
    sized = [s for s in data.systems if any(_there(row, s, "index_bytes") for row in data.sets)]
    lines = [
        "Milliseconds a query (the median; the query's encoding included):",
        "",
        *_head(("set", "documents"), timed),
    ]
    for row in data.sets:
        cells = " | ".join(f"{_there(row, s, 'query_ms'):.2f}" for s in timed)
        lines.append(f"| {row.dataset} | {row.documents:,} | {cells} |")
    learned = any(row.nonzeros for row in data.sets)
    first = ("set", "non-zeros a passage") if learned else ("set",)
    lines += ["", "Megabytes of index, texts included:", "", *_head(first, sized)]
    for row in data.sets:
        cells = " | ".join(f"{_there(row, s, 'index_bytes') / 1e6:.1f}" for s in sized)
        lines.append(f"| {row.dataset} | {f'{row.nonzeros:.0f} | ' if learned else ''}{cells} |")
    return lines if timed else lines[lines.index("Megabytes of index, texts included:") :]


def _head(first: Sequence[str], systems: Sequence[str]) -> list[str]:
    names = [*first, *systems]
    return [f"| {' | '.join(names)} |", f"|---|{'---:|' * (len(names) - 1)}"]


def _there(row: SetRow, system: str, what: str) -> float:
    return float(getattr(row.cells.get(system), what, 0.0))
