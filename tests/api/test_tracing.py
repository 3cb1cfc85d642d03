"""OpenTelemetry spans of a request and its stages, where its SDK is installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.api.server import client_of
from twindex.api.tracing import Traces

sdk = pytest.importorskip("opentelemetry.sdk.trace", reason="not installed: pip install opentelemetry-sdk")


def test_a_request_is_a_span_under_its_callers_with_its_stages(index: Path) -> None:
    export = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")
    simple = pytest.importorskip("opentelemetry.sdk.trace.export")
    kept = export.InMemorySpanExporter()
    provider = sdk.TracerProvider()
    provider.add_span_processor(simple.SimpleSpanProcessor(kept))
    trace = "0af7651916cd43dd8448eb211c80319c"
    with client_of(index, traces=Traces(provider)) as client:
        headers = {"traceparent": f"00-{trace}-b7ad6b7169203331-01"}
        client.post("/v1/search", json={"query": "topsecret"}, headers=headers)
        client.get("/v1/nowhere")
    spans = {span.name: span for span in kept.get_finished_spans()}
    request, stage = spans["POST /v1/search"], spans["search"]
    assert format(request.context.trace_id, "032x") == trace
    assert stage.parent.span_id == request.context.span_id
    assert request.attributes["http.response.status_code"] == 200
    assert request.attributes["twindex.request"]
    assert "GET unmatched" in spans
    assert "topsecret" not in str([dict(span.attributes) for span in spans.values()])
