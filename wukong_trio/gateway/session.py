"""An authenticated client: requests in, answers and pushes out. Synchronous; nobody here reads, writes or waits.

Answers keep the order of the requests. What needs the store travels through the router as an errand; while one is under
way, everything that could be answered at once queues up behind it.
"""

from collections import deque
from enum import Enum, auto
from typing import TYPE_CHECKING

import trio

from ..delivery.push import Push
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
from .profile import Dialect
from .transport import Transport

if TYPE_CHECKING:
    from .gateway import Gateway


ERROR_WINDOW_S = 60.0
MAX_ID_DIGITS = 20
"""No message id is longer; Python refuses to read numbers of some thousand digits."""


class SessionState(Enum):
    """OPEN: serves. LEAVING: answers what is under way, then closes. CLOSED: takes and gives nothing."""

    OPEN = auto()
    LEAVING = auto()
    CLOSED = auto()


_OPEN, _CLOSED = SessionState.OPEN, SessionState.CLOSED
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
    """An answer, or the end of the session, that has to wait for its turn."""

    session: "Session"
    frame: bytes | None
    close: Close | None

    def finish(self) -> None:
        self.session.settle(self.frame)
        if self.close is not None:
            self.session.close(self.close)


class Session:
    """One authenticated connection of a user."""

    __slots__ = (
        "_errors",
        "_forms",
        "_gateway",
        "_parting",
        "_retries",
        "_retry_wanted",
        "_transport",
        "device_flag",
        "device_id",
        "dialect",
        "in_flight",
        "level",
        "slot",
        "state",
        "uid",
    )

    def __init__(
        self,
        gateway: "Gateway",
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
        self.dialect = dialect
        self.uid = uid
        self.device_flag = device_flag
        self.device_id = device_id
        self.level = level
        self.state = SessionState.OPEN
        self.in_flight = 0
        """Errands under way."""
        self.slot: int | None = None
        self._forms = dialect.object_forms if objects else dialect.forms
        self._retries: RetryQueue | None = None
        self._retry_wanted = dialect.profile != "doc"
        self._errors: deque[float] | None = None
        self._parting: Close | None = None

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
        if answer is None and self._parting is None:
            return
        if self.in_flight:
            self.in_flight += 1
            errands.append(LateAnswer(self, self, answer, self._parting))
            return
        if answer is not None:
            self._transport.offer(answer)
        if self._parting is not None:
            self.close(self._parting)

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

    def _part(self, close: Close) -> None:
        """Closes once everything that was asked so far is answered."""
        self.state = SessionState.LEAVING
        self._parting = close

    # What goes out

    def settle(self, frame: bytes | None) -> None:
        """One errand is done; `frame` is its answer."""
        self.in_flight -= 1
        if self.in_flight == self._transport.resume_at:
            self._transport.resume()
        if frame is not None and self.state is not _CLOSED:
            self._transport.offer(frame)

    def deliver(self, push: Push) -> None:
        """Takes a push for writing; a stored message is repeated until the client acknowledges it."""
        if self.state is not _OPEN:
            return
        offer = self._transport.offer
        for form in self._forms:
            offer(push.frame(form))
        if self._retry_wanted and push.message.message_seq:
            if self._retries is None:
                self._retries = RetryQueue(self._gateway.config.message_retry)
            due = self._retries.add(push)
            if due is not None:
                self._gateway.deadlines.watch(self, due)

    def close(self, close: Close, notice: bytes | None = None) -> None:
        """Ends the session after what waits was written, the notice last. Later calls do nothing."""
        if self.state is SessionState.CLOSED:
            return
        self.state = SessionState.CLOSED
        if notice is not None:
            self._transport.offer(notice)
        self._transport.close(close)

    def check_deadlines(self, now: float) -> float | None:
        """Repeats what was not acknowledged, and closes if nothing was heard for too long."""
        idle_at = self._transport.last_inbound + self._transport.limits.conn_idle_time_s
        if now >= idle_at:
            self.close(CLOSE_IDLE)
        if self.state is SessionState.CLOSED:
            return None
        if self._retries is None:
            return idle_at
        for push in self._retries.pop_due(now):
            for form in self._forms:
                self._transport.offer(push.repetition(form))
        self._transport.flush()
        return min(idle_at, self._retries.next_due() or idle_at)
