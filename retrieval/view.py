"""One snapshot with its retrievers, kept open for as long as a search uses it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cached_property
from typing import Final, Literal, get_args

from twindex.indexing.encoding import Encoder
from twindex.indexing.errors import QueryError
from twindex.indexing.snapshot import Snapshot
from twindex.retrieval.base import Retriever
from twindex.retrieval.bm25 import BM25
from twindex.retrieval.dense import DenseConfig, DenseRetriever
from twindex.retrieval.hybrid import HybridRetriever
from twindex.retrieval.lexical import LexicalRetriever
from twindex.retrieval.profile import Profile

Mode = Literal["hybrid", "sparse", "dense"]
MODES: Final[tuple[Mode, ...]] = get_args(Mode)


def as_mode(name: str) -> Mode:
    """The mode of that name.

    Raises:
        QueryError: If there is none.
    """
    for mode in MODES:
        if mode == name:
            return mode
    raise QueryError(f"mode {name!r}", expected=f"one of {', '.join(MODES)}")


class View:
    """A snapshot, its retrievers (each made at first use), and a count of who is using it.

    Args:
        snapshot: What to search; the view closes it.
        encoder: Gives the encoder of the snapshot's vectors when it is first needed.
        profile: How to fuse.
        bm25: Settings of the lexical leg.
        dense: Settings of the dense leg.
    """

    def __init__(
        self, snapshot: Snapshot, encoder: Callable[[], Encoder], profile: Profile, bm25: BM25, dense: DenseConfig
    ) -> None:
        self.snapshot = snapshot
        self._encoder = encoder
        self.profile = profile
        self._bm25 = bm25
        self._dense = dense
        self._making = threading.RLock()
        self._counting = threading.Lock()
        self._users = 0
        self._retired = False

    @property
    def has_vectors(self) -> bool:
        """Whether there is a dense leg."""
        return self.snapshot.encoder_info is not None

    @property
    def chunked(self) -> bool:
        """Whether a document may have several passages."""
        return self.snapshot.documents != self.snapshot.live_docs

    def effective(self, mode: Mode) -> tuple[Mode, tuple[str, ...]]:
        """What can be searched for a mode, and a note if that is less."""
        if mode == "hybrid" and not self.has_vectors:
            return "sparse", ("the index has no vectors: searched in sparse mode",)
        return mode, ()

    def retriever(self, mode: Mode) -> Retriever:
        """The retriever of a mode.

        Raises:
            QueryError: If the mode needs vectors and there are none.
            MissingError: If the encoder of the vectors is not here.
            FingerprintError: If it is another one.
        """
        made: Retriever | None = self.__dict__.get(mode)  # by the name of its property; without waiting for others
        if made is not None:
            return made
        with self._making:
            if mode == "sparse":
                return self.sparse
            return self.dense if mode == "dense" else self.hybrid

    @cached_property
    def sparse(self) -> LexicalRetriever:
        """The lexical leg."""
        return LexicalRetriever(self.snapshot, self._bm25)

    @cached_property
    def dense(self) -> DenseRetriever:
        """The dense leg."""
        if not self.has_vectors:
            raise QueryError(
                "dense search of an index without vectors",
                expected="an index that was built with an encoder",
                remedy="search it in sparse mode, or build it again with an encoder",
            )
        return DenseRetriever(self.snapshot, self._encoder(), self._dense)

    @cached_property
    def hybrid(self) -> HybridRetriever:
        """Both, fused."""
        return HybridRetriever([self.sparse, self.dense], self.snapshot, self.profile)

    def enter(self) -> bool:
        """Keeps the snapshot open until :meth:`leave`; False if it was retired before."""
        with self._counting:
            if self._retired:
                return False
            self._users += 1
            return True

    def leave(self) -> None:
        """Ends one :meth:`enter`."""
        with self._counting:
            self._users -= 1
            if self._retired and not self._users:
                self.snapshot.close()

    def retire(self) -> None:
        """Closes the snapshot once nobody uses it any more. A second call does nothing."""
        with self._counting:
            if not self._retired and not self._users:
                self.snapshot.close()
            self._retired = True
