"""What the routes of one application share."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import HTTPConnection

from twindex.api.limits import Limits
from twindex.api.service.catalog import Catalog
from twindex.api.service.encoders import EncoderPool
from twindex.api.service.metrics import Metrics, Shared
from twindex.api.service.pool import WorkPool
from twindex.api.service.tasks import TaskStore


@dataclass(slots=True)
class Context:
    """Made at start-up, closed at the end. ``work`` runs searches, ``slow`` whole answers and waits."""

    catalog: Catalog
    encoders: EncoderPool
    work: WorkPool
    slow: WorkPool
    tasks: TaskStore
    metrics: Metrics
    limits: Limits
    version: str
    shared: Shared | None = None
    ready: bool = False

    @classmethod
    def of(cls, connection: HTTPConnection) -> Context:
        """That of the application which got the request."""
        context: Context = connection.app.state.context
        return context
