"""How much of a core requests may take: what others leave, and a small share in any case.

Chat goes first, but a server that is busy all day still tells. Each event has a pace of its own. A request is paid for
after it was made, with the CPU time that it has taken in the event loop, and the next one waits until the share has
paid for it.

What others leave is not taken to the last bit: clients that send as fast as they are answered would give way to
webhooks, little by little, until both had half of the core. So a part of it is left alone, and the share of webhooks
shrinks until it is the small one.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import trio

WINDOW_S: Final = 0.05
"""The load is measured over so long at least."""
MOST: Final = 0.9
"""Of a core: up to this, requests take what others leave."""
CREDIT_S: Final = 0.05
"""Time in which nothing was asked for counts later, up to this: a request waits for its answer without any cost."""
LEAST: Final = 0.001
"""A share is never smaller."""
LONGEST_WAIT_S: Final = 1.0
"""However expensive a request was, the next one may begin after that."""

Clock = Callable[[], float]


class Stopwatch:
    """The CPU time of this thread while it runs. It has to stand still while its task waits."""

    __slots__ = ("_clock", "_runs", "_since", "elapsed_s")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.elapsed_s = 0.0
        self.start()

    def start(self) -> None:
        """Goes on."""
        self._runs = True
        self._since = self._clock()

    def stop(self) -> None:
        """Stands still; if it does already, nothing happens."""
        if self._runs:
            self._runs = False
            self.elapsed_s += self._clock() - self._since


class Load(trio.abc.Instrument):
    """How busy the server is.

    That is the time in which the event loop does not wait, because a core that others use as well, or that is rationed,
    looks idle by CPU time; and the CPU time of the other threads, because a loop that waits for its writer is not idle
    on a single core.
    """

    def __init__(
        self,
        clock: Clock = time.perf_counter,
        process_clock: Clock = time.process_time,
        thread_clock: Clock = time.thread_time,
    ) -> None:
        self.clock = clock
        self._process_clock, self._thread_clock = process_clock, thread_clock
        self._waiting_since = 0.0
        self._idle_s = 0.0

    def before_io_wait(self, timeout: float) -> None:
        """Part of Trio's Instrument: the loop has nothing more to do."""
        self._waiting_since = self.clock()

    def after_io_wait(self, timeout: float) -> None:
        """Part of Trio's Instrument."""
        self._idle_s += self.clock() - self._waiting_since

    @property
    def busy_s(self) -> float:
        """How long it has been busy, counted from some moment on."""
        return self.clock() - self._idle_s + self.cpu_s - self._thread_clock()

    @property
    def cpu_s(self) -> float:
        """How much CPU time the process has got."""
        return self._process_clock()


class Pace:
    """Of one event: says when its next request may begin."""

    def __init__(
        self, load: Load, least: float, clock: Clock = trio.current_time, cpu_clock: Clock = time.thread_time
    ) -> None:
        """
        Args:
            least: the share of the server's CPU time that requests may take whatever the load is.
        """
        self._load = load
        self._least = least
        self._clock, self._cpu_clock = clock, cpu_clock
        self._since, self._busy_since, self._cpu_since = load.clock(), load.busy_s, load.cpu_s
        self._spent_s = 0.0
        """Since then."""
        self._share = least
        self._paid_at = 0.0
        """When what was taken so far is paid for."""
        self.hurry = False
        """The server stops, so nobody else needs the core."""

    def stopwatch(self) -> Stopwatch:
        """A watch that runs."""
        return Stopwatch(self._cpu_clock)

    @contextmanager
    def working(self) -> Iterator[None]:
        """For work on a request in which nothing is awaited."""
        start = self._cpu_clock()
        try:
            yield
        finally:
            self.spent(self._cpu_clock() - start)

    def spent(self, cpu_s: float) -> None:
        """A request has cost so much."""
        self._spent_s += cpu_s
        self._measure()
        now = self._clock()
        self._paid_at = min(max(self._paid_at, now - CREDIT_S) + cpu_s / self._share, now + LONGEST_WAIT_S)

    def _measure(self) -> None:
        """Finds out which share of a core requests may take, every now and then."""
        now = self._load.clock()
        span_s = now - self._since
        if span_s < WINDOW_S:
            return
        busy_s, cpu_s = self._load.busy_s, self._load.cpu_s
        left = MOST - (busy_s - self._busy_since - self._spent_s) / span_s
        # A core that is not ours alone gives less to everybody.
        got = min((cpu_s - self._cpu_since) / span_s, 1.0)
        self._share = max(left, self._least * got, LEAST)
        self._since, self._busy_since, self._cpu_since, self._spent_s = now, busy_s, cpu_s, 0.0

    @property
    def wait_s(self) -> float:
        """After how long the next request may begin."""
        return 0.0 if self.hurry else max(self._paid_at - self._clock(), 0.0)

    async def give_way(self) -> None:
        """Waits until the next request may begin."""
        if wait_s := self.wait_s:
            await trio.sleep(wait_s)
