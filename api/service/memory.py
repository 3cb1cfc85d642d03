"""Giving memory back to the system after work that took much of it for a moment, such as a merge."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any


@cache
def _trim() -> Any:
    """The allocator's own function, where it has one (glibc)."""
    try:
        return getattr(ctypes.CDLL(None), "malloc_trim", None)
    except (OSError, TypeError):  # systems without one library for all
        return None


def give_back() -> None:
    """Free pages that the allocator keeps go back. Cost: about a millisecond."""
    trim = _trim()
    if trim is not None:
        trim(0)
