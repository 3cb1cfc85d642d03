r"""Sparse vectors by content, kept on disk: the twin of the dense vector cache for evaluation.

One file a call that encoded something new, named by its content: the layout is numpy's ``.npz`` with ``keys`` uint8[n,
16] (BLAKE2b of the encoder's fingerprint and the text), ``ptr``, ``ids`` and ``weights`` as in ``SparseRows``. A file
that cannot be read counts as absent.
"""

from __future__ import annotations

import os
import tempfile
import zipfile
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Final

import numpy as np

from twindex.indexing.encoding import SparseEncoder, SparseRows
from twindex.indexing.types import Float32Array, Int32Array

SUFFIX: Final = ".sparse.npz"
DIGEST: Final = 16

Row = tuple[Int32Array, Float32Array]


class SparseShards:
    """Vectors of one encoder in one folder, which others may share.

    Args:
        folder: Where the files are; made if absent.
        fingerprint: That of the encoder.
    """

    def __init__(self, folder: Path, fingerprint: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._fingerprint = fingerprint
        self._prefix = blake2b(fingerprint.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
        self._rows: dict[bytes, Row] = {}
        for path in sorted(folder.glob(f"{self._prefix}-*{SUFFIX}")):
            self._rows.update(_read(path))

    def __len__(self) -> int:
        return len(self._rows)

    def encode(self, texts: Sequence[str], encoder: SparseEncoder) -> SparseRows:
        """Vectors of the texts as documents; those that were not known are durable on return.

        Raises:
            ConfigError: If the encoder returns something else than sparse vectors over its vocabulary.
        """
        keys = [self._key(text) for text in texts]
        missing = {key: text for key, text in zip(keys, texts) if key not in self._rows}
        if missing:
            rows = encoder.encode_documents(list(missing.values()))
            rows.check(encoder.info.vocabulary, len(missing))
            self._write(list(missing), rows)
            self._rows.update(_split(list(missing), rows))
        return _joined([self._rows[key] for key in keys])

    def _key(self, text: str) -> bytes:
        data = f"{self._fingerprint}\0{text}".encode("utf-8", "surrogatepass")
        return blake2b(data, digest_size=DIGEST).digest()

    def _write(self, keys: Sequence[bytes], rows: SparseRows) -> None:
        names = np.frombuffer(b"".join(keys), np.uint8).reshape(-1, DIGEST)
        handle, temporary = tempfile.mkstemp(suffix=".part", dir=self._folder)
        try:
            with open(handle, "wb") as file:
                np.savez(file, keys=names, ptr=rows.ptr, ids=rows.ids, weights=rows.weights)
            name = blake2b(b"".join(keys), digest_size=DIGEST).hexdigest()
            os.replace(temporary, self._folder / f"{self._prefix}-{name}{SUFFIX}")
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise


def _read(path: Path) -> dict[bytes, Row]:
    try:
        with path.open("rb") as file, np.load(file) as data:  # np.load leaves a damaged file open
            keys, rows = data["keys"], SparseRows(data["ptr"], data["ids"], data["weights"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return {}
    return _split([key.tobytes() for key in keys], rows)


def _split(keys: Sequence[bytes], rows: SparseRows) -> dict[bytes, Row]:
    edges = rows.ptr.tolist()
    return {
        key: (rows.ids[start:stop], rows.weights[start:stop])
        for key, start, stop in zip(keys, edges[:-1], edges[1:], strict=True)
    }


def _joined(rows: Sequence[Row]) -> SparseRows:
    pointers = np.zeros(len(rows) + 1, np.int64)
    np.cumsum([len(ids) for ids, _ in rows], out=pointers[1:])
    return SparseRows(
        pointers,
        np.concatenate([np.empty(0, np.int32), *(ids for ids, _ in rows)]).astype(np.int32),
        np.concatenate([np.empty(0, np.float32), *(weights for _, weights in rows)]).astype(np.float32),
    )
