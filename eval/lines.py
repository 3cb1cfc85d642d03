"""Text files, plain or gzip-compressed, with errors that name the file."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from twindex.indexing.errors import CorpusError


@contextmanager
def open_text(path: Path | str) -> Iterator[TextIO]:
    """An UTF-8 text file for reading, decompressed if its name ends in .gz.

    Raises:
        CorpusError: If it does not exist, is damaged, or is not UTF-8.
    """
    path = Path(path)
    try:
        with path.open("rb") as raw:
            stream = gzip.GzipFile(fileobj=raw) if path.suffix == ".gz" else raw
            with io.TextIOWrapper(stream, encoding="utf-8") as text:
                yield text
    except FileNotFoundError as error:
        raise CorpusError("no such file", path=str(path)) from error
    except IsADirectoryError as error:
        raise CorpusError("a folder", path=str(path), expected="a file") from error
    except (UnicodeDecodeError, gzip.BadGzipFile, EOFError) as error:
        raise CorpusError(f"bytes that cannot be read ({error})", path=str(path), expected="UTF-8 text") from error


def json_lines(path: Path | str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line numbers and objects of a JSON Lines file; blank lines are passed over.

    Raises:
        CorpusError: If a line is not a JSON object; names file and line.
    """
    with open_text(path) as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except ValueError as error:
                raise CorpusError(
                    f"a line that is not JSON ({error})",
                    path=str(path),
                    line=number,
                    expected="one object a line",
                ) from error
            if not isinstance(record, dict):
                raise CorpusError(
                    f"a JSON {type(record).__name__}", path=str(path), line=number, expected="a JSON object"
                )
            yield number, record
