"""An append-only log of batches: whole ones only, each durable before the next begins.

A batch is a head line ``batch BYTES CHECK`` (decimal; blake2b, 32 hexadecimal digits) and that many bytes of
lines. A batch that a crash cut short is the last one, and readers and writers ignore it; a damaged batch that
others follow cannot come of a crash, because each was synced before the next was written, and is an error.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import BinaryIO, Final

from twindex.indexing.errors import CorruptIndexError, FormatVersionError

MAGIC: Final = b"twindex expansion 1\n"
#: A head line is never longer.
HEAD_BYTES: Final = 80
_ANY_MAGIC: Final = re.compile(rb"twindex expansion ([0-9]{1,9})\n")
_HEAD: Final = re.compile(rb"batch ([0-9]{1,18}) ([0-9a-f]{32})\n")


@dataclass(frozen=True, slots=True)
class Batch:
    """A whole batch: where its lines begin, their bytes, and where the next batch begins."""

    start: int
    lines: bytes
    end: int


def framed(lines: bytes) -> bytes:
    """A batch of lines as it is written."""
    return b"batch %d %s\n" % (len(lines), _check(lines)) + lines


def batches(file: BinaryIO, start: int, name: str) -> Iterator[Batch]:
    """The whole batches from a position on; a torn one at the end is left out.

    Args:
        file: An open log, seekable.
        start: Where a batch begins; 0 checks the magic line first.
        name: What the log is called in messages.

    Raises:
        FormatVersionError: If another version of the format wrote it.
        CorruptIndexError: If it is no such log, or damaged before its last batch.
    """
    at = start or _after_magic(file, name)
    while True:
        file.seek(at)
        head = file.readline(HEAD_BYTES)
        match = _HEAD.fullmatch(head)
        lines = file.read(int(match.group(1))) if match else b""
        if match is None or len(lines) < int(match.group(1)) or _check(lines) != match.group(2):
            _refuse_if_followed(file, at, name)
            return
        yield Batch(at + len(head), lines, at + len(head) + len(lines))
        at += len(head) + len(lines)


def append(handle: int, lines: bytes) -> int:
    """Writes a batch at the end and waits until it is on disk; where its lines begin.

    Args:
        handle: File descriptor of the log, opened for appending.
        lines: Lines with their line feeds.
    """
    data = framed(lines)
    end = os.fstat(handle).st_size
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]
    os.fdatasync(handle)
    return end + len(data) - len(lines)


def _check(lines: bytes) -> bytes:
    return blake2b(lines, digest_size=16).hexdigest().encode()


def _after_magic(file: BinaryIO, name: str) -> int:
    file.seek(0)
    line = file.readline(HEAD_BYTES)
    if line == MAGIC or (MAGIC.startswith(line) and not file.read(1)):  # an empty or barely begun log is an empty one
        return len(line)
    match = _ANY_MAGIC.fullmatch(line)
    if match:
        raise FormatVersionError(
            f"{name} is of version {int(match.group(1))}", expected="version 1", remedy="read it with a newer twindex"
        )
    raise CorruptIndexError(f"{name} begins with {line[:40]!r}", expected="an expansion log", remedy="check the path")


def _refuse_if_followed(file: BinaryIO, at: int, name: str) -> None:
    """Nothing, if no whole batch comes after the position: then the rest is what a crash left."""
    file.seek(at)
    rest = file.read()
    for match in _HEAD.finditer(rest):
        lines = rest[match.end() : match.end() + int(match.group(1))]
        if match.start() and len(lines) == int(match.group(1)) and _check(lines) == match.group(2):
            raise CorruptIndexError(
                f"{name} is damaged at byte {at:,}, before whole batches",
                expected="bytes as they were written",
                remedy="restore it from a copy; what is before that byte can be kept by cutting the file there",
            )
