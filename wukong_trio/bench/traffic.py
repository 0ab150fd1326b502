"""Authenticated connections, of which some send, some receive and some do nothing: all scenarios but two."""

from collections.abc import Callable
from typing import Final

from . import frames
from .chorus import Chorus, Delivery, Listener
from .connection import Connection
from .frames import Masker
from .plan import Plan
from .scenario import Books, Opener, Schedule
from .swarm import Swarm, now_us
from .verify import Requests, Sent

_KEEP_ALIVE: Final = b'{"jsonrpc":"2.0","method":"ping","params":{},"id":"alive"}'


class Member:
    """A user with one connection."""

    __slots__ = ("_listener", "_request", "_traffic", "alive_due", "connection", "requests", "slow")

    def __init__(self, traffic: "Traffic", member: int, request: Callable[[int, int], bytes] | None) -> None:
        """Args:
        request: makes a request from its number and due time; None for those who do not send.
        """
        crowd = traffic.plan.crowd
        self._traffic = traffic
        self._request = request
        self.slow = crowd.is_slow(member)
        self.connection = Connection(self, traffic.swarm, traffic.plan, traffic.masker, member)
        self.requests = Requests()
        self._listener = traffic.listener(member)
        self.alive_due = False
        """A sign of life was asked for and has not come."""

    @property
    def sends(self) -> bool:
        """Whether it makes requests."""
        return self._request is not None

    def begin_request(self, due_us: int) -> None:
        """Makes a request and offers it."""
        assert self._request is not None
        number = self.requests.begin(due_us)
        self.connection.offer(self._request(number, due_us))
        self._traffic.books.tick.sent += 1

    def ask_alive(self) -> None:
        """Asks for a sign of life."""
        if self.connection.is_open and not self.alive_due:
            self.alive_due = True
            self.connection.offer(_KEEP_ALIVE)
            self.connection.flush()

    def on_open(self, connection: Connection) -> None:
        """Part of `Owner`."""
        self._traffic.opener.open += 1
        self._traffic.books.server_version = connection.server_version

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

    def on_messages(self, connection: Connection, messages: list[tuple[int, memoryview]], at_us: int) -> None:
        """Part of `Owner`: counts and checks what came, acknowledges it, goes on sending."""
        if self.slow:  # reads on at the end only, to see whether the server has closed it
            self.alive_due &= not any(frames.decode(text).id == "alive" for _, text in messages)
            return
        for _, text in messages:
            message = frames.decode(text)
            params = message.params
            if message.id is not None:
                self._answered(message, at_us)
            elif params is not None and message.method in ("recv", "message"):
                self._delivered(params, text, at_us)
            elif message.error is not None:
                self._traffic.books.note(f"an error without id: {message.error.message}")

    def _answered(self, message: frames.Incoming, at_us: int) -> None:
        if message.id == "alive":
            self.alive_due = False
            return
        traffic = self._traffic
        books = traffic.books
        due_us = self.requests.answer(message.id, succeeded=message.succeeded, faults=books.faults)
        if due_us is None:
            return
        if message.error is not None:
            books.note(f"refused: {message.error.message} (code {message.error.code})")
        else:
            books.tick.answered += 1
        books.tick.answer_us.record(at_us - due_us)
        if traffic.may_send_again():
            self.begin_request(now_us())

    def _delivered(self, push: frames.Push, text: memoryview, at_us: int) -> None:
        traffic = self._traffic
        receipt = traffic.receipt(push)
        self.connection.offer_frames(receipt)
        books = traffic.books
        try:
            stamp = frames.read_stamp(push.payload)
        except ValueError:
            books.faults.foreign += 1
            return
        delivery = Delivery(stamp, push.message_seq, push.header.dup, text, receipt)
        if self._listener.receive(delivery):
            books.tick.delivered += 1
            books.tick.delivery_us.record(at_us - stamp.due_us)

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
        self.masker = Masker()
        self.books = Books()
        self._padding = frames.padding_base64(plan.payload_bytes)
        self._choruses: dict[int, Chorus] = {}
        """Room -> what its listeners are sent."""
        self._members = [Member(self, member, self._request_of(member)) for member in plan.own_members()]
        self._senders = [member for member in self._members if member.sends]
        self.opener = Opener(member.connection for member in self._members)
        self._schedule = Schedule(plan, 0, own_senders=0, all_senders=0)
        self._turn = 0
        self._keep_alive_us = 0.0
        self._kept_alive = 0
        self._sending = False

    def listener(self, member: int) -> Listener:
        """The books of a member's deliveries. Those who only listen are sent alike."""
        crowd, faults = self.plan.crowd, self.books.faults
        room = crowd.room_of(member)
        if room is None or self.plan.scenario == "ping":
            return Listener(faults)
        if room not in self._choruses:
            self._choruses[room] = Chorus(crowd.senders_in(room))
        chorus = self._choruses[room]
        if crowd.is_sender(member):
            return Listener(faults, senders=chorus.senders - {member})
        return Listener(faults, chorus=chorus)

    def receipt(self, push: frames.Push) -> bytes:
        """The frame that acknowledges a push; empty if nothing shall be acknowledged."""
        return self.masker.text(frames.recvack(push)) if self.plan.recvack else b""

    def may_send_again(self) -> bool:
        """Whether an answer makes room for another request."""
        return self._sending and self._schedule.take()

    def _request_of(self, member: int) -> Callable[[int, int], bytes] | None:
        if not self.plan.crowd.is_sender(member):
            return None
        if self.plan.scenario == "ping":
            return lambda number, _due_us: frames.ping_request(number)
        template = frames.send_template(self.plan.prefix, member, *self.plan.channel(member))
        padding = self._padding

        def send(number: int, due_us: int) -> bytes:
            return template % (number, frames.stamp_base64(member, number, due_us), padding, number)

        return send

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
