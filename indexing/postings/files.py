"""Names and dtypes of the inverted files, and the two ways to touch them: append and map."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from twindex.indexing.errors import CorruptIndexError

TERMS: Final = "terms.dat"
TERM_OFFSETS: Final = "terms.off"
POINTERS: Final = "post.ptr"
ORDINALS: Final = "post.doc"
FREQUENCIES: Final = "post.tf"
LARGE: Final = "post.big"
LENGTHS: Final = "len.u32"

#: Every file that a builder or a merge leaves behind: name -> dtype of its elements.
POSTINGS_FILES: Final[dict[str, str]] = {
    TERMS: "bytes",
    TERM_OFFSETS: "u8",
    POINTERS: "u8",
    ORDINALS: "u4",
    FREQUENCIES: "u1",
    LARGE: "u8",
    LENGTHS: "u4",
}

#: Frequencies from here on do not fit in post.tf; their true values are in post.big.
BIG_TF: Final = 255


def encode_term(term: str) -> bytes:
    """UTF-8 bytes of a term; a lone surrogate becomes three bytes, so that any text survives."""
    return term.encode("utf-8", "surrogatepass")


def decode_term(raw: bytes) -> str:
    """The inverse of :func:`encode_term`."""
    return raw.decode("utf-8", "surrogatepass")


def map_array(path: Path, dtype: str) -> NDArray[Any]:
    """A read-only memory map of a raw little-endian array.

    Raises:
        CorruptIndexError: If the file is missing, or its size is no multiple of the element's.
    """
    kind = np.dtype(dtype).newbyteorder("<")
    try:
        size = os.stat(path).st_size
    except FileNotFoundError as error:
        raise CorruptIndexError(
            f"{path}: missing", expected="a file of inverted lists", remedy="build the index again"
        ) from error
    if size % kind.itemsize:
        raise CorruptIndexError(
            f"{path}: {size} bytes",
            expected=f"a multiple of {kind.itemsize} bytes",
            remedy="build the index again",
        )
    if size == 0:  # an empty file cannot be mapped
        return np.empty(0, kind)
    mapped: NDArray[Any] = np.memmap(path, kind, mode="r")
    return mapped.view(np.ndarray)


class ArrayFile:
    """A raw array that grows at its end; elements are converted to the file's dtype."""

    def __init__(self, path: Path, dtype: str) -> None:
        self._file = path.open("wb")
        self._dtype = np.dtype(dtype).newbyteorder("<")
        self.count = 0

    def append(self, values: NDArray[Any]) -> None:
        """Write the values after those already there."""
        raw = np.ascontiguousarray(values, dtype=self._dtype)
        self._file.write(raw.data)
        self.count += raw.size

    def close(self) -> None:
        """Flush to the operating system; syncing to disk is the committer's work."""
        self._file.close()

    def __enter__(self) -> ArrayFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
