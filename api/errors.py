"""From the exception tree to problem responses (RFC 9457), in one table."""

from __future__ import annotations

import logging
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.responses import Response

from twindex.api.json_response import SafeJSON
from twindex.api.refusals import RefusedError
from twindex.api.web import FastAPI, Request, RequestValidationError
from twindex.indexing.errors import (
    IndexError_,
    IndexExistsError,
    IndexNotFoundError,
    LockedIndexError,
    MissingError,
    ServiceError,
    TwindexError,
    UsageError,
)

log = logging.getLogger(__name__)

#: The first class that fits decides.
STATUS: Final[tuple[tuple[type[TwindexError], int, str], ...]] = (
    (IndexNotFoundError, 404, "There is no such index"),
    (IndexExistsError, 409, "There is an index already"),
    (UsageError, 422, "The request cannot be run"),
    (LockedIndexError, 409, "The index is being written"),
    (IndexError_, 503, "The index is not usable"),
    (MissingError, 501, "Something is not installed on this server"),
    (ServiceError, 502, "Another service failed"),
)


def problem(status: int, title: str, detail: str, *, kind: str, **more: str) -> SafeJSON:
    """A problem response."""
    content: dict[str, Any] = {
        "type": f"urn:twindex:error:{kind}",
        "title": title,
        "status": status,
        "detail": detail,
        **more,
    }
    return SafeJSON(content, status_code=status, media_type="application/problem+json")


def install(app: FastAPI) -> None:
    """Every error of the API leaves as a problem response, never as a stack trace."""
    app.add_exception_handler(TwindexError, _twindex_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)


async def _twindex_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, TwindexError):
        return await _unforeseen(request, error)
    return problem_of(error)


def problem_of(error: TwindexError) -> SafeJSON:
    """The problem response of a deliberate error, with the headers of a refusal."""
    if isinstance(error, RefusedError):
        status, title = error.status, error.title
    else:
        status, title = next(((s, t) for kind, s, t in STATUS if isinstance(error, kind)), (500, "Error"))
    response = problem(
        status,
        title,
        error.message,
        kind=type(error).__name__.removesuffix("Error").rstrip("_"),
        given=error.given,
        expected=error.expected,
        remedy=error.remedy,
    )
    if isinstance(error, RefusedError):
        response.headers.update(error.headers)
    return response


async def _validation_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        return await _unforeseen(request, error)
    parts = [f"{'.'.join(str(place) for place in item['loc'])}: {item['msg']}" for item in error.errors()]
    return problem(
        422,
        "The request body is not valid",
        "; ".join(parts),
        kind="Validation",
        remedy=f"see the schema of {request.method} {request.url.path} in /openapi.json",
    )


async def _http_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        return await _unforeseen(request, error)
    response = problem(
        error.status_code,
        str(error.detail),
        f"{request.method} {request.url.path}: {error.detail}",
        kind=f"Http{error.status_code}",
        remedy="see /openapi.json for what this server offers" if error.status_code in (404, 405) else "",
    )
    response.headers.update(error.headers or {})
    if error.status_code == 405:
        response.headers["Allow"] = ", ".join(_methods(request))
    return response


def _methods(request: Request) -> list[str]:
    """What may be done at an address, whichever routes do it."""
    found: set[str] = set()
    for route in getattr(request.app.state, "api_routes", ()):
        if route.path_regex.match(request.scope["path"]):
            found |= route.methods
    return sorted(found)


async def _unforeseen(request: Request, error: Exception) -> Response:
    log.error("unforeseen error in %s %s", request.method, request.url.path, exc_info=error)
    return unforeseen()


def unforeseen() -> SafeJSON:
    """What a caller learns of an error that nobody foresaw."""
    return problem(500, "Internal error", "an unforeseen error; the server's log has it", kind="Internal")
