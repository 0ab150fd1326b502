"""JSON-RPC, as clients on WebSockets speak it."""

import time
from typing import Final

from ..config import NotificationProfile
from ..delivery.event_push import EventForm
from ..delivery.push import Form, Push
from ..delivery.registry import Notice
from ..delivery.submission import Errand
from ..model import ReasonCode
from ..protocol.answers import (
    encode_batch,
    encode_connect_result,
    encode_disconnect,
    encode_empty,
    encode_error,
    encode_push,
    encode_refusal,
    encode_send_result,
)
from ..protocol.codes import CLOSE_AUTH_FAILED, CLOSE_BYE, ErrorCode
from ..protocol.requests import (
    Connect,
    ConnectParams,
    Disconnect,
    Invalid,
    Ping,
    Recvack,
    Request,
    RequestId,
    Send,
    decode,
    decode_first,
)
from ..services.auth import ConnectInfo, InvalidConnectError, check_connect
from . import profile
from .commands import RefusedError, read_command
from .event_forms import JSON_EVENTS
from .framing import WIRES, Wire
from .profile import Dialect
from .speech import ClientSend, Conversation, Entered, Opening, Refusal, Speech

MAX_ID_DIGITS: Final = 20
"""No message id is longer; Python refuses to read numbers of some thousand digits."""


class JsonForm(Form):
    """Pushes as JSON texts."""

    __slots__ = ("_bits", "_frame", "joinable")

    def __init__(self, bits: int, wire: Wire) -> None:
        """Args:
        bits: FORM_* of `protocol.answers`.
        """
        self._bits = bits
        self._frame = wire.frame
        self.joinable = wire.joinable

    def encode(self, push: Push, *, dup: bool = False) -> bytes:
        return self._frame(encode_push(push.message, self._bits, push.channel_id, red_dot=push.red_dot, dup=dup))


_FORMS: Final = {wire: tuple(JsonForm(bits, wire) for bits in range(4)) for wire in WIRES}


class JsonRpcSpeech(Speech):
    """JSON-RPC in one dialect. Keeps nothing of a single client, so all who speak alike share it."""

    __slots__ = ("_event_form", "_forms", "_object_forms", "acknowledges", "dialect")

    name = "jsonrpc"

    def __init__(self, dialect: Dialect, wire: Wire, *, objects: bool) -> None:
        """Args:
        objects: payloads that are JSON objects are wanted as such from the start.
        """
        self.dialect = dialect
        self.acknowledges = dialect.profile != "doc"
        self._event_form = JSON_EVENTS[wire]
        forms = _FORMS[wire]
        self._object_forms = tuple(forms[bits] for bits in dialect.object_forms)
        self._forms = self._object_forms if objects else tuple(forms[bits] for bits in dialect.forms)

    @property
    def event_form(self) -> EventForm:
        return self._event_form

    @property
    def forms(self) -> tuple[Form, ...]:
        return self._forms

    def receive(self, session: Conversation, message: bytes, errands: list[Errand]) -> int:
        # Not a `match`: every message comes along here, and the frequent kinds are asked for first.
        request = decode(message)
        if isinstance(request, Send):
            sent = self._send(session, request)
            if isinstance(sent, JsonRpcSend):
                session.submit(sent, errands)
            else:
                session.reply(sent, errands)
        elif isinstance(request, Recvack) and request.id is None:
            self._acknowledge(session, request.params.message_id, len(message))
        elif isinstance(request, list):
            session.reply(self._serve_batch(session, request, len(message), errands), errands)
            return len(request)
        else:
            answer = self._serve(session, request, len(message))
            if isinstance(request, Invalid) and request.counts:
                session.count_error()
            session.reply(answer, errands)
        return 1

    def _serve_batch(
        self, session: Conversation, requests: list[Request], size_bytes: int, errands: list[Errand]
    ) -> bytes | None:
        batch = BatchAnswer()
        erroneous = False
        # Each request counts as if all were of the same length.
        each_bytes = size_bytes // max(len(requests), 1)
        for request in requests:
            served: bytes | JsonRpcSend | None
            if isinstance(request, Send):
                served = self._send(session, request)
            else:
                served = self._serve(session, request, each_bytes)
            erroneous |= isinstance(request, Invalid) and request.counts
            if isinstance(served, JsonRpcSend):
                served.answer_in(batch)
                session.submit(served, errands)
            elif served is not None:
                batch.answers.append(served)
            if not session.is_open:
                break  # nothing behind a `disconnect` is served
        if erroneous and session.is_open:
            session.count_error()
        complete = batch.answers and not batch.missing
        return encode_batch(batch.answers) if complete else None

    def _serve(self, session: Conversation, request: Request, size_bytes: int) -> bytes | None:
        if isinstance(request, Ping):
            return None if request.id is None else session.count_ping(size_bytes, encode_empty(request.id))
        if isinstance(request, Recvack):
            self._acknowledge(session, request.params.message_id, size_bytes)
            return None if request.id is None else encode_empty(request.id)
        if isinstance(request, Invalid):
            return encode_error(request.id, request.code, request.message)
        if isinstance(request, Disconnect):
            session.part(CLOSE_BYE)
            return None if request.id is None else encode_empty(request.id)
        return None

    def _send(self, session: Conversation, request: Send) -> "bytes | JsonRpcSend":
        assert request.id is not None
        if session.draining:
            answer = encode_refusal(request.id, ReasonCode.SYSTEM_ERROR, "server shutdown")
            return session.count_refused(ReasonCode.SYSTEM_ERROR, answer)
        try:
            command, is_json = read_command(
                request.params, session.uid, payload_limit_bytes=session.payload_limit_bytes
            )
        except RefusedError as refused:
            answer = encode_error(request.id, refused.code, refused.message, refused.reason)
            return session.count_refused(refused.reason or ReasonCode.UNKNOWN, answer)
        if is_json:
            # Whoever writes JSON as such wants to read it as such.
            session.forms = self._object_forms
        return JsonRpcSend(session, command, session=session, id=request.id, dialect=self.dialect)

    @staticmethod
    def _acknowledge(session: Conversation, message_id: int | str, size_bytes: int) -> None:
        if isinstance(message_id, int):
            session.acknowledge(message_id, size_bytes)
        elif message_id.isdecimal() and len(message_id) <= MAX_ID_DIGITS:
            session.acknowledge(int(message_id), size_bytes)
        else:
            session.acknowledge(0, size_bytes)

    def encode_notice(self, notice: Notice) -> bytes:
        # Whatever a program has to say, the client is sent away.
        return encode_disconnect(notice.reason_code, notice.reason.encode(errors="replace").decode())


