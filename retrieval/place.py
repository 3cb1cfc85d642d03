"""Where a document stands: its segment and its place there, unless a search may not return it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from twindex.indexing.errors import QueryError
from twindex.indexing.filters import Filter
from twindex.indexing.types import BoolArray
from twindex.retrieval.types import Explanation, Query

#: Why a document that has no place has no score.
HIDDEN: Final = Explanation(0.0, "the document is deleted or does not pass the filter")


class Placed(Protocol):
    """What this needs of a snapshot."""

    @property
    def size(self) -> int:
        """Number of ordinals, deleted ones included."""

    @property
    def bases(self) -> Sequence[int] | NDArray[Any]:
        """First ordinal of each segment."""

    def allowed(self, condition: Filter | None, /) -> BoolArray | None:
        """bool[size] of live documents that pass the filter; None = every ordinal."""


def place_of(snapshot: Placed, query: Query, ord_: int) -> tuple[int, int] | None:
    """Number of the segment and ordinal in it; None if the document is deleted or does not pass the query's filter.

    Raises:
        QueryError: If there is no such ordinal.
    """
    if not 0 <= ord_ < snapshot.size:
        raise QueryError(f"ordinal {ord_}", expected=f"0 to {snapshot.size - 1}")
    mask = snapshot.allowed(query.filter)
    if mask is not None and not mask[ord_]:
        return None
    at = int(np.searchsorted(np.asarray(snapshot.bases), ord_, side="right")) - 1
    return at, ord_ - int(snapshot.bases[at])
