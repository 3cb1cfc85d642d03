"""Lucene's explanations as ours."""

from __future__ import annotations

from typing import Any, Final

from twindex.retrieval.types import Explanation

#: How descriptions of Lucene begin -> how the parts make the whole.
_COMBINE: Final = (("sum of", "sum"), ("weight(", "sum"), ("score(", "product"))


def explanation_from(tree: Any) -> Explanation:
    """The tree of an ``org.apache.lucene.search.Explanation``.

    Sums and products stay trees; what is below an idf or a tf, whose rule is in its text, becomes data.
    """
    value, text = float(tree.getValue().floatValue()), str(tree.getDescription())
    children = [child for child in tree.getDetails() if child.isMatch()]
    combine = next((rule for begin, rule in _COMBINE if text.startswith(begin)), "leaf")
    if not tree.isMatch():
        return Explanation(0.0, text)
    if combine == "leaf":
        data = {str(child.getDescription()): float(child.getValue().floatValue()) for child in children}
        return Explanation(value, text, data=data)
    return Explanation(value, text, tuple(explanation_from(child) for child in children), combine)
