"""JSON-RPC as the official SDKs write and read it."""

import time
import uuid
from base64 import b64encode
from collections.abc import Iterator
from itertools import count
from typing import Any

import msgspec
from msgspec import Struct, field

from ..errors import ConnectionClosed, RequestError
from ..model import NO_PERSIST, RED_DOT, SYNC_ONCE, Message, MessageEvent, ReasonCode, SendCommand, SendResult
from ..protocol.codes import CLOSE_KICKED, CLOSE_PROTOCOL_ERROR
from .speech import Answer, Incoming, Login, Push, Request, Speech


class _Header(Struct, rename="camel"):
    no_persist: bool = False
    red_dot: bool = False
    sync_once: bool = False
    dup: bool = False


class _Push(Struct, rename="camel"):
    message_id: int | str
    message_seq: int
    client_msg_no: str
    timestamp: int
    from_uid: str
    channel_id: str
    channel_type: int
    payload: bytes
    header: _Header = field(default_factory=_Header)
    expire: int = 0
    topic: str = ""
    stream_no: str = ""


class _Event(Struct):
    id: str
    type: str
    timestamp: int
    data: str


class _Disconnect(Struct, rename="camel"):
    reason_code: int = 0
    reason: str = ""


class _Error(Struct):
    code: int
    message: str
    data: dict[str, Any] = field(default_factory=dict)


class _Frame(Struct):
    id: str | int | None = None
    method: str = ""
    params: msgspec.Raw = msgspec.Raw(b"{}")
    result: dict[str, Any] | None = None
    error: _Error | None = None


_encode = msgspec.json.encode
_decode_frame = msgspec.json.Decoder(_Frame).decode
_decode_push = msgspec.json.Decoder(_Push).decode
_decode_event = msgspec.json.Decoder(_Event).decode
_decode_disconnect = msgspec.json.Decoder(_Disconnect).decode


class JsonRpcSpeech(Speech):
    """Requests with ids, and notifications. Results are those of the frames."""

    text = True

    def __init__(self) -> None:
        self._ids = count(1)

    def connect(self, login: Login) -> Request:
        # With exactly these the server takes the client for an SDK: it repeats what is not acknowledged.
        params: dict[str, object] = {
            "uid": login.uid,
            "token": login.token,
            "deviceId": login.device_id or str(uuid.uuid4()),
            "deviceFlag": login.device_flag,
            "clientTimestamp": int(time.time() * 1000),
        }
        return self.request("connect", params)

    def send(self, command: SendCommand) -> Request:
        flags = command.flags
        params: dict[str, object] = {
            "clientMsgNo": command.client_msg_no,
            "channelId": command.channel_id,
            "channelType": command.channel_type,
            "payload": b64encode(command.payload).decode(),
            "header": {
                "redDot": flags & RED_DOT != 0,
                "noPersist": flags & NO_PERSIST != 0,
                "syncOnce": flags & SYNC_ONCE != 0,
            },
        }
        if command.topic:
            params |= {"topic": command.topic, "setting": {"topic": True}}
        return self.request("send", params)

    def sent(self, command: SendCommand, result: Any) -> SendResult:
        return SendResult(
            reason_code=ReasonCode.SUCCESS,
            message_id=int(result["messageId"]),
            message_seq=result["messageSeq"],
            client_msg_no=command.client_msg_no,
            timestamp=result["timestamp"],
        )

    def ping(self) -> Request:
        return self.request("ping", {})

    def request(self, method: str, params: dict[str, object]) -> Request:
        id_ = str(next(self._ids))
        return Request(id_, _encode({"jsonrpc": "2.0", "id": id_, "method": method, "params": params}))

    def read(self, data: bytes) -> Iterator[Incoming]:
        try:
            incoming = _meaning(_decode_frame(data))
        except (msgspec.MsgspecError, ValueError) as error:
            problem = f"the server sent no JSON-RPC: {error}"
            raise ConnectionClosed(CLOSE_PROTOCOL_ERROR.code, problem) from error
        if incoming is not None:
            yield incoming


def _meaning(frame: _Frame) -> Incoming | None:
    match frame.method:
        case "recv" | "message":
            push = _decode_push(frame.params)
            return Push(_message(push), _receipt(push))
        case "event":
            event = _decode_event(frame.params)
            return MessageEvent(event.id, event.type, event.timestamp, event.data.encode())
        case "disconnect":
            notice = _decode_disconnect(frame.params)
            raise ConnectionClosed(CLOSE_KICKED.code, notice.reason, notice.reason_code)
        case "" if frame.id is not None:
            return Answer(str(frame.id), frame.result or {}, _refusal(frame.error))
    return None


def _refusal(error: _Error | None) -> RequestError | None:
    return None if error is None else RequestError(error.code, error.message, error.data.get("reasonCode", 0))


def _receipt(push: _Push) -> bytes:
    params = {"messageId": str(push.message_id), "messageSeq": push.message_seq}
    return _encode({"jsonrpc": "2.0", "method": "recvack", "params": params})


def _message(push: _Push) -> Message:
    header = push.header
    return Message(
        message_id=int(push.message_id),
        message_seq=push.message_seq,
        channel_id=push.channel_id,
        channel_type=push.channel_type,
        from_uid=push.from_uid,
        client_msg_no=push.client_msg_no,
        timestamp=push.timestamp,
        payload=push.payload,
        flags=header.no_persist * NO_PERSIST | header.red_dot * RED_DOT | header.sync_once * SYNC_ONCE,
        expire=push.expire,
        topic=push.topic,
        stream_no=push.stream_no,
    )
