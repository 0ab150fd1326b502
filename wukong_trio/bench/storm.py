"""`connect`: connections that are opened, authenticated and closed, one after the other in many places at once."""

from .connection import Connection
from .dialect import Dialect
from .plan import Plan
from .scenario import Opener, Places
from .swarm import Swarm, now_us
from .verify import Sent


class Storm(Places):
    """The attempts of one process. Latency counts from the due time until the answer to `connect`."""

    def __init__(self, plan: Plan, swarm: Swarm) -> None:
        super().__init__(plan)
        self._swarm = swarm
        self._dialect = Dialect(plan)
        self.opener = Opener(())
        self._made = 0
        self._attempts: dict[Connection, int] = {}
        """Attempt -> when it was due; 0 once authenticated."""

    def on_open(self, connection: Connection) -> None:
        """Part of `Owner`."""
        at_us = now_us()
        self.books.server_version = connection.speech.server_version
        self.books.tick.answered += 1
        self.books.tick.answer_us.record(at_us - self._attempts[connection])
        self._attempts[connection] = 0
        connection.say_goodbye()

    def on_data(self, connection: Connection, data: memoryview, at_us: int) -> int:
        """Part of `Owner`."""
        return 0

    def on_messages(self, connection: Connection, messages: list[memoryview], at_us: int) -> None:
        """Part of `Owner`: nothing is expected."""

    def on_end(self, connection: Connection, why: str) -> None:
        """Part of `Owner`."""
        if self._attempts.pop(connection):
            self.books.faults.broken += 1
            self.books.note(f"{self.plan.uid(connection.member)} could not connect: {why}")

    @property
    def under_way(self) -> int:
        """Part of `Places`."""
        return len(self._attempts)

    @property
    def free(self) -> int:
        """Part of `Places`."""
        return self._places - len(self._attempts)

    def make(self, due_us: int) -> None:
        """Part of `Places`."""
        member = self.plan.worker + self._made * self.plan.processes
        connection = Connection(self, self._swarm, self.plan, self._dialect, member)
        self._attempts[connection] = due_us
        self.books.tick.sent += 1
        connection.open(self._made)
        self._made += 1

    def finish(self, totals: dict[int, Sent]) -> None:
        """Part of `Scenario`."""
        self.books.unmade += len(self._due)
        self.books.faults.unanswered += sum(1 for due_us in self._attempts.values() if due_us)
        for connection in self._attempts:
            connection.drop()
