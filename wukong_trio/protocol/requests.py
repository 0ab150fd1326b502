"""Decoding what clients send: one WebSocket message -> typed requests.

Two ways lead to the same result. Well-formed everyday frames (`send`, `ping`, `recvack` with the documented names only)
are decoded in one step into tagged Structs. Everything else - errors, unknown members, snake_case names, rare
methods - takes the long way, which looks at the frame part by part and finds out which answer it deserves.
Nothing is raised: what cannot be served comes back as `Invalid`.

Whatever arrives, nothing is made of the parts that are not asked for: no objects for unknown members, for values of
the wrong type, for the 65th entry of a batch. So a message costs time and memory by its length, with small factors.
"""

from collections.abc import Callable
from typing import Any, Final, Literal, TypeAlias

import msgspec
from msgspec import Raw, Struct, defstruct
from msgspec.structs import astuple

from ..model import SETTING_RECEIPT, SETTING_SIGNAL, SETTING_STREAM, SETTING_TOPIC, fits
from .codes import ErrorCode
from .nesting import too_deep

RequestId: TypeAlias = str | int

MAX_BATCH: Final = 64
MAX_ID_BYTES: Final = 256
_MAX_SAFE_INTEGER: Final = 2**53 - 1


class Header(Struct, frozen=True, gc=False, rename="camel", forbid_unknown_fields=True):
    """Message flags as clients write them: booleans or integers."""

    no_persist: bool | int = False
    red_dot: bool | int = False
    sync_once: bool | int = False
    dup: bool | int = False
    end: bool | int = False


