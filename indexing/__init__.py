"""What is stored: a corpus becomes an index that nothing can half-write, and that any number of processes read.

The names here are the public list of the room; each is loaded at its first use, so that importing the
room costs nothing. The functions ``verify`` and ``info`` are in the module :mod:`twindex.indexing.verify`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from twindex.indexing.public import public_names

if TYPE_CHECKING:
    from twindex.indexing.analysis import Analyzer, analyzer_names, get_analyzer
    from twindex.indexing.chunking import ChunkConfig
    from twindex.indexing.config import IndexConfig
    from twindex.indexing.corpus import Corpus, open_corpus
    from twindex.indexing.directory import Directory, FileDirectory, MemoryDirectory
    from twindex.indexing.encoders.hashing import HashingEncoder
    from twindex.indexing.encoders.resolve import resolve_encoder
    from twindex.indexing.encoding import Encoder, EncoderInfo, SparseEncoder, SparseEncoderInfo, SparseRows
    from twindex.indexing.errors import TwindexError
    from twindex.indexing.filters import Filter, parse_filter
    from twindex.indexing.manifest import FORMAT_VERSION, OLDEST_READABLE, Manifest
    from twindex.indexing.report import AddReport
    from twindex.indexing.segment import Segment
    from twindex.indexing.snapshot import Snapshot
    from twindex.indexing.types import Document, Passage
    from twindex.indexing.vectors import HnswConfig
    from twindex.indexing.verify import VerifyReport
    from twindex.indexing.writer import IndexWriter

__all__ = [
    "FORMAT_VERSION",
    "OLDEST_READABLE",
    "AddReport",
    "Analyzer",
    "ChunkConfig",
    "Corpus",
    "Directory",
    "Document",
    "Encoder",
    "EncoderInfo",
    "FileDirectory",
    "Filter",
    "HashingEncoder",
    "HnswConfig",
    "IndexConfig",
    "IndexWriter",
    "Manifest",
    "MemoryDirectory",
    "Passage",
    "Segment",
    "Snapshot",
    "SparseEncoder",
    "SparseEncoderInfo",
    "SparseRows",
    "TwindexError",
    "VerifyReport",
    "analyzer_names",
    "get_analyzer",
    "open_corpus",
    "parse_filter",
    "resolve_encoder",
]

#: Module (below this package) -> the public names that live in it.
_HOMES: Final = {
    "analysis": ("Analyzer", "analyzer_names", "get_analyzer"),
    "chunking": ("ChunkConfig",),
    "config": ("IndexConfig",),
    "corpus": ("Corpus", "open_corpus"),
    "directory": ("Directory", "FileDirectory", "MemoryDirectory"),
    "encoders.hashing": ("HashingEncoder",),
    "encoders.resolve": ("resolve_encoder",),
    "encoding": ("Encoder", "EncoderInfo", "SparseEncoder", "SparseEncoderInfo", "SparseRows"),
    "errors": ("TwindexError",),
    "filters": ("Filter", "parse_filter"),
    "manifest": ("FORMAT_VERSION", "OLDEST_READABLE", "Manifest"),
    "report": ("AddReport",),
    "segment": ("Segment",),
    "snapshot": ("Snapshot",),
    "types": ("Document", "Passage"),
    "vectors": ("HnswConfig",),
    "verify": ("VerifyReport",),
    "writer": ("IndexWriter",),
}
__getattr__, __dir__ = public_names(__name__, _HOMES)
