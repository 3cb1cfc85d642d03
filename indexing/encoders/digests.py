"""Hashes of model files, and the fingerprints made of them."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b, sha256
from pathlib import Path
from typing import Final

READ_BYTES: Final = 1 << 20


def fingerprint(kind: str, version: int, *parts: object) -> str:
    """A short name for everything that shapes the vectors.

    Parts count by their ``repr``, so they are strings, numbers and frozen dataclasses of these.
    """
    digest = blake2b(repr(parts).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    return f"{kind}/v{version}/{digest}"


def file_sha256(path: Path) -> str:
    """sha256 of a file's content, in hexadecimal."""
    digest = sha256()
    with open(path, "rb") as file:
        while block := file.read(READ_BYTES):
            digest.update(block)
    return digest.hexdigest()


def files_sha256(folder: Path, paths: Iterable[Path]) -> str:
    """One sha256 over names (relative to ``folder``) and contents of files, in the order of the names."""
    digest = sha256()
    for path in sorted(paths):
        digest.update(f"{path.relative_to(folder).as_posix()}\0{file_sha256(path)}\n".encode())
    return digest.hexdigest()
