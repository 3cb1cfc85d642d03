"""Which files a segment has, and how they are described in the manifest."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, NamedTuple

from twindex.indexing.directory import Directory
from twindex.indexing.errors import CorruptIndexError
from twindex.indexing.expansion.layout import (
    CODE_FILE,
    FOLDER,
    QUERY_FILE,
    QUERY_OFFSET_FILE,
    QUERY_PTR_FILE,
    TEXT_CODE_FILE,
)
from twindex.indexing.manifest import DTYPE_BYTES, FileEntry, SegmentEntry, sorted_files


class FileKind(NamedTuple):
    """What a file is for, and the dtype of its array ("bytes" if it is not one array)."""

    leg: str
    role: str
    dtype: str


#: Every file that this release writes into a segment, but those of its deletions.
FILE_KINDS: Final[dict[str, FileKind]] = {
    "terms.dat": FileKind("bm25", "terms", "bytes"),
    "terms.off": FileKind("bm25", "term_offsets", "u8"),
    "post.ptr": FileKind("bm25", "pointers", "u8"),
    "post.doc": FileKind("bm25", "ordinals", "u4"),
    "post.tf": FileKind("bm25", "frequencies", "u1"),
    "post.big": FileKind("bm25", "large_frequencies", "u8"),
    "len.u32": FileKind("bm25", "lengths", "u4"),
    "imp.ptr": FileKind("impact", "pointers", "u8"),
    "imp.doc": FileKind("impact", "ordinals", "u4"),
    "imp.u8": FileKind("impact", "impacts", "u1"),
    "imp.json": FileKind("impact", "facts", "bytes"),
    "order.u32": FileKind("order", "positions", "u4"),
    "ids.dat": FileKind("documents", "ids", "bytes"),
    "ids.off": FileKind("documents", "id_offsets", "u8"),
    "ids.hash": FileKind("documents", "id_hashes", "bytes"),
    "docs.dat": FileKind("documents", "records", "bytes"),
    "docs.off": FileKind("documents", "record_offsets", "u8"),
    "meta.parquet": FileKind("documents", "metadata", "bytes"),
    "vec.f32": FileKind("dense", "vectors", "f4"),
    "hnsw.faiss": FileKind("dense", "graph", "bytes"),
}
#: Files of the folder of expansions that no other leg has; the others are those of the legs that they belong to.
QUERY_KINDS: Final[dict[str, FileKind]] = {
    QUERY_FILE: FileKind("expansion", "queries", "bytes"),
    QUERY_OFFSET_FILE: FileKind("expansion", "query_offsets", "u8"),
    QUERY_PTR_FILE: FileKind("expansion", "query_pointers", "u8"),
    CODE_FILE: FileKind("expansion", "codes", "bytes"),
    TEXT_CODE_FILE: FileKind("expansion", "text_codes", "bytes"),
}
#: Legs that stand in the folder of expansions as well, under the name "expansion." and their own.
EXPANDED_LEGS: Final = ("bm25", "impact", "dense")
LIVE: Final = FileKind("deletion", "live", "u1")
DF: Final = FileKind("deletion", "frequencies", "u4")

_DELETION: Final = re.compile(r"(?:live-[0-9]{6,}\.bits|df-[0-9]{6,}\.u32)")


def live_file(generation: int) -> str:
    """Name of the live bitmap written by a generation."""
    return f"live-{generation:06d}.bits"


def df_file(generation: int) -> str:
    """Name of the live document frequencies written by a generation."""
    return f"df-{generation:06d}.u32"


def segment_name(number: int) -> str:
    """Name of the segment with that number."""
    return f"s{number:06d}"


def is_deletion(name: str) -> bool:
    """Whether the name is one of a deletion file, of whatever generation."""
    return _DELETION.fullmatch(name) is not None


def kind_of(name: str) -> FileKind | None:
    """What a file of a segment is for; None if this release does not write such a file."""
    if is_deletion(name):
        return LIVE if name.startswith("live-") else DF
    if name.startswith(f"{FOLDER}/"):
        return _expansion_kind(name.removeprefix(f"{FOLDER}/"))
    return FILE_KINDS.get(name)


def _expansion_kind(name: str) -> FileKind | None:
    kind = FILE_KINDS.get(name)
    if kind is None or kind.leg not in EXPANDED_LEGS:
        return QUERY_KINDS.get(name)
    return kind._replace(leg=f"expansion.{kind.leg}")


def own_names(directory: Directory, folder: str) -> list[str]:
    """Names of the files of a segment's folder, those of its expansions included, those of its deletions not."""
    names = [name for name in directory.names(folder) if name != FOLDER and not is_deletion(name)]
    return [*names, *(f"{FOLDER}/{name}" for name in directory.names(f"{folder}/{FOLDER}"))]


def describe(directory: Directory, folder: str, names: Iterable[str]) -> tuple[FileEntry, ...]:
    """The manifest's account of these files of a segment. Cost: reads all their bytes.

    Raises:
        CorruptIndexError: If one of them is not a file that a segment has.
    """
    return sorted_files([_describe(directory, folder, name) for name in names])


def _describe(directory: Directory, folder: str, name: str) -> FileEntry:
    kind = kind_of(name)
    path = f"{folder}/{name}"
    if kind is None:
        raise CorruptIndexError(f"{path} is in the way", expected="only files of a segment")
    size = directory.size(path)
    count = size // DTYPE_BYTES[kind.dtype]
    return FileEntry(name, kind.leg, kind.role, kind.dtype, count, size, directory.digest(path))


def check_unaltered(directory: Directory, entry: SegmentEntry, *, only: Callable[[str], bool] | None = None) -> None:
    """Nothing, if every file of the segment has the bytes that its writer left. Cost: reads them all.

    Args:
        directory: The index directory.
        entry: The segment.
        only: Which names to check; None = all.

    Raises:
        CorruptIndexError: If one is missing or was altered.
    """
    for file in entry.files:
        if only is not None and not only(file.name):
            continue
        name = f"{entry.folder}/{file.name}"
        try:
            same = directory.digest(name) == file.sha256
        except OSError:
            same = False
        if not same:
            raise CorruptIndexError(
                f"{name} was altered, or cannot be read",
                expected="the bytes whose SHA-256 is in the manifest",
                remedy="restore the index from a copy, or build it again; twindex verify names all such files",
            )


def check_sizes(root: Path, entry: SegmentEntry) -> None:
    """Nothing, if every file of the segment is there and has its size.

    Raises:
        CorruptIndexError: If one is missing or has another size.
    """
    for file in entry.files:
        path = root / entry.folder / file.name
        try:
            found = path.stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            raise CorruptIndexError(
                f"{path} is missing",
                expected=f"a file of {file.bytes} bytes",
                remedy="restore it from a copy, or build the index again",
            ) from None
        if found != file.bytes or not path.is_file():
            raise CorruptIndexError(
                f"{path} has {found} bytes",
                expected=f"{file.bytes}, by the manifest",
                remedy="restore it from a copy, or build the index again",
            )
