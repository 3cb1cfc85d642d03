"""What an index holds (``info``), and whether every byte of it is as its manifest says (``verify``)."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from twindex.indexing.directory import FileDirectory
from twindex.indexing.errors import CorruptIndexError, TwindexError
from twindex.indexing.expansion.layout import FOLDER, QUERY_OFFSET_FILE
from twindex.indexing.expansion.reader import ExpansionReader
from twindex.indexing.lock import Lease
from twindex.indexing.manifest import Manifest, SegmentEntry, read_manifest
from twindex.indexing.postings import ImpactFacts, live_df
from twindex.indexing.postings.impact_reader import read_facts
from twindex.indexing.segment import Segment
from twindex.indexing.types import Progress, no_progress

#: Manifests that may be replaced under our feet before we give up.
TRIES: Final = 100


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What ``verify`` read and found. Units: ``bytes`` read."""

    generation: int
    files: int
    bytes: int
    problems: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "ok": self.ok,
            "generation": self.generation,
            "files": self.files,
            "bytes": self.bytes,
            "problems": list(self.problems),
        }


def verify(path: Path | str, *, progress: Progress = no_progress) -> VerifyReport:
    """Compares every file with its size and SHA-256, and the counts of the manifest with the files.

    A writer may go on meanwhile; what is verified is the commit that was current at the call.

    Args:
        path: The index directory.
        progress: Called with the stage "verifying" and the bytes read.

    Raises:
        IndexNotFoundError: If there is no index.
        CorruptIndexError: If the manifest itself is damaged; damage of files is in the report.
        FormatVersionError: If this release does not read its format version.
    """
    root = Path(path)
    with ExitStack() as held:
        manifest = _hold(root, held)
        total = sum(file.bytes for entry in manifest.segments for file in entry.files)
        problems: list[str] = []
        done = 0
        for entry in manifest.segments:
            found = _check_files(root, entry)
            problems += found or _check_counts(root, manifest, entry)
            done += sum(file.bytes for file in entry.files)
            progress("verifying", done, total)
        files = sum(len(entry.files) for entry in manifest.segments)
        return VerifyReport(manifest.generation, files, total, tuple(problems))


def info(path: Path | str) -> dict[str, Any]:
    """What an index holds: settings, counts, sizes. Reads the manifest, and a small file a segment with impacts.

    Units: sizes in bytes, lengths in tokens.

    Raises:
        IndexNotFoundError: If there is no index.
        CorruptIndexError: If the manifest is damaged.
        FormatVersionError: If this release does not read its format version.
    """
    root = Path(path)
    manifest = read_manifest(FileDirectory(root), where=str(root))
    config = manifest.config
    segments = [_segment_facts(entry) for entry in manifest.segments]
    tokens = sum(entry.live_length for entry in manifest.segments)
    return {
        "path": str(root),
        "format_version": manifest.format_version,
        "generation": manifest.generation,
        "documents": manifest.documents,
        "passages": manifest.live_docs,
        "deleted_passages": sum(entry.size - entry.live_docs for entry in manifest.segments),
        "tokens": tokens,
        "average_length": round(tokens / manifest.live_docs, 3) if manifest.live_docs else 0.0,
        "bytes": sum(facts["bytes"] for facts in segments),
        "analyzer": config.analyzer,
        "encoder": config.encoder.to_dict() if config.encoder else None,
        "vector_kind": config.vector_kind if config.encoder else None,
        "sparse_encoder": config.sparse_encoder.to_dict() if config.sparse_encoder else None,
        "impacts": _impact_facts(root, manifest),
        "expansion": _expansion_facts(manifest),
        "chunking": config.chunking.to_dict(),
        "segments": segments,
    }


def _impact_facts(root: Path, manifest: Manifest) -> dict[str, Any] | None:
    """How exact the learned-sparse leg is, as it was measured when it was built."""
    folders = [root / entry.folder for entry in manifest.segments]
    if manifest.config.sparse_encoder is None or not folders:
        return None
    return ImpactFacts.total([read_facts(folder) for folder in folders]).summary()


