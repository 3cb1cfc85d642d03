"""The OpenAPI document: problem responses as RFC 9457 has them, the security scheme, and examples."""

from __future__ import annotations

from typing import Any, Final

from twindex.api.schemas import Problem
from twindex.api.web import FastAPI, get_openapi

#: What any request may be answered with, whatever it asks.
ALWAYS: Final = (400, 401, 403, 408, 413, 421, 422, 429, 500, 503, 504)
REASONS: Final[dict[int, str]] = {
    400: "The request cannot be read at all",
    401: "No API key, or one that is not valid",
    403: "The key does not allow this, or the request comes from a page of another origin",
    404: "There is no such index, document, task or snapshot",
    408: "The request did not arrive in time",
    409: "The request contradicts what is there",
    413: "The body has too many bytes or items",
    415: "The body has another media type than expected",
    421: "The Host header does not name this server",
    422: "The request cannot be run; the problem says what was given and what was expected",
    429: "Too many requests of this caller; Retry-After says when to come back",
    500: "An error of the server's own; its log has it",
    501: "Something that the request needs is not installed on this server",
    502: "Another service, such as a model's endpoint, failed",
    503: "The server is busy or the index is not usable; Retry-After says when to come back",
    504: "The request took longer than a request may",
    507: "The write could not be stored; reading goes on",
}
#: The part of an address that names an index; a dependency reads it, so that routes need not declare it.
INDEX: Final = {
    "name": "index",
    "in": "path",
    "required": True,
    "description": "Name of an index.",
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"},
    "example": "notes",
}
PROBLEM: Final = "application/problem+json"


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The ``responses`` of a route: what may always happen, and these."""
    content = {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": REASONS[status], "content": content} for status in sorted({*ALWAYS, *statuses})}


def install(app: FastAPI) -> None:
    """Replaces the application's own description."""

    def describe() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _complete(
                get_openapi(
                    title=app.title,
                    version=app.version,
                    summary=app.summary,
                    description=app.description,
                    routes=app.routes,
                    tags=app.openapi_tags,
                )
            )
        return app.openapi_schema

    app.openapi = describe  # type: ignore[method-assign]


def _complete(spec: dict[str, Any]) -> dict[str, Any]:
    schemas = spec.setdefault("components", {}).setdefault("schemas", {})
    schemas["Problem"] = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    for path, operations in spec["paths"].items():
        if "{index}" in path:
            for operation in operations.values():
                others = [each for each in operation.get("parameters", []) if each["name"] != "index"]
                operation["parameters"] = [INDEX, *others]
    spec["components"]["securitySchemes"] = {
        "key": {"type": "http", "scheme": "bearer", "description": "An API key; needed unless on loopback."}
    }
    spec["security"] = [{"key": []}, {}]
    return spec
