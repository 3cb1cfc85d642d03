"""Writes of one turn of the loop leave together, in order, and none is lost at the end."""

from __future__ import annotations

import asyncio
from typing import Any

from twindex.api.corked import MOST, CorkedTransport


class Inner:
    """Notes what leaves."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.sent.append(bytes(data))

    def writelines(self, parts: list[bytes]) -> None:
        self.write(b"".join(parts))

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def get_extra_info(self, name: str) -> str:
        return f"about {name}"


def run(steps: Any) -> Inner:
    inner = Inner()

    async def inside() -> None:
        await steps(CorkedTransport(inner, asyncio.get_running_loop()), inner)  # type: ignore[arg-type]

    asyncio.run(inside())
    return inner


def test_writes_of_one_turn_leave_together() -> None:
    async def steps(corked: CorkedTransport, inner: Inner) -> None:
        corked.write(b"head")
        corked.write(b"body")
        assert inner.sent == []
        await asyncio.sleep(0)
        assert inner.sent == [b"headbody"]
        corked.write(b"more")
        await asyncio.sleep(0)
        assert inner.sent == [b"headbody", b"more"]

    run(steps)


def test_closing_sends_what_is_kept_and_nothing_leaves_after_it() -> None:
    async def steps(corked: CorkedTransport, inner: Inner) -> None:
        corked.write(b"last")
        corked.close()
        assert inner.sent == [b"last"]
        corked.write(b"too late")
        await asyncio.sleep(0)

    assert run(steps).sent == [b"last"]


def test_much_leaves_at_once() -> None:
    async def steps(corked: CorkedTransport, inner: Inner) -> None:
        corked.write(b"x" * MOST)
        assert inner.sent == []
        corked.write(b"y")
        assert len(inner.sent[0]) == MOST + 1

    run(steps)


def test_the_rest_is_the_transport_inside() -> None:
    async def steps(corked: CorkedTransport, inner: Inner) -> None:
        assert corked.get_extra_info("peername") == "about peername"
        assert not corked.is_closing()

    run(steps)
