"""An authenticated client: requests in, answers and pushes out. Synchronous; nobody here reads, writes or waits.

Answers keep the order of the requests. What needs the store travels through the router as an errand; while one is under
way, everything that could be answered at once queues up behind it.
"""

from collections import deque
from enum import Enum, auto
from functools import partial

import trio

from ..delivery.events import SessionClosed, SessionOpened
from ..delivery.push import FORM_FRAMED, Delivery
from ..delivery.retry import RetryQueue
from ..delivery.submission import Errand, Submission
from ..model import DeviceLevel, ReasonCode
from ..protocol.answers import (
    encode_batch,
    encode_empty,
    encode_error,
    encode_refusal,
    encode_send_result,
)
from ..protocol.codes import CLOSE_BYE, CLOSE_IDLE, CLOSE_TOO_MANY_ERRORS, Close
from ..protocol.requests import (
    Disconnect,
    Invalid,
    Ping,
    Recvack,
    Request,
    RequestId,
    Send,
    decode,
)
from .commands import RefusedError, read_command
from .deadlines import RESOLUTION_S
from .gateway import Gateway
from .profile import Dialect
from .transport import Transport

ERROR_WINDOW_S = 60.0
MAX_ID_DIGITS = 20
"""No message id is longer; Python refuses to read numbers of some thousand digits."""
PATIENCE_S = 2.0
"""How long repetitions wait for acknowledgements that have arrived and were not read yet."""


class SessionState(Enum):
    """OPEN: serves. LEAVING: answers what is under way, then closes. CLOSED: takes and gives nothing."""

    OPEN = auto()
    LEAVING = auto()
    CLOSED = auto()


_OPEN, _LEAVING, _CLOSED = SessionState.OPEN, SessionState.LEAVING, SessionState.CLOSED
"""To look up a member of an Enum takes as long as a small function call."""


class BatchAnswer:
    """The answer to a JSON-RPC batch, given when its last entry is answered."""

    __slots__ = ("frames", "missing")

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.missing = 0


class ClientSend(Submission, eq=False, gc=False, kw_only=True):
    """A `send` of a client."""

    session: "Session"
    id: RequestId
    batch: BatchAnswer | None = None
    """The answer of which its own becomes a part, and where in it."""
    place: int = 0

    def answer_in(self, batch: BatchAnswer) -> None:
        """Its answer becomes part of the answer to a batch."""
        self.batch = batch
        self.place = len(batch.frames)
        batch.frames.append(b"")
        batch.missing += 1

    def finish(self) -> None:
        frame = self._encode()
        batch = self.batch
        if batch is None:
            self.session.settle(frame)
            return
        batch.frames[self.place] = frame
        batch.missing -= 1
        self.session.settle(None if batch.missing else encode_batch(batch.frames))

    def _encode(self) -> bytes:
        message = self.message
        if message is None:
            return encode_refusal(self.id, self.reason)
        dialect = self.session.dialect
        return encode_send_result(self.id, message, sdk=dialect.profile != "doc", snake=dialect.snake)


class LateAnswer(Errand, eq=False, gc=False):
    """An answer that has to wait for its turn."""

    session: "Session"
    frame: bytes

    def finish(self) -> None:
        self.session.settle(self.frame)


