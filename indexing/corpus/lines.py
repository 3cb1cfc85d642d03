"""Corpora with one JSON object a line, plain or gzipped; BEIR folders are one of them."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import IO, Any, Final

from twindex.indexing.corpus.base import OnError, RecordCorpus
from twindex.indexing.errors import CorpusError
from twindex.indexing.types import Document

_BOM: Final = b"\xef\xbb\xbf"


class JsonLinesCorpus(RecordCorpus):
    """One document a line. Blank lines and a byte order mark are passed over.

    Args:
        path: The file; ``.gz`` is unpacked on the way.
    """

    def __init__(self, path: Path, *, on_error: OnError = "fail", **fields: str | None) -> None:
        super().__init__(str(path), on_error=on_error, **fields)
        self.path = path
        self._read = 0

    def progress(self) -> float | None:
        """Share of the file that the last stream has read, 0 to 1; None for an empty file."""
        size = self.path.stat().st_size
        return self._read / size if size else None

    def __iter__(self) -> Iterator[Document]:
        """A new stream."""
        self.restart()
        name = str(self.path)
        with self.path.open("rb") as raw:
            lines = _unpacked(raw, self.path)
            for number, line in _numbered(lines, name):
                self._read = raw.tell()
                data = line.removeprefix(_BOM) if number == 1 else line
                if not data.strip():
                    continue
                document = self.document(partial(_parse, data, name, number), name, number)
                if document is not None:
                    yield document


def beir_corpus_file(folder: Path) -> Path | None:
    """The corpus file of a BEIR folder, None if it has none."""
    for name in ("corpus.jsonl", "corpus.jsonl.gz"):
        if (folder / name).is_file():
            return folder / name
    return None


def _unpacked(raw: IO[bytes], path: Path) -> IO[bytes]:
    return gzip.GzipFile(fileobj=raw) if path.suffix == ".gz" else raw  # type: ignore[return-value]


def _numbered(lines: IO[bytes], name: str) -> Iterator[tuple[int, bytes]]:
    """Lines with their numbers; a broken archive is an error that no skipping can mend."""
    number = 0
    try:
        for number, line in enumerate(lines, 1):
            yield number, line
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise CorpusError(
            f"the gzip stream breaks off or is damaged ({error})",
            path=name,
            line=number + 1,
            expected="a complete .gz file",
            remedy="fetch or pack the file again",
        ) from error


def _parse(data: bytes, name: str, number: int) -> Any:
    try:
        return json.loads(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise CorpusError(
            f"bytes that are not UTF-8 ({error.reason} at byte {error.start + 1})",
            path=name,
            line=number,
            expected="UTF-8 text",
        ) from error
    except (ValueError, RecursionError) as error:  # a plain ValueError: a number of thousands of digits
        raise CorpusError(
            f"not JSON ({error})",
            path=name,
            line=number,
            expected="one JSON object",
            remedy="mend the line, or skip such lines with on_error='skip' (--on-error skip)",
        ) from error
