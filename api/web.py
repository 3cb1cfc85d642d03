"""The door to FastAPI, which it opens without compiling what most servers never need.

FastAPI declares the OpenAPI document as some fifty pydantic models, and pydantic compiles each as it is declared: 0.1 s
of each start, for a document that few requests ask for. Declared late, they are compiled when it is first made.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

_given = BaseModel.model_config
BaseModel.model_config = ConfigDict(**_given, defer_build=True)  # models inherit it when they are declared
try:
    from fastapi import APIRouter, Depends, FastAPI, Header, Query, Request, Response
    from fastapi import Path as PathParam
    from fastapi.exceptions import RequestValidationError
    from fastapi.openapi.utils import get_openapi
    from fastapi.responses import HTMLResponse
finally:
    BaseModel.model_config = _given

__all__ = [
    "APIRouter",
    "Depends",
    "FastAPI",
    "HTMLResponse",
    "Header",
    "PathParam",
    "Query",
    "Request",
    "RequestValidationError",
    "Response",
    "get_openapi",
]
