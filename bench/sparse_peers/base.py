"""What the bench asks of an engine."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sparse_oracle import Formula
from sparse_store import Corpus

Array = NDArray[Any]
#: Ordinals and scores of the first queries: int32[n, k] and float64[n, k], -1 and 0 where there are fewer.
Hits = tuple[Array, Array]


class Engine:
    """One search engine. Conversions of queries happen in ``open``, outside every timing.

    ``packages``: distributions whose versions are reported. ``kinds``: corpora it takes. ``exact``: its lists are
    the true ones by ``formula``. ``score_tolerance``: relative. ``variants``: strategies to choose from; ``keep``: the
    one to use whatever the timing of the others says.
    ``most_documents``: larger corpora are left out, for ``reason``. ``threaded``: it can use several threads.
    """

    packages: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ("bm25",)
    exact = True
    formula: Formula | None = Formula()
    score_tolerance = 2e-5
    variants: tuple[str, ...] = ("",)
    keep = ""
    most_documents = 1 << 31
    reason = ""
    threaded = True
    note = ""

    def versions(self) -> dict[str, str]:
        """Distribution -> version."""
        found = {}
        for package in self.packages:
            try:
                found[package] = version(package)
            except PackageNotFoundError:
                found[package] = "not installed"
        return found

    def build(self, corpus: Corpus, folder: Path) -> None:
        """Write an index of the corpus into the folder, which is empty."""
        raise NotImplementedError

    def open(self, corpus: Corpus, folder: Path) -> None:
        """Make ready to search, queries converted."""
        raise NotImplementedError

    def use(self, variant: str) -> None:
        """Search by this strategy from now on."""

    def batch(self, count: int, k: int, threads: int) -> Any:
        """Search for the first ``count`` queries; what is returned is for :meth:`hits`."""
        raise NotImplementedError

    def one(self, number: int, k: int) -> Any:
        """Search for one query, as a server would, on one thread."""
        raise NotImplementedError

    def hits(self, raw: Any, count: int, k: int) -> Hits:
        """The result of :meth:`batch` as arrays."""
        raise NotImplementedError


def empty_hits(count: int, k: int) -> Hits:
    """No result yet."""
    return np.full((count, k), -1, np.int32), np.zeros((count, k))


def token_lists(corpus: Corpus) -> list[list[int]]:
    """Documents as lists of term numbers with repetitions, for engines that take nothing better."""
    ptr, ids = np.array(corpus.array("doc_ptr")), corpus.array("doc_ids")
    counts = corpus.array("doc_values")
    out: list[list[int]] = []
    step = 50_000
    for at in range(0, corpus.size, step):
        edges = ptr[at : at + step + 1]
        part = slice(int(edges[0]), int(edges[-1]))
        repeated = np.repeat(np.array(ids[part]), np.array(counts[part]))
        cuts = np.concatenate([[0], np.cumsum(np.array(counts[part], np.int64))])[edges - edges[0]]
        flat = repeated.tolist()
        out += [flat[a:b] for a, b in zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True)]
    return out


def term_name(term: int) -> str:
    """A term number as a word that sorts as numbers do."""
    return f"t{term:07d}"
