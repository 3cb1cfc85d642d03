"""Errors that only a server has: who may do what, how much, how often, and what is not there.

They join the project's tree under ``UsageError`` or ``ServiceError`` and know their HTTP status.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from twindex.indexing.errors import ServiceError, TwindexError, UsageError


class RefusedError(TwindexError):
    """A request that a server refuses.

    ``status`` and ``title`` belong to the class; ``headers`` go into the response.
    """

    status: ClassVar[int] = 400
    title: ClassVar[str] = "Refused"

    def __init__(
        self, given: str, *, expected: str = "", remedy: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(given, expected=expected, remedy=remedy)
        self.headers = dict(headers or {})


class AuthenticationError(RefusedError, UsageError):
    """No key, or one that is not valid."""

    status = 401
    title = "A valid API key is needed"

    def __init__(self, given: str, *, remedy: str = "send the header: Authorization: Bearer KEY") -> None:
        super().__init__(
            given, expected="an API key", remedy=remedy, headers={"WWW-Authenticate": 'Bearer realm="twindex"'}
        )


class ForbiddenError(RefusedError, UsageError):
    """A valid key that does not allow this, or a request from a page of another origin."""

    status = 403
    title = "This is not allowed"


class NotThereError(RefusedError, UsageError):
    """No such index, document, task or snapshot."""

    status = 404
    title = "There is no such thing"


class ConflictError(RefusedError, UsageError):
    """The request contradicts what is there."""

    status = 409
    title = "The request contradicts what is there"


class TooLargeError(RefusedError, UsageError):
    """The body has too many bytes or items."""

    status = 413
    title = "The request is too large"


class MediaTypeError(RefusedError, UsageError):
    """A body of a kind that is not taken here."""

    status = 415
    title = "The body has another media type than expected"


class MisdirectedError(RefusedError, UsageError):
    """A Host header that does not name this server."""

    status = 421
    title = "The request was meant for another host"


class TooManyError(RefusedError, ServiceError):
    """More requests than a caller may send."""

    status = 429
    title = "Too many requests"


class OverloadedError(RefusedError, ServiceError):
    """The server has more to do than it can soon."""

    status = 503
    title = "The server is busy"


class TooSlowError(RefusedError, ServiceError):
    """The request took longer than a request may."""

    status = 504
    title = "The request took too long"


class StorageError(RefusedError, ServiceError):
    """A write could not be made durable; reading goes on."""

    status = 507
    title = "The write could not be stored"
