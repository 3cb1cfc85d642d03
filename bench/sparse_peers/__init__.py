"""Engines of the sparse bench, one module each; every module's heavy imports happen inside its class."""

from __future__ import annotations

import importlib
from typing import Final

from sparse_peers.base import Engine

#: Name on the command line -> module and class.
ENGINES: Final = {
    "twindex": ("ours", "Twindex"),
    "twindex-95": ("ours", "TwindexApproximate"),
    "bm25s": ("bm25s_numba", "Bm25s"),
    "pisa": ("pisa", "Pisa"),
    "tantivy": ("tantivy_engine", "Tantivy"),
    "lucene": ("lucene", "Lucene"),
    "rank-bm25": ("rank_bm25_okapi", "RankBM25"),
    "seismic": ("seismic_engine", "Seismic"),
    "kannolo": ("kannolo_engine", "Kannolo"),
}


def make(name: str) -> Engine:
    """The engine of that name."""
    module, cls = ENGINES[name]
    engine: Engine = getattr(importlib.import_module(f"sparse_peers.{module}"), cls)()
    return engine
