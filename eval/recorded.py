"""Vectors that were made elsewhere (on a GPU, say), looked up by content in the place of an encoder.

A folder holds ``recorded.json`` (``name``, ``dim``, ``max_length``, ``max_weight``, ``vocabulary``) and parts, numpy's
``.npz``:

- ``documents-*.npz``: ``keys`` uint8[n, 16], the BLAKE2b of each text; ``dense`` float16 or float32[n, dim]; and, for a
  sparse side, ``starts`` int64[n + 1], ``ids`` integer[m] ascending within a row, ``weights`` float16 or float32[m];
- ``queries-*.npz``: ``keys`` and ``dense``.

Sparse queries need no model: the folder holds the ``twin.json`` and ``terms.npz`` of their twin encoder as well.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import numpy as np

from twindex.indexing.encoders.digests import files_sha256, fingerprint
from twindex.indexing.encoders.onnx import normalised
from twindex.indexing.encoders.twin import open_queries
from twindex.indexing.encoders.twin_sides import TwinQueries, as_rows
from twindex.indexing.encoding import EncoderInfo, SparseEncoderInfo, SparseRows
from twindex.indexing.errors import ConfigError
from twindex.indexing.types import Float32Array, Int32Array

ABOUT: Final = "recorded.json"
#: Before the folder in the name of an encoder.
PREFIX: Final = "recorded:"
VERSION: Final = 1
DIGEST: Final = 16

Row = tuple[Int32Array, Float32Array]


def text_key(text: str) -> bytes:
    """What a text is looked up by."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=DIGEST).digest()


class Recorded:
    """The vectors of a folder, in memory.

    Args:
        folder: Where they are.

    Raises:
        ConfigError: If the folder holds none, or its parts do not fit each other.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            self.about: dict[str, Any] = json.loads((folder / ABOUT).read_bytes())
            self.dim = int(self.about["dim"])
            self.documents = _Part(sorted(folder.glob("documents-*.npz")), self.dim)
            self.queries = _Part(sorted(folder.glob("queries-*.npz")), self.dim)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigError(
                f"no recorded vectors in {folder} ({error})", expected=f"{ABOUT}, documents-*.npz and queries-*.npz"
            ) from error

    @cached_property
    def digest(self) -> str:
        """Hash of everything in the folder that shapes vectors."""
        parts = [*self.folder.glob("*-*.npz"), *self.folder.glob("twin.json"), *self.folder.glob("terms.npz")]
        return files_sha256(self.folder, [self.folder / ABOUT, *parts])


class RecordedDense:
    """The dense side.

    Args:
        recorded: The vectors.
    """

    batch_invariant = True

    def __init__(self, recorded: Recorded) -> None:
        self._recorded = recorded
        about = recorded.about
        self._info = EncoderInfo(
            name=str(about["name"]),
            fingerprint=fingerprint("recorded", VERSION, recorded.digest),
            dim=recorded.dim,
            max_length=int(about.get("max_length", 256)),
        )

    @property
    def info(self) -> EncoderInfo:
        """Identity and shape of the vectors."""
        return self._info

    def encode_documents(self, texts: Sequence[str]) -> Float32Array:
        """Vectors of documents: float32[len(texts), info.dim].

        Raises:
            ConfigError: If one was not recorded.
        """
        return _unit(self._recorded.documents.dense(texts))

    def encode_queries(self, texts: Sequence[str]) -> Float32Array:
        """Vectors of queries: float32[len(texts), info.dim].

        Raises:
            ConfigError: If one was not recorded.
        """
        return _unit(self._recorded.queries.dense(texts))


class RecordedSparse(TwinQueries):
    """The sparse side.

    Args:
        recorded: The vectors.

    Raises:
        ConfigError: If the folder lacks what encodes queries.
    """

    def __init__(self, recorded: Recorded) -> None:
        self._recorded = recorded
        about = recorded.about
        print_ = fingerprint("recorded-sparse", VERSION, recorded.digest)
        info = SparseEncoderInfo(str(about["name"]), print_, int(about["vocabulary"]), float(about["max_weight"]))
        super().__init__(info, open_queries(recorded.folder))

    def encode_documents(self, texts: Sequence[str]) -> SparseRows:
        """Vectors of documents, in the order of ``texts``.

        Raises:
            ConfigError: If one was not recorded.
        """
        return as_rows(self._recorded.documents.sparse(texts))


class _Part:
    """Parts of one kind: rows by key."""

    def __init__(self, paths: Iterable[Path], dim: int) -> None:
        self._dense: list[np.ndarray[Any, Any]] = []
        self._sparse: list[tuple[Any, Any, Any] | None] = []
        self._at: dict[bytes, tuple[int, int]] = {}
        for part, path in enumerate(paths):
            with path.open("rb") as file, np.load(file) as data:
                keys, dense = data["keys"], data["dense"]
                sparse = (data["starts"], data["ids"], data["weights"]) if "starts" in data else None
            if keys.shape != (len(dense), DIGEST) or dense.shape[1:] != (dim,):
                raise ConfigError(f"{path} with keys {keys.shape} and vectors {dense.shape}", expected=f"[n, {dim}]")
            if sparse is not None and (len(sparse[0]) != len(keys) + 1 or len(sparse[1]) != len(sparse[2])):
                raise ConfigError(f"{path} with {len(sparse[0])} starts for {len(keys)} texts")
            self._dense.append(dense)
            self._sparse.append(sparse)
            self._at.update({key.tobytes(): (part, row) for row, key in enumerate(keys)})

    def dense(self, texts: Sequence[str]) -> Float32Array:
        places = self._places(texts)
        if not places:
            return np.empty((0, self._dense[0].shape[1] if self._dense else 0), np.float32)
        return np.stack([self._dense[part][row] for part, row in places]).astype(np.float32)

    def sparse(self, texts: Sequence[str]) -> list[Row]:
        found = []
        for part, row in self._places(texts):
            sparse = self._sparse[part]
            if sparse is None:
                raise ConfigError("recorded vectors without a sparse side", expected="starts, ids and weights")
            starts, ids, weights = sparse
            span = slice(int(starts[row]), int(starts[row + 1]))
            found.append((ids[span].astype(np.int32), weights[span].astype(np.float32)))
        return found

    def _places(self, texts: Sequence[str]) -> list[tuple[int, int]]:
        found = [self._at.get(text_key(text)) for text in texts]
        places = [place for place in found if place is not None]
        if len(places) < len(texts):
            first = texts[found.index(None)]
            raise ConfigError(
                f"{len(texts) - len(places)} of {len(texts)} texts that were not recorded, as {first[:60]!r}",
                expected="texts whose vectors are in the folder",
                remedy="record them too, or evaluate with the encoder itself",
            )
        return places


def recorded_sides(folder: Path) -> tuple[RecordedDense, RecordedSparse | None]:
    """Both sides of the vectors in a folder; without ``twin.json`` there is no sparse one.

    Raises:
        ConfigError: If the folder holds no recorded vectors.
    """
    recorded = Recorded(folder)
    return RecordedDense(recorded), RecordedSparse(recorded) if (folder / "twin.json").is_file() else None


def _unit(rows: Float32Array) -> Float32Array:
    """Rows at length 1: 16-bit numbers are off by a little."""
    out: Float32Array = np.ascontiguousarray(np.stack([normalised(row) for row in rows]) if len(rows) else rows)
    return out
