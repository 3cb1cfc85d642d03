"""The HTML page: no address outside itself, readable on a telephone, sortable tables, plots as SVG."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from twindex.eval.report_data import Cell, ReportData, SetRow
from twindex.eval.svg import Point, bars, both, intervals, legend, scatter

PAGES = Path(__file__).parent / "pages"
#: Of a query's text, at most so many characters are shown.
QUERY_CHARS = 300
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
    return f'<section class="tiles">{boxes}</section>' + (
        _section("Over all sets", _overall(data)) if data.overall else ""
    )


def _overall(data: ReportData) -> str:
    note = (
        f"Differences of mean {escape(data.measure)}, each set with one vote, its queries resampled within the set: "
        "95 % bootstrap interval, and p of a paired randomisation test after Holm."
    )
    rows = [
        [
            f"{escape(o['a'])} − {escape(o['b'])}",
            f"<strong>{o['difference']:+.4f}</strong>{ARROWS[_sign(o)]}",
            f"{o['low']:+.4f} to {o['high']:+.4f}",
            f"{o['p_adjusted']:.4f}",
        ]
        for o in data.overall
    ]
    return f"<p>{note}</p>" + _table(["comparison", "difference", "95 % interval", "p"], rows, kind="wraps")


def _sign(result: Mapping[str, Any]) -> str:
    if result["p_adjusted"] >= 0.05 or result["difference"] == 0:
        return ""
    return "+" if result["difference"] > 0 else "-"


def _scores(data: ReportData) -> str:
    tables = [_main_table(data)] + [_other_table(data, m) for m in data.measures if m != data.measure]
    note = (
        "Means over the queries that have a relevant document. ▲ ▼ mark what is significantly above or below the "
        "better single leg of the set: paired randomisation test, Holm over the whole table, 0.05. "
        "Click a heading to sort."
    )
    encoders = f"<p>Encoder of the dense leg: {escape(data.encoders)}.</p>" if data.encoders else ""
    return _section("Scores", f"<p>{note}</p>{encoders}{''.join(tables)}")


def _main_table(data: ReportData) -> str:
    rows = [[_name(s), f"{s.queries:,}", *(_cell(s.cells.get(n), s) for n in data.systems)] for s in data.sets]
    foot = ["mean", "", *(f"{data.means[n]:.4f}" if n in data.means else "" for n in data.systems)]
    return _table([data.measure, "queries", *data.systems], rows, foot, kind="scores")


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
    title = f"{data.measure} of every system on every set, with intervals"
    return both(lambda width: intervals(rows, data.systems, title, width=width))


def _differences(data: ReportData) -> str:
    out = ["<p>Differences of one system to the better leg, query by query, sorted: above the line a win.</p>"]
    for d in data.differences:
        counts = f"{d.wins:,} wins, {d.losses:,} losses, {d.ties:,} ties"
        head = f"{d.dataset}: {d.a} − {d.b}, {counts}"
        title = f"<b>{escape(d.dataset)}</b><small>{escape(d.a)} − {escape(d.b)}: {counts}</small>"
        out.append(f"<figure><figcaption>{title}</figcaption>{bars(d.values, head)}</figure>")
    return f'{out[0]}<div class="figures">{"".join(out[1:])}</div>'


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
    plots = [
        _trade_plot(speed, f"{name} against latency", "milliseconds a query (log)", name),
        _trade_plot(size, f"{name} against index size", "megabytes of index (log)", name),
    ]
    return (
        "<p>One query at a time, warm, its encoding included: the median. Sizes count the documents and the files of "
        "the legs that a system uses. Both are means over the sets on which every system ran.</p>"
        + "".join(plots)
        + _table(
            ["system", name, "ms a query", "index MB"],
            [[escape(n), f"{quality[n]:.4f}", f"{speed[n][0]:.2f}", f"{size[n][0]:.1f}"] for n in data.systems],
        )
    )


def _trade_plot(points: Mapping[str, tuple[float, float]], title: str, x_name: str, y_name: str) -> str:
    return both(lambda width: scatter(points, title, x_name=x_name, y_name=y_name, width=width))


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
    heads = ["set", "chosen on", "settings", "out of fold", "gated", "oracle"]
    return f"<p>{note}</p>" + _table(heads, rows, words=2)


def _changes(data: ReportData) -> str:
    out = ["<p>The first documents of both rankings; judged relevant ones are marked with their level.</p>"]
    for change in data.changes:
        head = (
            f"{change['dataset']} · query {change['query_id']}: {change['a_value']:.3f} against {change['b_value']:.3f}"
        )
        text = f"<p>{escape(_short(change.get('text', '')))}</p>"
        sides = "".join(
            f"<div><h4>{escape(change[side])}</h4><ol>{_hits(change[f'{side}_hits'])}</ol></div>" for side in ("a", "b")
        )
        out.append(f'<details><summary>{escape(head)}</summary>{text}<div class="sides">{sides}</div></details>')
    return "".join(out)


def _short(text: str) -> str:
    return text if len(text) <= QUERY_CHARS else f"{text[: QUERY_CHARS - 1]}…"


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
    table = _table(["set", "split", "system", "queries", "run", "settings"], rows, words=2)
    return f"<details><summary>{len(rows)} runs with their settings</summary>{table}</details>"


def _name(row: SetRow) -> str:
    return f"{escape(row.dataset)}<small>{escape(row.split)}</small>"


def _section(title: str, body: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{body}</section>"


def _table(
    head: Sequence[str], rows: Sequence[Sequence[str]], foot: Sequence[str] = (), *, words: int = 0, kind: str = ""
) -> str:
    """A sortable table; after the first column, ``words`` columns hold words and the others numbers.

    ``kind`` is a class of the page's style.
    """

    def cell(tag: str, place: int, text: str) -> str:
        side = ' class="words"' if 0 < place <= words else ""
        return f"<{tag}{side}>{text}</{tag}>"

    def row(cells: Sequence[str]) -> str:
        return f"<tr>{''.join(cell('td', i, c) for i, c in enumerate(cells))}</tr>"

    heads = "".join(cell("th", i, f'<button type="button">{escape(h)}</button>') for i, h in enumerate(head))
    foot_row = f"<tfoot>{row(foot)}</tfoot>" if any(foot) else ""
    body = "".join(map(row, rows))
    style = f' class="{kind}"' if kind else ""
    inner = f"<thead><tr>{heads}</tr></thead><tbody>{body}</tbody>{foot_row}"
    return f'<div class="scroll"><table{style}>{inner}</table></div>'
