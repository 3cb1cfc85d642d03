"""What adding documents did, and where the time went."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from twindex.indexing.postings.impact_facts import ImpactFacts

Phase = Literal["analysis", "encoding", "storing", "inversion", "writing"]


@dataclass(slots=True)
class PhaseSeconds:
    """Seconds of each phase. Phases of different processes and threads overlap, so the sum may exceed the clock.

    ``analysis``: texts to terms; ``encoding``: texts to vectors, dense and sparse; ``storing``: records and metadata;
    ``inversion``: postings sorted by term; ``writing``: the files that close a segment. Reading the corpus is not here.
    """

    analysis: float = 0.0
    encoding: float = 0.0
    storing: float = 0.0
    inversion: float = 0.0
    writing: float = 0.0

    def add(self, phase: Phase, seconds: float) -> None:
        """Count seconds for a phase."""
        setattr(self, phase, getattr(self, phase) + seconds)

    @contextmanager
    def timed(self, phase: Phase) -> Iterator[None]:
        """Counts the time inside. Only one thread may time a phase."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.add(phase, time.perf_counter() - started)


@dataclass(slots=True)
class ExpansionCount:
    """Generated queries that were indexed, and the passages that have at least one."""

    queries: int = 0
    passages: int = 0


@dataclass(slots=True)
class AddReport:
    """What one call of ``add`` did.

    ``documents`` and ``passages`` were added; of these documents, ``replaced`` took the place of one
    with the same id. ``duplicates`` were left out as already there. ``phases`` counts on until the commit, which
    closes the last segment; it is shared by all reports of one transaction. So is ``impacts``: the segments' accounts
    of their learned-sparse leg, complete after the commit; and so is ``expansion``.
    """

    documents: int = 0
    passages: int = 0
    replaced: int = 0
    duplicates: int = 0
    phases: PhaseSeconds = field(default_factory=PhaseSeconds, compare=False)
    impacts: list[ImpactFacts] = field(default_factory=list, compare=False)
    expansion: ExpansionCount | None = field(default=None, compare=False)

    @property
    def read(self) -> int:
        """Documents that were looked at."""
        return self.documents + self.duplicates

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; ``impacts`` in sum, and as ``expansion`` only for an index that has them."""
        values: dict[str, Any] = {name: getattr(self, name) for name in _COUNTS}
        values["phases"] = {name: round(seconds, 3) for name, seconds in asdict(self.phases).items()}
        if self.impacts:
            values["impacts"] = ImpactFacts.total(self.impacts).summary()
        if self.expansion is not None:
            values["expansion"] = asdict(self.expansion)
        return values


_COUNTS = ("documents", "passages", "replaced", "duplicates")
