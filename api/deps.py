"""What routes ask for, as annotated dependencies. Every route that is not public asks who may use it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated

from twindex.api.context import Context
from twindex.api.gate import Caller
from twindex.api.refusals import ForbiddenError
from twindex.api.service.keys import Scope
from twindex.api.service.served import ServedIndex
from twindex.api.web import Depends, Request


async def _context(request: Request) -> Context:
    return Context.of(request)


async def find_index(request: Request, name: str | None) -> ServedIndex:
    """The index of that name, opened in a thread if it is not open yet; None = the one of unnamed requests."""
    catalog = Context.of(request).catalog
    wanted = name if name is not None else catalog.default()
    served = catalog.peek(wanted)
    return served if served is not None else await asyncio.to_thread(catalog.get, wanted)


def check_allowed(caller: Caller, scope: Scope, index: str | None) -> None:
    """Nothing, if the caller may do that to that index; None = to the server as a whole.

    Raises:
        ForbiddenError: If not. It says the same whether or not there is such an index.
    """
    if not caller.allows(scope, index):
        raise ForbiddenError(
            f"this key, for {scope} of {index or 'the server as a whole'}",
            expected="a key with that scope and a grant for it",
            remedy="ask whoever runs the server for one: twindex keys create",
        )


def on_index(scope: Scope) -> Callable[..., Awaitable[ServedIndex]]:
    """A dependency: the index that the address names, or the default one, for those who may."""

    async def dependency(request: Request) -> ServedIndex:
        name: str | None = request.path_params.get("index")
        caller: Caller = request.scope["twindex.caller"]
        if name is None:
            name = Context.of(request).catalog.default()
        check_allowed(caller, scope, name)
        return await find_index(request, name)

    return dependency


def on_server(scope: Scope) -> Callable[..., Awaitable[None]]:
    """A dependency: nothing, for those who may do that to the server as a whole."""

    async def dependency(request: Request) -> None:
        check_allowed(request.scope["twindex.caller"], scope, None)

    return dependency


async def anyone(request: Request) -> Caller:
    """A dependency: the caller, whoever it is; the route looks at its grants itself."""
    caller: Caller = request.scope["twindex.caller"]
    return caller


ContextDep = Annotated[Context, Depends(_context)]
CallerDep = Annotated[Caller, Depends(anyone)]
ReadIndex = Annotated[ServedIndex, Depends(on_index("read"))]
WriteIndex = Annotated[ServedIndex, Depends(on_index("write"))]
AdminIndex = Annotated[ServedIndex, Depends(on_index("admin"))]
