"""Servers for tests: in this process, or as the command in a process of its own on loopback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from starlette.testclient import TestClient

from twindex.api.app import AppConfig, create_app
from twindex.rag.generators.extractive import ExtractiveGenerator

NDJSON = {"content-type": "application/x-ndjson"}


@contextmanager
def client_of(path: Path, **more: Any) -> Iterator[TestClient]:
    """A client of an application in this process."""
    config = AppConfig(index=path, generator=ExtractiveGenerator(), **more)
    with TestClient(create_app(config), raise_server_exceptions=False) as made:
        yield made


class Process:
    """``twindex serve`` on a port of its own choice."""

    def __init__(self, *arguments: object, port: int, log: Path) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.log = log
        command = [sys.executable, "-m", "twindex.api", "serve", *map(str, arguments), "--port", str(port)]
        with log.open("ab") as errors:
            self.process = subprocess.Popen(command, stderr=errors, stdout=errors, start_new_session=True)

    def wait_ready(self, seconds: float = 30.0) -> float:
        """Seconds until it was ready."""
        started = time.monotonic()
        while time.monotonic() - started < seconds:
            if self.process.poll() is not None:
                raise AssertionError(f"the server ended with {self.process.returncode}: {self.log.read_text()[-2000:]}")
            try:
                if httpx.get(f"{self.url}/v1/ready", timeout=1.0).status_code == 200:
                    return time.monotonic() - started
            except httpx.TransportError:
                pass
            time.sleep(0.02)
        raise AssertionError(f"not ready after {seconds} s: {self.log.read_text()[-2000:]}")

    def end(self) -> None:
        """Leaves nothing behind, however a test ended."""
        if self.process.poll() is None:
            self.kill()

    def kill(self) -> None:
        """As a crash would: nothing is flushed, nothing is finished."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        """As a person would; its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=30)


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
