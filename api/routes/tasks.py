"""``/v1/tasks``: how far long jobs are."""

from __future__ import annotations

import asyncio
from typing import Any

from twindex.api.deps import CallerDep, ContextDep, check_allowed
from twindex.api.openapi import problems
from twindex.api.schemas_indexes import TaskBody, TaskList
from twindex.api.web import APIRouter

router = APIRouter(tags=["tasks"])


@router.get("/v1/tasks", response_model=TaskList, summary="List tasks", responses=problems())
async def list_tasks(caller: CallerDep, context: ContextDep) -> dict[str, Any]:
    """Those of indexes that the caller may read, the newest first."""
    tasks = await asyncio.to_thread(context.tasks.all)
    return {"tasks": [task.to_dict() for task in tasks if caller.allows("read", task.index)]}


@router.get("/v1/tasks/{task_id}", response_model=TaskBody, summary="Follow a task", responses=problems(404))
async def get_task(task_id: str, caller: CallerDep, context: ContextDep) -> dict[str, Any]:
    """Its state, its progress, and its result once it is done."""
    check_allowed_somewhere(caller)
    task = await asyncio.to_thread(context.tasks.get, task_id)
    check_allowed(caller, "read", task.index)
    return task.to_dict()


@router.delete(
    "/v1/tasks/{task_id}", response_model=TaskBody, status_code=202, summary="Cancel a task", responses=problems(404)
)
async def cancel_task(task_id: str, caller: CallerDep, context: ContextDep) -> dict[str, Any]:
    """It ends at its next step, and nothing is left of it; a restore that has begun to write is finished instead."""
    check_allowed_somewhere(caller)
    task = await asyncio.to_thread(context.tasks.get, task_id)
    check_allowed(caller, "read" if task.kind == "eval" else "admin", task.index)
    return (await asyncio.to_thread(context.tasks.cancel, task_id)).to_dict()


def check_allowed_somewhere(caller: CallerDep) -> None:
    """Nothing, if the caller has any key at all, or none is needed.

    Raises:
        ForbiddenError: If not.
    """
    if caller.required and caller.key is None:
        check_allowed(caller, "read", None)
