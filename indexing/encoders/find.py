"""From names to models, for those who may never need one: the code that runs a model is loaded when one is asked for.

Without it a server of an index without vectors would start 0.1 s later, and so would a search by words.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from twindex.indexing.encoders.shipped import shipped_folder
from twindex.indexing.encoding import Encoder, PairScorer, SparseEncoder

#: The encoder, the sparse encoder and the reranker of a plain installation.
DEFAULT_ENCODER: Final = "twindex-twin"
DEFAULT_SPARSE_ENCODER: Final = "twindex-twin"
DEFAULT_RERANKER: Final = "twindex-rerank"


def find_encoder(name: str) -> Encoder:
    """As :func:`twindex.indexing.encoders.resolve.resolve_encoder`."""
    from twindex.indexing.encoders.resolve import resolve_encoder

    return resolve_encoder(name)


def find_sparse_encoder(name: str) -> SparseEncoder:
    """As :func:`twindex.indexing.encoders.resolve_sparse.resolve_sparse_encoder`."""
    from twindex.indexing.encoders.resolve_sparse import resolve_sparse_encoder

    return resolve_sparse_encoder(name)


def find_legs(dense: str | None, sparse: str | None) -> tuple[Encoder | None, SparseEncoder | None]:
    """As :func:`twindex.indexing.encoders.resolve_sparse.resolve_legs`."""
    from twindex.indexing.encoders.resolve_sparse import resolve_legs

    return resolve_legs(dense, sparse)


def find_reranker(name: str) -> PairScorer:
    """As :func:`twindex.indexing.encoders.cross_encoder.resolve_reranker`."""
    from twindex.indexing.encoders.cross_encoder import resolve_reranker

    return resolve_reranker(name)


def reranker_is_here(name: str) -> bool:
    """Whether a reranker of that name, or in that folder, could be opened; it is not loaded.

    Raises:
        CorruptIndexError: If files of the package's model are not what they were when it was made.
        OSError: If the name cannot be one of a folder.
    """
    from twindex.indexing.encoders.cross_encoder import ABOUT

    folder = shipped_folder(name) or Path(name).expanduser()
    return (folder / ABOUT).is_file()
