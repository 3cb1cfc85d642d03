r"""Keeps the sparse vectors of a build until its commit, so that a build that died is resumed and not begun again.

One file a shard, named by the hash of the encoder's fingerprint and of the shard's texts; a build that is run again
cuts the same shards. Layout of a file, little-endian: 8 bytes ``b"twxrow\x00\x01"``, u64 rows, u64 entries,
i64[rows + 1] pointers, i32[entries] ids, f32[entries] weights, and the 16-byte BLAKE2b of all that. What does not fit
is encoded anew.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Final

import numpy as np

from twindex.indexing.encoding import SparseEncoder, SparseRows

MAGIC: Final = b"twxrow\x00\x01"
SUFFIX: Final = ".rows"
DIGEST: Final = 16
HEADER: Final = len(MAGIC) + 16


class SparseCache:
    """Encoded shards of one build in one folder.

    Args:
        directory: The cache's folder; made if absent. It may hold other caches.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory

    def encode(self, texts: Sequence[str], encoder: SparseEncoder) -> SparseRows:
        """Vectors of the texts as documents, durable on return.

        Raises:
            ConfigError: If the encoder returns something else than sparse vectors over its vocabulary.
        """
        path = self._directory / (_key(texts, encoder.info.fingerprint) + SUFFIX)
        rows = _read(path)
        if rows is None:
            rows = encoder.encode_documents(texts)
            rows.check(encoder.info.vocabulary, len(texts))
            self._write(path, rows)
        return rows

    def _write(self, path: Path, rows: SparseRows) -> None:
        sizes = np.array([len(rows), len(rows.ids)], "<u8").tobytes()
        entries = rows.ids.astype("<i4").tobytes() + rows.weights.astype("<f4").tobytes()
        data = MAGIC + sizes + rows.ptr.astype("<i8").tobytes() + entries
        handle, temporary = tempfile.mkstemp(suffix=".tmp", dir=self._directory)
        try:
            with open(handle, "wb") as file:
                file.write(data + _digest(data))
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise


def _key(texts: Sequence[str], fingerprint: str) -> str:
    state = blake2b(digest_size=DIGEST)
    for text in (fingerprint, *texts):
        data = text.encode("utf-8", "surrogatepass")
        state.update(len(data).to_bytes(8, "little") + data)
    return state.hexdigest()


def _digest(data: bytes) -> bytes:
    return blake2b(data, digest_size=DIGEST).digest()


def _read(path: Path) -> SparseRows | None:
    """The rows of a shard; None if there is none, or it is damaged."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    data = content[:-DIGEST]
    if len(content) < HEADER + DIGEST or not data.startswith(MAGIC) or _digest(data) != content[-DIGEST:]:
        return None
    count, entries = (int(value) for value in np.frombuffer(data, "<u8", 2, len(MAGIC)))
    first = HEADER + 8 * (count + 1)
    if len(data) != first + 8 * entries:
        return None
    return SparseRows(
        np.frombuffer(data, "<i8", count + 1, HEADER).astype(np.int64),
        np.frombuffer(data, "<i4", entries, first).astype(np.int32),
        np.frombuffer(data, "<f4", entries, first + 4 * entries).astype(np.float32),
    )
