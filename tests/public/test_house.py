"""The habits of the house that a program can check."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("indexing", "retrieval", "rag", "eval", "api")


def sources() -> list[Path]:
    return sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))


def config() -> dict[str, object]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_every_package_on_disk_is_listed_for_the_wheel() -> None:
    setuptools = config()["tool"]["setuptools"]  # type: ignore[index]
    on_disk = {
        "twindex." + ".".join(path.parent.relative_to(ROOT).parts)
        for room in ROOMS
        for path in (ROOT / room).rglob("__init__.py")
    }
    assert set(setuptools["packages"]) == on_disk


def test_type_checker_links_point_to_the_rooms() -> None:
    for room in ROOMS:
        link = ROOT / "tests" / "types" / "twindex" / room
        assert link.resolve() == ROOT / room


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(ROOT)))
def test_files_stay_readable(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= 400, "a second concept lives in this file: split it"
    if path.name == "__init__.py" and not text.strip():
        return
    assert ast.get_docstring(ast.parse(text)), "a module says in its docstring what it is for"


def test_no_open_ends() -> None:
    pattern = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
    found = [str(p.relative_to(ROOT)) for p in sources() if pattern.search(p.read_text())]
    assert found == []


def test_rooms_are_only_known_by_their_full_names() -> None:
    """A second copy of a module under a bare name would break isinstance across copies."""
    import twindex.retrieval.types

    assert twindex.retrieval.types.__name__ == "twindex.retrieval.types"
    bare = [name for name in ("retrieval", "indexing", "rag", "api") if name in sys.modules]
    assert bare == []


def test_no_pickle_anywhere() -> None:
    pattern = re.compile(r"^\s*(?:import|from)\s+(?:pickle|joblib|dill|shelve|marshal)\b|allow_pickle=True", re.M)
    assert [str(p.relative_to(ROOT)) for p in sources() if pattern.search(p.read_text())] == []
