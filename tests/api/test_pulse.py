"""A loop that is late refuses at once, with the time to come back, and says that it lives."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from tests.api.server import client_of
from twindex.api.pulse import BEAT, Pulse
from twindex.api.refusals import OverloadedError


def test_one_late_look_is_no_crowd() -> None:
    pulse = Pulse(1.0)
    for late, refused in ((0.0, False), (5.0, False), (3.0, True), (2.0, True), (0.1, False), (-0.1, False)):
        pulse.note(late)
        if refused:
            with pytest.raises(OverloadedError) as error:
                pulse.admit()
            assert int(error.value.headers["Retry-After"]) >= 2
        else:
            pulse.admit()


def test_a_blocked_loop_is_noticed() -> None:
    async def run() -> float:
        pulse = Pulse(0.1)
        watching = asyncio.create_task(pulse.run())
        for _ in range(12):  # a few turns of the loop for each look
            await asyncio.sleep(0)
            time.sleep(BEAT + 0.1)
        watching.cancel()
        return pulse.late

    assert asyncio.run(run()) > 0.1


def test_a_late_loop_refuses_all_but_who_watches_it(index: Path) -> None:
    with client_of(index) as client:
        pulse = client.app.state.context.pulse  # type: ignore[attr-defined]
        pulse.note = lambda late: None  # its own looks must not overwrite ours
        pulse.late = 4.2
        refused = client.post("/v1/search", json={"query": "whale", "mode": "sparse"})
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "4")
        assert "4.2 s" in refused.json()["given"]
        for path in ("/v1/health", "/v1/ready", "/metrics"):
            assert client.get(path).status_code == 200
        assert "twindex_loop_late_seconds 4.2" in client.get("/metrics").text
        assert 'twindex_refused_total{reason="Overloaded"} 1' in client.get("/metrics").text
        pulse.late = 2.9
        assert client.post("/v1/search", json={"query": "whale"}).status_code == 200
