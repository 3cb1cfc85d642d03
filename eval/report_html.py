"""The HTML page: no address outside itself, readable on a telephone, sortable tables, plots as SVG."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from twindex.eval.report_data import Cell, ReportData, SetRow
from twindex.eval.svg import Point, bars, intervals, legend, scatter

PAGES = Path(__file__).parent / "pages"
ARROWS = {"+": '<b class="up" title="significantly above the better leg">▲</b>',
          "-": '<b class="down" title="significantly below the better leg">▼</b>', "": ""}  # fmt: skip


def render_html(data: ReportData) -> str:
    """The whole page."""
    frame = (PAGES / "report.html").read_text(encoding="utf-8")
    body = "".join([
        _summary(data),
        _scores(data),
        _section("Scores with 95 % intervals", legend(data.systems) + _intervals(data)),
        _section("Query by query", _differences(data)),
        _section("Quality against latency and size", _trade(data)),
        _section("Tuning", _tuning(data)) if data.tuning else "",
        _section("Queries that changed most", _changes(data)) if data.changes else "",
        _section("Runs", _runs(data)),
    ])  # fmt: skip
    return frame.replace("<!--body-->", body)


def _summary(data: ReportData) -> str:
    total = sum(s.queries for s in data.sets)
    tiles = [(f"{len(data.sets)}", "sets"), (f"{total:,}", "judged queries"), (f"{len(data.systems)}", "systems")]
    if data.means:
        best = max(data.means, key=lambda s: data.means[s])
        tiles.append((f"{data.means[best]:.4f}", f"best mean {data.measure}: {best}"))
    boxes = "".join(f"<div><strong>{escape(a)}</strong><span>{escape(b)}</span></div>" for a, b in tiles)
    overall = "".join(f"<li>{_overall(o)}</li>" for o in data.overall)
    return f'<section class="tiles">{boxes}</section>' + (f"<ul>{overall}</ul>" if overall else "")


def _overall(result: Mapping[str, Any]) -> str:
    verdict = "significant" if result["p_adjusted"] < 0.05 else "not significant"
    return (
        f"<b>{escape(result['a'])}</b> against {escape(result['b'])}: {result['difference']:+.4f} "
        f"[{result['low']:+.4f}, {result['high']:+.4f}], p = {result['p_adjusted']:.4f}, {verdict}"
    )


def _scores(data: ReportData) -> str:
    tables = [_main_table(data)] + [_other_table(data, m) for m in data.measures if m != data.measure]
    note = (
        "Means over the queries that have a relevant document. ▲ ▼ mark what is significantly above or below the "
        "better single leg of the set: paired randomisation test, Holm over the whole table, 0.05. "
        "Click a heading to sort."
    )
    return _section("Scores", f"<p>{note}</p>{''.join(tables)}")


def _main_table(data: ReportData) -> str:
    rows = [[_name(s), f"{s.queries:,}", *(_cell(s.cells.get(n), s) for n in data.systems)] for s in data.sets]
    foot = ["mean", "", *(f"{data.means[n]:.4f}" if n in data.means else "" for n in data.systems)]
    return _table([data.measure, "queries", *data.systems], rows, foot)


def _other_table(data: ReportData, measure: str) -> str:
    rows = [
        [_name(s), *(f"{s.cells[n].scores.get(measure, 0.0):.4f}" if n in s.cells else "" for n in data.systems)]
        for s in data.sets
    ]
    return f"<details><summary>{escape(measure)}</summary>{_table([measure, *data.systems], rows)}</details>"


def _cell(cell: Cell | None, row: SetRow) -> str:
    if cell is None:
        return ""
    best = cell.value == max(c.value for c in row.cells.values())
    text = f"<strong>{cell.value:.4f}</strong>" if best else f"{cell.value:.4f}"
    return f"{text}{ARROWS[cell.mark]}"


def _intervals(data: ReportData) -> str:
    rows = {
        s.dataset: {
            n: Point(c.value, c.low, c.high, f"{n}: {c.value:.4f} [{c.low:.4f}, {c.high:.4f}]")
            for n, c in s.cells.items()
        }
        for s in data.sets
    }
    return intervals(rows, data.systems, f"{data.measure} of every system on every set, with intervals")


def _differences(data: ReportData) -> str:
    out = ["<p>Differences of one system to the better leg, query by query, sorted: above the line a win.</p>"]
    for d in data.differences:
        head = f"{d.dataset}: {d.a} − {d.b}, {d.wins:,} wins, {d.losses:,} losses, {d.ties:,} ties"
        out.append(f"<details open><summary>{escape(head)}</summary>{bars(d.values, head)}</details>")
    return "".join(out)


def _trade(data: ReportData) -> str:
    """Means over the sets on which every system ran."""
    full = [s for s in data.sets if all(n in s.cells for n in data.systems)]
    if not full:
        return "<p>No set on which every system ran.</p>"

    def mean(system: str, field: str) -> float:
        return sum(float(getattr(s.cells[system], field)) for s in full) / len(full)

    quality = {n: mean(n, "value") for n in data.systems}
    speed = {n: (max(mean(n, "query_ms"), 1e-3), quality[n]) for n in data.systems}
    size = {n: (max(mean(n, "index_bytes") / 1e6, 1e-3), quality[n]) for n in data.systems}
    name = f"mean {data.measure}"
    return (
        scatter(speed, f"{name} against latency", x_name="milliseconds a query (log)", y_name=name)
        + scatter(size, f"{name} against index size", x_name="megabytes of index (log)", y_name=name)
        + _table(
            ["system", name, "ms a query", "index MB"],
            [[escape(n), f"{quality[n]:.4f}", f"{speed[n][0]:.2f}", f"{size[n][0]:.1f}"] for n in data.systems],
        )
    )


def _tuning(data: ReportData) -> str:
    note = (
        "Settings are chosen on train or dev queries, or by cross-validation; every query is scored by settings "
        "chosen without it. The oracle sees the judgements and picks per query: head-room, not a system."
    )
    rows = [
        [
            escape(t["dataset"]),
            escape(t["protocol"]),
            escape(t["chosen"]),
            *(f"{t[k]:.4f}" for k in ("out_of_fold", "gated", "oracle")),
        ]
        for t in data.tuning
    ]
    return f"<p>{note}</p>" + _table(["set", "chosen on", "settings", "out of fold", "gated", "oracle"], rows)


def _changes(data: ReportData) -> str:
    out = ["<p>The first documents of both rankings; judged relevant ones are marked with their level.</p>"]
    for change in data.changes:
        head = (
            f"{change['dataset']} · query {change['query_id']}: {change['a_value']:.3f} against {change['b_value']:.3f}"
        )
        sides = "".join(
            f"<div><h4>{escape(change[side])}</h4><ol>{_hits(change[f'{side}_hits'])}</ol></div>" for side in ("a", "b")
        )
        out.append(f'<details><summary>{escape(head)}</summary><div class="sides">{sides}</div></details>')
    return "".join(out)


def _hits(hits: Sequence[Sequence[Any]]) -> str:
    return "".join(
        f'<li class="{"rel" if level and level > 0 else ""}">{escape(str(doc))}'
        f"{f' <b>{level}</b>' if level and level > 0 else ''}</li>"
        for doc, level in hits
    )


def _runs(data: ReportData) -> str:
    rows = [
        [
            escape(r.dataset),
            escape(r.split),
            escape(r.system),
            f"{r.queries:,}",
            f"<code>{escape(r.run_id)}</code>",
            f"<code>{escape(json.dumps(dict(r.config), sort_keys=True))}</code>",
        ]
        for r in data.runs
    ]
    table = _table(["set", "split", "system", "queries", "run", "settings"], rows)
    return f"<details><summary>{len(rows)} runs with their settings</summary>{table}</details>"


def _name(row: SetRow) -> str:
    return f"{escape(row.dataset)}<small>{escape(row.split)}</small>"


def _section(title: str, body: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{body}</section>"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], foot: Sequence[str] = ()) -> str:
    heads = "".join(f'<th scope="col"><button type="button">{escape(h)}</button></th>' for h in head)
    body = "".join(f"<tr>{''.join(f'<td>{c}</td>' for c in row)}</tr>" for row in rows)
    foot_row = f"<tfoot><tr>{''.join(f'<td>{c}</td>' for c in foot)}</tr></tfoot>" if any(foot) else ""
    return f'<div class="scroll"><table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody>{foot_row}</table></div>'
