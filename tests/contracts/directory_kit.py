"""What every Directory must do. An implementation inherits the class and gives the fixture."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from twindex.indexing.directory import Directory
from twindex.indexing.errors import ConfigError


class DirectoryKit:
    """Override ``directory`` with a fixture that gives an empty one."""

    @pytest.fixture
    def directory(self) -> Directory:
        raise NotImplementedError

    def test_implements_the_protocol(self, directory: Directory) -> None:
        assert isinstance(directory, Directory)

    def test_an_empty_one_has_nothing(self, directory: Directory) -> None:
        assert directory.names() == []
        assert directory.names("a") == []
        assert not directory.exists("a")

    def test_written_bytes_are_read_back(self, directory: Directory) -> None:
        directory.write_new("a/b.bin", b"\x00\x01\xff")
        assert directory.read("a/b.bin") == b"\x00\x01\xff"
        assert directory.size("a/b.bin") == 3
        assert directory.digest("a/b.bin") == hashlib.sha256(b"\x00\x01\xff").hexdigest()
        assert directory.exists("a/b.bin")
        assert directory.exists("a")

    def test_missing_names_are_file_not_found(self, directory: Directory) -> None:
        for read in (directory.read, directory.size, directory.digest):
            with pytest.raises(FileNotFoundError):
                read("missing")
        with pytest.raises(FileNotFoundError):
            directory.array("missing", "<u4")

    def test_a_file_is_written_once(self, directory: Directory) -> None:
        directory.write_new("a", b"first")
        with pytest.raises(FileExistsError):
            directory.write_new("a", b"second")
        assert directory.read("a") == b"first"

    def test_replace_makes_and_replaces_and_leaves_nothing_else(self, directory: Directory) -> None:
        directory.replace("a", b"one")
        directory.replace("a", b"two")
        assert directory.read("a") == b"two"
        assert directory.names() == ["a"]

    def test_names_are_direct_and_sorted(self, directory: Directory) -> None:
        for name in ("z", "b/2", "b/1", "b/c/deep", "a"):
            directory.write_new(name, b"")
        assert directory.names() == ["a", "b", "z"]
        assert directory.names("b") == ["1", "2", "c"]

    def test_remove_takes_files_and_folders_and_accepts_absence(self, directory: Directory) -> None:
        for name in ("a", "b/1", "b/c/deep", "bb"):
            directory.write_new(name, b"x")
        for name in ("a", "b", "missing"):
            directory.remove(name)
        assert directory.names() == ["bb"]

    def test_arrays_are_typed_and_read_only(self, directory: Directory) -> None:
        numbers = np.arange(10, dtype="<u4")
        directory.write_new("numbers", numbers.tobytes())
        directory.write_new("none", b"")
        read = directory.array("numbers", "<u4")
        np.testing.assert_array_equal(read, numbers)
        assert not read.flags.writeable
        assert directory.array("none", "<u8").shape == (0,)

    def test_an_array_outlives_its_file(self, directory: Directory) -> None:
        directory.write_new("numbers", np.arange(10, dtype="<u4").tobytes())
        read = directory.array("numbers", "<u4")
        directory.remove("numbers")
        assert read.tolist() == list(range(10))
        directory.replace("numbers", b"1234")
        assert read.tolist() == list(range(10))

    def test_an_array_outlives_a_replacement(self, directory: Directory) -> None:
        directory.replace("numbers", np.arange(4, dtype="<u4").tobytes())
        read = directory.array("numbers", "<u4")
        directory.replace("numbers", np.zeros(4, "<u4").tobytes())
        assert read.tolist() == [0, 1, 2, 3]

    def test_sync_takes_the_root_and_a_folder(self, directory: Directory) -> None:
        directory.write_new("a/b", b"x")
        directory.sync("a")
        directory.sync()
        assert directory.read("a/b") == b"x"

    @pytest.mark.parametrize("name", ["", "/a", "../a", "a/../b", "a//b", "./a", "a/"])
    def test_names_that_lead_elsewhere_are_refused(self, directory: Directory, name: str) -> None:
        for call in (directory.read, directory.exists, directory.remove):
            with pytest.raises(ConfigError, match="relative path"):
                call(name)
        with pytest.raises(ConfigError, match="relative path"):
            directory.replace(name, b"")
