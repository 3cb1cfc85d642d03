"""One index as a server holds it: open for searching, with the log of its writes and the thread that applies them."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from twindex.api.refusals import ConflictError, OverloadedError, StorageError, TooSlowError
from twindex.api.service.applied import Applied
from twindex.api.service.applier import Applier
from twindex.api.service.backup import restore_over
from twindex.api.service.encoders import EncoderPool
from twindex.api.service.group import GroupCommit
from twindex.api.service.pace import Pace
from twindex.api.service.records import Entry, Record, delete
from twindex.api.service.source import Source
from twindex.api.service.wal import Acknowledged, WriteLog
from twindex.indexing.errors import IndexError_, TwindexError
from twindex.indexing.filters import Filter
from twindex.indexing.manifest import Manifest
from twindex.indexing.optional import available
from twindex.indexing.types import Int32Array
from twindex.retrieval.engine import Searcher
from twindex.retrieval.fast_compile import compile_apart
from twindex.retrieval.lexical import LexicalRetriever
from twindex.retrieval.options import DEFAULT_OPTIONS, SearchOptions, SparseLegs
from twindex.retrieval.profile import Profile, Recipe

if TYPE_CHECKING:
    from twindex.rag.engine import AnswerEngine
    from twindex.rag.generator import Generator

log = logging.getLogger(__name__)

#: What a server keeps inside an index directory.
STATE_FOLDER: Final = ".twindex"
LOG_FOLDER: Final = "log"
#: Whether searches by words get faster once enough of them were asked.
COMPILES: Final = available("numba")
#: Searches by words as they are.
WORDS: Final = SearchOptions(sparse="bm25")
#: Seconds between looks of a request that waits for its write to become visible.
LOOK: Final = 0.01
#: Bytes of a log whose records cannot be applied (another writer, a full disk), at most; then writes are refused.
MAX_LOG: Final = 1 << 30


class ServedIndex:
    """An index, open. Safe for threads.

    Args:
        name: What requests call it.
        path: Its directory.
        encoders: Shared encoders.
        generator: Finds what writes answers; called by the first one.
        profile: How hybrid searches fuse; None = the default.
        snapshots: Folder of its snapshots.

    Raises:
        IndexError_: If there is no index, or it is not usable.
    """

    def __init__(
        self,
        name: str,
        path: Path,
        *,
        encoders: EncoderPool,
        generator: Callable[[], Generator],
        profile: Profile | Path | None = None,
        snapshots: Path,
    ) -> None:
        self.name = name
        self.path = path
        self.snapshots = snapshots
        self.log_problem = ""
        self.encoders = encoders
        self.pace = Pace()
        self._generator = generator
        self._opening = threading.Lock()
        self._changed = threading.Condition()
        self._closed = False
        self._visible = 0
        self._log: WriteLog | None = None
        self._applier: Applier | None = None
        self._group: GroupCommit | None = None
        if self.log_folder.is_dir():
            self._try_open_log(recover=True)
        self.searcher = Searcher.open(
            path,
            profile=profile,
            reranker=encoders.reranker_name,
            find_encoder=encoders.named,
            find_sparse_encoder=encoders.sparse,
            find_reranker=encoders.reranker,
        )
        self.follow()

    @property
    def log_folder(self) -> Path:
        """Where its write-ahead log is."""
        return self.path / STATE_FOLDER / LOG_FOLDER

    @property
    def visible(self) -> int:
        """Sequence number of the last write that searches see."""
        return self._visible

    @property
    def writes(self) -> bool:
        """Whether the log is open; the first write opens it."""
        return self._group is not None

    def quick(self, sparse: SparseLegs | None) -> bool:
        """Whether a plain search of these sparse legs may be done on the event loop: quickly, waiting for nothing."""
        if not self.pace.quick or (sparse is None and self.searcher.snapshot.sparse_encoder_info is not None):
            return False
        retriever = self.searcher.retriever("sparse", WORDS)
        return isinstance(retriever, LexicalRetriever) and (retriever.compiled or not COMPILES)

    @cached_property
    def answers(self) -> AnswerEngine:
        """What answers questions. Cost: the first one loads the code that does it."""
        from twindex.rag.engine import AnswerEngine

        return AnswerEngine(self.searcher, self._generator())

    def answering(self, options: SearchOptions, recipe: Recipe | None = None) -> AnswerEngine:
        """What answers questions from searches with these options, and fused that way."""
        if options == DEFAULT_OPTIONS and recipe is None:
            return self.answers
        from twindex.rag.engine import AnswerEngine

        return AnswerEngine(Source(self.searcher, options, recipe), self._generator())

    def submit(self, entry: Entry) -> Future[Acknowledged]:
        """A write; its future is done once the write is durable.

        Raises:
            StorageError: If the log cannot be opened.
            OverloadedError: If too much is logged and not applied, or too many writes wait for the disk.
        """
        group = self._writing()
        if self.log_bytes() > MAX_LOG:
            raise OverloadedError(
                f"{self.log_bytes() >> 20} MiB of writes are not applied yet",
                expected=f"at most {MAX_LOG >> 20} MiB",
                remedy=self.problem or "try again later",
                headers={"Retry-After": "5"},
            )
        return group.submit(entry)

    def delete_matching(self, condition: Filter, *, seconds: float, **more: Any) -> tuple[Acknowledged, int]:
        """Deletes the documents that match now, all acknowledged writes counted in; how many there were.

        Raises:
            FilterError: If the filter names a field that the index does not have.
            TooSlowError: If earlier writes do not become visible in time.
            ConflictError: If the idempotency key was used for another request.
            StorageError: If the write could not be made durable.
        """
        self._writing()
        if self._log is None:
            raise StorageError("the write log is closed")
        with self._log.exclusive():  # nobody writes between looking and deleting
            self.wait_visible(self._log.last, seconds)
            found = self.matching(condition)
            entry = delete(found, outcome={"matched": len(found)}, **more)
            answer = self._log.append_locked([entry])[0]
        if isinstance(answer, ConflictError):
            raise answer
        self._wake()
        return answer, int(answer.outcome["matched"])

    def matching(self, condition: Filter) -> list[str]:
        """Ids of the live documents that pass a filter, in corpus order.

        Raises:
            FilterError: If the filter names a field that the index does not have.
        """
        with self.searcher.use() as snapshot:
            mask = snapshot.allowed(condition)
            if mask is None:
                return []
            ords: Int32Array = np.flatnonzero(mask).astype(np.int32)
            return list(dict.fromkeys(snapshot.doc_ids(ords)))

    def follow(self) -> bool:
        """Swaps in the newest commit, if there is one; says what became visible."""
        fresh = self.searcher.refresh()
        applied = Applied.read(self.log_folder)
        if self.searcher.snapshot.generation >= applied.generation and applied.sequence > self._visible:
            with self._changed:
                self._visible = applied.sequence
                self._changed.notify_all()
        return fresh

    def wait_visible(self, sequence: int, seconds: float) -> None:
        """Returns once searches see that write.

        Raises:
            TooSlowError: If they do not in time.
        """
        self._wake()
        with self._changed:
            if self._changed.wait_for(lambda: self._visible >= sequence or self._closed, seconds):
                return
        raise self._not_yet(sequence, seconds)

    async def until_visible(self, sequence: int, seconds: float) -> None:
        """The same for the event loop: any number of requests may wait, and none of them takes a thread.

        Raises:
            TooSlowError: If searches do not see the write in time.
        """
        self._wake()
        deadline = time.monotonic() + seconds
        while self._visible < sequence and not self._closed:
            if time.monotonic() > deadline:
                raise self._not_yet(sequence, seconds)
            await asyncio.sleep(LOOK)

    def _not_yet(self, sequence: int, seconds: float) -> TooSlowError:
        return TooSlowError(
            f"write {sequence} is durable, but not visible after {seconds:g} s",
            expected="a commit within that time",
            remedy=self.problem or "ask again later: it is not lost",
        )

    @property
    def problem(self) -> str:
        """Why writes do not get through, "" if they do."""
        return self.log_problem or (self._applier.problem if self._applier is not None else "")

    def status(self) -> dict[str, Any]:
        """What the log and its application are at."""
        last = self._log.last if self._log is not None else 0
        refused = len(self._applier.refused) if self._applier is not None else 0
        return {
            "acknowledged": last,
            "visible": self._visible,
            "pending": max(0, last - self._visible),
            "refused": refused,
            "problem": self.problem,
        }

    def log_bytes(self) -> int:
        """Bytes of the log's files."""
        return self._log.size() if self._log is not None else 0

    def compile(self) -> None:
        """Lays the compiled engine out, if it can be had: else that is done once enough was asked."""
        retriever = self.searcher.retriever("sparse", WORDS)
        if COMPILES and isinstance(retriever, LexicalRetriever):
            compile_apart(self.path)  # this process goes on answering
            _ = retriever.fast
            self.searcher.search("warm up", k=10, mode="sparse", options=WORDS)

    def warm(self) -> None:
        """Searches once in every mode that the index has, so that nothing is loaded by the first request.

        Raises:
            MissingError: If the encoder of its vectors is not here; searches by words work nevertheless.
        """
        self.searcher.search("warm up", k=1, mode="sparse")
        if self.searcher.snapshot.encoder_info is not None:
            self.searcher.search("warm up", k=1, mode="hybrid")

    def close(self) -> None:
        """Ends writing and searching; what is logged stays logged."""
        with self._opening:
            self._closed = True
        for part in (self._group, self._applier):
            if part is not None:
                part.stop()
        if self._log is not None:
            self._log.close()
        self.searcher.close()

    def _writing(self) -> GroupCommit:
        with self._opening:
            if self._closed:
                raise StorageError(f"{self.name} is closed")
            if self._group is None:
                self._try_open_log(recover=False)
            if self._group is None:
                raise StorageError(f"{self.name} takes no writes: {self.log_problem}", remedy="see the server's log")
            return self._group

    def _try_open_log(self, *, recover: bool) -> None:
        """Opens the log. A disk that refuses, or a damaged log, ends writing, not reading."""
        try:
            write_log = WriteLog(self.log_folder)
            applier = Applier(
                self.path, write_log, self.encoders.of, on_commit=self._committed, restore=self._restore_record
            )
            if recover:
                applier.recover()
        except (OSError, TwindexError) as error:
            self.log_problem = f"{type(error).__name__}: {error}"
            log.exception("the write log of %s cannot be used", self.path)
            return
        self.log_problem = ""
        self._log, self._applier = write_log, applier
        self._group = GroupCommit(write_log, after=applier.wake)
        applier.start()

    def _committed(self) -> None:
        if "searcher" not in self.__dict__:  # recovery, before the index is open
            return
        try:
            self.follow()
        except (IndexError_, OSError):
            log.exception("could not open the newest commit of %s", self.path)

    def _restore_record(self, record: Record) -> Manifest:
        return restore_over(self.snapshots / str(record.entry.body["snapshot"]), self.path)

    def _wake(self) -> None:
        if self._applier is not None:
            self._applier.wake()
