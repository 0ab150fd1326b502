"""An authenticated client: requests in, answers and pushes out. Synchronous; nobody here reads, writes or waits.

What the client speaks is the business of its speech (speech.py), how frames travel that of its transport. Answers keep
the order of the requests. What needs the store travels through the router as an errand; while one is under way,
everything that could be answered at once queues up behind it.
"""

from collections import deque
from enum import Enum, auto
from functools import partial
from itertools import islice

import trio

from ..delivery.event_push import EventRun
from ..delivery.events import SessionClosed, SessionOpened
from ..delivery.push import Delivery, Form
from ..delivery.registry import Load, Notice
from ..delivery.retry import RetryQueue
from ..delivery.submission import Errand
from ..model import SYNC_ONCE, DeviceLevel, ReasonCode
from ..protocol.codes import CLOSE_BYE, CLOSE_IDLE, CLOSE_TOO_MANY_ERRORS, Close
from ..services.auth import ConnectInfo
from ..services.traffic import ONE_MESSAGE, Snapshot, Traffic, read_tally
from .deadlines import RESOLUTION_S
from .gateway import Gateway
from .speech import ClientSend, Speech
from .transport import Transport

ERROR_WINDOW_S = 60.0
REPEAT_AT_ONCE = 64
REPEAT_AT_ONCE_BYTES = 64 * 1024
"""So many repetitions, and payloads of about so much, before others get a turn."""
WORK_OF_AN_ENCODING = 4
"""As how many pushes one counts that nobody can share."""
PATIENCE_S = 2.0
"""How long repetitions wait for acknowledgements that have arrived and were not read yet."""


class SessionState(Enum):
    """OPEN: serves. LEAVING: answers what is under way, then closes. CLOSED: takes and gives nothing."""

    OPEN = auto()
    LEAVING = auto()
    CLOSED = auto()


_OPEN, _LEAVING, _CLOSED = SessionState.OPEN, SessionState.LEAVING, SessionState.CLOSED
"""To look up a member of an Enum takes as long as a small function call."""


class LateAnswer(Errand, eq=False, gc=False):
    """An answer that has to wait for its turn."""

    session: "Session"
    answer: bytes

    def finish(self) -> None:
        self.session.settle(self.answer, False)


