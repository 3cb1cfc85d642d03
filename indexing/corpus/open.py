"""From what a user names to a corpus reader."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from twindex.indexing.corpus.base import Corpus, OnError
from twindex.indexing.corpus.files import SUFFIXES, FolderCorpus
from twindex.indexing.corpus.lines import JsonLinesCorpus, beir_corpus_file
from twindex.indexing.corpus.memory import IterableCorpus
from twindex.indexing.corpus.tables import DelimitedCorpus, ParquetCorpus
from twindex.indexing.errors import CorpusError
from twindex.indexing.types import Document

FORMATS: Final = ("beir", "jsonl", "csv", "tsv", "parquet", "folder")
ACCEPTED: Final = (
    "a BEIR folder (with corpus.jsonl or corpus.jsonl.gz), a .jsonl, .jsonl.gz, .csv, .tsv or .parquet file, "
    f"or a {' '.join(SUFFIXES)} file or a folder of them"
)
_BY_ENDING: Final = {
    ".jsonl": "jsonl",
    ".jsonl.gz": "jsonl",
    ".ndjson": "jsonl",
    ".ndjson.gz": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
}


def open_corpus(
    source: Path | str | Iterable[Document | Mapping[str, Any]],
    *,
    on_error: OnError = "fail",
    fmt: str | None = None,
    id_field: str | None = None,
    text_field: str | None = None,
    title_field: str | None = None,
) -> Corpus:
    """A corpus from a path or from documents in memory.

    Args:
        source: A path, or an iterable of documents or of mappings.
        on_error: Whether a record that cannot be read stops the stream, or is counted and reported.
        fmt: One of FORMATS, when the path does not tell.
        id_field: Field or column of the id, if it is not one of the usual names.
        text_field: The same for the text.
        title_field: The same for the title.

    Raises:
        CorpusError: If there is nothing at the path, or nothing that can be read.
    """
    fields = {"id_field": id_field, "text_field": text_field, "title_field": title_field}
    if not isinstance(source, Path | str):
        return IterableCorpus(source, name="memory", on_error=on_error, **fields)
    path = Path(source)
    if not path.exists():
        raise CorpusError(f"no such file or folder: {path}", expected=ACCEPTED)
    if fmt is not None and fmt not in FORMATS:
        raise CorpusError(f"corpus format {fmt!r}", expected=", ".join(FORMATS))
    chosen = fmt or _format_of(path)
    if chosen == "folder":
        return _folder(path, on_error)
    if chosen == "beir":
        return JsonLinesCorpus(_beir_file(path), on_error=on_error, **fields)
    if chosen == "parquet":
        return ParquetCorpus(path, on_error=on_error, **fields)
    if chosen == "jsonl":
        return JsonLinesCorpus(path, on_error=on_error, **fields)
    return DelimitedCorpus(path, delimiter="\t" if chosen == "tsv" else ",", on_error=on_error, **fields)


def _format_of(path: Path) -> str:
    if path.is_dir():
        return "beir" if beir_corpus_file(path) else "folder"
    name = path.name.lower()
    for ending, fmt in _BY_ENDING.items():
        if name.endswith(ending):
            return fmt
    if path.suffix.lower() in SUFFIXES:
        return "folder"
    raise CorpusError(f"{path}: a file of unknown kind", expected=ACCEPTED, remedy="name the format (--format)")


def _beir_file(path: Path) -> Path:
    found = beir_corpus_file(path) if path.is_dir() else path
    if found is None:
        raise CorpusError(f"{path} has no corpus file", expected="corpus.jsonl or corpus.jsonl.gz in it")
    return found


def _folder(path: Path, on_error: OnError) -> FolderCorpus:
    corpus = FolderCorpus(path, on_error=on_error)
    if not corpus.total:
        raise CorpusError(f"{path} has no file that can be read", expected=ACCEPTED)
    return corpus
