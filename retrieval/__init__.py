"""What is asked, and in what order it comes back: legs over a snapshot, their fusion, and why.

The names here are the public list of the room; each is loaded at its first use, so that importing the room
costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from twindex.indexing.public import public_names

if TYPE_CHECKING:
    from twindex.retrieval.base import Fusion, Reranker, Retriever
    from twindex.retrieval.bm25 import BM25
    from twindex.retrieval.dense import DenseConfig, DenseRetriever
    from twindex.retrieval.engine import Hit, Searcher, SearchResult
    from twindex.retrieval.explain import render_lines
    from twindex.retrieval.fusion import RRF, Convex
    from twindex.retrieval.hybrid import HybridRetriever
    from twindex.retrieval.lexical import LexicalRetriever
    from twindex.retrieval.options import SearchOptions
    from twindex.retrieval.profile import Profile, Recipe
    from twindex.retrieval.rerank import RerankedRetriever
    from twindex.retrieval.types import Explanation, Query, Ranking, Run

__all__ = [
    "BM25",
    "RRF",
    "Convex",
    "DenseConfig",
    "DenseRetriever",
    "Explanation",
    "Fusion",
    "Hit",
    "HybridRetriever",
    "LexicalRetriever",
    "Profile",
    "Query",
    "Ranking",
    "Recipe",
    "RerankedRetriever",
    "Reranker",
    "Retriever",
    "Run",
    "SearchOptions",
    "SearchResult",
    "Searcher",
    "render_lines",
]

#: Module (below this package) -> the public names that live in it.
_HOMES: Final = {
    "base": ("Fusion", "Reranker", "Retriever"),
    "bm25": ("BM25",),
    "dense": ("DenseConfig", "DenseRetriever"),
    "engine": ("Hit", "SearchResult", "Searcher"),
    "explain": ("render_lines",),
    "fusion": ("RRF", "Convex"),
    "hybrid": ("HybridRetriever",),
    "lexical": ("LexicalRetriever",),
    "options": ("SearchOptions",),
    "profile": ("Profile", "Recipe"),
    "rerank": ("RerankedRetriever",),
    "types": ("Explanation", "Query", "Ranking", "Run"),
}
__getattr__, __dir__ = public_names(__name__, _HOMES)
