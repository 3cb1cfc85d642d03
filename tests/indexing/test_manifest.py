"""The manifest: one form, its own checksum, and clear words about other versions."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twindex.indexing.config import IndexConfig
from twindex.indexing.directory import MemoryDirectory
from twindex.indexing.encoding import EncoderInfo
from twindex.indexing.errors import (
    ConfigError,
    CorruptIndexError,
    FormatVersionError,
    IndexError_,
    IndexNotFoundError,
)
from twindex.indexing.manifest import (
    FORMAT_VERSION,
    OLDEST_READABLE,
    FileEntry,
    Manifest,
    SegmentEntry,
    canonical,
    checksum,
    read_manifest,
)

SHA = "0" * 64
FILE = FileEntry("len.u32", "bm25", "lengths", "u4", 3, 12, SHA)
SEGMENT = SegmentEntry("s000001", 3, 2, 17, 2, 2, (FILE,))
ENCODER = EncoderInfo("hashing:16", "hashing/v1/16", 16, 0)
MANIFEST = Manifest(IndexConfig(encoder=ENCODER), "english/1", 2, 3, (SEGMENT,))


def edited(**changes: Any) -> bytes:
    """A manifest with other values, its checksum made right again."""
    values = MANIFEST.to_dict() | changes
    return canonical(values | {"checksum": checksum(values)})


def test_it_reads_what_it_writes() -> None:
    assert Manifest.from_bytes(MANIFEST.to_bytes()) == MANIFEST
    assert Manifest.from_bytes(MANIFEST.to_bytes()).to_bytes() == MANIFEST.to_bytes()


def test_the_form_is_the_documented_one() -> None:
    text = MANIFEST.to_bytes().decode("ascii")
    values = json.loads(text)
    lines = text.splitlines()
    assert (lines[0], lines[-1], text[-1]) == ("{", "}", "\n")
    assert [line.partition(":")[0] for line in lines[1:-1]] == [json.dumps(key) for key in sorted(values)]
    assert " " not in "".join(line.partition(": ")[2] for line in lines).replace("hashing/v1/16", "")
    assert values["format"] == "twindex"
    assert values["format_version"] == FORMAT_VERSION >= OLDEST_READABLE
    given = values.pop("checksum")
    assert given == checksum(values)


@given(st.data())
def test_any_flipped_or_missing_byte_is_found(data: st.DataObject) -> None:
    good = MANIFEST.to_bytes()
    at = data.draw(st.integers(0, len(good) - 1))
    if data.draw(st.booleans()):
        bad = good[:at]
    else:
        bad = good[:at] + bytes([good[at] ^ data.draw(st.integers(1, 255))]) + good[at + 1 :]
    with pytest.raises(IndexError_):
        Manifest.from_bytes(bad)


@pytest.mark.parametrize("bad", [b"", b"{", b"[]", b"null", b"{}", b'{"format": "other"}', b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_manifest_is_corrupt(bad: bytes) -> None:
    with pytest.raises(CorruptIndexError):
        Manifest.from_bytes(bad)


def test_an_added_blank_is_found() -> None:
    with pytest.raises(CorruptIndexError, match="checksum"):
        Manifest.from_bytes(MANIFEST.to_bytes() + b"\n")


@pytest.mark.parametrize(("version", "remedy"), [(FORMAT_VERSION + 1, "upgrade"), (0, "build the index again")])
def test_other_versions_are_named_with_a_remedy(version: int, remedy: str) -> None:
    with pytest.raises(FormatVersionError, match=f"version {version}.*{remedy}"):
        Manifest.from_bytes(edited(format_version=version))


def test_another_version_is_named_even_if_the_rest_is_unknown() -> None:
    with pytest.raises(FormatVersionError, match="upgrade"):
        Manifest.from_bytes(b'{"format": "twindex", "format_version": 99, "novel": []}')


def test_a_required_feature_that_is_unknown_is_named() -> None:
    with pytest.raises(FormatVersionError, match="impacts"):
        Manifest.from_bytes(edited(required_features=["impacts"]))


@pytest.mark.parametrize(
    "change",
    [
        {"generation": 0},
        {"generation": "2"},
        {"generation": True},
        {"next_segment": 1},
        {"segments": [{}]},
        {"segments": None},
        {"config": {}},
        {"novel": 1},
        {"format_version": True},
        {"format_version": "1"},
        {"required_features": None},
    ],
)
def test_values_that_cannot_be_are_corrupt(change: dict[str, Any]) -> None:
    with pytest.raises(CorruptIndexError):
        Manifest.from_bytes(edited(**change))


@pytest.mark.parametrize(
    "change",
    [
        {"name": "x1"},
        {"name": "../s000001"},
        {"size": 1},
        {"live_docs": -1},
        {"documents": 3},
        {"files": (FILE, FILE)},
        {"deletion": -1},
    ],
)
def test_segments_that_contradict_themselves_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        replace(SEGMENT, **change)


@pytest.mark.parametrize(
    "change", [{"name": "../x"}, {"name": ""}, {"count": 4}, {"bytes": -4}, {"dtype": "f8"}, {"sha256": "zz"}]
)
def test_files_that_contradict_themselves_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        replace(FILE, **change)


def test_unknown_files_are_kept_and_no_error() -> None:
    odd = FileEntry("impacts.u8", "sparse", "impacts", "u1", 5, 5, SHA)
    manifest = replace(MANIFEST, segments=(replace(SEGMENT, files=(odd, FILE)),))
    assert Manifest.from_bytes(manifest.to_bytes()).segments[0].file("impacts.u8") == odd


def test_reading_from_a_directory() -> None:
    directory = MemoryDirectory()
    with pytest.raises(IndexNotFoundError, match="no index at here"):
        read_manifest(directory, where="here")
    directory.write_new("staging/g000001/x", b"")
    with pytest.raises(IndexNotFoundError, match="no committed index yet"):
        read_manifest(directory, where="here")
    directory.replace("manifest.json", MANIFEST.to_bytes())
    assert read_manifest(directory, where="here") == MANIFEST


@pytest.mark.parametrize(
    "change",
    [
        {"analyzer": ""},
        {"segment_docs": 0},
        {"segment_docs": 2**31},
        {"segment_chars": 0},
        {"vector_kind": "tree"},
    ],
)
def test_settings_out_of_range_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        IndexConfig(**change)


def test_settings_come_back_from_the_manifest() -> None:
    config = IndexConfig(analyzer="whitespace", encoder=ENCODER, segment_docs=7, vector_kind="hnsw")
    assert IndexConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
