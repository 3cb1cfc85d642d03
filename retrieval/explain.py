"""Explanations as lines of text: a tree whose branches say how its numbers come about."""

from __future__ import annotations

from collections.abc import Iterator

from twindex.retrieval.types import Explanation

#: How a node's details make its value, in one sign.
SIGNS = {"sum": "+", "product": "×", "max": "max", "because": "←", "leaf": ""}


def render_lines(explanation: Explanation) -> list[str]:
    """The tree, one line a node: value, then what it is; branches are drawn."""
    return list(_lines(explanation, "", "", ""))


def _lines(node: Explanation, lead: str, under: str, sign: str) -> Iterator[str]:
    mark = f"{sign} " if sign else ""
    yield f"{lead}{mark}{node.value:.4f}  {node.text}"
    for i, detail in enumerate(node.details):
        last = i == len(node.details) - 1
        shown = SIGNS.get(node.combine, "") if i or node.combine == "because" else ""
        yield from _lines(detail, under + ("└─ " if last else "├─ "), under + ("   " if last else "│  "), shown)
