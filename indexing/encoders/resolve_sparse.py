"""From a name to a sparse encoder, alone or as the twin of a dense one."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from twindex.indexing.encoders.find import DEFAULT_SPARSE_ENCODER
from twindex.indexing.encoders.resolve import resolve_encoder
from twindex.indexing.encoders.shipped import shipped_folder, shipped_models
from twindex.indexing.encoders.sparse_hashing import SparseHashingEncoder
from twindex.indexing.encoders.twin_sides import TwinSparse, is_twin, open_sides
from twindex.indexing.encoding import Encoder, SparseEncoder
from twindex.indexing.errors import ConfigError, ModelNotFoundError

#: Needs no model; for tests and fixtures.
SPARSE_HASHING: Final = "sparse-hashing"


def resolve_sparse_encoder(name: str = DEFAULT_SPARSE_ENCODER, *, threads: int | None = None) -> SparseEncoder:
    """The sparse encoder of that name.

    Args:
        name: A twin encoder of the package or the folder of one, or "sparse-hashing:VOCABULARY".
        threads: Texts that are encoded at the same time; None = the processors there are.

    Raises:
        ModelNotFoundError: If there is none.
        ConfigError: If the name makes no sense, or the model's files do not.
        CorruptIndexError: If its files are not what they were when it was made.
    """
    base, colon, size = name.partition(":")
    if base == SPARSE_HASHING:
        if colon and not (size.isascii() and size.isdigit()):
            raise ConfigError(f"sparse encoder {name!r}", expected=f"{SPARSE_HASHING}:VOCABULARY")
        return SparseHashingEncoder(int(size)) if colon else SparseHashingEncoder()
    return TwinSparse(twin_folder(name), name=name, threads=threads)


def resolve_twins(name: str, *, threads: int | None = None) -> tuple[Encoder, SparseEncoder]:
    """Both sides of the twin encoder of that name, which share each pass over a text.

    Raises:
        ModelNotFoundError: If there is none.
        ConfigError: If the model's files make no sense.
        CorruptIndexError: If its files are not what they were when it was made.
    """
    return open_sides(twin_folder(name), name=name, threads=threads)


def resolve_legs(
    dense: str | None, sparse: str | None, *, threads: int | None = None
) -> tuple[Encoder | None, SparseEncoder | None]:
    """The encoders that an index is built with, by name; None where it has no such leg.

    Where both names are that of one twin encoder, each text goes through it once.

    Raises:
        ModelNotFoundError: If one is not here.
        ConfigError: If a name makes no sense, or a model's files do not.
        CorruptIndexError: If files of the package's model are not what they were when it was made.
    """
    if dense is not None and dense == sparse and not sparse.startswith(SPARSE_HASHING):
        return resolve_twins(dense, threads=threads)
    return (
        None if dense is None else resolve_encoder(dense, threads=threads),
        None if sparse is None else resolve_sparse_encoder(sparse, threads=threads),
    )


def sparse_side_of(dense: str | None) -> str:
    """The sparse encoder that goes with a dense one: its other side if it is a twin, else the package's own."""
    if dense is not None:
        folder = shipped_folder(dense) or Path(dense).expanduser()
        if "\0" not in dense and is_twin(folder):
            return dense
    return DEFAULT_SPARSE_ENCODER


def twin_folder(name: str) -> Path:
    """The folder of a twin encoder: one of the package by name, else a folder.

    Raises:
        ModelNotFoundError: If there is none.
        CorruptIndexError: If a small file of the package's model is not what it was when it was made.
    """
    folder = shipped_folder(name)
    if folder is None:
        folder = Path(name).expanduser()
    if "\0" not in name and is_twin(folder):
        return folder
    here = ", ".join(shipped_models("twin")) or "none comes with this release"
    raise ModelNotFoundError(
        f"no twin encoder {name!r}",
        expected=f"a folder with model.onnx, idf.json and twin.json, or one of the package's own ({here})",
        remedy="name the folder of one, or train one: twindex train twin",
    )
