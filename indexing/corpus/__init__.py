"""Where documents come from: files, folders, tables, programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from twindex.indexing.public import public_names

if TYPE_CHECKING:
    from twindex.indexing.corpus.base import Corpus, OnError, RecordCorpus, SkippedRecord
    from twindex.indexing.corpus.files import FolderCorpus
    from twindex.indexing.corpus.lines import JsonLinesCorpus, beir_corpus_file
    from twindex.indexing.corpus.memory import IterableCorpus
    from twindex.indexing.corpus.open import open_corpus
    from twindex.indexing.corpus.progress import with_estimate
    from twindex.indexing.corpus.stdlib_docs import StdlibDocs
    from twindex.indexing.corpus.tables import DelimitedCorpus, ParquetCorpus

__all__ = [
    "Corpus",
    "DelimitedCorpus",
    "FolderCorpus",
    "IterableCorpus",
    "JsonLinesCorpus",
    "OnError",
    "ParquetCorpus",
    "RecordCorpus",
    "SkippedRecord",
    "StdlibDocs",
    "beir_corpus_file",
    "open_corpus",
    "with_estimate",
]

#: Module (below this package) -> the public names that live in it.
_HOMES: Final = {
    "base": ("Corpus", "OnError", "RecordCorpus", "SkippedRecord"),
    "files": ("FolderCorpus",),
    "lines": ("JsonLinesCorpus", "beir_corpus_file"),
    "memory": ("IterableCorpus",),
    "open": ("open_corpus",),
    "progress": ("with_estimate",),
    "stdlib_docs": ("StdlibDocs",),
    "tables": ("DelimitedCorpus", "ParquetCorpus"),
}
__getattr__, __dir__ = public_names(__name__, _HOMES)
