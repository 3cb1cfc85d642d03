"""Where an index keeps its bytes: named files that are written once, or replaced in one step.

A name is a relative path with "/" between its parts. Two implementations pass one conformance kit:
``FileDirectory`` (a folder, read through memory maps) and ``MemoryDirectory`` (for tests and fixtures).
Missing names raise FileNotFoundError, taken ones FileExistsError; callers turn them into our errors.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path, PurePosixPath
from typing import Any, Final, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from twindex.indexing.errors import ConfigError

#: Suffix of a file that is being written and has not been renamed yet.
TEMPORARY: Final = ".tmp"


@runtime_checkable
class Directory(Protocol):
    """Named bytes. What ``write_new``, ``replace`` and ``sync`` have returned from survives a crash."""

    def exists(self, name: str) -> bool:
        """Whether there is a file or folder of that name."""

    def names(self, folder: str = "") -> list[str]:
        """Names (without the folder) of what is directly in the folder, sorted; none if it is absent."""

    def size(self, name: str) -> int:
        """Bytes of the file."""

    def read(self, name: str) -> bytes:
        """The whole file."""

    def array(self, name: str, dtype: str) -> NDArray[Any]:
        """The whole file as a read-only array, without copying it where that is possible.

        It stays valid when the file is removed or replaced.
        """

    def digest(self, name: str) -> str:
        """Lower-case hex SHA-256 of the file. Cost: reads all of it."""

    def write_new(self, name: str, data: bytes) -> None:
        """Writes a file that is not there yet; its folder is made if needed."""

    def replace(self, name: str, data: bytes) -> None:
        """Writes the file in one step: readers see the old bytes or the new ones, even after a crash."""

    def sync(self, folder: str = "") -> None:
        """Makes every file below the folder, and the folders themselves, durable."""

    def remove(self, name: str) -> None:
        """Removes the file, or the folder with all below it. Nothing happens if it is absent."""


def check_name(name: str) -> str:
    """The same name.

    Raises:
        ConfigError: If it is empty, absolute, or could lead out of the directory.
    """
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts or "/".join(parts) != name:
        raise ConfigError(f"file name {name!r}", expected="a relative path in plain form, as in 'a/b'")
    return name


class FileDirectory:
    """A folder of the file system.

    Args:
        root: The folder; made if ``make`` is true.
        make: Whether a missing folder is made.
    """

    def __init__(self, root: Path | str, *, make: bool = False) -> None:
        self.root = Path(root)
        if make:
            self.root.mkdir(parents=True, exist_ok=True)

    def path(self, name: str) -> Path:
        """Where the file of that name is."""
        return self.root / check_name(name)

    def exists(self, name: str) -> bool:
        """Whether there is a file or folder of that name."""
        return self.path(name).exists()

    def names(self, folder: str = "") -> list[str]:
        """Names of what is directly in the folder, sorted; none if it is absent."""
        try:
            return sorted(os.listdir(self._folder(folder)))
        except FileNotFoundError:
            return []

    def size(self, name: str) -> int:
        """Bytes of the file."""
        return self.path(name).stat().st_size

    def read(self, name: str) -> bytes:
        """The whole file."""
        return self.path(name).read_bytes()

    def array(self, name: str, dtype: str) -> NDArray[Any]:
        """The file as a read-only memory map."""
        path = self.path(name)
        if not path.stat().st_size:  # an empty file cannot be mapped
            return np.frombuffer(b"", dtype)
        return np.memmap(path, dtype, mode="r")

    def digest(self, name: str) -> str:
        """Lower-case hex SHA-256 of the file."""
        with open(self.path(name), "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def write_new(self, name: str, data: bytes) -> None:
        """Writes a file that is not there yet."""
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "xb") as file:
            file.write(data)
            os.fsync(file.fileno())
        sync_path(path.parent)

    def replace(self, name: str, data: bytes) -> None:
        """Writes a temporary file, syncs it, renames it over the old one and syncs the folder."""
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(path.name + TEMPORARY)
        with open(temporary, "wb") as file:
            file.write(data)
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync_path(path.parent)

    def sync(self, folder: str = "") -> None:
        """Makes every file below the folder, the folders, and the entries that lead to it durable."""
        top = self._folder(folder)
        for here, _, files in os.walk(top):
            for file in sorted(files):
                sync_path(Path(here) / file)
            sync_path(Path(here))
        while top != self.root:
            top = top.parent
            sync_path(top)

    def remove(self, name: str) -> None:
        """Removes the file or folder."""
        path = self.path(name)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=False)
        else:
            path.unlink(missing_ok=True)

    def _folder(self, folder: str) -> Path:
        return self.path(folder) if folder else self.root


class MemoryDirectory:
    """The same in memory: gone when the process ends, private to the object."""

    def __init__(self) -> None:
        self._files: dict[str, bytes] = {}

    def exists(self, name: str) -> bool:
        """Whether there is a file or folder of that name."""
        check_name(name)
        return name in self._files or any(file.startswith(f"{name}/") for file in self._files)

    def names(self, folder: str = "") -> list[str]:
        """Names of what is directly in the folder, sorted; none if it is absent."""
        prefix = f"{check_name(folder)}/" if folder else ""
        return sorted({n[len(prefix) :].split("/")[0] for n in self._files if n.startswith(prefix)})

    def size(self, name: str) -> int:
        """Bytes of the file."""
        return len(self.read(name))

    def read(self, name: str) -> bytes:
        """The whole file."""
        try:
            return self._files[check_name(name)]
        except KeyError:
            raise FileNotFoundError(name) from None

    def array(self, name: str, dtype: str) -> NDArray[Any]:
        """The file as a read-only array over its bytes."""
        return np.frombuffer(self.read(name), dtype)

    def digest(self, name: str) -> str:
        """Lower-case hex SHA-256 of the file."""
        return hashlib.sha256(self.read(name)).hexdigest()

    def write_new(self, name: str, data: bytes) -> None:
        """Writes a file that is not there yet."""
        if self.exists(name):
            raise FileExistsError(name)
        self._files[name] = bytes(data)

    def replace(self, name: str, data: bytes) -> None:
        """Writes the file in one step."""
        self._files[check_name(name)] = bytes(data)

    def sync(self, folder: str = "") -> None:
        """Nothing: memory does not survive a crash anyway."""

    def remove(self, name: str) -> None:
        """Removes the file, or all below the folder."""
        check_name(name)
        for file in [f for f in self._files if f == name or f.startswith(f"{name}/")]:
            del self._files[file]


def sync_path(path: Path) -> None:
    """Makes the bytes of a file, or the entries of a folder, durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
