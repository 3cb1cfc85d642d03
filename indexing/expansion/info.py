"""What an index holds of document expansions, and where a build takes the generated queries from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol, runtime_checkable

from twindex.indexing.errors import ConfigError, FingerprintError


@dataclass(frozen=True, slots=True)
class ExpansionInfo:
    """Everything about the expansions of an index that shapes its bytes; recorded in the manifest.

    ``method``: how the queries were made, as in "doc2query++". ``config``: hash of the generating configuration.
    ``limit``: queries a passage, at most; the first that were generated. ``threshold``: queries whose relevance to
    their passage was scored below it are left out; None = no filter.

    Raises:
        ConfigError: If a value is out of range.
    """

    method: str
    config: str
    limit: int
    threshold: float | None = None

    def __post_init__(self) -> None:
        if isinstance(self.limit, bool) or not isinstance(self.limit, int) or self.limit < 1:
            raise ConfigError(f"{self.limit!r} generated queries a passage", expected="a number of at least 1")
        if self.threshold is not None and not math.isfinite(self.threshold):
            raise ConfigError(f"relevance threshold {self.threshold}", expected="a finite number, or none")
        if not self.config:
            raise ConfigError("expansions without a configuration", expected="the hash of what generated them")

    def to_dict(self) -> dict[str, Any]:
        """Plain values for the manifest."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ExpansionInfo:
        """What plain values stand for.

        Raises:
            ConfigError: If a key is missing or unknown, or a value out of range.
        """
        try:
            return cls(**values)
        except TypeError as error:
            raise ConfigError(f"expansion settings that cannot be read: {error}") from error


@runtime_checkable
class QuerySource(Protocol):
    """Generated queries by the contents of a passage. Law: the same contents give the same queries."""

    @property
    def info(self) -> ExpansionInfo:
        """Which queries these are."""

    def queries(self, contents: str) -> Sequence[str]:
        """The queries of a passage, in the order of generation, at most ``info.limit``; none if it is unknown."""


def check_expansions(wanted: ExpansionInfo | None, source: QuerySource | None, *, where: str) -> None:
    """Nothing, if the queries are those that the index holds, or none are given.

    Raises:
        FingerprintError: If they are others, or the index has none.
    """
    if source is None or source.info == wanted:
        return
    if wanted is None:
        raise FingerprintError(
            f"{where} has no expansions, but a store of them was given",
            expected="an index built with expansions",
            remedy="build it again with the store",
        )
    raise FingerprintError(
        f"expansions {source.info}",
        expected=f"{wanted}, those of {where}",
        remedy="use the same store and settings, or build the index again",
    )
