"""Budgets that cost nothing: on few documents exact search would be as quick, and be taken."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from twindex.retrieval import fast


@contextmanager
def free_budgets() -> Iterator[pytest.MonkeyPatch]:
    """What else is patched by it ends with it."""
    costs = fast.COSTS.copy()
    costs[8:] = 0.0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fast, "COSTS", costs)
        yield patch
