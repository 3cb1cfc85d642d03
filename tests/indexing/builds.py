"""Shared by the tests of the index directory: a corpus of our own making, and ways to look at an index."""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from twindex.indexing.config import IndexConfig
from twindex.indexing.encoders.hashing import HashingEncoder
from twindex.indexing.lock import LOCK_FILE
from twindex.indexing.manifest import Manifest
from twindex.indexing.snapshot import Snapshot
from twindex.indexing.types import Document, MetaValue
from twindex.indexing.writer import IndexWriter

_WORDS = (
    "river mountain copper lantern violin harvest glacier saddle pepper orchard magnet compass feather "
    "bridge thunder candle harbour marble walnut falcon ember meadow anchor velvet quartz naïve 東京 наука"
)
WORDS = _WORDS.split()


#: The repository's root, where child processes find these modules.
ROOT = Path(__file__).resolve().parents[2]


def environment(**extra: str) -> dict[str, str]:
    """Environment of a child process that imports the tests."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    return os.environ | {"PYTHONPATH": path} | extra


def document(number: int, version: int = 0) -> Document:
    """The document of that number; another version has another text."""
    rng = random.Random(number * 1000 + version)
    text = " ".join(rng.choices(WORDS, k=rng.randint(3, 30)))
    metadata: dict[str, MetaValue] = {
        "year": 2000 + number % 20,
        "kind": "even" if number % 2 == 0 else "odd",
    }
    return Document(f"d{number}", text, f"title {rng.choice(WORDS)}" if number % 3 else "", metadata)


def documents(count: int, *, start: int = 0, version: int = 0) -> Iterable[Document]:
    """A stream of them."""
    return (document(number, version) for number in range(start, start + count))


def encoder() -> HashingEncoder:
    return HashingEncoder(16)


def build(path: Path, items: Iterable[Document], *, segment_docs: int = 1000, dense: bool = True) -> Manifest:
    """A finished index of one commit."""
    model = encoder() if dense else None
    config = IndexConfig(encoder=model.info if model else None, segment_docs=segment_docs)
    with IndexWriter.create(path, config, encoder=model) as writer:
        writer.add(items)
        return writer.commit()


def digest(folder: Path) -> dict[str, str]:
    """SHA-256 of every file, the lock file left out."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != LOCK_FILE
    }


def live_ids(path: Path) -> list[str]:
    """Ids of the live passages, in order."""
    with Snapshot.open(path) as snapshot:
        return ids_of(snapshot)


def ids_of(snapshot: Snapshot) -> list[str]:
    allowed = snapshot.allowed(None)
    ords = np.arange(snapshot.size) if allowed is None else np.flatnonzero(allowed)
    return snapshot.ids(ords.astype(np.int32))
