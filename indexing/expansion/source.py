"""Generated queries of a store, as a build takes them: one configuration, so many a passage, filtered or not."""

from __future__ import annotations

from twindex.indexing.errors import ConfigError
from twindex.indexing.expansion.info import ExpansionInfo
from twindex.indexing.expansion.store import ExpansionStore, content_hash

#: Queries a passage, unless told otherwise: gains flatten from there on, vectors and postings do not.
DEFAULT_LIMIT = 30


class StoredQueries:
    """The queries of one configuration of a store; safe for threads.

    Args:
        store: The store, open as long as this is used.
        config: Name or beginning of the hash of the configuration; None for the only one that has queries.
        limit: Queries a passage, at most.
        threshold: Queries with a lower relevance score are left out; None = no filter.

    Raises:
        ConfigError: If no single configuration is meant, it made no queries, or a number is out of range.
    """

    def __init__(
        self,
        store: ExpansionStore,
        config: str | None = None,
        *,
        limit: int = DEFAULT_LIMIT,
        threshold: float | None = None,
    ) -> None:
        self._store = store
        self._config = store.resolve(config)
        facts = store.configs().get(self._config, {})
        method = str(facts.get("method") or facts.get("name") or "unknown")
        self._info = ExpansionInfo(method, self._config.hex(), limit, threshold)
        if next(iter(store.documents(self._config)), None) is None:
            raise ConfigError(
                f"{store.path} holds nothing of the configuration {self._config.hex()[:8]}",
                expected="a configuration under which queries were generated",
                remedy="run: twindex expand CORPUS --out STORE",
            )

    @property
    def info(self) -> ExpansionInfo:
        """Which queries these are."""
        return self._info

    def queries(self, contents: str) -> tuple[str, ...]:
        """The queries of a passage, in the order of generation, near-duplicates left out; none if it is unknown."""
        info = self._info
        return self._store.queries(content_hash(contents), self._config, info.limit, at_least=info.threshold)
