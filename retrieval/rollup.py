"""From passages to documents: how deep to look until k documents are there."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twindex.retrieval.types import Ranking


def deepen(
    retrieve: Callable[[int], Sequence[Ranking]], roll_up: Callable[[Ranking, int], Ranking], k: int, size: int
) -> list[Ranking]:
    """Rankings of k documents from rankings of passages: ask for more until k documents are there.

    Doubling stops where every ranking has k documents, or fewer passages than were asked for (there is nothing more
    to find), or all passages were asked for.

    Args:
        retrieve: The n best passages of every query.
        roll_up: The best passage of each document of a ranking, the first k of them.
        k: Documents a query.
        size: Passages there are.
    """
    asked = k
    while True:
        rankings = retrieve(asked)
        rolled = [roll_up(ranking, k) for ranking in rankings]
        short = any(len(d) < k and len(r) == asked for d, r in zip(rolled, rankings))
        if not short or asked >= size:
            return rolled
        asked = min(asked * 2, size)
