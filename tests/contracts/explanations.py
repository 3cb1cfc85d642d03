"""What every explanation must do: say the number that it explains, and be made of its parts."""

from __future__ import annotations

import math

import pytest

from twindex.retrieval.types import Explanation

COMBINES = {"leaf", "sum", "product", "max", "because"}


def check_tree(tree: Explanation, *, rel: float = 2e-5, abs_: float = 1e-6) -> None:
    """Every node is what its rule makes of its details, to the precision of float32."""
    assert tree.combine in COMBINES
    assert tree.text
    assert math.isfinite(tree.value)
    values = [detail.value for detail in tree.details]
    if tree.combine == "leaf":
        assert not values
    elif tree.combine == "because":
        assert len(values) == 1
    else:
        assert values
        made = {"sum": math.fsum, "product": math.prod, "max": max}[tree.combine](values)
        assert tree.value == pytest.approx(made, rel=rel, abs=abs_)
    for detail in tree.details:
        check_tree(detail, rel=rel, abs_=abs_)
