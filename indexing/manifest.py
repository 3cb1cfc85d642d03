"""The manifest: the one file that says what an index consists of. ``FORMAT.md`` describes it key by key."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

from twindex.indexing.config import IndexConfig
from twindex.indexing.directory import Directory
from twindex.indexing.errors import ConfigError, CorruptIndexError, FormatVersionError, IndexNotFoundError
from twindex.indexing.expansion.layout import FOLDER

#: The format version that this release writes.
FORMAT_VERSION: Final = 1
#: The oldest format version that this release reads.
OLDEST_READABLE: Final = 1
#: Optional features that this release can read when a manifest requires them.
KNOWN_FEATURES: Final[frozenset[str]] = frozenset({"expansion"})

MANIFEST_FILE: Final = "manifest.json"
SEGMENT_FOLDER: Final = "segments"
STAGING_FOLDER: Final = "staging"
#: Bytes of one element of each dtype.
DTYPE_BYTES: Final = {"u1": 1, "u4": 4, "u8": 8, "f4": 4, "bytes": 1}

_RESTORE: Final = "restore the index from a copy, or build it again"
_SEGMENT_NAME: Final = re.compile(r"s[0-9]{6,}")
#: A plain name, or one in the folder of expansions.
_FILE_NAME: Final = re.compile(rf"(?:{FOLDER}/)?[^./][^/]*")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file of a segment. ``count`` counts elements of ``dtype``."""

    name: str
    leg: str
    role: str
    dtype: str
    count: int
    bytes: int
    sha256: str

    def __post_init__(self) -> None:
        if not _FILE_NAME.fullmatch(self.name):
            raise ConfigError(f"file name {self.name!r}", expected=f"a plain name, or one in the folder {FOLDER}")
        if self.dtype not in DTYPE_BYTES or self.count * DTYPE_BYTES[self.dtype] != self.bytes:
            raise ConfigError(f"{self.name}: {self.count} x {self.dtype} in {self.bytes} bytes")
        if self.count < 0 or not _SHA256.fullmatch(self.sha256):
            raise ConfigError(f"{self.name}: count {self.count}, sha256 {self.sha256!r}")


@dataclass(frozen=True, slots=True)
class SegmentEntry:
    """One segment: its counts and its files.

    ``deletion`` is the generation whose deletion files apply, 0 if nothing is deleted.
    ``live_length`` counts tokens.
    """

    name: str
    size: int
    live_docs: int
    live_length: int
    documents: int
    deletion: int
    files: tuple[FileEntry, ...]

    def __post_init__(self) -> None:
        if not _SEGMENT_NAME.fullmatch(self.name):
            raise ConfigError(f"segment name {self.name!r}", expected="s and at least six digits")
        ordered = 0 <= self.documents <= self.live_docs <= self.size
        if not ordered or self.deletion < 0 or self.live_length < 0:
            raise ConfigError(f"{self.name}: counts that contradict each other")
        names = [file.name for file in self.files]
        if names != sorted(set(names)):
            raise ConfigError(f"{self.name}: files not sorted by name, or listed twice")

    @property
    def folder(self) -> str:
        """Name of the segment's folder in the index directory."""
        return f"{SEGMENT_FOLDER}/{self.name}"

    @property
    def number(self) -> int:
        """The number in its name."""
        return int(self.name[1:])

    def file(self, name: str) -> FileEntry | None:
        """The file of that name, if the segment lists it."""
        return next((file for file in self.files if file.name == name), None)


