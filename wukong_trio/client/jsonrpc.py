"""Frames of JSON-RPC: what the client writes, and what the server's frames mean. No I/O."""

import time
import uuid
from base64 import b64encode
from typing import Any, NamedTuple, TypeAlias

import msgspec
from msgspec import Struct, field

from ..errors import ConnectionClosed, RequestError
from ..model import NO_PERSIST, RED_DOT, SYNC_ONCE, Message

CLOSE_NOT_UNDERSTOOD = 1002
CLOSE_KICKED = 4003


class Answer(NamedTuple):
    """What became of a request."""

    id: str
    result: dict[str, Any]
    error: RequestError | None


class Push(NamedTuple):
    """A message, and the frame that acknowledges it."""

    message: Message
    receipt: str


Incoming: TypeAlias = Answer | Push | ConnectionClosed | None
"""What a frame means; a `disconnect` is the end, None is nothing to this client."""


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


_decode_frame = msgspec.json.Decoder(_Frame).decode
_decode_push = msgspec.json.Decoder(_Push).decode
_decode_disconnect = msgspec.json.Decoder(_Disconnect).decode


def request(id_: str, method: str, params: dict[str, object]) -> str:
    """The frame of any request."""
    return _encode({"jsonrpc": "2.0", "id": id_, "method": method, "params": params})


def connect_params(uid: str, token: str, device_flag: int, device_id: str) -> dict[str, object]:
    """With exactly these the server takes the client for an SDK: it repeats what is not acknowledged."""
    return {
        "uid": uid,
        "token": token,
        "deviceId": device_id or str(uuid.uuid4()),
        "deviceFlag": device_flag,
        "clientTimestamp": int(time.time() * 1000),
    }


def send_params(
    number: str, channel_id: str, channel_type: int, payload: bytes, *, header: dict[str, bool], topic: str
) -> dict[str, object]:
    """Of a message."""
    params: dict[str, object] = {
        "clientMsgNo": number,
        "channelId": channel_id,
        "channelType": channel_type,
        "payload": b64encode(payload).decode(),
        "header": header,
    }
    return params | {"topic": topic, "setting": {"topic": True}} if topic else params


def read(data: str | bytes) -> Incoming:
    """What a frame of the server means.

    Raises:
        ConnectionClosed: nothing that a client could understand.
    """
    try:
        return _meaning(_decode_frame(data))
    except (msgspec.MsgspecError, ValueError) as error:
        raise ConnectionClosed(CLOSE_NOT_UNDERSTOOD, f"the server sent no JSON-RPC: {error}") from error


def _meaning(frame: _Frame) -> Incoming:
    match frame.method:
        case "recv" | "message":
            push = _decode_push(frame.params)
            return Push(_message(push), _receipt(push))
        case "disconnect":
            notice = _decode_disconnect(frame.params)
            return ConnectionClosed(CLOSE_KICKED, notice.reason, notice.reason_code)
        case "" if frame.id is not None:
            return Answer(str(frame.id), frame.result or {}, _refusal(frame.error))
    return None


def _refusal(error: _Error | None) -> RequestError | None:
    return None if error is None else RequestError(error.code, error.message, error.data.get("reasonCode", 0))


def _receipt(push: _Push) -> str:
    params = {"messageId": str(push.message_id), "messageSeq": push.message_seq}
    return _encode({"jsonrpc": "2.0", "method": "recvack", "params": params})


def _encode(frame: dict[str, object]) -> str:
    return msgspec.json.encode(frame).decode()


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
