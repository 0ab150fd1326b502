"""Authenticated connections, of which some send, some receive and some do nothing: all scenarios but two."""

from .chorus import Chorus, Listener
from .connection import Connection
from .dialect import Dialect
from .plan import Plan
from .scenario import Books, Opener, Schedule
from .speech import Delivery
from .swarm import Swarm, now_us
from .verify import Requests, Sent


class Member:
    """A user with one connection."""

    __slots__ = ("_listener", "_speech", "_traffic", "alive_due", "connection", "requests", "sends", "slow")

    def __init__(self, traffic: "Traffic", member: int) -> None:
        crowd = traffic.plan.crowd
        self._traffic = traffic
        self.sends = crowd.is_sender(member)
        """Whether it makes requests."""
        self.slow = crowd.is_slow(member)
        self.connection = Connection(self, traffic.swarm, traffic.plan, traffic.dialect, member)
        self._speech = self.connection.speech
        self.requests = Requests()
        self._listener = traffic.listener(member)
        self.alive_due = False
        """A sign of life was asked for and has not come."""

    def begin_request(self, due_us: int) -> None:
        """Makes a request and offers it."""
        number = self.requests.begin(due_us)
        speech = self._speech
        self.connection.offer(speech.ping(number) if self._traffic.pings else speech.send(number, due_us))
        self._traffic.books.tick.sent += 1

    def ask_alive(self) -> None:
        """Asks for a sign of life."""
        if self.connection.is_open and not self.alive_due:
            self.alive_due = True
            self.connection.offer(self._speech.keep_alive())
            self.connection.flush()

    def on_open(self, connection: Connection) -> None:
        """Part of `Owner`."""
        self._traffic.opener.open += 1
        self._traffic.books.server_version = connection.speech.server_version

    def on_data(self, connection: Connection, data: memoryview, at_us: int) -> int:
        """Part of `Owner`: counts and acknowledges what others in the room have got already."""
        if self.slow:
            return 0
        heard = self._listener.compare(data)
        if heard.size:
            tick = self._traffic.books.tick
            tick.delivered += len(heard.due_us)
            record = tick.delivery_us.record
            for due_us in heard.due_us:
                record(at_us - due_us)
            connection.offer_frames(heard.receipts)
        return heard.size

    def on_messages(self, connection: Connection, messages: list[memoryview], at_us: int) -> None:
        """Part of `Owner`: what came is counted, checked and acknowledged, and sending goes on."""
        self._speech.hear(messages, self, at_us)

    def on_alive(self) -> None:
        """Part of `Ear`."""
        self.alive_due = False

    def on_answer(self, number: object, problem: str, at_us: int) -> None:
        """Part of `Ear`."""
        traffic = self._traffic
        books = traffic.books
        due_us = self.requests.answer(number, succeeded=not problem, faults=books.faults)
        if due_us is None:
            return
        if problem:
            books.note(f"refused: {problem}")
        else:
            books.tick.answered += 1
        books.tick.answer_us.record(at_us - due_us)
        if traffic.may_send_again():
            self.begin_request(now_us())

    def on_delivery(self, delivery: Delivery, at_us: int) -> None:
        """Part of `Ear`."""
        if self.slow:  # reads on at the end only, to see whether the server has closed it
            return
        self.connection.offer_frames(delivery.receipt)
        if self._listener.receive(delivery):
            tick = self._traffic.books.tick
            tick.delivered += 1
            tick.delivery_us.record(at_us - delivery.stamp.due_us)

    def on_foreign(self, receipt: bytes, problem: str) -> None:
        """Part of `Ear`."""
        if not self.slow:
            self.connection.offer_frames(receipt)
            self._traffic.books.faults.foreign += 1
            if problem:
                self._traffic.books.note(problem)

    def on_complaint(self, problem: str) -> None:
        """Part of `Ear`."""
        self._traffic.books.note(problem)

    def on_end(self, connection: Connection, why: str) -> None:
        """Part of `Owner`."""
        self._traffic.ended(self, why)

    def missing(self, totals: dict[int, Sent]) -> int:
        """How many answers and deliveries have not come; of a slow reader, whether it does not know yet how it is."""
        if self.slow:
            return int(self.alive_due and self.connection.is_open)
        return len(self.requests.due_us) + self.alive_due + self._listener.missing(totals)

    def finish(self, totals: dict[int, Sent]) -> None:
        """Turns what is missing into faults."""
        if not self.slow:
            self._traffic.books.faults.unanswered += len(self.requests.due_us) + self.alive_due
            self._listener.finish(totals)