@dataclass(frozen=True, slots=True)
class Manifest:
    """What one commit consists of."""

    config: IndexConfig
    analyzer_fingerprint: str
    generation: int
    next_segment: int
    segments: tuple[SegmentEntry, ...] = ()
    required_features: tuple[str, ...] = ()
    format_version: int = FORMAT_VERSION

    def __post_init__(self) -> None:
        if self.generation < 1 or self.next_segment < 1:
            raise ConfigError(f"generation {self.generation}, next segment {self.next_segment}")
        numbers = [segment.number for segment in self.segments]
        if len(set(numbers)) != len(numbers) or any(not 0 < n < self.next_segment for n in numbers):
            raise ConfigError("segment numbers that repeat, or are not below next_segment")
        if any(segment.deletion > self.generation for segment in self.segments):
            raise ConfigError("deletions of a later generation")

    @property
    def live_docs(self) -> int:
        """Live passages."""
        return sum(segment.live_docs for segment in self.segments)

    @property
    def documents(self) -> int:
        """Live documents."""
        return sum(segment.documents for segment in self.segments)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, without the checksum."""
        return {
            "format": "twindex",
            "format_version": self.format_version,
            "required_features": list(self.required_features),
            "generation": self.generation,
            "next_segment": self.next_segment,
            "config": self.config.to_dict(),
            "analyzer_fingerprint": self.analyzer_fingerprint,
            "segments": [_segment_dict(segment) for segment in self.segments],
        }

    def to_bytes(self) -> bytes:
        """The canonical form, checksum included."""
        values = self.to_dict()
        return canonical(values | {"checksum": checksum(values)})

    @classmethod
    def from_bytes(cls, data: bytes, *, where: str = MANIFEST_FILE) -> Manifest:
        """The manifest that has these bytes.

        Args:
            data: A whole manifest file.
            where: What messages call it.

        Raises:
            FormatVersionError: If this release does not read its format version or a feature it needs.
            CorruptIndexError: If it is truncated, edited, or not a manifest.
        """
        values = _object(data, where)
        _check_version(values, where)
        sum_given = values.pop("checksum", None)
        if sum_given != checksum(values) or canonical(values | {"checksum": sum_given}) != data:
            raise CorruptIndexError(
                f"{where} does not match its own checksum",
                expected="the bytes that the writer left",
                remedy=_RESTORE,
            )
        _check_features(values, where)
        try:
            return _from_dict(values)
        except (ConfigError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise CorruptIndexError(f"{where} cannot be understood: {error}", remedy=_RESTORE) from error


def features_of(config: IndexConfig) -> tuple[str, ...]:
    """What a reader must know to read an index of these settings."""
    return () if config.expansion is None else ("expansion",)


def canonical(values: Mapping[str, Any]) -> bytes:
    """The one form in which a JSON object is written: one line a key, sorted, values without blanks."""
    lines = (
        f"{json.dumps(key)}: {json.dumps(values[key], sort_keys=True, separators=(',', ':'))}" for key in sorted(values)
    )
    return ("{\n" + ",\n".join(lines) + "\n}\n").encode()


def checksum(values: Mapping[str, Any]) -> str:
    """Hex SHA-256 of the canonical form."""
    return hashlib.sha256(canonical(values)).hexdigest()


def read_manifest(directory: Directory, *, where: str) -> Manifest:
    """The committed manifest of an index directory.

    Args:
        directory: The index directory.
        where: What messages call it.

    Raises:
        IndexNotFoundError: If nothing is there, or nothing has been committed yet.
        CorruptIndexError: If its bytes are not a manifest.
        FormatVersionError: If this release does not read its format version.
    """
    try:
        data = directory.read(MANIFEST_FILE)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        raise _not_found(directory, where) from None
    return Manifest.from_bytes(data, where=f"{where}/{MANIFEST_FILE}")


def _not_found(directory: Directory, where: str) -> IndexNotFoundError:
    try:
        unfinished = directory.exists(SEGMENT_FOLDER) or directory.exists(STAGING_FOLDER)
    except OSError:
        unfinished = False
    if unfinished:
        return IndexNotFoundError(
            f"{where} has no committed index yet",
            expected="a build that was finished",
            remedy="run the build again; it resumes where it stopped",
        )
    return IndexNotFoundError(
        f"no index at {where}", expected=f"a folder with a {MANIFEST_FILE}", remedy="build one first"
    )


def _object(data: bytes, where: str) -> dict[str, Any]:
    try:
        values = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise CorruptIndexError(
            f"{where} is not JSON: {error}", expected="an untouched manifest", remedy=_RESTORE
        ) from error
    if not isinstance(values, dict) or values.get("format") != "twindex":
        raise CorruptIndexError(
            f"{where} is not the manifest of an index", expected='"format": "twindex"', remedy=_RESTORE
        )
    return values


def _check_version(values: Mapping[str, Any], where: str) -> None:
    version = values.get("format_version")
    if type(version) is not int:
        raise CorruptIndexError(f"{where} has format_version {version!r}", remedy=_RESTORE)
    if OLDEST_READABLE <= version <= FORMAT_VERSION:
        return
    newer = version > FORMAT_VERSION
    raise FormatVersionError(
        f"{where} is of format version {version}",
        expected=f"a version from {OLDEST_READABLE} to {FORMAT_VERSION}",
        remedy="upgrade twindex" if newer else "build the index again with this release",
    )


def _check_features(values: Mapping[str, Any], where: str) -> None:
    required = values.get("required_features")
    if not isinstance(required, list):
        raise CorruptIndexError(f"{where} has required_features {required!r}", remedy=_RESTORE)
    unknown = sorted(str(name) for name in required if name not in KNOWN_FEATURES)
    if unknown:
        raise FormatVersionError(
            f"{where} needs {', '.join(unknown)}",
            expected="features that this release knows",
            remedy="upgrade twindex",
        )


def _segment_dict(segment: SegmentEntry) -> dict[str, Any]:
    values: dict[str, Any] = {f.name: getattr(segment, f.name) for f in fields(SegmentEntry)}
    values["files"] = [{f.name: getattr(file, f.name) for f in fields(FileEntry)} for file in segment.files]
    return values


def _from_dict(values: Mapping[str, Any]) -> Manifest:
    known = {f.name for f in fields(Manifest)} | {"format"}
    if set(values) != known:
        raise ConfigError(f"keys missing or unknown: {', '.join(sorted(known ^ set(values)))}")
    return Manifest(
        config=IndexConfig.from_dict(values["config"]),
        analyzer_fingerprint=_typed(values, "analyzer_fingerprint", str),
        generation=_typed(values, "generation", int),
        next_segment=_typed(values, "next_segment", int),
        segments=tuple(_segment(segment) for segment in values["segments"]),
        required_features=tuple(values["required_features"]),
        format_version=_typed(values, "format_version", int),
    )


def _segment(values: Mapping[str, Any]) -> SegmentEntry:
    numbers = {n: _typed(values, n, int) for n in _INTEGERS}
    files = tuple(_file(file) for file in values["files"])
    _only(values, {*numbers, "name", "files"})
    return SegmentEntry(name=_typed(values, "name", str), files=files, **numbers)


_INTEGERS: Final = ("size", "live_docs", "live_length", "documents", "deletion")


def _file(values: Mapping[str, Any]) -> FileEntry:
    texts = {n: _typed(values, n, str) for n in ("name", "leg", "role", "dtype", "sha256")}
    _only(values, {*texts, "count", "bytes"})
    return FileEntry(count=_typed(values, "count", int), bytes=_typed(values, "bytes", int), **texts)


def _only(values: Mapping[str, Any], known: set[str]) -> None:
    if set(values) != known:
        raise ConfigError(f"keys missing or unknown: {', '.join(sorted(known ^ set(values)))}")


def _typed(values: Mapping[str, Any], key: str, kind: type) -> Any:
    value = values[key]
    if type(value) is not kind:  # bool is an int to isinstance
        raise ConfigError(f"{key} = {value!r}", expected=kind.__name__)
    return value


def sorted_files(files: Sequence[FileEntry]) -> tuple[FileEntry, ...]:
    """The files in the order in which a segment lists them."""
    return tuple(sorted(files, key=lambda file: file.name))
