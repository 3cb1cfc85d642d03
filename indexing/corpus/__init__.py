"""Where documents come from: files, folders, tables, programs."""

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
