r"""Vectors by content: no text is encoded twice by encoders of one fingerprint.

A cache is a folder of immutable shards. Each call of :meth:`VectorCache.encode` that has something to
encode writes one shard, complete and durable before it returns, so a build that is killed loses at
most one shard of work. The law: the result equals ``encoder.encode_documents(texts)``, bit for bit.

One shard is, little-endian::

    magic    8 bytes    b"twxvec\x00\x01"
    sizes    u64[2]     rows, dim
    encoder  16 bytes   blake2b of the encoder's fingerprint
    check    16 bytes   blake2b of everything above and of the table below
    table    rows x 32  key (16 bytes), blake2b of the row's vector (16 bytes)
    vectors  float32[rows, dim]

Header and table are checked when the folder is opened, each vector when it is used; what does not
fit is ignored and encoded again.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from pathlib import Path
from threading import Lock
from typing import Final

import numpy as np
from numpy.typing import NDArray

from twindex.indexing.encoding import Encoder, EncoderInfo
from twindex.indexing.errors import ConfigError, FingerprintError
from twindex.indexing.types import Float32Array, UInt8Array, UInt64Array
from twindex.indexing.vectors import DTYPE, check_vectors

MAGIC: Final = b"twxvec\x00\x01"
SUFFIX: Final = ".vectors"
KEY_BYTES: Final = 16
HEADER_BYTES: Final = len(MAGIC) + 16 + KEY_BYTES + KEY_BYTES
ROW_BYTES: Final = 2 * KEY_BYTES
#: New entries are kept in a dictionary until there are so many, then merged into the sorted index.
RECENT: Final = 1 << 15
#: Seconds after which an unfinished temporary file belongs to nobody.
ABANDONED: Final = 86_400

#: A sorted index entry: 16-byte key as two numbers, and where its vector is.
ENTRY: Final = np.dtype([("high", np.uint64), ("low", np.uint64), ("shard", np.uint32), ("row", np.uint32)])
Place = tuple[int, int]


class VectorCache:
    """Encoded texts of one encoder in one folder; safe for threads, and for processes that share the folder.

    Memory is 24 bytes for each cached text; vectors stay on disk.

    Args:
        directory: The cache's folder; made if absent.
        info: Identity of the encoder. Shards of other encoders in the folder are left alone.
    """

    def __init__(self, directory: Path, info: EncoderInfo) -> None:
        self._info = info
        self._directory = directory
        self._encoder_key = _digest(info.fingerprint.encode("utf-8", "surrogatepass"))
        self._lock = Lock()
        self._shards: list[Path] = []
        self._recent: dict[bytes, Place] = {}
        self._sorted: NDArray[np.void] = np.empty(0, ENTRY)
        directory.mkdir(parents=True, exist_ok=True)
        self._open()

    def __len__(self) -> int:
        """Entries of the index; a text in two shards counts twice."""
        return len(self._sorted) + len(self._recent)

    def encode(self, texts: Sequence[str], encoder: Encoder) -> Float32Array:
        """Vectors of the texts as documents; those that were not known are durable on return.

        Equal texts are encoded once. An encoder that is not batch invariant gets all texts as they
        are, and its vectors are only reused for a call with exactly the same texts.

        Shapes: result float32[len(texts), dim].

        Raises:
            FingerprintError: If the encoder is not the one that the cache was opened for.
            ConfigError: If the encoder returns something else than finite float32[n, dim].
        """
        if encoder.info.fingerprint != self._info.fingerprint:
            raise FingerprintError(
                f"encoder {encoder.info.name!r} ({encoder.info.fingerprint})",
                expected=f"{self._info.name!r} ({self._info.fingerprint})",
                remedy="open a cache for this encoder",
            )
        out = np.empty((len(texts), self._info.dim), np.float32)
        keys = self._keys(texts, whole=not encoder.batch_invariant)
        missing = self._fill(out, keys)
        if not missing:
            return out
        if not encoder.batch_invariant:
            missing = list(range(len(texts)))
        first: dict[bytes, int] = {}
        for row in missing:
            first.setdefault(keys[row], row)
        fresh = encoder.encode_documents([texts[row] for row in first.values()])
        check_vectors(fresh, self._info.dim)
        if len(fresh) != len(first):
            raise ConfigError(f"{len(fresh)} vectors for {len(first)} texts", expected="one a text")
        self._write(list(first), np.ascontiguousarray(fresh, DTYPE))
        place = {key: row for row, key in enumerate(first)}
        out[missing] = fresh[[place[keys[row]] for row in missing]]
        return out

    def _keys(self, texts: Sequence[str], *, whole: bool) -> list[bytes]:
        prompt = self._info.document_prompt
        keys = [_digest((prompt + text).encode("utf-8", "surrogatepass")) for text in texts]
        if whole:
            batch = _digest(b"".join(keys))
            return [_digest(batch + row.to_bytes(8, "little")) for row in range(len(keys))]
        return keys

    def _fill(self, out: Float32Array, keys: list[bytes]) -> list[int]:
        """Copies the known vectors into ``out``; the rows that are missing or damaged."""
        places = self._find(keys)
        missing = [row for row, place in enumerate(places) if place is None]
        by_shard: dict[int, list[tuple[int, int]]] = {}
        for row, place in enumerate(places):
            if place is not None:
                by_shard.setdefault(place[0], []).append((row, place[1]))
        for shard, pairs in by_shard.items():
            missing += self._read(shard, pairs, out, keys)
        return sorted(missing)

    def _read(self, shard: int, pairs: list[tuple[int, int]], out: Float32Array, keys: list[bytes]) -> list[int]:
        """Copies vectors of one shard; the rows of ``out`` whose vector is not what was written."""
        bad: list[int] = []
        try:
            content = np.memmap(self._shards[shard], np.uint8, mode="r")
        except (OSError, ValueError):  # removed, or emptied, since it was opened
            return [row for row, _ in pairs]
        rows = _rows_of(content)
        for row, at in pairs:
            vector = _vector(content, rows, at, self._info.dim)
            entry = HEADER_BYTES + at * ROW_BYTES
            table = content[entry : entry + ROW_BYTES].tobytes()
            if vector is None or table != keys[row] + _digest(vector.tobytes()):
                bad.append(row)
            else:
                out[row] = vector.view(DTYPE)
        return bad

    def _find(self, keys: list[bytes]) -> list[Place | None]:
        with self._lock:
            recent, index = self._recent, self._sorted
            found: list[Place | None] = [recent.get(key) for key in keys]
        if not len(index):
            return found
        wanted = _halves(keys)
        starts = np.searchsorted(index["high"], wanted[:, 0])
        for row, place in enumerate(found):
            if place is None:
                found[row] = _lookup(index, int(starts[row]), wanted[row, 0], wanted[row, 1])
        return found

    def _write(self, keys: list[bytes], vectors: Float32Array) -> None:
        table = b"".join(key + _digest(row.tobytes()) for key, row in zip(keys, vectors))
        sizes = np.array([len(keys), self._info.dim], "<u8").tobytes()
        head = MAGIC + sizes + self._encoder_key
        path = self._directory / (_digest(head + table).hex() + SUFFIX)
        handle, temporary = tempfile.mkstemp(suffix=".tmp", dir=self._directory)
        try:
            with open(handle, "wb") as file:
                file.write(head + _digest(head + table) + table)
                file.write(vectors.data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        _sync_folder(self._directory)
        with self._lock:
            self._add(path, keys)
            if len(self._recent) > RECENT:
                self._merge()

    def _open(self) -> None:
        for path in sorted(self._directory.iterdir()):
            if path.suffix == SUFFIX:
                keys = _table(path, self._info.dim, self._encoder_key)
                if keys is not None:
                    self._add(path, keys)
            elif path.suffix == ".tmp":
                _remove_abandoned(path)
        self._merge()

    def _add(self, path: Path, keys: Sequence[bytes]) -> None:
        number = len(self._shards)
        self._shards.append(path)
        for row, key in enumerate(keys):
            self._recent[key] = (number, row)  # a later shard replaces one that turned out damaged
        if len(self._recent) > RECENT:
            self._merge()

    def _merge(self) -> None:
        if not self._recent:
            return
        fresh = np.empty(len(self._recent), ENTRY)
        halves = _halves(self._recent)
        fresh["high"], fresh["low"] = halves[:, 0], halves[:, 1]
        places = np.array(list(self._recent.values()), np.uint32)
        fresh["shard"], fresh["row"] = places[:, 0], places[:, 1]
        both = np.concatenate([fresh, self._sorted])  # fresh first: a stable sort keeps it before an old twin
        self._sorted = both[np.argsort(both["high"], kind="stable")]
        self._recent = {}


def _digest(data: bytes) -> bytes:
    return blake2b(data, digest_size=KEY_BYTES).digest()


def _halves(keys: Iterable[bytes]) -> UInt64Array:
    """Each 16-byte key as two numbers: uint64[n, 2]."""
    return np.frombuffer(b"".join(keys), "<u8").astype(np.uint64).reshape(-1, 2)


def _lookup(index: NDArray[np.void], start: int, high: int, low: int) -> Place | None:
    while start < len(index) and index["high"][start] == high:
        if index["low"][start] == low:
            return int(index["shard"][start]), int(index["row"][start])
        start += 1
    return None


def _rows_of(content: UInt8Array) -> int:
    return int(content[len(MAGIC) : len(MAGIC) + 8].view("<u8")[0]) if len(content) >= HEADER_BYTES else 0


def _vector(content: UInt8Array, rows: int, row: int, dim: int) -> UInt8Array | None:
    """The bytes of one vector, None where the file ends before it."""
    size = dim * DTYPE.itemsize
    start = HEADER_BYTES + rows * ROW_BYTES + row * size
    return np.array(content[start : start + size]) if start + size <= len(content) else None


def _table(path: Path, dim: int, encoder_key: bytes) -> list[bytes] | None:
    """The keys of a shard; None if it is damaged or of another encoder."""
    try:
        with open(path, "rb") as file:
            header = file.read(HEADER_BYTES)
            start = len(MAGIC) + 16
            if not header.startswith(MAGIC) or header[start : start + KEY_BYTES] != encoder_key:
                return None
            rows, found_dim = (int(x) for x in np.frombuffer(header[len(MAGIC) : start], "<u8"))
            size = HEADER_BYTES + rows * (ROW_BYTES + dim * DTYPE.itemsize)
            if found_dim != dim or os.fstat(file.fileno()).st_size != size:
                return None
            table = file.read(rows * ROW_BYTES)
    except (OSError, ValueError):
        return None
    if _digest(header[:-KEY_BYTES] + table) != header[-KEY_BYTES:]:
        return None
    return [table[at : at + KEY_BYTES] for at in range(0, len(table), ROW_BYTES)]


def _remove_abandoned(path: Path) -> None:
    try:
        if time.time() - path.stat().st_mtime > ABANDONED:
            path.unlink()
    except OSError:  # another process was quicker
        return


def _sync_folder(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