_SPEECHES: Final = {
    (dialect, wire, objects): JsonRpcSpeech(dialect, wire, objects=objects)
    for dialect in profile.DIALECTS.values()
    for wire in _FORMS
    for objects in (False, True)
}


class BatchAnswer:
    """The answer to a JSON-RPC batch, given when its last entry is answered."""

    __slots__ = ("answers", "missing")

    def __init__(self) -> None:
        self.answers: list[bytes] = []
        self.missing = 0


class JsonRpcSend(ClientSend, eq=False, gc=False, kw_only=True):
    """A `send`."""

    id: RequestId
    dialect: Dialect
    batch: BatchAnswer | None = None
    """The answer of which its own becomes a part, and where in it."""
    place: int = 0

    def answer_in(self, batch: BatchAnswer) -> None:
        """Its answer becomes part of the answer to a batch."""
        self.batch = batch
        self.place = len(batch.answers)
        batch.answers.append(b"")
        batch.missing += 1

    def answer(self) -> bytes | None:
        message, dialect = self.message, self.dialect
        if message is None:
            answer = encode_refusal(self.id, self.reason)
        else:
            answer = encode_send_result(self.id, message, sdk=dialect.profile != "doc", snake=dialect.snake)
        batch = self.batch
        if batch is None:
            return answer
        batch.answers[self.place] = answer
        batch.missing -= 1
        return None if batch.missing else encode_batch(batch.answers)


class JsonRpcOpening(Opening):
    """A client that has begun in JSON."""

    __slots__ = ("_binary", "_connect", "_default", "_node_id", "_remote_address", "_target")

    text = True
    may_speak_early = True

    def __init__(self, remote_address: str, target: str, *, default: NotificationProfile, node_id: int) -> None:
        """Args:
        target: the path and query of the WebSocket request.
        default: the server's setting.
        """
        super().__init__()
        self._remote_address = remote_address
        self._target = target
        self._default = default
        self._node_id = node_id
        self._connect: Connect | None = None
        self._binary = False

    def hear(self, message: bytes, *, binary: bool) -> Refusal | None:
        connect = decode_first(message)
        if isinstance(connect, Connect):
            try:
                self.info = _info(connect.params, self._remote_address)
            except InvalidConnectError as wrong:
                connect = Invalid(connect.id, ErrorCode.INVALID_PARAMETERS, str(wrong))
            else:
                self._connect, self._binary = connect, binary
                return None
        answer = None if connect is None else encode_error(connect.id, connect.code, connect.message)
        return Refusal(answer, CLOSE_AUTH_FAILED)

    def encode_refusal(self, reason: ReasonCode) -> bytes:
        assert self._connect is not None
        return encode_refusal(self._connect.id, reason)

    def enter(self, wire: Wire) -> Entered:
        connect = self._connect
        assert connect is not None
        dialect, objects = profile.choose(connect, binary=self._binary, target=self._target, default=self._default)
        client_timestamp = connect.params.client_timestamp or 0
        welcome = encode_connect_result(
            connect.id,
            time_diff=int(time.time() * 1000) - client_timestamp if client_timestamp else 0,
            node_id=self._node_id,
            version=connect.params.version or 0,
            snake=dialect.snake,
        )
        return Entered(_SPEECHES[dialect, wire, objects], welcome)


def _info(params: ConnectParams, remote_address: str) -> ConnectInfo:
    return check_connect(
        uid=params.uid,
        token=params.token,
        device_id=params.device_id or "",
        device_flag=params.device_flag or 0,
        remote_address=remote_address,
    )
