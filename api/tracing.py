"""OpenTelemetry traces, as an extra: one span a request, under the caller's if it sends one, and one a stage.

Needs ``twindex[otel]``. Where spans go is the business of OpenTelemetry's own settings (``OTEL_EXPORTER_OTLP_ENDPOINT``
and others, which its packages read). Spans hold routes, statuses and counts; never queries, texts or keys.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from twindex.indexing.optional import load

PURPOSE = "sending traces"


class Traces:
    """Makes spans.

    Args:
        provider: An OpenTelemetry tracer provider; None makes one that exports over OTLP.

    Raises:
        MissingExtraError: If OpenTelemetry is not installed.
    """

    def __init__(self, provider: Any = None) -> None:
        api = load("opentelemetry.trace", purpose=PURPOSE)
        self._propagate = load("opentelemetry.propagate", purpose=PURPOSE)
        self._kind = api.SpanKind.SERVER
        self._provider = provider if provider is not None else _exporting()
        self._tracer = self._provider.get_tracer("twindex")

    @contextmanager
    def request(self, headers: list[tuple[bytes, bytes]], method: str) -> Iterator[Any]:
        """The span of a request, a child of the one that its ``traceparent`` names."""
        carrier = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
        parent = self._propagate.extract(carrier)
        with self._tracer.start_as_current_span(method, context=parent, kind=self._kind) as span:
            yield span

    @contextmanager
    def stage(self, name: str) -> Iterator[Any]:
        """The span of a stage, inside the present one."""
        with self._tracer.start_as_current_span(name) as span:
            yield span

    def close(self) -> None:
        """Sends what is left."""
        shutdown = getattr(self._provider, "shutdown", None)
        if shutdown is not None:
            shutdown()


class Tracing:
    """ASGI middleware that puts a span around each request.

    Args:
        app: What is inside.
        traces: Makes the spans.
    """

    def __init__(self, app: ASGIApp, traces: Traces) -> None:
        self.app = app
        self.traces = traces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        with self.traces.request(scope["headers"], scope["method"]) as span:

            async def noted(message: Message) -> None:
                if message["type"] == "http.response.start":
                    _describe(span, scope, message["status"])
                await send(message)

            await self.app(scope, receive, noted)


def _describe(span: Any, scope: MutableMapping[str, Any], status: int) -> None:
    route = getattr(scope.get("route"), "path", "unmatched")
    span.update_name(f"{scope['method']} {route}")
    span.set_attribute("http.request.method", scope["method"])
    span.set_attribute("http.route", route)
    span.set_attribute("http.response.status_code", status)
    span.set_attribute("twindex.request", scope.get("twindex.request", ""))


def _exporting() -> Any:
    """A provider that sends spans in batches over OTLP."""
    resources = load("opentelemetry.sdk.resources", purpose=PURPOSE)
    sdk = load("opentelemetry.sdk.trace", purpose=PURPOSE)
    export = load("opentelemetry.sdk.trace.export", purpose=PURPOSE)
    otlp = load("opentelemetry.exporter.otlp.proto.http.trace_exporter", purpose=PURPOSE)
    provider = sdk.TracerProvider(resource=resources.Resource.create({"service.name": "twindex"}))
    provider.add_span_processor(export.BatchSpanProcessor(otlp.OTLPSpanExporter()))
    return provider
