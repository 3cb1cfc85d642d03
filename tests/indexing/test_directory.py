"""Both directories pass the kit; the one on disk survives a failure in the middle of a replacement."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.contracts.directory_kit import DirectoryKit
from twindex.indexing.directory import Directory, FileDirectory, MemoryDirectory


class TestFileDirectory(DirectoryKit):
    @pytest.fixture
    def directory(self, tmp_path: Path) -> Directory:
        return FileDirectory(tmp_path / "made", make=True)


class TestMemoryDirectory(DirectoryKit):
    @pytest.fixture
    def directory(self) -> Directory:
        return MemoryDirectory()


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_failed_replacement_keeps_the_old_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    directory = FileDirectory(tmp_path)
    directory.replace("a", b"old")

    def fail(*_: object) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(OSError, match="disk full"):
            directory.replace("a", b"new and longer")
    assert directory.read("a") == b"old"
    directory.replace("a", b"new")
    assert directory.names() == ["a"]


def test_removing_a_link_leaves_its_target(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "file").write_bytes(b"x")
    directory = FileDirectory(tmp_path / "index", make=True)
    (tmp_path / "index" / "link").symlink_to(tmp_path / "target")
    directory.remove("link")
    assert (tmp_path / "target" / "file").exists()
