"""Time left for corpora that do not know how many documents they have, from how much of the file was read."""

from __future__ import annotations

from typing import Final

from twindex.indexing.corpus.base import Corpus
from twindex.indexing.types import Progress

#: A share below it says too little about the whole.
LEAST_SHARE: Final = 0.005


def with_estimate(corpus: Corpus, progress: Progress) -> Progress:
    """The callback, called with an estimated total where the corpus has none but tells its share of the file.

    Args:
        corpus: What is being read; one with a method ``progress`` gives a share from 0 to 1.
        progress: What to call.
    """
    share_of = getattr(corpus, "progress", None)
    if corpus.total is not None or share_of is None:
        return progress

    def estimated(stage: str, done: int, total: int | None) -> None:
        share = share_of() if total is None else None
        if share is not None and share >= LEAST_SHARE:
            total = max(done, round(done / share))
        progress(stage, done, total)

    return estimated
