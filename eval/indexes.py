"""Indexes of corpora, built once and found again by what they are made of."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from twindex.eval.beir import Dataset
from twindex.indexing.config import IndexConfig
from twindex.indexing.encoding import Encoder, SparseEncoder
from twindex.indexing.errors import IndexNotFoundError
from twindex.indexing.snapshot import Snapshot
from twindex.indexing.types import Progress, no_progress
from twindex.indexing.writer import IndexWriter

#: From a file's leg in the manifest to the leg of a search.
_SERVES: Final = {"bm25": "bm25", "impact": "learned", "dense": "dense"}


@dataclass(frozen=True, slots=True)
class BuiltIndex:
    """Where an index is. ``seconds`` is what building it took, 0 if it was there."""

    path: Path
    seconds: float = 0.0


def fingerprint(values: Mapping[str, Any]) -> str:
    """A short name for plain values: equal values, equal name. 16 hexadecimal digits of a sha256."""
    text = json.dumps(values, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def index_config(
    encoder: Encoder | None, analyzer: str = "english", sparse_encoder: SparseEncoder | None = None
) -> IndexConfig:
    """Settings of an index for evaluation: whole documents, exact vectors."""
    return IndexConfig(
        analyzer=analyzer,
        encoder=encoder.info if encoder else None,
        sparse_encoder=sparse_encoder.info if sparse_encoder else None,
    )


def cached_path(dataset: Dataset, root: Path, config: IndexConfig) -> Path:
    """The folder of the index of a corpus under settings: it changes when either does."""
    key = fingerprint({"corpus": dataset.digest(), "config": config.to_dict()})
    return root / "indexes" / f"{dataset.name}-{key}"


def ensure_index(
    dataset: Dataset,
    path: Path,
    config: IndexConfig,
    *,
    encoder: Encoder | None = None,
    sparse_encoder: SparseEncoder | None = None,
    progress: Progress = no_progress,
) -> BuiltIndex:
    """An index at the path, built from the corpus if there is none; an interrupted build is resumed.

    Raises:
        CorpusError: If there is nothing to build from.
        FingerprintError: If an encoder is not the one of the settings.
    """
    try:
        Snapshot.open(path).close()
    except IndexNotFoundError:
        pass
    else:
        return BuiltIndex(path)
    started = time.perf_counter()
    path.parent.mkdir(parents=True, exist_ok=True)
    with IndexWriter.create(path, config, encoder=encoder, sparse_encoder=sparse_encoder) as writer:
        writer.add(dataset.corpus(), progress=progress)
        writer.commit()
    return BuiltIndex(path, time.perf_counter() - started)


def index_bytes(path: Path) -> int:
    """Size of an index on disk, in bytes."""
    return sum(file.stat().st_size for folder, _, names in os.walk(path) for file in map(Path(folder).joinpath, names))


def leg_bytes(snapshot: Snapshot) -> dict[str, int]:
    """Bytes of the index by what they serve: "bm25", "learned", "dense", and "store" for what every search needs."""
    out = {"bm25": 0, "learned": 0, "dense": 0, "store": 0}
    for segment in snapshot.manifest.segments:
        for file in segment.files:
            out[_SERVES.get(file.leg, "store")] += file.bytes
    return out


def statistics(snapshot: Snapshot) -> dict[str, int]:
    """What identifies an index to a reader: documents, passages, tokens, distinct terms by segment's sum."""
    return {
        "documents": snapshot.documents,
        "passages": snapshot.live_docs,
        "tokens": snapshot.live_length,
        "terms": sum(segment.postings.num_terms for segment in snapshot.segments),
        "postings": sum(segment.postings.num_postings for segment in snapshot.segments),
        **_impacts(snapshot),
    }


def _impacts(snapshot: Snapshot) -> dict[str, int]:
    """Postings of the learned leg, if there is one: its non-zeros, summed over all documents."""
    readers = [segment.impacts for segment in snapshot.segments if segment.impacts is not None]
    return {"impacts": sum(reader.num_postings for reader in readers)} if readers else {}
