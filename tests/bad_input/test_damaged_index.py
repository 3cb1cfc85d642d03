"""Every file of an index, damaged in every way: searching, checking and writing end in a result or in clear words."""

from __future__ import annotations

import random
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.bad_input.conftest import Run
from tests.contracts.world import ASKED, FILTERS, documents, encoder
from twindex.indexing.errors import CorruptIndexError, IndexError_, TwindexError
from twindex.indexing.optional import available
from twindex.indexing.snapshot import Snapshot
from twindex.indexing.verify import verify
from twindex.indexing.writer import IndexWriter
from twindex.retrieval.dense import DenseConfig
from twindex.retrieval.engine import Searcher
from twindex.retrieval.lexical import LexicalRetriever
from twindex.retrieval.types import Query

RANDOM = random.Random(3)
#: Damage that changes the size, so that opening sees it; and damage that only a checksum sees.
SIZE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "half": lambda data: data[: len(data) // 2],
    "one byte less": lambda data: data[:-1],
    "longer": lambda data: data + b"\0" * 8,
}
CONTENT: dict[str, Callable[[bytes], bytes]] = {
    "zeros": lambda data: bytes(len(data)),
    "ones": lambda data: b"\xff" * len(data),
    "large": lambda data: b"\x7f" * len(data),
    "random": lambda data: RANDOM.randbytes(len(data)),
    "backwards": lambda data: data[::-1],
    "a bit": lambda data: bytes([*data[: len(data) // 3], data[len(data) // 3] ^ 64, *data[len(data) // 3 + 1 :]]),
}


def files_of(path: Path) -> list[Path]:
    """The manifest and the files of the first segment, which has a deletion."""
    return [Path("manifest.json"), *(p.relative_to(path) for p in sorted((path / "segments" / "s000001").iterdir()))]


def damaged(index: Path, tmp_path: Path, name: Path, damage: Callable[[bytes], bytes]) -> Path | None:
    """A copy with one file damaged; None if that changes nothing."""
    copy = tmp_path / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(index, copy)
    data = (copy / name).read_bytes()
    changed = damage(data) if data else data
    (copy / name).write_bytes(changed)
    return copy if changed != data else None


def search_all(path: Path) -> None:
    model = encoder()
    with Searcher.open(path, encoder=model, dense=DenseConfig(graph_from=0)) as searcher:
        for mode in ("sparse", "dense", "hybrid"):
            for text in ASKED:
                searcher.search(text, k=3, mode=mode, explain=True)  # type: ignore[arg-type]
            searcher.search("lamp", mode=mode, filter=FILTERS[1])  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["gone", "a folder", *SIZE])
def test_missing_and_cut_files_are_named_at_opening(twindex: Run, index: Path, tmp_path: Path, kind: str) -> None:
    for name in files_of(index):
        copy = damaged(index, tmp_path, name, SIZE.get(kind, lambda data: data + b"x"))
        if copy is None:
            continue
        if kind in ("gone", "a folder"):
            (copy / name).unlink()
        if kind == "a folder":
            (copy / name).mkdir()
        with pytest.raises(IndexError_, match=None if name.name == "manifest.json" else name.name):
            Searcher.open(copy)
        outcome = twindex("search", copy, "lamp")
        assert outcome.status == 3, f"{name} {kind}"
        assert "  try: " in outcome.err
        checked = twindex("verify", copy)
        assert checked.status == 3
        if name.name != "manifest.json":
            assert name.name in checked.err
        with pytest.raises(IndexError_), IndexWriter.open(copy, encoder=encoder()) as writer:
            writer.add(documents()[:3], on_duplicate="replace")


@pytest.mark.parametrize("kind", CONTENT)
def test_other_bytes_are_found_by_verify_and_never_crash(twindex: Run, index: Path, tmp_path: Path, kind: str) -> None:
    for name in files_of(index):
        copy = damaged(index, tmp_path, name, CONTENT[kind])
        if copy is None:
            continue
        assert twindex("verify", copy).status == 3, f"{name} {kind}"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # of numbers beyond float32
            try:
                search_all(copy)
            except TwindexError as error:
                assert isinstance(error, CorruptIndexError), f"{name} {kind}: {error!r}"  # noqa: PT017


@pytest.mark.skipif(not available("numba"), reason="needs the extra fast")
@pytest.mark.parametrize("kind", CONTENT)
def test_compiled_search_looks_before_it_trusts(index: Path, tmp_path: Path, kind: str) -> None:
    """Compiled loops do not check bounds: damaged lists must be refused before."""
    for name in files_of(index):
        copy = damaged(index, tmp_path, name, CONTENT[kind])
        if copy is None or not name.name.startswith(("post.", "terms.", "len.")):
            continue
        try:
            with Snapshot.open(copy) as snapshot:
                LexicalRetriever(snapshot, engine="compiled").retrieve([Query(text) for text in ASKED], 3)
        except TwindexError as error:
            assert isinstance(error, CorruptIndexError), f"{name} {kind}: {error!r}"  # noqa: PT017


@pytest.mark.parametrize("kind", CONTENT)
def test_a_merge_does_not_launder_damage(index: Path, tmp_path: Path, kind: str) -> None:
    """Rewriting damaged files would give them a checksum that says that all is well."""
    for name in files_of(index):
        copy = damaged(index, tmp_path, name, CONTENT[kind])
        if copy is None or name.name == "manifest.json":
            continue
        with pytest.raises(CorruptIndexError, match=name.name), IndexWriter.open(copy, encoder=encoder()) as writer:
            writer.merge(1)
        assert not verify(copy).ok