class Session:
    """One authenticated connection of a user."""

    __slots__ = (
        "_errors",
        "_farewell",
        "_gateway",
        "_opened_at",
        "_retries",
        "_retry_wanted",
        "_speech",
        "_transport",
        "delivered",
        "device_flag",
        "device_id",
        "forms",
        "in_flight",
        "level",
        "payload_limit_bytes",
        "received",
        "session_id",
        "slot",
        "state",
        "uid",
        "unserved",
    )

    def __init__(
        self, gateway: Gateway, transport: Transport, speech: Speech, info: ConnectInfo, level: DeviceLevel
    ) -> None:
        self._gateway = gateway
        self._transport = transport
        self._speech = speech
        self.session_id = next(gateway.session_ids)
        self.uid = info.uid
        self.device_flag = info.device_flag
        self.device_id = info.device_id
        self.level = level
        self.state = SessionState.OPEN
        self.forms: tuple[Form, ...] = speech.forms
        """How pushes are written for this client, in this order."""
        self.payload_limit_bytes = transport.limits.payload_bytes
        """How much the payload of a message may be."""
        self.in_flight = 0
        """Errands under way."""
        self.received = 0
        """Tally of the messages that the client has sent."""
        self.delivered = 0
        """Tally of those that were pushed to it."""
        self.unserved = False
        """More has arrived than was served: `receive` wants to be called again, with nothing new."""
        self.slot: int | None = None
        self._opened_at = transport.last_inbound
        self._retries: RetryQueue | None = None
        self._retry_wanted = speech.acknowledges
        self._errors: deque[float] | None = None
        self._farewell: Close | None = None
        """How to close, once the state is LEAVING."""

    def enter(self, welcome: bytes) -> None:
        """Begins. The answer to `connect` goes first: nothing awaits here, so no push can overtake it."""
        self._transport.in_packets += 1
        self._transport.offer(welcome)
        self._gateway.deadlines.watch(self, self._idle_at)
        self._gateway.entered(self, self._opened, self._opened_at)
        self._gateway.flushes.flush()

    def _opened(self) -> SessionOpened:
        return SessionOpened(
            session_id=self.session_id,
            uid=self.uid,
            device_flag=self.device_flag,
            device_id=self.device_id,
            remote_address=self._transport.remote_address,
        )

    # For the connection

    def receive(self, message: bytes, errands: list[Errand]) -> int:
        """Serves one message; returns how many requests that were.

        Args:
            message: what the framing has found; nothing to go on with what is `unserved`.
            errands: takes what has to go through the router.
        """
        return self._speech.receive(self, message, errands) if self.state is _OPEN else 0

    @property
    def has_own_frames(self) -> bool:
        """What is pushed to this client is written for nobody else."""
        return not self.forms[0].shared

    # For the speech: what the client wants

    @property
    def is_open(self) -> bool:
        """Requests are served."""
        return self.state is _OPEN

    @property
    def draining(self) -> bool:
        """The server is stopping: sends are refused."""
        return self._gateway.draining

    def submit(self, send: ClientSend, errands: list[Errand]) -> None:
        """Sends a message."""
        self.in_flight += 1
        self.received += ONE_MESSAGE + len(send.command.payload)
        errands.append(send)

    def reply(self, answer: bytes | None, errands: list[Errand]) -> None:
        """Answers at once, or behind the sends that are under way."""
        if answer is not None:
            if self.in_flight:
                self.in_flight += 1
                errands.append(LateAnswer(self, self, answer))
                return
            self._transport.offer(answer)
        if self.state is _LEAVING and not self.in_flight:
            self._close_as_wished()

    def acknowledge(self, message_id: int, size_bytes: int, message_seq: int = 0) -> None:
        """The client has got a message: it is not repeated any more.

        Args:
            size_bytes: of what says so.
            message_seq: helps if the id is not quite right.
        """
        self._retry_wanted = True
        statistics = self._gateway.statistics
        statistics.recvacks += 1
        statistics.recvack_bytes += size_bytes
        if self._retries is not None:
            message = self._retries.acknowledge(message_id, message_seq)
            if message is not None and message.flags & SYNC_ONCE and self.level is DeviceLevel.MASTER:
                self._gateway.command_received(self.uid, message)

    def count_refused(self, reason: ReasonCode, answer: bytes) -> bytes:
        """A send was refused that never was submitted, and this is the answer; UNKNOWN if that gives no reason code."""
        statistics = self._gateway.statistics
        statistics.refusals[reason] += 1
        statistics.sendack_bytes += len(answer)
        return answer

    def count_ping(self, ping_bytes: int, pong: bytes) -> bytes:
        """A ping is answered, with what is returned."""
        statistics = self._gateway.statistics
        statistics.pings += 1
        statistics.ping_bytes += ping_bytes
        statistics.pong_bytes += len(pong)
        return pong

    def count_error(self) -> None:
        """Counts a mistake of the client."""
        now = trio.current_time()
        if self._errors is None:
            self._errors = deque(maxlen=self._transport.limits.protocol_errors + 1)
        self._errors.append(now)
        if len(self._errors) == self._errors.maxlen and now - self._errors[0] <= ERROR_WINDOW_S:
            self.part(CLOSE_TOO_MANY_ERRORS)

    def part(self, why: Close) -> None:
        """Closes once everything that was asked so far is answered; `reply` has to follow."""
        self.state = SessionState.LEAVING
        self.unserved = False
        self._farewell = why

    def part_at_end(self) -> bool:
        """The client sends nothing more: closes once everything is answered. Returns whether there is anything."""
        if not self.in_flight:
            return False
        if self.state is _OPEN:
            self.part(CLOSE_BYE)
        return True

    # What goes out

    def settle(self, answer: bytes | None, of_send: bool) -> None:
        """One errand is done, and this is the answer to it.

        Args:
            of_send: it was a send, and its answer counts as that.
        """
        gateway = self._gateway
        self.in_flight -= 1
        if self.in_flight == gateway.resume_at:
            self._transport.resume()
        if self.state is _CLOSED:
            return
        if answer is not None:
            if of_send:
                gateway.statistics.sendack_bytes += len(answer)
            self._transport.offer(answer)
        if self.state is _LEAVING and not self.in_flight:
            self._close_as_wished()

    def deliver(self, delivery: Delivery) -> int:
        """Takes pushes for writing; stored messages are repeated until the client acknowledges them.

        Returns:
            How much work that was, in pushes whose bytes were there because others have got the same.
        """
        if self.state is not _OPEN:
            return 1
        self.delivered += delivery.tally
        forms = self.forms
        form, work = forms[0], delivery.work
        if form.shared and form.joinable and len(forms) == 1:
            self._transport.put(delivery.frame(form))
        else:
            work = self._write_one_by_one(delivery)
        if self._retry_wanted:
            if self._retries is None:
                self._retries = RetryQueue(self._gateway.config.message_retry)
            due = self._retries.add(delivery)
            if due is not None:
                self._gateway.deadlines.watch(self, due)
        return work

    def inform(self, run: EventRun) -> int:
        """Takes events of messages for writing; they are not repeated. Returns how much work that was."""
        form = self._speech.event_form
        if self.state is not _OPEN or form is None:
            return 1
        transport, frames = self._transport, run.frames(form)
        for frame in frames:
            transport.put(frame)
        transport.out_packets += len(run.events)
        return len(frames)

    def _write_one_by_one(self, delivery: Delivery) -> int:
        work = 0
        for push in delivery.pushes:
            for form in self.forms:
                if form.shared:
                    self._transport.put(push.frame(form))
                    work += 1
                else:
                    self._transport.put(form.encode(push))
                    work += WORK_OF_AN_ENCODING
        return work

    def load(self) -> Load:
        """What it adds to the figures of all."""
        retries = self._retries
        return Load(
            self._speech.name,
            0 if retries is None else len(retries),
            self._transport.pending_bytes,
            self.received,
            self.delivered,
        )

    @property
    def ended(self) -> bool:
        """Nothing more comes or goes, and the gateway's `past_traffic` has what did."""
        return self.state is _CLOSED

    # The end

    def _close_as_wished(self) -> None:
        assert self._farewell is not None
        self.close(self._farewell)

    def close(self, why: Close, notice: Notice | None = None) -> None:
        """Ends the session after what waits was written, the notice last. Later calls do nothing."""
        if self.state is not _CLOSED:
            try:
                if notice is not None:
                    self._transport.offer(self._speech.encode_notice(notice))
            finally:
                self._transport.close(why)
                self.end(why.reason, code=why.code)

    def end(self, reason: str, *, code: int = 1006) -> None:
        """The connection is over, or will be: from now on nobody finds this session. Later calls do nothing."""
        if self.state is _CLOSED:
            return
        self.state = SessionState.CLOSED
        self.unserved = False
        self._gateway.deadlines.forget(self)
        now = trio.current_time()
        self._gateway.left(self, self._traffic(), partial(self._closed, code, reason, now - self._opened_at), now)

    def _closed(self, code: int, reason: str, duration_s: float) -> SessionClosed:
        return SessionClosed(
            session_id=self.session_id,
            uid=self.uid,
            device_flag=self.device_flag,
            device_id=self.device_id,
            remote_address=self._transport.remote_address,
            close_code=code,
            reason=reason,
            duration_s=round(duration_s, 3),
        )

    def snapshot(self) -> Snapshot:
        """How the connection is doing."""
        transport = self._transport
        return Snapshot(
            session_id=self.session_id,
            uid=self.uid,
            device_flag=self.device_flag,
            device_id=self.device_id,
            level=self.level,
            remote_address=transport.remote_address,
            version=self._speech.version,
            opened_at=self._opened_at,
            last_inbound=transport.last_inbound,
            pending_bytes=transport.pending_bytes,
            unacknowledged=0 if self._retries is None else len(self._retries),
            traffic=self._traffic(),
        )

    def _traffic(self) -> Traffic:
        transport = self._transport
        in_msgs, in_msg_bytes = read_tally(self.received)
        out_msgs, out_msg_bytes = read_tally(self.delivered)
        in_packet_bytes, out_packet_bytes = transport.carried_bytes()
        return Traffic(
            in_msgs=in_msgs,
            out_msgs=out_msgs,
            in_msg_bytes=in_msg_bytes,
            out_msg_bytes=out_msg_bytes,
            in_packets=transport.in_packets,
            out_packets=transport.out_packets + out_msgs,
            in_packet_bytes=in_packet_bytes,
            out_packet_bytes=out_packet_bytes,
        )

    # Time limits

    @property
    def _idle_at(self) -> float:
        return self._transport.last_inbound + self._transport.limits.conn_idle_time_s

    def check_deadlines(self, now: float) -> float | None:
        """Repeats what was not acknowledged, and closes who was silent for too long, or takes nothing.

        What the client has sent counts before it is read: perhaps this whole machine was asleep.
        """
        write_due = self._transport.check_writing(now)
        if now >= self._idle_at:
            if self._transport.has_unread():
                self._transport.last_inbound = now
            else:
                self.close(CLOSE_IDLE)
        if self.state is _CLOSED:
            return None
        retry_due = self._repeat(now)
        return min([due for due in (self._idle_at, write_due, retry_due) if due is not None])

    def _repeat(self, now: float) -> float | None:
        """Repeats what is due; returns when something is due again."""
        retries = self._retries
        due = None if retries is None else retries.next_due()
        if retries is None or due is None:
            return None
        if due > now:
            return due
        if now < due + PATIENCE_S and self._transport.has_unread():
            return now + RESOLUTION_S
        size_bytes, statistics = 0, self._gateway.statistics
        for push in islice(retries.pop_due(now), REPEAT_AT_ONCE):
            self.delivered += push.tally
            for form in self.forms:
                self._transport.put(form.encode(push, dup=True))
            statistics.repetitions += 1
            size_bytes += len(push.message.payload)
            if size_bytes > REPEAT_AT_ONCE_BYTES:
                break
        self._transport.flush()
        left = retries.next_due()
        return None if left is None else max(left, now)
