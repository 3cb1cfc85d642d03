"""A folder of files as a corpus: text, Markdown, HTML and PDF, each file one document."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Final

from twindex.indexing.corpus.base import OnError, RecordCorpus
from twindex.indexing.errors import CorpusError, MissingExtraError
from twindex.indexing.optional import load
from twindex.indexing.types import Document

SUFFIXES: Final = (".txt", ".md", ".markdown", ".html", ".htm", ".pdf")
#: Elements whose content is not text for a reader, and those that end a line.
_SILENT: Final = frozenset({"script", "style", "noscript", "template", "head"})
_BREAKS: Final = frozenset(
    """
    address article aside blockquote br dd div dl dt figure footer form h1 h2 h3 h4 h5 h6
    header hr li main nav ol p pre section table tr ul
    """.split()  # noqa: SIM905
)
#: Byte order marks, and what a page may say of its encoding within its first bytes (HTML standard, 4.2.5.4).
_MARKS: Final = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_DECLARED: Final = re.compile(rb"""<meta[^>]{0,200}?charset\s*=\s*["']?([A-Za-z0-9_.:-]{1,40})""", re.I)
_HEAD: Final = 1024
_HEADING: Final = re.compile(r"^\s{0,3}#{1,6}\s+(.+?)\s*#*\s*$", re.M)


class FolderCorpus(RecordCorpus):
    """All readable files under a folder, in the order of their relative paths, which are their ids.

    The title is the first heading or the HTML title, else the file's name. Metadata: ``path`` and ``kind``. Hidden
    files and folders are left out.

    Args:
        folder: The folder, or one file.
        on_error: Whether a file that cannot be read stops the stream or is counted.
    """

    def __init__(self, folder: Path, *, on_error: OnError = "fail") -> None:
        super().__init__(str(folder), on_error=on_error)
        self.folder = folder
        self._root = folder if folder.is_dir() else folder.parent

    @property
    def total(self) -> int | None:
        """The number of files."""
        return sum(1 for _ in self._paths())

    def __iter__(self) -> Iterator[Document]:
        """A new stream."""
        self.restart()
        for path in self._paths():
            try:
                document = read_file(path, self._root)
            except CorpusError as error:
                if self._on_error == "fail":
                    raise
                self.skip(error)
            else:
                yield document

    def _paths(self) -> list[Path]:
        if not self.folder.is_dir():
            return [self.folder]
        found = [path for path in self.folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file()]
        visible = [
            path for path in found if not any(part.startswith(".") for part in path.relative_to(self.folder).parts)
        ]
        return sorted(visible, key=lambda path: path.relative_to(self.folder).as_posix())


def read_file(path: Path, folder: Path) -> Document:
    """One file as a document.

    Raises:
        CorpusError: If it cannot be read as what its suffix says.
        MissingExtraError: If it is a PDF and the extra is not installed.
    """
    suffix = path.suffix.lower()
    if suffix == ".pdf":
        title, text = _read_pdf(path)
    else:
        title, text = _read_html(path) if suffix in (".html", ".htm") else ("", _read_text(path))
        if suffix in (".md", ".markdown"):
            heading = _HEADING.search(text)
            title = heading[1] if heading else ""
    name = path.relative_to(folder).as_posix()
    return Document(name, text, title or path.stem, {"path": name, "kind": suffix[1:]})


def _read_text(path: Path, *, html: bool = False) -> str:
    """The file's text: UTF-8, or what a byte order mark or, in HTML, a declaration near the beginning says."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CorpusError(f"not readable ({error.strerror or error})", path=str(path), expected="a file") from error
    declared = _DECLARED.search(data, 0, _HEAD) if html else None
    name = next((name for mark, name in _MARKS if data.startswith(mark)), "")
    encoding = name or (declared[1].decode("ascii") if declared else "utf-8")
    try:
        return data.decode(encoding)
    except (UnicodeDecodeError, LookupError) as error:
        at = f" (at byte {error.start + 1})" if isinstance(error, UnicodeDecodeError) else ""
        raise CorpusError(
            f"bytes that are not {encoding.upper()}{at}", path=str(path), expected="UTF-8 text"
        ) from error


def _read_html(path: Path) -> tuple[str, str]:
    parser = _Text()
    source = _read_text(path, html=True)
    try:
        parser.feed(source)
        parser.close()
    except (AssertionError, ValueError) as error:  # the parser's ways to give up on broken declarations
        raise CorpusError(f"not readable as HTML ({error})", path=str(path), expected="an HTML page") from error
    lines = (" ".join(line.split()) for line in "".join(parser.parts).splitlines())
    return " ".join("".join(parser.title).split()), "\n".join(line for line in lines if line)


def _read_pdf(path: Path) -> tuple[str, str]:
    pypdf = load("pypdf", purpose=f"reading {path.name}")
    try:
        reader = pypdf.PdfReader(path)
        pages = [page.extract_text() or "" for page in reader.pages]
        title = str((reader.metadata or {}).get("/Title") or "")
    except MissingExtraError:
        raise
    except Exception as error:  # the library raises many kinds on damaged files
        raise CorpusError(
            f"not readable as PDF ({type(error).__name__}: {error})",
            path=str(path),
            expected="a PDF file with text",
        ) from error
    return title, "\n\n".join(page.strip() for page in pages).strip()


class _Text(HTMLParser):
    """Collects what a reader of the page would see."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.title: list[str] = []
        self._silent: list[str] = []
        self._in_title = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Open an element."""
        if tag == "title":
            self._in_title = True
        elif tag == "body":
            self._silent = []
        elif tag in _SILENT:
            self._silent.append(tag)
        if tag in _BREAKS:
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        """Close an element."""
        if tag == "title":
            self._in_title = False
        elif tag in self._silent:
            del self._silent[self._silent.index(tag) :]
        if tag in _BREAKS:
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        """Text between tags."""
        if self._in_title:
            self.title.append(data)
        elif not self._silent:
            self.parts.append(data)
