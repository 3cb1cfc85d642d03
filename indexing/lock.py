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

from twindex.indexing.errors import LockedIndexError, UsageError

LOCK_FILE: Final = "write.lock"
#: What flock says where the file system has no locks; readers then go unprotected.
_UNSUPPORTED: Final = (errno.ENOTSUP, errno.ENOSYS, errno.ENOLCK, errno.EINVAL, errno.EBADF)


class _Held:
    """An open file that carries a lock; dropped with the object at the latest."""

    _handle: int | None = None  # so that dropping it is safe even if opening failed

    def __init__(self, handle: int) -> None:
        self._handle = handle

    def release(self) -> None:
        """Lets go. A second call does nothing."""
        handle, self._handle = self._handle, None
        if handle is not None:
            os.close(handle)

    def __del__(self) -> None:
        self.release()


class WriterLock(_Held):
    """Exclusive right to write into an index directory, held until :meth:`release`.

    Args:
        root: The index directory, which exists.

    Raises:
        LockedIndexError: If another writer holds it; the message names its process and host.
        UsageError: If the file system has no locks.
    """

    def __init__(self, root: Path) -> None:
        handle = os.open(root / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        super().__init__(handle)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(handle, 1024, 0).decode("utf-8", "replace").strip()
            self.release()
            raise LockedIndexError(
                f"{root} is being written by {holder or 'another process'}",
                expected="one writer at a time",
                remedy="wait until it is done, or end that process; the lock goes with it",
            ) from error
        except OSError as error:
            self.release()
            raise UsageError(
                f"{root} cannot be locked: {error}",
                expected="a file system with locks",
                remedy="build on a local disk and copy the index",
            ) from error
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)


class Lease(_Held):
    """A reader's shared hold on a segment's folder; while it lasts no writer removes the folder.

    Args:
        folder: The segment's folder.

    Raises:
        FileNotFoundError: If the folder is gone, or is being removed at this moment.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        if not _lock(self, fcntl.LOCK_SH):
            self.release()
            raise FileNotFoundError(f"{folder} is being removed")


class Eviction(_Held):
    """A writer's attempt to have a segment's folder for itself, to remove it.

    ``granted`` is false while a reader holds a :class:`Lease`. It never waits.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        self.granted = _lock(self, fcntl.LOCK_EX)

    def __enter__(self) -> Eviction:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def _lock(held: _Held, kind: int) -> bool:
    """Whether the lock was had at once; true as well where the file system has none."""
    if held._handle is None:
        return False
    try:
        fcntl.flock(held._handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            held.release()
            raise
    return True
