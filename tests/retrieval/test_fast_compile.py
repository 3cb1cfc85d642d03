"""A server's kernels are compiled by another process, once, and only where that is of use."""

from __future__ import annotations

import importlib.util
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from twindex.indexing import Document, IndexConfig, IndexWriter
from twindex.indexing.encoders.sparse_hashing import SparseHashingEncoder
from twindex.retrieval import fast_compile
from twindex.retrieval.fast import FastIndex
from twindex.retrieval.within import WHOLE, Budget

pytest.importorskip("numba")

from twindex.indexing.compiled import compiled, must_compile, stamp_of
from twindex.retrieval.fast_room import kernels


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("a_kernel", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_code_on_disk_is_known_until_its_source_changes(tmp_path: Path) -> None:
    source = tmp_path / "a_kernel.py"
    source.write_text("def twice(n):\n    return 2 * n\n")
    plain = load(source).twice
    function = compiled(plain, stamp_of([source]))
    assert must_compile(function)
    assert function(21) == 42
    assert not must_compile(compiled(plain, stamp_of([source])))
    source.write_text("def twice(n):\n    return 2 * n  # longer\n")
    assert must_compile(compiled(plain, stamp_of([source])))


def test_what_cannot_be_kept_is_not_compiled_elsewhere() -> None:
    assert not must_compile(lambda: 0)


@pytest.fixture
def index(tmp_path: Path) -> Path:
    sparse = SparseHashingEncoder(64)
    with IndexWriter.create(
        tmp_path / "index", IndexConfig(sparse_encoder=sparse.info), sparse_encoder=sparse
    ) as writer:
        writer.add([Document(str(n), f"text number {n}") for n in range(20)])
        writer.commit()
    return tmp_path / "index"


def test_another_process_compiles_only_where_nothing_is_kept(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[list[str]] = []

    def run(command: list[str], **_: Any) -> None:
        ran.append(command)

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(fast_compile, "_missing", lambda: True)
    fast_compile.compile_apart(index)
    assert [command[1:] for command in ran] == [["-m", "twindex.retrieval.fast_compile", str(index)]]
    monkeypatch.setattr(fast_compile, "_missing", lambda: False)
    fast_compile.compile_apart(index)
    assert len(ran) == 1


def test_the_process_leaves_the_code_on_disk(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    warmed: list[tuple[bool, Budget]] = []
    real = FastIndex.warm

    def noted(self: FastIndex, budget: Budget = WHOLE) -> None:
        warmed.append((self.config is None, budget))
        real(self, budget)

    monkeypatch.setattr(FastIndex, "warm", noted)
    fast_compile.compile_here(index)
    within = Budget(postings=1)
    assert warmed == [(False, WHOLE), (False, within), (True, WHOLE), (True, within)]
    assert not must_compile(kernels().batch.answer)
    assert not must_compile(kernels().within.answer_within)
