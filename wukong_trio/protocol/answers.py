"""Encoding what the server sends: results, errors, pushes and notices, each as the JSON text of one message.

Field order, omissions and id types follow the profile of the session: `doc` sessions get `message` pushes with integer
ids, `sdk` sessions `recv` pushes with ids as strings, because each family of clients parses only its own.
"""

from binascii import b2a_base64
from typing import Literal

import msgspec
from msgspec import Struct

from ..model import (
    DUP,
    NO_PERSIST,
    RED_DOT,
    SETTING_RECEIPT,
    SETTING_SIGNAL,
    SETTING_STREAM,
    SETTING_TOPIC,
    SYNC_ONCE,
    Message,
    MessageEvent,
    ReasonCode,
)
from .codes import ErrorCode, error_of_reason
from .payload import is_json_object
from .requests import RequestId

# The wire form of a push is a small number, so that each form is encoded once and shared by all who want it.
FORM_SDK = 1
"""Set: method `recv`, ids as strings. Clear: method `message`, ids as integers."""
FORM_OBJECT = 2
"""Set: a payload that is a JSON object is inlined. Clear: always base64."""

LATEST_VERSION = 5
_encode = msgspec.json.Encoder().encode
_VERSION: Literal["2.0"] = "2.0"


class PushHeader(Struct, frozen=True, gc=False, rename="camel"):
    """Flags of a pushed message, always all four."""

    no_persist: bool
    red_dot: bool
    sync_once: bool
    dup: bool


class PushSetting(Struct, frozen=True, gc=False, omit_defaults=True):
    """Settings of a pushed message, only those that are set."""

    receipt: bool = False
    signal: bool = False
    topic: bool = False
    stream: bool = False


class _RareMembers(Struct, frozen=True, gc=False, omit_defaults=True, rename="camel"):
    setting: PushSetting | None = None
    expire: int = 0
    topic: str = ""
    stream_no: str = ""


class _Result(Struct, frozen=True, gc=False):
    jsonrpc: str
    id: RequestId
    result: object


class SendResult(Struct, frozen=True, gc=False, rename="camel"):
    """Result of `send`: the message is stored."""

    client_msg_no: str
    message_id: int | str
    message_seq: int
    timestamp: int
    reason_code: int


class ConnectResult(Struct, frozen=True, gc=False, rename="camel"):
    """Result of `connect`."""

    reason_code: int
    time_diff: int
    server_key: str
    salt: str
    node_id: int
    server_version: int


_SHOWN_FLAGS = NO_PERSIST | RED_DOT | SYNC_ONCE
_HEADERS = tuple(
    _encode(PushHeader(bits & NO_PERSIST != 0, bits & RED_DOT != 0, bits & SYNC_ONCE != 0, bits & DUP != 0))
    for bits in range(16)
)
"""The header of a push for every combination of flags."""
_PUSH = (
    b'{"jsonrpc":"2.0","method":"%b","params":{"header":%%b,"messageId":%b,"messageSeq":%%d,"clientMsgNo":%%b,'
    b'"timestamp":%%d,"fromUid":%%b,"channelId":%%b,"channelType":%%d,"payload":%%b%%b}}'
)
_MESSAGE = _PUSH % (b"message", b"%d")
_RECV = _PUSH % (b"recv", b'"%d"')
_EVENT = b'{"jsonrpc":"2.0","method":"event","params":{"id":%b,"type":%b,"timestamp":%d,"data":%b}}'
_SENT = (
    b'{"jsonrpc":"2.0","id":%%b,"result":{"clientMsgNo":%%b,"messageId":%b,"messageSeq":%%d,"timestamp":%%d,'
    b'"reasonCode":1}}'
)
_DOC_SENT = _SENT % b"%d"
_SDK_SENT = _SENT % b'"%d"'


def encode_empty(id_: RequestId) -> bytes:
    """The result `{}`."""
    return b'{"jsonrpc":"2.0","id":%b,"result":{}}' % _encode(id_)


def encode_error(id_: RequestId | None, code: ErrorCode, message: str = "", reason: ReasonCode | None = None) -> bytes:
    """An error answer; `id_` None where the request's id could not be read."""
    error: dict[str, object] = {"code": int(code), "message": message or code.text}
    if reason is not None:
        error["data"] = {"reasonCode": int(reason), "reason": reason.wire_name}
    return _encode({"jsonrpc": _VERSION, "id": id_, "error": error})