class Session:
    """One authenticated connection of a user."""

    __slots__ = (
        "_errors",
        "_farewell",
        "_forms",
        "_gateway",
        "_opened_at",
        "_retries",
        "_retry_wanted",
        "_transport",
        "device_flag",
        "device_id",
        "dialect",
        "in_flight",
        "level",
        "session_id",
        "slot",
        "state",
        "uid",
    )

    def __init__(
        self,
        gateway: Gateway,
        transport: Transport,
        dialect: Dialect,
        *,
        objects: bool,
        uid: str,
        device_flag: int,
        device_id: str,
        level: DeviceLevel,
    ) -> None:
        self._gateway = gateway
        self._transport = transport
        self.session_id = next(gateway.session_ids)
        self.dialect = dialect
        self.uid = uid
        self.device_flag = device_flag
        self.device_id = device_id
        self.level = level
        self.state = SessionState.OPEN
        self.in_flight = 0
        """Errands under way."""
        self.slot: int | None = None
        self._opened_at = transport.last_inbound
        self._forms = dialect.object_forms if objects else dialect.forms
        self._retries: RetryQueue | None = None
        self._retry_wanted = dialect.profile != "doc"
        self._errors: deque[float] | None = None
        self._farewell: Close | None = None
        """How to close, once the state is LEAVING."""

    def enter(self, welcome: bytes) -> None:
        """Begins. The answer to `connect` goes first: nothing awaits here, so no push can overtake it."""
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

    # What comes in

    def receive(self, message: bytes, errands: list[Errand]) -> None:
        """Serves one message.

        Args:
            message: a WebSocket message, UTF-8.
            errands: takes what has to go through the router.
        """
        if self.state is not _OPEN:
            return
        # Not a `match`: every message comes along here, and the frequent kinds are asked for first.
        request = decode(message)
        served: bytes | ClientSend | None
        if isinstance(request, Send):
            served = self._send(request)
        elif isinstance(request, Recvack) and request.id is None:
            self._acknowledge(request.params.message_id)
            return
        elif isinstance(request, list):
            served = self._serve_batch(request, errands)
        else:
            served = self._serve(request)
            if isinstance(request, Invalid) and request.counts:
                self._count_error()
        if isinstance(served, ClientSend):
            errands.append(served)
            return
        self._answer(served, errands)

    def _answer(self, answer: bytes | None, errands: list[Errand]) -> None:
        """Answers at once, or behind the sends that are under way."""
        if answer is not None:
            if self.in_flight:
                self.in_flight += 1
                errands.append(LateAnswer(self, self, answer))
                return
            self._transport.offer(answer)
        if self.state is _LEAVING and not self.in_flight:
            self._close_as_wished()

    def _serve_batch(self, requests: list[Request], errands: list[Errand]) -> bytes | None:
        batch = BatchAnswer()
        erroneous = False
        for request in requests:
            served = self._serve(request)
            erroneous |= isinstance(request, Invalid) and request.counts
            if isinstance(served, ClientSend):
                served.answer_in(batch)
                errands.append(served)
            elif served is not None:
                batch.frames.append(served)
            if self.state is not _OPEN:
                break  # nothing behind a `disconnect` is served
        if erroneous and self.state is _OPEN:
            self._count_error()
        complete = batch.frames and not batch.missing
        return encode_batch(batch.frames) if complete else None

    def _serve(self, request: Request) -> "bytes | ClientSend | None":
        if isinstance(request, Ping):
            return None if request.id is None else encode_empty(request.id)
        if isinstance(request, Send):
            return self._send(request)
        if isinstance(request, Recvack):
            self._acknowledge(request.params.message_id)
            return None if request.id is None else encode_empty(request.id)
        if isinstance(request, Invalid):
            return encode_error(request.id, request.code, request.message)
        if isinstance(request, Disconnect):
            self._part(CLOSE_BYE)
            return None if request.id is None else encode_empty(request.id)
        return None

    def _send(self, request: Send) -> bytes | ClientSend:
        assert request.id is not None
        if self._gateway.draining:
            return encode_refusal(request.id, ReasonCode.SYSTEM_ERROR, "server shutdown")
        limit_bytes = self._transport.limits.payload_bytes
        try:
            command, is_json = read_command(request.params, self.uid, payload_limit_bytes=limit_bytes)
        except RefusedError as refused:
            return encode_error(request.id, refused.code, refused.message, refused.reason)
        if is_json:
            # Whoever writes JSON as such wants to read it as such.
            self._forms = self.dialect.object_forms
        self.in_flight += 1
        return ClientSend(self, command, session=self, id=request.id)

    def _acknowledge(self, message_id: int | str) -> None:
        self._retry_wanted = True
        if self._retries is None:
            return
        if isinstance(message_id, int):
            self._retries.acknowledge(message_id)
        elif message_id.isdecimal() and len(message_id) <= MAX_ID_DIGITS:
            self._retries.acknowledge(int(message_id))

    def _count_error(self) -> None:
        """Counts an erroneous frame; a batch is one, however much is wrong in it."""
        now = trio.current_time()
        if self._errors is None:
            self._errors = deque(maxlen=self._transport.limits.protocol_errors + 1)
        self._errors.append(now)
        if len(self._errors) == self._errors.maxlen and now - self._errors[0] <= ERROR_WINDOW_S:
            self._part(CLOSE_TOO_MANY_ERRORS)

    def _part(self, why: Close) -> None:
        """Closes once everything that was asked so far is answered."""
        self.state = SessionState.LEAVING
        self._farewell = why

    # What goes out

    def settle(self, frame: bytes | None) -> None:
        """One errand is done; `frame` is its answer."""
        self.in_flight -= 1
        if self.in_flight == self._transport.resume_at:
            self._transport.resume()
        if self.state is _CLOSED:
            return
        if frame is not None:
            self._transport.offer(frame)
        if self.state is _LEAVING and not self.in_flight:
            self._close_as_wished()

    def deliver(self, delivery: Delivery) -> None:
        """Takes pushes for writing; stored messages are repeated until the client acknowledges them."""
        if self.state is not _OPEN:
            return
        forms = self._forms
        if len(forms) == 1 and forms[0] & FORM_FRAMED:
            self._transport.put(delivery.frame(forms[0]))
        else:
            for push in delivery.pushes:
                for form in forms:
                    self._transport.put(push.frame(form))
        if self._retry_wanted:
            if self._retries is None:
                self._retries = RetryQueue(self._gateway.config.message_retry)
            due = self._retries.add(delivery)
            if due is not None:
                self._gateway.deadlines.watch(self, due)

    # The end

    def _close_as_wished(self) -> None:
        assert self._farewell is not None
        self.close(self._farewell)

    def close(self, why: Close, notice: bytes | None = None) -> None:
        """Ends the session after what waits was written, the notice last. Later calls do nothing."""
        if self.state is not _CLOSED:
            if notice is not None:
                self._transport.offer(notice)
            self._transport.close(why)
            self.end(why.reason, code=why.code)

    def end(self, reason: str, *, code: int = 1006) -> None:
        """The connection is over, or will be: from now on nobody finds this session. Later calls do nothing."""
        if self.state is _CLOSED:
            return
        self.state = SessionState.CLOSED
        self._gateway.deadlines.forget(self)
        now = trio.current_time()
        self._gateway.left(self, partial(self._closed, code, reason, now - self._opened_at), now)

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
        for push in retries.pop_due(now):
            for form in self._forms:
                self._transport.put(push.encode(form, dup=True))
        self._transport.flush()
        return retries.next_due()
