"""``/v1/indexes/{index}/snapshots`` and ``/restore``: copies of an index, taken and put back while it is in use."""

from __future__ import annotations

import asyncio
import secrets
import shutil
import time
from pathlib import Path
from typing import Annotated, Any

from twindex.api.context import Context
from twindex.api.deps import AdminIndex, CallerDep, ContextDep, check_allowed
from twindex.api.openapi import problems
from twindex.api.refusals import ConflictError, ForbiddenError, NotThereError
from twindex.api.schemas_indexes import SNAPSHOT_ID, RestoreRequest, SnapshotList, TaskBody
from twindex.api.service.backup import UNFINISHED, restore_new, take_snapshot
from twindex.api.service.records import Entry
from twindex.api.service.served import ServedIndex
from twindex.api.web import APIRouter, PathParam
from twindex.indexing.directory import FileDirectory
from twindex.indexing.manifest import MANIFEST_FILE, Manifest, read_manifest
from twindex.indexing.types import Progress

router = APIRouter(tags=["snapshots"])
SnapshotId = Annotated[str, PathParam(pattern=SNAPSHOT_ID, description="Id of a snapshot of this index.")]


@router.get(
    "/v1/indexes/{index}/snapshots", response_model=SnapshotList, summary="List snapshots", responses=problems(404)
)
async def list_snapshots(served: AdminIndex) -> dict[str, Any]:
    """Those of this index, the oldest first."""
    return {"snapshots": await asyncio.to_thread(listed, served)}


@router.post(
    "/v1/indexes/{index}/snapshots",
    response_model=TaskBody,
    status_code=202,
    summary="Take a snapshot",
    responses=problems(404, 507),
)
async def create_snapshot(served: AdminIndex, context: ContextDep) -> dict[str, Any]:
    """A task that copies the index with every write that was acknowledged before, and verifies the copy."""
    task = await asyncio.to_thread(
        context.tasks.start, "snapshot", served.name, lambda progress: _take(served, context, progress)
    )
    return task.to_dict()


@router.delete(
    "/v1/indexes/{index}/snapshots/{snapshot}",
    status_code=204,
    summary="Delete a snapshot",
    responses=problems(404),
)
async def delete_snapshot(snapshot: SnapshotId, served: AdminIndex) -> None:
    """Gives its room on the disk back."""
    await asyncio.to_thread(_remove, served, snapshot)


@router.post(
    "/v1/indexes/{index}/restore",
    response_model=TaskBody,
    status_code=202,
    summary="Restore a snapshot",
    responses=problems(404, 409, 507),
)
async def restore(body: RestoreRequest, served: AdminIndex, caller: CallerDep, context: ContextDep) -> dict[str, Any]:
    """A task that puts a snapshot in place of the index, in one step; or makes a new index of it."""
    source = served.snapshots / body.snapshot
    if not (source / MANIFEST_FILE).exists():
        raise NotThereError(f"no snapshot {body.snapshot!r} of {served.name!r}", expected="the id of one")
    if body.into is None:
        return (
            await asyncio.to_thread(context.tasks.start, "restore", served.name, _over(served, context, body.snapshot))
        ).to_dict()
    check_allowed(caller, "admin", body.into)
    if context.catalog.place.single:
        raise ForbiddenError("this server serves one index", remedy="restore over it, or serve a folder of indexes")
    target = context.catalog.place.path / body.into
    if target.exists():
        raise ConflictError(f"index {body.into!r} is there already", expected="the name of a new one")
    work = _new(source, target)
    return (await asyncio.to_thread(context.tasks.start, "restore", body.into, work)).to_dict()


def listed(served: ServedIndex) -> list[dict[str, Any]]:
    """The finished snapshots of an index."""
    found = []
    for path in sorted(served.snapshots.glob(f"*/{MANIFEST_FILE}")):
        if not path.parent.name.endswith(UNFINISHED):
            manifest = read_manifest(FileDirectory(path.parent), where=path.parent.name)
            found.append(_shown(served.name, path.parent.name, manifest))
    return found


def _remove(served: ServedIndex, snapshot: str) -> None:
    folder = served.snapshots / snapshot
    if not (folder / MANIFEST_FILE).exists():
        raise NotThereError(f"no snapshot {snapshot!r} of {served.name!r}", expected="the id of one")
    gone = folder.with_name(folder.name + UNFINISHED)
    folder.rename(gone)  # in one step: nobody restores half of it
    shutil.rmtree(gone, ignore_errors=True)


def _take(served: ServedIndex, context: Context, progress: Progress) -> dict[str, Any]:
    last = served.status()["acknowledged"]
    served.wait_visible(last, context.limits.seconds)
    name = f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{secrets.token_hex(3)}"
    served.snapshots.mkdir(parents=True, exist_ok=True)
    manifest = take_snapshot(served.path, served.snapshots / name, progress=progress)
    return _shown(served.name, name, manifest)


def _over(served: ServedIndex, context: Context, snapshot: str) -> Any:
    def work(progress: Progress) -> dict[str, Any]:
        progress("waiting for the writer", 0, None)
        written = served.submit(Entry("restore", {"snapshot": snapshot})).result()
        served.wait_visible(written.sequence, context.limits.answer_seconds)
        return {"sequence": written.sequence, "generation": served.searcher.snapshot.generation}

    return work


def _new(source: Path, target: Path) -> Any:
    def work(progress: Progress) -> dict[str, Any]:
        manifest = restore_new(source, target, progress=progress)
        return {"index": target.name, "generation": manifest.generation, "documents": manifest.documents}

    return work


def _shown(index: str, name: str, manifest: Manifest) -> dict[str, Any]:
    return {
        "id": name,
        "index": index,
        "generation": manifest.generation,
        "documents": manifest.documents,
        "bytes": sum(file.bytes for entry in manifest.segments for file in entry.files),
    }
