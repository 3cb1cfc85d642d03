"""Snapshots of an index that can be kept elsewhere, and restoring them: as a new index, or as the next commit.

A snapshot is itself an index directory: the files that one commit names, and its manifest. Taking one holds the
commit's segments, so that it may be taken while others write, merge and search. Restoring over an index is one
commit more: whoever reads at that moment goes on with what it has, and a crash leaves either the old or the new.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from twindex.indexing.directory import FileDirectory, sync_path
from twindex.indexing.errors import CorruptIndexError, IndexExistsError
from twindex.indexing.files import segment_name
from twindex.indexing.lock import WriterLock
from twindex.indexing.manifest import MANIFEST_FILE, Manifest, SegmentEntry, read_manifest
from twindex.indexing.recovery import tidy
from twindex.indexing.snapshot import Snapshot
from twindex.indexing.types import Progress, no_progress
from twindex.indexing.verify import verify

#: Suffix of a copy that is not finished.
UNFINISHED: Final = ".unfinished"


def take_snapshot(index: Path, into: Path, *, progress: Progress = no_progress) -> Manifest:
    """Copies the last commit of an index, whoever writes meanwhile; the copy is verified and durable.

    Args:
        index: The index.
        into: A folder that is not there yet.
        progress: Called with the stage "copying" and the bytes copied.

    Raises:
        IndexExistsError: If there is something at ``into``.
        CorruptIndexError: If a file of the index differs from its manifest.
    """
    if into.exists():
        raise IndexExistsError(f"{into} is there already", expected="a new folder", remedy="choose another one")
    unfinished = into.with_name(into.name + UNFINISHED)
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        manifest = _copied(index, FileDirectory(unfinished, make=True), progress)
        _check(unfinished)
        os.rename(unfinished, into)
    except BaseException:  # whatever ended it: half a copy is of no use, and nobody else would remove it
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    sync_path(into.parent)
    return manifest


def _copied(index: Path, target: FileDirectory, progress: Progress) -> Manifest:
    """The last commit of an index, copied and synced."""
    with Snapshot.open(index) as snapshot:
        manifest = snapshot.manifest
        total = sum(file.bytes for entry in manifest.segments for file in entry.files)
        done = 0
        for entry in manifest.segments:
            for size in _copy(index, entry, target, entry.name):
                done += size
                progress("copying", done, total)
    target.replace(MANIFEST_FILE, manifest.to_bytes())
    target.sync()
    return manifest


def restore_new(snapshot: Path, index: Path, *, progress: Progress = no_progress) -> Manifest:
    """A new index with the content of a snapshot.

    Raises:
        IndexExistsError: If there is something at ``index``.
        CorruptIndexError: If the snapshot is damaged.
    """
    return take_snapshot(snapshot, index, progress=progress)


def restore_over(snapshot: Path, index: Path, *, progress: Progress = no_progress) -> Manifest:
    """Makes the content of a snapshot the next commit of an index.

    Raises:
        CorruptIndexError: If the snapshot is damaged; the index stays as it is.
        LockedIndexError: If another process writes the index.
    """
    _check(snapshot)
    directory = FileDirectory(index)
    lock = WriterLock(index)
    try:
        now = read_manifest(directory, where=str(index))
        back = read_manifest(FileDirectory(snapshot), where=str(snapshot))
        tidy(directory, now)
        total = sum(file.bytes for entry in back.segments for file in entry.files)
        done, entries = 0, []
        for number, entry in enumerate(back.segments, now.next_segment):
            for size in _copy(snapshot, entry, directory, segment_name(number)):
                done += size
                progress("copying", done, total)
            entries.append(replace(entry, name=segment_name(number)))
        manifest = replace(
            back,
            generation=max(now.generation, back.generation) + 1,
            next_segment=now.next_segment + len(entries),
            segments=tuple(entries),
        )
        for entry in entries:
            directory.sync(entry.folder)
        directory.replace(MANIFEST_FILE, manifest.to_bytes())
        tidy(directory, manifest)
        return manifest
    finally:
        lock.release()


def _copy(source: Path, entry: SegmentEntry, target: FileDirectory, name: str) -> Iterator[int]:
    """Copies the listed files of a segment under another name; yields the bytes of each."""
    folder = target.path(f"segments/{name}")
    folder.mkdir(parents=True)
    for file in entry.files:
        (folder / file.name).parent.mkdir(exist_ok=True)  # the names of expansions have a folder in them
        shutil.copyfile(source / entry.folder / file.name, folder / file.name)
        yield file.bytes


def _check(folder: Path) -> None:
    report = verify(folder)
    if not report.ok:
        raise CorruptIndexError(
            f"{folder}: {'; '.join(report.problems[:3])}",
            expected="what its manifest says",
            remedy="take another snapshot",
        )