class Traffic:
    """The members of one process."""

    def __init__(self, plan: Plan, swarm: Swarm) -> None:
        self.plan = plan
        self.swarm = swarm
        self.dialect = Dialect(plan)
        self.pings = plan.scenario == "ping"
        """Requests are pings."""
        self.books = Books()
        self._choruses: dict[int, Chorus] = {}
        """Room -> what its listeners are sent."""
        self._members = [Member(self, member) for member in plan.own_members()]
        self._senders = [member for member in self._members if member.sends]
        self.opener = Opener(member.connection for member in self._members)
        self._schedule = Schedule(plan, 0, own_senders=0, all_senders=0)
        self._turn = 0
        self._keep_alive_us = 0.0
        self._kept_alive = 0
        self._sending = False

    def listener(self, member: int) -> Listener:
        """The books of a member's deliveries. Those who only listen are sent alike, unless it is encrypted."""
        crowd, faults = self.plan.crowd, self.books.faults
        room = crowd.room_of(member)
        if room is None or self.pings:
            return Listener(faults)
        if room not in self._choruses:
            self._choruses[room] = Chorus(crowd.senders_in(room), self.dialect.wire.server_frame)
        chorus = self._choruses[room]
        if crowd.is_sender(member) or not self.dialect.alike:
            return Listener(faults, senders=chorus.senders - {member})
        return Listener(faults, chorus=chorus)

    def may_send_again(self) -> bool:
        """Whether an answer makes room for another request."""
        return self._sending and self._schedule.take()

    def ended(self, member: Member, why: str) -> None:
        """A connection is over, although nobody here has closed it."""
        if not member.slow:
            self.books.faults.broken += 1
            self.books.note(f"the connection of {self.plan.uid(member.connection.member)} ended: {why}")
            if not self.opener.finished:
                self.opener.failed += 1
        else:
            self.books.slow_closed[why] = self.books.slow_closed.get(why, 0) + 1

    def begin(self, at_us: int) -> None:
        """Part of `Scenario`."""
        all_senders = self.plan.crowd.all_senders
        self._schedule = Schedule(self.plan, at_us, own_senders=len(self._senders), all_senders=all_senders)
        self._sending = True
        self._keep_alive_us = float(at_us) + self._keep_alive_distance_us
        for member in self._members:
            if member.slow:
                member.connection.stop_reading()
        for _ in range(self.plan.in_flight):
            for sender in self._senders:
                if self._schedule.take():
                    sender.begin_request(now_us())
        for sender in self._senders:
            sender.connection.flush()

    @property
    def _keep_alive_distance_us(self) -> float:
        return self.plan.ping_s * 1e6 / max(1, len(self._members))

    def work(self, now_us: int) -> int:
        """Part of `Scenario`."""
        if self._schedule.open_loop:
            self._send_due(now_us)
        while self._keep_alive_us <= now_us:
            self._members[self._kept_alive % len(self._members)].ask_alive()
            self._kept_alive += 1
            self._keep_alive_us += self._keep_alive_distance_us
        return min(self._schedule.next_us, int(self._keep_alive_us))

    def _send_due(self, at_us: int) -> None:
        late_us = self.books.tick.late_us
        for due_us in self._schedule.due(at_us):
            sender = self._senders[self._turn % len(self._senders)]
            self._turn += 1
            sender.begin_request(due_us)
            sender.connection.flush()
            late_us.record(now_us() - due_us)

    @property
    def exhausted(self) -> bool:
        """Part of `Scenario`."""
        return (
            bool(self._senders)
            and not self._schedule.left
            and not any(sender.requests.due_us for sender in self._senders)
        )

    def stop(self) -> dict[int, Sent]:
        """Part of `Scenario`. Asks everybody who had nothing to do for a sign of life."""
        self._sending = False
        for member in self._members:
            if member.slow:
                member.connection.read_on()
            if member.slow or not member.requests.sent.last:
                member.ask_alive()
        return {sender.connection.member: sender.requests.sent for sender in self._senders}

    def settled(self, totals: dict[int, Sent]) -> bool:
        """Part of `Scenario`."""
        return not any(member.missing(totals) for member in self._members)

    def finish(self, totals: dict[int, Sent]) -> None:
        """Part of `Scenario`."""
        for member in self._members:
            member.finish(totals)
            member.connection.drop()
