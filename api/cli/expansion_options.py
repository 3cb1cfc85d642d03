"""Options about generated queries that several commands share, and how they become queries of a store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from twindex.indexing.errors import ConfigError
from twindex.indexing.expansion.info import ExpansionInfo
from twindex.indexing.expansion.source import DEFAULT_LIMIT, StoredQueries
from twindex.indexing.expansion.store import ExpansionStore

Store = Annotated[
    Path | None,
    typer.Option(
        "--expansion",
        metavar="STORE",
        help="Index the queries that 'twindex expand' generated for each passage beside its text.",
        show_default=False,
    ),
]
Config = Annotated[
    str | None,
    typer.Option(
        "--expansion-config",
        metavar="NAME|HASH",
        help="Which configuration of the store.",
        show_default="the only one",
    ),
]
Limit = Annotated[
    int, typer.Option("--queries-per-doc", metavar="N", help="Generated queries a passage, at most; the first N.")
]
Drop = Annotated[
    float,
    typer.Option(
        "--drop-queries",
        metavar="SHARE",
        help="Leave this share of all scored queries out: those least relevant to their passage.",
    ),
]
#: What --queries-per-doc is, if it is not given.
LIMIT = DEFAULT_LIMIT


@contextmanager
def queries_from(
    path: Path | None, *, config: str | None = None, limit: int = DEFAULT_LIMIT, drop: float = 0.0
) -> Iterator[StoredQueries | None]:
    """The queries that the options name, their store open meanwhile; None without a store.

    Raises:
        ConfigError: If an option is given without a store, or the store has no such configuration or scores.
        IndexNotFoundError: If there is no store.
    """
    if path is None:
        if config is not None or drop or limit != DEFAULT_LIMIT:
            raise ConfigError(
                "--expansion-config, --queries-per-doc or --drop-queries without a store",
                expected="--expansion STORE beside them",
                remedy="make a store with: twindex expand CORPUS --out STORE",
            )
        yield None
        return
    with ExpansionStore.open(path) as store:
        threshold = store.threshold(config, drop) if drop else None
        yield StoredQueries(store, config, limit=limit, threshold=threshold)


@contextmanager
def queries_like(path: Path | None, info: ExpansionInfo | None) -> Iterator[StoredQueries | None]:
    """The queries of a store as an index took them when it was built; None without a store.

    Raises:
        ConfigError: If the index has no expansions, or the store not this configuration.
        IndexNotFoundError: If there is no store.
    """
    if path is None:
        yield None
        return
    if info is None:
        raise ConfigError(
            f"--expansion {path} for an index without expansions",
            expected="an index that was built with them",
            remedy="leave the option out, or build the index again with: twindex index --expansion STORE",
        )
    with ExpansionStore.open(path) as store:
        yield StoredQueries(store, info.config, limit=info.limit, threshold=info.threshold)
