"""Inverted files, lexical and learned: built outside memory, read by memory map, merged without a rebuild."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from twindex.indexing.public import public_names

if TYPE_CHECKING:
    from twindex.indexing.postings.builder import PostingsBuilder
    from twindex.indexing.postings.impact_facts import ImpactFacts
    from twindex.indexing.postings.impact_reader import ImpactReader, merge_impacts
    from twindex.indexing.postings.impacts import ImpactsBuilder, build_impacts
    from twindex.indexing.postings.merge import merge_postings
    from twindex.indexing.postings.reader import PostingsReader, live_df

__all__ = [
    "ImpactFacts",
    "ImpactReader",
    "ImpactsBuilder",
    "PostingsBuilder",
    "PostingsReader",
    "build_impacts",
    "live_df",
    "merge_impacts",
    "merge_postings",
]

#: Module (below this package) -> the public names that live in it.
_HOMES: Final = {
    "builder": ("PostingsBuilder",),
    "impact_facts": ("ImpactFacts",),
    "impact_reader": ("ImpactReader", "merge_impacts"),
    "impacts": ("ImpactsBuilder", "build_impacts"),
    "merge": ("merge_postings",),
    "reader": ("PostingsReader", "live_df"),
}
__getattr__, __dir__ = public_names(__name__, _HOMES)
