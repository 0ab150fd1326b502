"""What all scenarios have in common: the books, the opening of connections, and when requests are due."""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final, Protocol

from .plan import Plan
from .verify import Faults, Sent
from .wire import Tick

NEVER_US: Final = 1 << 62
OPENING_AT_ONCE: Final = 64
BURST: Final = 64
"""Overdue requests that are made before sockets are looked at again."""
_PROBLEMS_KEPT: Final = 5


class Books:
    """What a process counts."""

    def __init__(self) -> None:
        self.tick = Tick()
        self.faults = Faults()
        self.problems: list[str] = []
        self.slow_closed: dict[str, int] = {}
        self.unmade = 0
        """Requests that were due, but had no free connection until the end."""
        self.server_version = 0

    def note(self, problem: str) -> None:
        """Remembers a problem in words, if it is one of the first."""
        if len(self.problems) < _PROBLEMS_KEPT:
            self.problems.append(problem)

    def take_tick(self) -> Tick:
        """What was counted since the last call."""
        tick, self.tick = self.tick, Tick()
        return tick


class Openable(Protocol):
    """A connection that can be opened."""

    def open(self, serial: int) -> None:
        """Begins; the scenario tells the `Opener` how it ended."""


class Opener:
    """Opens many connections, a few at a time."""

    def __init__(self, connections: Iterable[Openable]) -> None:
        self._waiting: Iterator[Openable] = iter(connections)
        self._begun = 0
        self.open = 0
        self.failed = 0
        self.finished = False

    def work(self) -> None:
        """Begins as many as may be under way."""
        while self._begun - self.open - self.failed < OPENING_AT_ONCE:
            connection = next(self._waiting, None)
            if connection is None:
                self.finished = self.open + self.failed == self._begun
                return
            self._begun += 1
            connection.open(self._begun - 1)


class Schedule:
    """When the requests of this process are due.

    With a rate, at even distances from the beginning, whatever the server does: a request that leaves late keeps its
    due time, so that its latency holds the waiting (no coordinated omission). Without one, as soon as there is room.
    """

    def __init__(self, plan: Plan, begin_us: int, *, own_senders: int, all_senders: int) -> None:
        self.left = plan.own_share(plan.messages) if plan.messages is not None else NEVER_US
        """How many requests may still be made."""
        self.open_loop = plan.rate_per_s is not None
        rate_per_s = (plan.rate_per_s or 0.0) * own_senders / max(all_senders, 1)
        self._distance_us = 1e6 / rate_per_s if rate_per_s else 0.0
        self._next_us = begin_us + self._distance_us * (plan.worker + 1) / plan.processes
        if not own_senders:
            self.left = 0

    @property
    def next_us(self) -> int:
        """When the next request is due, far away if there is none."""
        return int(self._next_us) if self.open_loop and self.left else NEVER_US

    def due(self, now_us: int) -> Iterator[int]:
        """The due times of requests that should be made now, at most `BURST`; open loop only."""
        for _ in range(BURST):
            if self._next_us > now_us or not self.left:
                return
            self.left -= 1
            yield int(self._next_us)
            self._next_us += self._distance_us

    def take(self) -> bool:
        """Whether one more request may be made; closed loop only."""
        if self.open_loop or not self.left:
            return False
        self.left -= 1
        return True


class Scenario(Protocol):
    """The part of a run that one process plays."""

    books: Books
    opener: Opener

    def begin(self, at_us: int) -> None:
        """The measurement begins."""

    def work(self, now_us: int) -> int:
        """Makes the requests that are due; returns when to call again at the latest."""

    @property
    def exhausted(self) -> bool:
        """All requests that the plan allows are made and answered."""

    def stop(self) -> dict[int, Sent]:
        """Makes no more requests; returns what this process's senders have sent."""

    def settled(self, totals: dict[int, Sent]) -> bool:
        """Whether nothing is missing, when all senders have sent `totals`."""

    def finish(self, totals: dict[int, Sent]) -> None:
        """Turns what is missing into faults and closes everything."""


class Places(ABC):
    """A number of places, each with one request at a time: a `Scenario` but for how requests are made."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.books = Books()
        self._places = plan.own_share(plan.connections)
        self._due: deque[int] = deque()
        """Due times of requests that have no place yet."""
        self._schedule = Schedule(plan, 0, own_senders=0, all_senders=0)

    @property
    @abstractmethod
    def under_way(self) -> int:
        """How many requests have no answer yet."""

    @property
    @abstractmethod
    def free(self) -> int:
        """How many places wait for a request."""

    @abstractmethod
    def make(self, due_us: int) -> None:
        """Makes a request in a free place."""

    def begin(self, at_us: int) -> None:
        """Part of `Scenario`."""
        self._schedule = Schedule(self.plan, at_us, own_senders=self._places, all_senders=self.plan.connections)

    def work(self, now_us: int) -> int:
        """Part of `Scenario`."""
        if self._schedule.open_loop:
            for due_us in self._schedule.due(now_us):
                self._due.append(due_us)
                self.books.tick.late_us.record(now_us - due_us)
        for _ in range(self.free):
            if self._due:
                self.make(self._due.popleft())
            elif self._schedule.take():
                self.make(now_us)
            else:
                break
        return self._schedule.next_us

    @property
    def exhausted(self) -> bool:
        """Part of `Scenario`."""
        return not self._schedule.left and not self.under_way and not self._due

    def stop(self) -> dict[int, Sent]:
        """Part of `Scenario`."""
        self._schedule.left = 0
        return {}

    def settled(self, totals: dict[int, Sent]) -> bool:
        """Part of `Scenario`."""
        self.work(0)
        return not self.under_way and not self._due
