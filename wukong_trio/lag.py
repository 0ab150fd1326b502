"""How late the event loop is: while it is, everybody waits, whatever the reason."""

from typing import Final

import trio

from .counting import Histogram

INTERVAL_S: Final = 0.1
BOUNDS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class LagMeter:
    """Sleeps for a tenth of a second again and again, and sees how much longer that took. From the first time that
    somebody wants to know: a server that nobody watches sleeps as long as it can.
    """

    def __init__(self) -> None:
        self.lag_s = Histogram(BOUNDS_S)
        self._wanted = trio.Event()

    def want(self) -> None:
        """Somebody wants to know, from now on."""
        self._wanted.set()

    async def run(self) -> None:
        """Measures until cancelled."""
        await self._wanted.wait()
        while True:
            due = trio.current_time() + INTERVAL_S
            await trio.sleep_until(due)
            # A clock may read a hair less than the deadline that has just passed.
            self.lag_s.add(max(trio.current_time() - due, 0.0))
