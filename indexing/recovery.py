"""Tidying an index directory: what no commit names is removed, unless a reader still holds it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

from twindex.indexing.directory import TEMPORARY, FileDirectory
from twindex.indexing.errors import IndexExistsError
from twindex.indexing.files import is_deletion
from twindex.indexing.lock import LOCK_FILE, Eviction
from twindex.indexing.manifest import MANIFEST_FILE, SEGMENT_FOLDER, STAGING_FOLDER, Manifest

_log = logging.getLogger(__name__)

#: What a build that died before its first commit can have left behind.
OURS: Final = frozenset({LOCK_FILE, SEGMENT_FOLDER, STAGING_FOLDER, MANIFEST_FILE + TEMPORARY})


def staging_name(generation: int) -> str:
    """Folder of the checkpoints for the commit of that generation."""
    return f"{STAGING_FOLDER}/g{generation:06d}"


def check_vacant(root: Path) -> None:
    """Nothing, if an index may be made at ``root``: it is absent, empty, or an unfinished build.

    Raises:
        IndexExistsError: If there is an index, or something that is not ours.
    """
    if not root.exists():
        return
    if not root.is_dir():
        raise IndexExistsError(f"{root} is a file", expected="a folder, or nothing")
    found = {path.name for path in root.iterdir()}
    if MANIFEST_FILE in found:
        raise IndexExistsError(
            f"there is an index at {root} already",
            expected="a folder without one",
            remedy="add documents to it, choose another folder, or remove it first",
        )
    strange = sorted(found - OURS)
    if strange:
        raise IndexExistsError(
            f"{root} holds other files ({', '.join(strange[:3])}{', ...' if len(strange) > 3 else ''})",
            expected="an empty folder, or none",
            remedy="choose another folder",
        )


def tidy(directory: FileDirectory, manifest: Manifest | None) -> None:
    """Removes whatever the manifest does not name; the caller holds the writer's lock.

    Checkpoints for a commit that is still to come stay. What a reader holds stays as well, and so does
    what cannot be removed (that is logged): a later call takes it.
    """
    if directory.exists(MANIFEST_FILE + TEMPORARY):
        directory.remove(MANIFEST_FILE + TEMPORARY)
    named = {entry.name: entry for entry in manifest.segments} if manifest else {}
    for name in directory.names(SEGMENT_FOLDER):
        folder = f"{SEGMENT_FOLDER}/{name}"
        entry = named.get(name)
        if entry is None:
            _evict(directory, folder)
            continue
        listed = {file.name for file in entry.files}
        for file in directory.names(folder):
            if is_deletion(file) and file not in listed:
                _remove(directory, f"{folder}/{file}")
    _tidy_staging(directory, manifest.generation if manifest else 0)


def _tidy_staging(directory: FileDirectory, generation: int) -> None:
    wanted = staging_name(generation + 1)
    left = False
    for name in directory.names(STAGING_FOLDER):
        if f"{STAGING_FOLDER}/{name}" == wanted:
            left = True
        else:
            _remove(directory, f"{STAGING_FOLDER}/{name}")
    if not left and directory.exists(STAGING_FOLDER):
        _remove(directory, STAGING_FOLDER)


def _evict(directory: FileDirectory, folder: str) -> None:
    path = directory.path(folder)
    if not path.is_dir():
        _remove(directory, folder)
        return
    with Eviction(path) as eviction:
        if eviction.granted:
            _remove(directory, folder)
        else:
            _log.info("%s is still read; a later commit removes it", path)


def _remove(directory: FileDirectory, name: str) -> None:
    try:
        directory.remove(name)
    except OSError as error:
        _log.warning("%s could not be removed: %s", directory.path(name), error)
