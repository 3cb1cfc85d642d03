"""The OpenAPI document against the server: no 5xx, no status, media type or body that it does not describe.

Needs schemathesis (pip install schemathesis). ``TWINDEX_SCHEMA_EXAMPLES`` sets the requests for each operation (3
unless set): 200 make more than 5,000 in all.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from starlette.testclient import TestClient

from tests.api.server import NDJSON, client_of

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed: pip install schemathesis")
EXAMPLES = int(os.environ.get("TWINDEX_SCHEMA_EXAMPLES", "3"))
KNOWN_IDS = ("a", "b", "a/b c")
ENCODERS = {
    "notes": {"encoder": "hashing:32", "sparse_encoder": "sparse-hashing:64"},
    "plain": {"encoder": "none"},
}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with client_of(tmp_path_factory.mktemp("schema"), root=True, default="notes") as made:
        for name in ("notes", "plain"):
            made.post("/v1/indexes", json={"name": name, **ENCODERS[name]})
            body = "".join(json.dumps({"_id": i, "text": f"text {i}", "year": 2020}) + "\n" for i in KNOWN_IDS).encode()
            made.post(f"/v1/indexes/{name}/documents?wait=visible", content=body, headers=NDJSON)
        yield made


@schemathesis.serializer("application/x-ndjson")
def ndjson(ctx: Any, value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")


@pytest.mark.timeout(3600)
def test_the_document_describes_every_answer(client: TestClient) -> None:
    schema = schemathesis.openapi.from_asgi("/openapi.json", client.app)
    counts: dict[int, int] = {}
    waited: list[int] = []
    checks = schemathesis.checks
    chosen = [
        checks.not_a_server_error,
        schemathesis.specs.openapi.checks.status_code_conformance,
        schemathesis.specs.openapi.checks.content_type_conformance,
        schemathesis.specs.openapi.checks.response_schema_conformance,
    ]
    for result in schema.get_all_operations():
        operation = result.ok()
        if operation.path == "/v1/indexes/{index}" and operation.method.upper() == "DELETE":
            continue  # would leave the other operations without an index

        def run(case: Any) -> None:
            case.path_parameters = {**(case.path_parameters or {})}
            if "index" in case.path_parameters:
                case.path_parameters["index"] = ["notes", "plain", "notes", "nowhere"][sum(counts.values()) % 4]
            response = case.call(timeout=120)
            while response.status_code == 503 and "retry-after" in map(str.lower, response.headers):  # tasks pile up
                waited.append(response.status_code)
                time.sleep(0.2)
                response = case.call(timeout=120)
            counts[response.status_code] = counts.get(response.status_code, 0) + 1
            case.validate_response(response, checks=chosen)

        quiet = settings(
            max_examples=EXAMPLES,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.explicit, Phase.generate),
        )
        quiet(given(case=operation.as_strategy())(run))()
    print(f"{sum(counts.values())} requests: {dict(sorted(counts.items()))}; told to come back later: {len(waited)}")
    assert sum(counts.values()) >= 20 * EXAMPLES // 2
