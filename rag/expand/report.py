"""What an expansion did, and what it would cost."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(slots=True)
class ExpandReport:
    """Counts of one run.

    ``duplicates``: queries of the documents in work that near-duplicate an earlier one of theirs, kept in the
    store and left out at reading; ``failed``: drafts without a usable query; ``short``: drafts with fewer queries
    than asked for; ``fallbacks``: documents whose keywords nobody could choose, so that the guide's own were
    taken; ``foreign``: keywords that were answered but not offered; ``complete``: documents with as many distinct
    queries as wanted. Times in seconds.
    """

    documents: int = 0
    already: int = 0
    complete: int = 0
    sets: int = 0
    queries: int = 0
    duplicates: int = 0
    failed: int = 0
    short: int = 0
    fallbacks: int = 0
    foreign: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0
    stopped: str = ""
    failures: list[str] = field(default_factory=list)

    def failure(self, why: str) -> None:
        """Counts a draft that gave nothing; the first few reasons are kept."""
        self.failed += 1
        if len(self.failures) < 5 and why not in self.failures:
            self.failures.append(why)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self) | {"seconds": round(self.seconds, 3)}


@dataclass(frozen=True, slots=True)
class Estimate:
    """What is still to be done, before it is begun. Tokens are rough: about one for six letters, a digit, a sign.

    ``shared_tokens`` are those of them that all prompts of a kind begin with, which some runtimes do not compute
    (and some endpoints do not charge) again.
    """

    documents: int
    pending: int
    requests: int
    prompt_tokens: int
    shared_tokens: int
    completion_tokens: int

    def cost(self, prompt_price: float, completion_price: float) -> float:
        """Money, at prices for a million tokens each; nothing is taken off for shared tokens."""
        return (self.prompt_tokens * prompt_price + self.completion_tokens * completion_price) / 1e6

    def seconds(self, report: ExpandReport) -> float:
        """Time that the rest takes at the pace of a report, 0 if that did nothing."""
        done = report.sets + report.failed
        return self.requests * report.seconds / done if done else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)
