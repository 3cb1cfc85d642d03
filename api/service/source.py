"""Searches with options of their own, where an answer wants a source of passages."""

from __future__ import annotations

from dataclasses import dataclass

from twindex.indexing.filters import Filter
from twindex.retrieval.engine import Mode, Searcher
from twindex.retrieval.options import SearchOptions
from twindex.retrieval.profile import Recipe
from twindex.retrieval.results import SearchResult


@dataclass(frozen=True, slots=True)
class Source:
    """A searcher whose searches have the same options and fusion, as answers need one."""

    searcher: Searcher
    options: SearchOptions
    recipe: Recipe | None = None

    def search(
        self,
        text: str,
        /,
        *,
        k: int,
        mode: Mode,
        filter: Filter | str | None,  # noqa: A002, RUF100 - the searcher's word for it
        rollup: bool,
    ) -> SearchResult:
        """The k best passages; with ``rollup`` only the best one of each document."""
        return self.searcher.search(
            text, k=k, mode=mode, filter=filter, rollup=rollup, recipe=self.recipe, options=self.options
        )
