"""One writer a directory; readers keep segments from being removed; a dead process holds nothing."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from twindex.indexing.errors import LockedIndexError
from twindex.indexing.lock import LOCK_FILE, Eviction, Lease, WriterLock

HOLD = """
import sys, time
from pathlib import Path
from twindex.indexing.lock import WriterLock
lock = WriterLock(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(60)
"""


def test_a_second_writer_is_told_who_holds_the_lock(tmp_path: Path) -> None:
    first = WriterLock(tmp_path)
    with pytest.raises(LockedIndexError, match=f"process {os.getpid()} on ") as caught:
        WriterLock(tmp_path)
    assert str(tmp_path) in str(caught.value)
    first.release()
    first.release()
    WriterLock(tmp_path).release()


def test_a_killed_process_gives_the_lock_back(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(LockedIndexError, match=f"process {process.pid} "):
            WriterLock(tmp_path)
        process.send_signal(signal.SIGKILL)
        process.wait()
    WriterLock(tmp_path).release()
    assert (tmp_path / LOCK_FILE).exists()


def test_a_lease_keeps_a_segment_and_many_may_hold_one(tmp_path: Path) -> None:
    first, second = Lease(tmp_path), Lease(tmp_path)
    first.release()
    with Eviction(tmp_path) as attempt:
        assert not attempt.granted
    second.release()
    with Eviction(tmp_path) as attempt:
        assert attempt.granted
        with pytest.raises(FileNotFoundError, match="being removed"):
            Lease(tmp_path)


def test_locks_go_with_their_objects(tmp_path: Path) -> None:
    WriterLock(tmp_path)
    Lease(tmp_path)
    gc.collect()
    WriterLock(tmp_path).release()
    with Eviction(tmp_path) as attempt:
        assert attempt.granted


def test_a_lease_on_a_missing_folder_is_file_not_found(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Lease(tmp_path / "gone")