def encode_refusal(id_: RequestId, reason: ReasonCode, message: str = "") -> bytes:
    """The error answer for a refusal that has a reason code."""
    return encode_error(id_, error_of_reason(reason), message, reason)


def encode_batch(answers: list[bytes]) -> bytes:
    """The answer to a batch: the answers of its entries in one array."""
    return b"[%b]" % b",".join(answers)


def encode_connect_result(id_: RequestId, *, time_diff: int, node_id: int, version: int, snake: bool) -> bytes:
    """The answer to a `connect` that succeeded.

    Args:
        time_diff: server time minus client time in milliseconds.
        version: what the client asked for; 0 = the newest.
        snake: the client reads only snake_case, so give both spellings.
    """
    version = min(version, LATEST_VERSION) if version > 0 else LATEST_VERSION
    result = ConnectResult(int(ReasonCode.SUCCESS), time_diff, "", "", node_id, version)
    return _encode(_Result(_VERSION, id_, _both_spellings(result) if snake else result))


def encode_send_result(id_: RequestId, message: Message, *, sdk: bool, snake: bool) -> bytes:
    """The answer to a `send` that has become this message."""
    if snake:
        message_id = str(message.message_id) if sdk else message.message_id
        result = SendResult(
            message.client_msg_no, message_id, message.message_seq, message.timestamp, int(ReasonCode.SUCCESS)
        )
        return _encode(_Result(_VERSION, id_, _both_spellings(result)))
    # Filling in a template takes half the time of encoding Structs.
    return (_SDK_SENT if sdk else _DOC_SENT) % (
        _encode(id_),
        _encode(message.client_msg_no),
        message.message_id,
        message.message_seq,
        message.timestamp,
    )


def _both_spellings(result: Struct) -> dict[str, object]:
    camel = msgspec.to_builtins(result)
    snake = zip(result.__struct_fields__, camel.values(), strict=True)
    return {**camel, **dict(snake)}


def encode_push(message: Message, form: int, channel_id: str, *, red_dot: bool, dup: bool = False) -> bytes:
    """A message as a receiver sees it.

    Args:
        form: FORM_* bits.
        channel_id: the channel as this receiver knows it, for persons the peer's uid.
        red_dot: whether it may count as unread for this receiver.
        dup: it is a repetition.
    """
    payload = message.payload
    if not (form & FORM_OBJECT and is_json_object(payload)):
        payload = b'"%b"' % b2a_base64(payload, newline=False)
    rare = message.setting or message.expire or message.topic or message.stream_no
    from_uid = _encode(message.from_uid)
    return (_RECV if form & FORM_SDK else _MESSAGE) % (
        _HEADERS[message.flags & (_SHOWN_FLAGS if red_dot else _SHOWN_FLAGS & ~RED_DOT) | (DUP if dup else 0)],
        message.message_id,
        message.message_seq,
        _encode(message.client_msg_no),
        message.timestamp,
        from_uid,
        from_uid if channel_id is message.from_uid else _encode(channel_id),
        message.channel_type,
        payload,
        _rare_members(message) if rare else b"",
    )


def _rare_members(message: Message) -> bytes:
    """The members of a push that most messages do not have, each with a comma before it."""
    rare = _RareMembers(_setting(message.setting), message.expire, message.topic, message.stream_no)
    members = _encode(rare)[1:-1]
    return b"," + members if members else b""


def _setting(bits: int) -> PushSetting | None:
    setting = PushSetting(
        receipt=bits & SETTING_RECEIPT != 0,
        signal=bits & SETTING_SIGNAL != 0,
        topic=bits & SETTING_TOPIC != 0,
        stream=bits & SETTING_STREAM != 0,
    )
    return setting if setting != PushSetting() else None


def encode_event(event: MessageEvent) -> bytes:
    """An event of a message."""
    return _EVENT % (_encode(event.event_id), _encode(event.type), event.timestamp, _encode(event.data.decode()))


def encode_disconnect(reason: ReasonCode, text: str) -> bytes:
    """The notice after which clients stay away."""
    return _encode({"jsonrpc": _VERSION, "method": "disconnect", "params": {"reasonCode": int(reason), "reason": text}})
