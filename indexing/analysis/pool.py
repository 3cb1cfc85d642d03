"""Analysis beside the rest of a build: in other processes once it turns out to take long.

Shards are handed out in turn and taken back in order, and numbers are translated into one vocabulary, so that what
comes out does not depend on timing or on the number of processes. A process that dies costs time only: what it had is
analysed here. Processes are started by command line, not by ``multiprocessing``: the caller's main module is never
imported again. (A thread would not do: each of many short array operations would wait for its turn to go on.)
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import IO, Any, Final, cast

import numpy as np

from twindex.indexing.analysis.base import Analyzer, TermBatch, Vocabulary
from twindex.indexing.analysis.registry import analyzer_names, get_analyzer
from twindex.indexing.analysis.worker import pack_texts, read_reply
from twindex.indexing.errors import ConfigError
from twindex.indexing.report import PhaseSeconds
from twindex.indexing.types import Int32Array

_log = logging.getLogger(__name__)

#: Processor seconds of analysis here after which processes are started: starting one, which has to load code and meet
#: all words anew, costs about as many.
PATIENCE: Final = 3.0
#: Processes, at most: reading and storing, which stay here, keep up with no more.
MAX_PROCESSES: Final = 3
#: Shards that each process may have waiting, so that it never does.
AHEAD: Final = 2

_COMMAND: Final = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from twindex.indexing.analysis.worker import main; main(sys.argv[2])"
)
Reply = tuple[TermBatch, list[str], float]


class AnalysisPool:
    """Texts in, term numbers out, in order.

    Args:
        analyzer: The analyzer; one that the registry does not know runs here.
        workers: Processes to use, this one included, at most; None for as many as there are processors.

    Raises:
        ConfigError: If ``workers`` is below 1.
    """

    def __init__(self, analyzer: Analyzer, *, workers: int | None = None) -> None:
        if workers is not None and workers < 1:
            raise ConfigError(f"workers = {workers}", expected="at least 1")
        self._analyzer = analyzer
        count = min((workers or processors()) - 1, MAX_PROCESSES)
        self._wanted = count if _known(analyzer) else 0
        self._processes: list[_Process] | None = None
        self._turn = 0
        self._spent = 0.0
        self.epochs = 0

    def stream(self, seconds: PhaseSeconds) -> AnalysisStream:
        """A new vocabulary and what is numbered by it."""
        self.epochs += 1
        return AnalysisStream(self, self.epochs, seconds)

    def close(self) -> None:
        """Ends the processes. A second call does nothing."""
        for process in self._processes or ():
            process.close()
        self._processes = None
        self._wanted = 0

    def analyze(self, texts: list[str], vocabulary: Vocabulary) -> tuple[TermBatch, float]:
        """The same, here and now; and the seconds that it took."""
        started, used = time.perf_counter(), time.thread_time()
        batch = self._analyzer.analyze(texts, vocabulary)
        self._spent += time.thread_time() - used  # a busy machine is no reason for more processes
        return batch, time.perf_counter() - started

    @property
    def ahead(self) -> int:
        """Shards that may be waiting for their result."""
        return AHEAD * self._wanted

    def process(self) -> _Process | None:
        """Who takes the next shard; None for this process, as long as the others are about to start."""
        if not self._wanted or self._spent < PATIENCE:
            return None
        if self._processes is None:
            self._start()
        if not self._processes or not all(process.ready for process in self._processes):
            return None
        self._turn += 1
        return self._processes[self._turn % len(self._processes)]

    def _start(self) -> None:
        """Starts the processes; where none can be started, everything is done here."""
        self._processes = []
        try:
            for _ in range(self._wanted):
                self._processes.append(_Process(self._analyzer.name))
        except OSError as error:
            _log.info("no process for analysis: %s", error)
            self.close()
            self._processes = []


class AnalysisStream:
    """The shards of one segment, in order."""

    def __init__(self, pool: AnalysisPool, epoch: int, seconds: PhaseSeconds) -> None:
        self.vocabulary = Vocabulary()
        self._pool = pool
        self._epoch = epoch
        self._seconds = seconds
        self._waiting: deque[_Job] = deque()
        self._numbers: dict[int, Int32Array] = {}

    def submit(self, texts: list[str]) -> list[TermBatch]:
        """Takes a shard; gives the shards that are done, or must be for the sake of memory."""
        process = self._pool.process()
        reply = process.submit(self._epoch, texts) if process is not None else None
        self._waiting.append(_Job(texts, process, reply))
        done = []
        while self._waiting and (len(self._waiting) > self._pool.ahead or self._waiting[0].ready):
            done.append(self._take())
        return done

    def drain(self) -> list[TermBatch]:
        """All shards that are left."""
        return [self._take() for _ in range(len(self._waiting))]

    def _take(self) -> TermBatch:
        job = self._waiting.popleft()
        reply = job.result()
        if reply is None or job.process is None:
            batch, seconds = self._pool.analyze(job.texts, self.vocabulary)
            self._seconds.add("analysis", seconds)
            return batch
        batch, terms, seconds = reply
        self._seconds.add("analysis", seconds)
        fresh = np.array(self.vocabulary.add_all(terms), np.int32)
        known = self._numbers.get(id(job.process), np.empty(0, np.int32))
        numbers = self._numbers[id(job.process)] = np.concatenate([known, fresh])
        return TermBatch(numbers[batch.ids], batch.offsets)


class _Job:
    """One shard, and who has it."""

    def __init__(self, texts: list[str], process: _Process | None, reply: Future[Reply] | None) -> None:
        self.texts = texts
        self.process = process
        self._reply = reply

    @property
    def ready(self) -> bool:
        """Whether taking it needs no waiting."""
        return self._reply is None or self._reply.done()

    def result(self) -> Reply | None:
        """The reply; None if the shard has to be analysed here."""
        if self._reply is None:
            return None
        try:
            return self._reply.result()
        except (OSError, EOFError, ValueError):  # the process is gone, or its pipe is closed
            return None


class _Process:
    """A worker process, and the thread that talks to it."""

    def __init__(self, name: str) -> None:
        command = [sys.executable, "-c", _COMMAND, json.dumps(sys.path), name]
        self._child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._thread = ThreadPoolExecutor(1, "twindex-analysis")
        self._lost = False
        self._first = self.submit(0, [])  # epochs count from 1

    @property
    def ready(self) -> bool:
        """Whether it has started, or failed to."""
        return self._first.done()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._child.pid

    def submit(self, epoch: int, texts: Sequence[str]) -> Future[Reply]:
        """Hands over a shard; replies come in order."""
        return self._thread.submit(self._ask, epoch, list(texts))

    def close(self) -> None:
        """Ends the process, after what it is at."""
        self._thread.shutdown(wait=True, cancel_futures=True)
        for stream in (self._child.stdin, self._child.stdout):
            try:
                cast("IO[bytes]", stream).close()
            except OSError:  # it died with a request in the pipe
                continue
        self._child.wait()

    def _ask(self, epoch: int, texts: list[str]) -> Reply:
        if self._lost:  # after a failure its numbers cannot be trusted to be complete
            raise EOFError("the process is gone")
        try:
            requests: Any = self._child.stdin
            requests.write(pack_texts(epoch, texts))
            requests.flush()
            return read_reply(cast("IO[bytes]", self._child.stdout), len(texts))
        except BaseException:
            self._lost = True
            raise


def processors() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _known(analyzer: Analyzer) -> bool:
    """Whether another process would get the same analyzer by its name, and can be started at all."""
    # A frozen program is no interpreter: started again, it would be the program again.
    if not sys.executable or getattr(sys, "frozen", False) or analyzer.name not in analyzer_names():
        return False
    return get_analyzer(analyzer.name).fingerprint == analyzer.fingerprint
