"""The documentation strings of the running interpreter's own standard library: a real corpus on every machine.

Source files are parsed, nothing is imported or run. One document a module, class, function or method that has a
documentation string of some length.
"""

from __future__ import annotations

import ast
import inspect
import sysconfig
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from twindex.indexing.corpus.base import SkippedRecord
from twindex.indexing.errors import CorpusError
from twindex.indexing.types import Document

#: Folders that hold tests, demonstrations and other people's packages.
_LEFT_OUT: Final = frozenset({"test", "tests", "idlelib", "lib2to3", "site-packages", "turtledemo", "__pycache__"})
#: Shorter documentation strings say no more than the name.
MIN_LENGTH: Final = 40
Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


class StdlibDocs:
    """Documentation strings in the order of module names, then of lines.

    Ids are qualified names; a name defined twice in a module keeps its first definition. Metadata: ``module``,
    ``kind`` (module, class, function, method), ``file``, ``line``.

    Args:
        folder: Folder of the sources; None = the running interpreter's.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or Path(sysconfig.get_path("stdlib"))
        self.skipped: list[SkippedRecord] = []
        self.skipped_count = 0

    @property
    def name(self) -> str:
        """What reports call it."""
        return "stdlib"

    @property
    def total(self) -> int | None:
        """Unknown without reading."""
        return None

    def __iter__(self) -> Iterator[Document]:
        """A new stream.

        Raises:
            CorpusError: If the interpreter came without its sources.
        """
        paths = self._paths()
        if not paths:
            raise CorpusError(
                "no Python sources of the standard library",
                path=str(self._folder),
                expected="the .py files that most distributions of Python install",
                remedy="index another corpus, or install the full Python package of your system",
            )
        for module, path in paths:
            yield from _documents(module, path, self._folder)

    def _paths(self) -> list[tuple[str, Path]]:
        found = []
        for path in self._folder.rglob("*.py"):
            parts = path.relative_to(self._folder).with_suffix("").parts
            if not _LEFT_OUT.intersection(parts) and all(part.isidentifier() for part in parts):
                found.append((".".join(parts[:-1] if parts[-1] == "__init__" else parts), path))
        return sorted(pair for pair in found if pair[0])


def _documents(module: str, path: Path, folder: Path) -> Iterator[Document]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # old sources have invalid escapes
            tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):  # some distributions ship files for other versions of the language
        return
    file = path.relative_to(folder).as_posix()
    seen: set[str] = set()
    for name, kind, node in [(module, "module", tree), *_definitions(tree, module, "function")]:
        text = inspect.cleandoc(ast.get_docstring(node, clean=False) or "")
        if len(text) < MIN_LENGTH or name in seen:
            continue
        seen.add(name)
        metadata = {"module": module, "kind": kind, "file": file, "line": getattr(node, "lineno", 1)}
        yield Document(name, text, name, metadata)


def _definitions(parent: ast.AST, prefix: str, function_kind: str) -> Iterator[tuple[str, str, Definition]]:
    """Classes and functions in the order of their lines; what a function hides inside is left out."""
    for node in ast.iter_child_nodes(parent):
        if isinstance(node, ast.ClassDef):
            name = f"{prefix}.{node.name}"
            yield name, "class", node
            yield from _definitions(node, name, "method")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{prefix}.{node.name}", function_kind, node
        elif isinstance(node, ast.If | ast.Try):
            yield from _definitions(node, prefix, function_kind)
