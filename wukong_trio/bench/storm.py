"""`connect`: connections that are opened, authenticated and closed, one after the other in many places at once."""

from collections import deque

from .connection import Connection
from .frames import Masker
from .plan import Plan
from .scenario import Books, Opener, Schedule
from .swarm import Swarm, now_us
from .verify import Sent


class Storm:
    """The attempts of one process. Latency counts from the due time until the answer to `connect`."""

    def __init__(self, plan: Plan, swarm: Swarm) -> None:
        self._plan = plan
        self._swarm = swarm
        self._masker = Masker()
        self.books = Books()
        self.opener = Opener(())
        self._places = plan.own_share(plan.connections)
        self._made = 0
        self._due: deque[int] = deque()
        """Due times of attempts that have no place yet."""
        self._under_way: dict[Connection, int] = {}
        """Attempt -> when it was due; 0 once authenticated."""
        self._schedule = Schedule(plan, 0, own_senders=0, all_senders=0)

    def on_open(self, connection: Connection) -> None:
        """Part of `Owner`."""
        at_us = now_us()
        self.books.tick.answered += 1
        self.books.tick.answer_us.record(at_us - self._under_way[connection])
        self._under_way[connection] = 0
        connection.say_goodbye()

    def on_data(self, connection: Connection, data: memoryview, at_us: int) -> int:
        """Part of `Owner`."""
        return 0

    def on_messages(self, connection: Connection, messages: list[tuple[int, memoryview]], at_us: int) -> None:
        """Part of `Owner`: nothing is expected."""

    def on_end(self, connection: Connection, why: str) -> None:
        """Part of `Owner`."""
        if self._under_way.pop(connection):
            self.books.faults.broken += 1
            self.books.note(f"{self._plan.uid(connection.member)} could not connect: {why}")

    def begin(self, at_us: int) -> None:
        """Part of `Scenario`."""
        self._schedule = Schedule(self._plan, at_us, own_senders=self._places, all_senders=self._plan.connections)

    def work(self, at_us: int) -> int:
        """Part of `Scenario`."""
        if self._schedule.open_loop:
            for due_us in self._schedule.due(at_us):
                self._due.append(due_us)
                self.books.tick.late_us.record(at_us - due_us)
        room = self._places - len(self._under_way)
        for _ in range(room):
            if self._due:
                self._attempt(self._due.popleft())
            elif self._schedule.take():
                self._attempt(now_us())
            else:
                break
        return self._schedule.next_us

    def _attempt(self, due_us: int) -> None:
        member = self._plan.worker + self._made * self._plan.processes
        connection = Connection(self, self._swarm, self._plan, self._masker, member)
        self._under_way[connection] = due_us
        self.books.tick.sent += 1
        connection.open(self._made)
        self._made += 1

    @property
    def exhausted(self) -> bool:
        """Part of `Scenario`."""
        return not self._schedule.left and not self._under_way and not self._due

    def stop(self) -> dict[int, Sent]:
        """Part of `Scenario`."""
        self._schedule.left = 0
        return {}

    def settled(self, totals: dict[int, Sent]) -> bool:
        """Part of `Scenario`."""
        self.work(now_us())
        return not self._under_way and not self._due

    def finish(self, totals: dict[int, Sent]) -> None:
        """Part of `Scenario`."""
        self.books.unmade += len(self._due)
        self.books.faults.unanswered += sum(1 for due_us in self._under_way.values() if due_us)
        for connection in self._under_way:
            connection.drop()
