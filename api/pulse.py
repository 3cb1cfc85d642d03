"""How late the event loop is: what waits in front of it is in no queue that could be counted.

Cheap searches are answered on the loop itself, so when more of them come than it can answer, they wait in sockets. A
timer that rings late tells for how long; beyond a limit new requests are refused at once, with the time to come back.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from twindex.api.refusals import OverloadedError

#: Seconds between two looks.
BEAT: Final = 0.05


class Pulse:
    """Measures one event loop.

    Args:
        limit: Seconds of lateness from which on requests are refused.
        clock: Seconds.
    """

    def __init__(self, limit: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit = limit
        self._clock = clock
        self._last = 0.0
        self.late = 0.0

    async def run(self) -> None:
        """Measures until it is cancelled."""
        while True:
            then = self._clock()
            await asyncio.sleep(BEAT)
            self.note(self._clock() - then - BEAT)

    def note(self, late: float) -> None:
        """One measurement. One late look, as after a long collection, is no crowd yet: the lesser of two counts."""
        late = max(0.0, late)
        self.late, self._last = min(late, self._last), late

    def admit(self) -> None:
        """Nothing, if a request that comes now is likely to be answered in time.

        Raises:
            OverloadedError: If not.
        """
        if self.late > self.limit:
            seconds = max(1, round(self.late))
            raise OverloadedError(
                f"requests wait {self.late:.1f} s already",
                expected=f"at most {self.limit:g} s",
                remedy=f"try again in {seconds} s",
                headers={"Retry-After": str(seconds)},
            )
