"""Where the models of a search come from: those that were given, or those that the index names, found at first use."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, TypeVar

from twindex.indexing.encoders import find
from twindex.indexing.encoding import Encoder, PairScorer, SparseEncoder
from twindex.indexing.errors import IndexError_
from twindex.indexing.snapshot import Snapshot
from twindex.retrieval.base import Reranker
from twindex.retrieval.cross_encoder import PassageReranker

Model = TypeVar("Model")

#: The reranker of a plain installation.
RERANKER: Final = find.DEFAULT_RERANKER


@dataclass(eq=False)
class Sources:
    """The models of one searcher, each found once; safe for threads.

    ``encoder``, ``sparse_encoder``: of queries; None = the one that the index was built with. ``reranker``: a reranker,
    something that scores pairs of texts, or a name. The ``find`` functions turn names into models.
    """

    encoder: Encoder | None = None
    sparse_encoder: SparseEncoder | None = None
    reranker: Reranker | PairScorer | str | None = None
    find_encoder: Callable[[str], Encoder] = find.find_encoder
    find_sparse_encoder: Callable[[str], SparseEncoder] = find.find_sparse_encoder
    find_reranker: Callable[[str], PairScorer] = find.find_reranker
    _found: dict[str, Encoder] = field(default_factory=dict)
    _found_sparse: dict[str, SparseEncoder] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def dense(self, snapshot: Snapshot) -> Encoder:
        """The encoder of the snapshot's vectors.

        Raises:
            IndexError_: If the snapshot has none, or those of another encoder.
            MissingError: If the encoder is not here.
        """
        with self._lock:
            info = snapshot.encoder_info
            made = self.encoder
            if made is None:
                if info is None:
                    raise IndexError_("an index without vectors has no encoder")
                made = _known(self._found, info.name, self.find_encoder)
            snapshot.check_encoder(made)
            return made

    def learned(self, snapshot: Snapshot) -> SparseEncoder:
        """The encoder of the snapshot's impacts.

        Raises:
            IndexError_: If the snapshot has none, or those of another encoder.
            MissingError: If the encoder is not here.
        """
        with self._lock:
            info = snapshot.sparse_encoder_info
            made = self.sparse_encoder
            if made is None:
                if info is None:
                    raise IndexError_("an index without impacts has no sparse encoder")
                made = _known(self._found_sparse, info.name, self.find_sparse_encoder)
            snapshot.check_sparse_encoder(made)
            return made

    def second_opinion(self, snapshot: Snapshot) -> Reranker:
        """The reranker, reading passages of the snapshot.

        Raises:
            MissingError: If it is not here.
        """
        with self._lock:
            given = RERANKER if self.reranker is None else self.reranker
            if isinstance(given, str):
                given = self.reranker = self.find_reranker(given)
        return given if isinstance(given, Reranker) else PassageReranker(given, snapshot)


def _known(found: dict[str, Model], name: str, find: Callable[[str], Model]) -> Model:
    """The model of that name; ``found`` holds the last one, since a restored snapshot may bring another."""
    if name not in found:
        made = find(name)
        found.clear()
        found[name] = made
    return found[name]
