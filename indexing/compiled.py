"""The door to numba: functions compiled at their first call and kept on disk. Importing this module imports numba."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

from twindex.indexing.optional import load

_numba = load("numba", purpose="compiled code")
F = TypeVar("F", bound=Callable[..., Any])
#: What a file was when code was compiled from it: name, size, time of its last change.
Stamp = tuple[tuple[str, int, int], ...]


def compiled(function: F, stamp: Stamp, **options: bool | set[str]) -> F:
    """The function, to be run without the interpreter's lock.

    Where nothing may be written, as in a read-only installation of a user without a home, each process compiles.

    Args:
        function: The function.
        stamp: Of all files that the code depends on; where it has changed, what is kept is compiled anew.
        options: Options of numba's.
    """
    how: dict[str, Any] = {"nogil": True, "boundscheck": False, "error_model": "numpy"} | options
    try:
        out: F = _numba.njit(cache=True, **how)(function)
    except RuntimeError:  # no folder to keep it in
        out = _numba.njit(**how)(function)
    with contextlib.suppress(AttributeError):  # nothing kept, or another numba: its stamp of the function's file alone
        out._cache._cache_file._source_stamp = stamp  # type: ignore[attr-defined]
    return out


def must_compile(function: Callable[..., Any]) -> bool:
    """Whether a call of a compiled function waits for the compiler although code of it could be on disk."""
    try:
        return not function._cache._cache_file._load_index()  # type: ignore[attr-defined]
    except AttributeError:  # nothing is kept here, or another numba: then nobody can compile for this process
        return False


def stamp_of(files: Iterable[Path]) -> Stamp:
    """The stamp of the files."""
    return tuple((file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files)
