"""Locks: one writer a directory, and readers that hold on to the segments they use.

Both are ``flock`` locks, which the kernel gives back when the process ends, in whatever way; a lock file
left behind by a crash therefore never blocks anybody.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from pathlib import Path
from typing import Final

from twindex.indexing.errors import LockedIndexError

LOCK_FILE: Final = "write.lock"
#: What flock says where the file system has no locks; readers then go unprotected.
_UNSUPPORTED: Final = (errno.ENOTSUP, errno.ENOSYS, errno.ENOLCK, errno.EINVAL, errno.EBADF)


class WriterLock:
    """Exclusive right to write into an index directory, held until :meth:`release`.

    Args:
        root: The index directory, which exists.

    Raises:
        LockedIndexError: If another writer holds it; the message names its process and host.
    """

    def __init__(self, root: Path) -> None:
        path = root / LOCK_FILE
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(handle, 1024, 0).decode("utf-8", "replace").strip()
            os.close(handle)
            raise LockedIndexError(
                f"{root} is being written by {holder or 'another process'}",
                expected="one writer at a time",
                remedy="wait until it is done, or end that process; the lock goes with it",
            ) from error
        except OSError:
            os.close(handle)
            raise
        self._handle: int | None = handle
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)

    def release(self) -> None:
        """Gives the lock back. A second call does nothing."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


class Lease:
    """A reader's shared hold on a segment's folder; while it lasts no writer removes the folder.

    Args:
        folder: The segment's folder.

    Raises:
        FileNotFoundError: If the folder is gone, or is being removed at this moment.
    """

    def __init__(self, folder: Path) -> None:
        self._handle: int | None = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self.release()
            raise FileNotFoundError(f"{folder} is being removed") from error
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                self.release()
                raise

    def release(self) -> None:
        """Lets go. A second call does nothing."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


class Eviction:
    """A writer's attempt to have a segment's folder for itself, to remove it.

    ``granted`` is false while a reader holds a :class:`Lease`. It never waits.
    """

    def __init__(self, folder: Path) -> None:
        self.granted = True
        self._handle: int | None = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.granted = False
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                self.release()
                raise

    def release(self) -> None:
        """Lets go. A second call does nothing."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def __enter__(self) -> Eviction:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