class Setting(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """Message settings in their object form."""

    receipt: bool | int = False
    signal: bool | int = False
    stream: bool | int = False
    topic: bool | int = False

    @property
    def bits(self) -> int:
        """The same as a bit mask."""
        return (
            (SETTING_RECEIPT if self.receipt else 0)
            | (SETTING_SIGNAL if self.signal else 0)
            | (SETTING_TOPIC if self.topic else 0)
            | (SETTING_STREAM if self.stream else 0)
        )


class SendParams(Struct, frozen=True, gc=False, rename="camel", forbid_unknown_fields=True):
    """Parameters of `send`, well typed but not yet checked: what is required may be missing or empty."""

    client_msg_no: str | None = None
    channel_id: str | None = None
    channel_type: int | None = None
    payload: Raw = Raw(b"null")
    header: Header | None = None
    setting: int | Setting | None = None
    expire: int | None = None
    topic: str | None = None
    stream_no: str | None = None
    msg_key: str | None = None


class RecvackParams(Struct, frozen=True, gc=False, rename="camel", forbid_unknown_fields=True):
    """Parameters of `recvack`."""

    message_id: int | str
    message_seq: int | None = None
    header: Header | None = None


class ConnectParams(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Parameters of `connect`, well typed but not yet checked."""

    uid: str
    token: str
    device_id: str | None = None
    device_flag: int | None = None
    client_timestamp: int | None = None
    version: int | None = None
    client_key: str | None = None
    header: Header | None = None
    profile: str | None = None


class DisconnectParams(Struct, frozen=True, rename="camel"):
    """Parameters of `disconnect`."""

    reason_code: int | None = None
    reason: str | None = None


class Send(Struct, tag_field="method", tag="send", frozen=True, gc=False, forbid_unknown_fields=True):
    """Wants a message sent. `id` is never None once `decode` has returned it."""

    params: SendParams
    id: RequestId | None = None
    jsonrpc: Literal["2.0"] = "2.0"


class Recvack(Struct, tag_field="method", tag="recvack", frozen=True, gc=False, forbid_unknown_fields=True):
    """Acknowledges a pushed message."""

    params: RecvackParams
    id: RequestId | None = None
    jsonrpc: Literal["2.0"] = "2.0"


_NO_PARAMS: Final = Raw()


class Ping(Struct, tag_field="method", tag="ping", frozen=True, gc=False, forbid_unknown_fields=True):
    """Asks for a sign of life; `params` are ignored."""

    id: RequestId | None = None
    params: Raw = _NO_PARAMS
    jsonrpc: Literal["2.0"] = "2.0"


class Disconnect(Struct, frozen=True):
    """Wants to leave."""

    id: RequestId | None


class Connect(Struct, frozen=True):
    """Wants to authenticate."""

    id: RequestId
    params: ConnectParams
    keys: frozenset[str]
    """The known parameters by the names the client used: they tell which family of clients it belongs to."""


class Ignored(Struct, frozen=True):
    """A frame that gets no answer: a notification nobody knows, a response nobody asked for."""


class Invalid(Struct, frozen=True):
    """A frame that is answered with an error."""

    id: RequestId | None
    code: ErrorCode
    message: str = ""
    """What is wrong, in words; empty: the code's own text."""

    @property
    def counts(self) -> bool:
        """Whether it makes a frame erroneous. Of those a connection may have few in a minute."""
        return self.code in (ErrorCode.INVALID_FORMAT, ErrorCode.METHOD_NOT_FOUND)


_MALFORMED_MESSAGE: Final = Invalid(None, ErrorCode.INVALID_FORMAT)
_SEND_WITHOUT_ID: Final = Invalid(None, ErrorCode.INVALID_FORMAT, "send needs an id")
_UNUSABLE_ID: Final = Invalid(None, ErrorCode.INVALID_FORMAT, "unusable id")

Request: TypeAlias = Send | Recvack | Ping | Disconnect | Connect | Ignored | Invalid


class _Envelope(Struct, frozen=True):
    jsonrpc: Raw = Raw(b'"2.0"')
    id: Raw = Raw(b"null")
    method: Raw = Raw()
    params: Raw = Raw()
    result: Raw = Raw()
    error: Raw = Raw()


_Batch = defstruct("_Batch", [(f"entry{n}", Raw, Raw()) for n in range(MAX_BATCH + 1)], array_like=True)
"""An array of which only so many entries are looked at: one more than a batch may have, to tell that there are more."""


class _Call(Struct, frozen=True):
    """An envelope that was found to be a request (id given) or a notification (id None)."""

    id: RequestId | None
    method: str
    params: Raw


_decode_everyday: Callable[[bytes], Send | Recvack | Ping] = msgspec.json.Decoder(Send | Recvack | Ping).decode
_decode_envelope = msgspec.json.Decoder(_Envelope).decode
_decode_batch_entries = msgspec.json.Decoder(_Batch).decode
_decode_id: Callable[[Raw], RequestId | None] = msgspec.json.Decoder(str | int | None).decode
_decode_text = msgspec.json.Decoder(str).decode
_encode = msgspec.json.Encoder().encode

_MALFORMED: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_PARAMS: Final = (SendParams, RecvackParams, ConnectParams, DisconnectParams, Header, Setting)
_PARAMS_DECODERS: Final[dict[type[Struct], Callable[[bytes], Any]]] = {
    type_: msgspec.json.Decoder(type_).decode for type_ in _PARAMS
}
_SPELLINGS: Final[dict[type[Struct], dict[str, tuple[str, ...]]]] = {
    type_: {
        camel: (camel,) if camel == snake else (camel, snake)
        for camel, snake in zip(type_.__struct_encode_fields__, type_.__struct_fields__, strict=True)
    }
    for type_ in _PARAMS
}
"""For each parameter Struct: the documented name of every member -> with its snake_case twin, which Android sends."""
_MEMBERS_DECODERS: Final[dict[type[Struct], Callable[[Raw], Struct]]] = {
    type_: msgspec.json.Decoder(
        defstruct("_Members", [(name, Raw, None) for names in _SPELLINGS[type_].values() for name in names])
    ).decode
    for type_ in _PARAMS
}
"""They read the known members in either spelling; absent ones are None."""
_SNAKE_CONNECT_KEYS: Final = set(ConnectParams.__struct_fields__).difference(ConnectParams.__struct_encode_fields__)


def decode(message: bytes) -> Request | list[Request]:
    """What an authenticated client wants. A list stands for a JSON-RPC batch.

    Args:
        message: one WebSocket message, UTF-8.
    """
    try:
        if not message.isascii():
            message.decode()  # msgspec does not look into what it skips
        request = _decode_everyday(message)
    except msgspec.ValidationError:
        return _decode_rare(message)
    except _MALFORMED:
        return _MALFORMED_MESSAGE if message.strip() else Ignored()
    id_ = request.id
    if id_ is None:
        if type(request) is Recvack:
            return request
        return Ignored() if type(request) is Ping else _SEND_WITHOUT_ID
    if not (isinstance(id_, str) and len(id_) <= MAX_ID_BYTES // 4) and not _is_usable_id(id_):
        return _UNUSABLE_ID
    # Whether it can be deeply nested at all: all members but these are flat.
    if isinstance(request, Send):
        may_nest = bytes(request.params.payload)[:1] != b'"'
    else:
        may_nest = isinstance(request, Ping) and request.params is not _NO_PARAMS
    return _MALFORMED_MESSAGE if may_nest and too_deep(message) else request


def _decode_rare(message: bytes) -> Request | list[Request]:
    if too_deep(message):
        return _MALFORMED_MESSAGE
    match message.lstrip(b" \t\r\n")[:1]:
        case b"{":
            return _decode_entry(message)
        case b"[":
            return _decode_batch(message)
    return _MALFORMED_MESSAGE


def _decode_batch(message: bytes) -> Request | list[Request]:
    try:
        entries = [entry for entry in map(bytes, astuple(_decode_batch_entries(message))) if entry]
    except _MALFORMED:
        return _MALFORMED_MESSAGE
    if not entries:
        return Invalid(None, ErrorCode.INVALID_FORMAT, "empty batch")
    if len(entries) > MAX_BATCH:
        return Invalid(None, ErrorCode.TOO_LARGE, f"a batch holds at most {MAX_BATCH} requests")
    return [_decode_entry(entry) for entry in entries]


def _decode_entry(text: bytes) -> Request:
    call = _read_call(text)
    if not isinstance(call, _Call):
        return call
    match call.method:
        case "ping":
            return Ignored() if call.id is None else Ping(call.id)
        case "send" | "connect" if call.id is None:
            return Invalid(None, ErrorCode.INVALID_FORMAT, f"{call.method} needs an id")
        case "send":
            params = _read_params(call, SendParams)
            return params if isinstance(params, Invalid) else Send(params, call.id)
        case "connect":
            return Invalid(call.id, ErrorCode.INVALID_PARAMETERS, "already authenticated")
        case "recvack":
            ack = _read_params(call, RecvackParams)
            if isinstance(ack, Invalid):
                return Ignored() if call.id is None else ack
            return Recvack(ack, call.id)
        case "disconnect":
            given = _read_params(call, DisconnectParams) if bytes(call.params) not in (b"", b"null") else None
            return given if isinstance(given, Invalid) and call.id is not None else Disconnect(call.id)
    return Ignored() if call.id is None else Invalid(call.id, ErrorCode.METHOD_NOT_FOUND)


def decode_first(message: bytes) -> Connect | Invalid | None:
    """The first message of a connection, which has to be `connect`.

    Returns:
        None if the connection is to be closed without an answer (a notification, a response).
    """
    if too_deep(message) or message.lstrip(b" \t\r\n")[:1] != b"{":
        return _MALFORMED_MESSAGE
    try:
        message.decode()
    except UnicodeDecodeError:
        return _MALFORMED_MESSAGE
    call = _read_call(message)
    if isinstance(call, Ignored):
        return None
    if isinstance(call, Invalid):
        return call
    if call.method != "connect":
        return None if call.id is None else Invalid(call.id, ErrorCode.AUTHENTICATION_FAILED, "connect comes first")
    if call.id is None:
        return Invalid(None, ErrorCode.INVALID_FORMAT, "connect needs an id")
    params = _read_params(call, ConnectParams)
    if isinstance(params, Invalid):
        return params
    members = _MEMBERS_DECODERS[ConnectParams](call.params)
    given = zip(members.__struct_fields__, astuple(members), strict=True)
    keys = frozenset([name for name, value in given if value is not None])
    return Connect(call.id, params, keys)


def _read_call(text: bytes) -> _Call | Ignored | Invalid:
    try:
        envelope = _decode_envelope(text)
    except _MALFORMED:
        return _MALFORMED_MESSAGE
    try:
        id_ = _decode_id(envelope.id)
    except _MALFORMED:
        return _UNUSABLE_ID
    if id_ is not None and not _is_usable_id(id_):
        return _UNUSABLE_ID
    if _read_text(envelope.jsonrpc) != "2.0":
        return Invalid(id_, ErrorCode.INVALID_FORMAT, 'jsonrpc is not "2.0"')
    method = _read_text(envelope.method)
    if method is not None:
        return _Call(id_, method, envelope.params)
    if bytes(envelope.result) or bytes(envelope.error):
        return Ignored()
    return Invalid(id_, ErrorCode.INVALID_FORMAT, "neither a method nor a result")


def _read_text(value: Raw) -> str | None:
    """A string; None for anything else."""
    try:
        return _decode_text(value)
    except _MALFORMED:
        return None


def _is_usable_id(value: object) -> bool:
    if isinstance(value, str):
        return fits(value, MAX_ID_BYTES)
    return type(value) is int and -_MAX_SAFE_INTEGER <= value <= _MAX_SAFE_INTEGER


def _read_params(call: _Call, type_: type[Struct]) -> Any:
    """The typed parameters of a call, or the `Invalid` it deserves. Names are accepted in both spellings."""
    if bytes(call.params)[:1] != b"{":
        return Invalid(call.id, ErrorCode.INVALID_PARAMETERS, "params is not an object")
    decode_params = _PARAMS_DECODERS[type_]
    try:
        return decode_params(call.params)
    except _MALFORMED:
        pass
    try:
        members = _camel_members(call.params, type_)
        for name, inner in (("header", Header), ("setting", Setting)):
            if bytes(members.get(name, b""))[:1] == b"{":
                members[name] = Raw(_encode(_camel_members(members[name], inner)))
        return decode_params(_encode(members))
    except _MALFORMED as error:
        return Invalid(call.id, ErrorCode.INVALID_PARAMETERS, _explain(error))


def _camel_members(text: Raw, type_: type[Struct]) -> dict[str, Raw]:
    """The known members under their documented names. `null` counts as absent; camelCase wins over its twin."""
    members = _MEMBERS_DECODERS[type_](text)
    known: dict[str, Raw] = {}
    for camel, names in _SPELLINGS[type_].items():
        for name in names:
            value = getattr(members, name)
            if value is not None and bytes(value) != b"null":
                known[camel] = value
                break
    return known


def _explain(error: Exception) -> str:
    text = str(error).partition(" - at ")
    return f"{ErrorCode.INVALID_PARAMETERS.text}: {text[0]}{' at ' + text[2].strip('`') if text[2] else ''}"


def used_snake_case(keys: frozenset[str]) -> bool:
    """Whether any of these `connect` parameters is a snake_case twin."""
    return not keys.isdisjoint(_SNAKE_CONNECT_KEYS)