def _expansion_facts(manifest: Manifest) -> dict[str, Any] | None:
    """Which queries were generated, how many there are, and what they take."""
    info = manifest.config.expansion
    if info is None:
        return None
    files = [file for entry in manifest.segments for file in entry.files if file.name.startswith(f"{FOLDER}/")]
    offsets = [file.count - 1 for file in files if file.name == f"{FOLDER}/{QUERY_OFFSET_FILE}"]
    return info.to_dict() | {"queries": sum(offsets), "bytes": sum(file.bytes for file in files)}


def _segment_facts(entry: SegmentEntry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "passages": entry.live_docs,
        "deleted": entry.size - entry.live_docs,
        "documents": entry.documents,
        "tokens": entry.live_length,
        "bytes": sum(file.bytes for file in entry.files),
    }


def _hold(root: Path, held: ExitStack) -> Manifest:
    """The manifest, its segments protected from removal; segments that are missing are left to the checks."""
    directory = FileDirectory(root)
    manifest = read_manifest(directory, where=str(root))
    for _ in range(TRIES):
        gone = False
        for entry in manifest.segments:
            try:
                held.callback(Lease(root / entry.folder).release)
            except (FileNotFoundError, NotADirectoryError):
                gone = True
        newer = read_manifest(directory, where=str(root))
        if not gone or newer.generation == manifest.generation:
            return manifest
        manifest = newer
    raise CorruptIndexError(f"{root} was replaced {TRIES} times while it was verified")


def _check_files(root: Path, entry: SegmentEntry) -> list[str]:
    directory = FileDirectory(root)
    problems: list[str] = []
    for file in entry.files:
        name = f"{entry.folder}/{file.name}"
        try:
            size = directory.size(name)
            if size != file.bytes:
                problems.append(f"{name} has {size} bytes, expected {file.bytes}")
            elif directory.digest(name) != file.sha256:
                problems.append(f"{name} was altered: its SHA-256 differs from the manifest's")
        except FileNotFoundError:
            problems.append(f"{name} is missing")
        except OSError as error:
            problems.append(f"{name} cannot be read: {error}")
    return problems


def _check_counts(root: Path, manifest: Manifest, entry: SegmentEntry) -> list[str]:
    """Counts that contradict each other although every file is as it was written: an error of the writer."""
    dim = manifest.config.encoder.dim if manifest.config.encoder else None
    try:
        segment = Segment(root, entry, dim=dim)
    except (TwindexError, OSError) as error:
        return [str(error)]
    try:
        return [f"{entry.folder}: {problem}" for problem in _contradictions(segment)]
    except TwindexError as error:
        return [str(error)]
    finally:
        segment.close()


def _contradictions(segment: Segment) -> list[str]:
    live = np.ones(segment.size, np.bool_) if segment.live is None else segment.live
    postings = segment.postings
    problems: list[str] = []
    length = int(np.asarray(postings.lengths).sum(dtype=np.int64, where=live))
    if length != segment.live_length:
        problems.append(f"{length} tokens are live, expected {segment.live_length}")
    documents = segment.document_count()
    if documents != segment.entry.documents:
        problems.append(f"{documents} documents are live, expected {segment.entry.documents}")
    if segment.live_dfs is not None and not np.array_equal(segment.live_dfs, live_df(postings, live)):
        problems.append("the live document frequencies differ from a new count")
    if segment.store.size != segment.size:
        problems.append(f"{segment.store.size} records for {segment.size} passages")
    _ = segment.order  # raises if it is no permutation
    if segment.impacts is not None:
        problems += segment.impacts.problems()
    if segment.expansion is not None:
        problems += _expansion_problems(segment.expansion)
    if segment.vectors is not None and len(segment.vectors.matrix) != segment.size:
        problems.append(f"{len(segment.vectors.matrix)} vectors for {segment.size} passages")
    return problems


def _expansion_problems(expansion: ExpansionReader) -> list[str]:
    """Its readers raise what contradicts; here what they do not look at."""
    problems = [] if expansion.impacts is None else expansion.impacts.problems()
    docs = expansion.postings.docs
    if len(docs) and int(docs.max()) >= expansion.size:
        problems.append(f"queries of passage {int(docs.max())}, there are {expansion.size}")
    if expansion.vectors is not None and len(expansion.vectors.matrix) != expansion.count:
        problems.append(f"{len(expansion.vectors.matrix)} vectors of {expansion.count} queries")
    return problems
