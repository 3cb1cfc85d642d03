"""What the routes of one application share."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

from starlette.requests import HTTPConnection

from twindex.api.limits import Limits
from twindex.api.pulse import Pulse
from twindex.api.service.catalog import Catalog
from twindex.api.service.encoders import EncoderPool
from twindex.api.service.metrics import Metrics, Shared
from twindex.api.service.pool import WorkPool
from twindex.api.service.tasks import TaskStore
from twindex.api.tracing import Traces


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
    pulse: Pulse
    shared: Shared | None = None
    traces: Traces | None = None
    ready: bool = False

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Times a stage of the work, and traces it where traces are made."""
        started = time.perf_counter()
        with self.traces.stage(name) if self.traces is not None else nullcontext():
            yield
        self.metrics.observe("twindex_stage_seconds", time.perf_counter() - started, stage=name)

    def measured(self) -> Metrics:
        """The measures of this process, with what its encoders have counted."""
        for name, counts in self.encoders.counts().items():
            self.metrics.put("twindex_encoder_batches_total", counts.batches, encoder=name)
            self.metrics.put("twindex_encoder_texts_total", counts.texts, encoder=name)
            self.metrics.put("twindex_encoder_remembered_total", counts.remembered, encoder=name)
        return self.metrics

    @classmethod
    def of(cls, connection: HTTPConnection) -> Context:
        """That of the application which got the request."""
        context: Context = connection.app.state.context
        return context
