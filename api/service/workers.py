"""Processes of a server: one here, or several that accept from one socket, restarted if they die."""

from __future__ import annotations

import logging
import multiprocessing
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any, Final

log = logging.getLogger(__name__)

#: Seconds that a process must have lived for its end to count as bad luck; else restarts slow down.
STEADY: Final = 10.0
#: Seconds that a worker may take to finish its requests when it is told to stop.
GRACE: Final = 40.0

#: Runs one server on a socket until it is told to stop. A function of a module, since it is sent to a new process.
Serve = Callable[[socket.socket], None]


class Workers:
    """Keeps a number of processes running until a signal ends them all.

    Args:
        serve: What each does; must be picklable, for systems without a safe fork.
        listener: The socket that all accept from.
        count: How many processes.
    """

    def __init__(self, serve: Serve, listener: socket.socket, count: int) -> None:
        self._serve = serve
        self._listener = listener
        self._count = count
        # A fork starts at once, and is safe here: this process has one thread and has loaded no model. Elsewhere
        # than on Linux system libraries may not survive it.
        self._context: Any = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
        self._stop = threading.Event()

    def run(self) -> None:
        """Returns after SIGTERM or SIGINT, once every process has finished its requests."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stopped)
        processes = [self._start() for _ in range(self._count)]
        born = [time.monotonic()] * self._count
        while not self._stop.wait(0.2):
            for place, process in enumerate(processes):
                if process.is_alive() or self._stop.is_set():
                    continue
                log.error("worker %s ended with %s and is started again", process.pid, process.exitcode)
                if time.monotonic() - born[place] < STEADY:
                    self._stop.wait(1.0)
                processes[place], born[place] = self._start(), time.monotonic()
        _end(processes)

    def _start(self) -> BaseProcess:
        process: BaseProcess = self._context.Process(target=self._serve, args=(self._listener,), name="twindex-worker")
        process.start()
        return process

    def _stopped(self, number: int, frame: FrameType | None) -> None:
        self._stop.set()


def _end(processes: Sequence[BaseProcess]) -> None:
    for process in processes:
        if process.is_alive():
            process.terminate()
    deadline = time.monotonic() + GRACE
    for process in processes:
        process.join(max(0.0, deadline - time.monotonic()))
        if process.is_alive():
            log.error("worker %s did not stop in time", process.pid)
            process.kill()
            process.join()


def listen(host: str, port: int) -> socket.socket:
    """A listening socket.

    Raises:
        OSError: If the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named, asyncio turns Nagle's algorithm off on what is accepted: else a response in two writes
    # waits for the client's delayed acknowledgement, 40 ms each.
    made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind((host, port))
    made.listen(2048)
    made.set_inheritable(True)
    return made
