"""The description of JSON-RPC over WebSocket: OpenRPC 1.3, made of the Structs that the server decodes and encodes.

OpenRPC knows no calls from a server to its clients, so these are an extension, `x-notifications`, in the form of
methods. Reason codes and close codes are extensions as well.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import reduce
from inspect import cleandoc
from operator import or_
from types import NoneType, UnionType
from typing import Any, Final, NamedTuple, Union, get_args, get_origin

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import FieldInfo

from ..contract.connections import Route
from ..model import ReasonCode
from ..protocol import codes
from ..protocol.answers import ConnectResult, PushHeader, PushSetting, SendResult
from ..protocol.codes import ErrorCode, error_of_reason
from ..protocol.requests import ConnectParams, DisconnectParams, RecvackParams, SendParams
from ..version import __version__
from .schemas import Schema, Schemas, described, example_of, example_of_member

_ABOUT: Final = """\
One JSON text per WebSocket message. `connect` comes first, within two seconds. A request has an `id`, a text of up to
256 bytes or an integer within ±(2^53-1), and gets one answer with the same; answers keep the order of the requests.
`jsonrpc` may be left out. `null` is the same as an absent parameter, and every parameter has a snake_case twin. After
`connect`, an array of 1 to 64 requests and notifications is a batch.
"""


class Nothing(Struct):
    """An empty object."""


class Push(Struct, frozen=True, rename="camel"):
    """A message for the client."""

    header: PushHeader
    message_id: int | str
    message_seq: int
    client_msg_no: str
    timestamp: int
    from_uid: str
    channel_id: str
    channel_type: int
    payload: str | dict[str, Any]
    setting: PushSetting | None = None
    expire: int = 0
    topic: str = ""
    stream_no: str = ""


class RecvPush(Push, frozen=True, rename="camel"):
    """A message for a session of the SDKs' form."""

    message_id: str


class MessagePush(Push, frozen=True, rename="camel"):
    """A message for a session of the published form."""

    message_id: int


class EventNotice(Struct, frozen=True):
    """Something has happened to a message."""

    id: str
    type: str
    timestamp: int
    data: str


class DisconnectNotice(Struct, frozen=True, rename="camel"):
    """The client is sent away and should not come back by itself."""

    reason_code: int
    reason: str


class Method(NamedTuple):
    """A method, or a notification of the server."""

    name: str
    params: type[Struct]
    result: type[Struct] | None
    """None: it has no answer."""
    text: str
    needs: Sequence[str] = ()
    """The parameters that must be there, in snake_case."""
    errors: Sequence[ErrorCode] = ()


_ANY: Final = (ErrorCode.AUTHENTICATION_FAILED, ErrorCode.INVALID_FORMAT)
METHODS: Final = (
    Method(
        "connect",
        ConnectParams,
        ConnectResult,
        "Authenticates. What goes wrong before it has succeeded is answered, and the connection closes with 4002.",
        needs=("uid", "token"),
        errors=(*_ANY, ErrorCode.INVALID_PARAMETERS, ErrorCode.PERMISSION_DENIED, ErrorCode.INTERNAL_ERROR),
    ),
    Method(
        "send",
        SendParams,
        SendResult,
        "Sends a message. The same `clientMsgNo` with the same payload sends nothing more and gets the first answer.",
        needs=("client_msg_no", "channel_id", "channel_type", "payload"),
        errors=tuple(code for code in ErrorCode if code is not ErrorCode.METHOD_NOT_FOUND),
    ),
    Method(
        "recvack",
        RecvackParams,
        Nothing,
        "Acknowledges a pushed message. Usually a notification; with an `id` it is answered.",
        needs=("message_id",),
        errors=(*_ANY, ErrorCode.INVALID_PARAMETERS),
    ),
    Method("ping", Nothing, Nothing, "Asks for a sign of life, and is one.", errors=_ANY),
    Method(
        "disconnect",
        DisconnectParams,
        Nothing,
        "Leaves: the connection closes with 1000.",
        errors=(*_ANY, ErrorCode.INVALID_PARAMETERS),
    ),
)
NOTIFICATIONS: Final = (
    Method("recv", RecvPush, None, "A message for the client, in the form of the SDKs: ids are texts."),
    Method("message", MessagePush, None, "A message for the client, in the published form: ids are integers."),
    Method("event", EventNotice, None, "Something has happened to a message, the same in both forms."),
    Method("disconnect", DisconnectNotice, None, "The client is sent away; the connection closes with 4003."),
)
_PAYLOAD: Final = {"anyOf": [{"type": "string"}, {"type": "object"}, {"type": "array"}]}


def describe_calls(route: Route) -> Schema:
    """The document, as JSON values.

    Args:
        route: where clients connect.
    """
    both = (*METHODS, *NOTIFICATIONS)
    results = [method.result for method in METHODS]
    schemas = Schemas([*results, *(_plain(field.type) for method in both for field in _fields(method))])
    document: Schema = {
        "openrpc": "1.3.2",
        "info": {
            "title": "wukong_trio",
            "version": __version__,
            "description": _ABOUT,
            "license": {"name": "Apache-2.0"},
        },
        "methods": [_method(method, schemas) for method in METHODS],
        "components": {"schemas": schemas.components, "errors": {_name(code): _error(code) for code in ErrorCode}},
        "x-notifications": [_method(method, schemas) for method in NOTIFICATIONS],
        "x-reason-codes": [
            {"reasonCode": int(reason), "reason": reason.wire_name, "code": int(error_of_reason(reason))}
            for reason in ReasonCode
            if reason is not ReasonCode.SUCCESS
        ],
        "x-close-codes": [{"code": close.code, "reason": close.reason} for close in _closes()],
    }
    if urls := [url for url in (route.ws_addr, route.wss_addr) if url]:
        document["servers"] = [{"name": url.partition(":")[0], "url": url} for url in urls]
    return document


def _fields(method: Method) -> tuple[FieldInfo, ...]:
    return msgspec.structs.fields(method.params)


def _plain(type_: Any) -> Any:
    """A type without None: an absent parameter is meant."""
    if get_origin(type_) in (Union, UnionType):
        return reduce(or_, [part for part in get_args(type_) if part is not NoneType])
    return type_


def _method(method: Method, schemas: Schemas) -> Schema:
    described_method: Schema = {
        "name": method.name,
        "summary": method.text,
        "paramStructure": "by-name",
        "params": list(_params(method, schemas)),
    }
    if method.result is not None:
        described_method["result"] = {
            "name": "result",
            "description": cleandoc(method.result.__doc__ or ""),
            "schema": schemas[method.result],
        }
        described_method["errors"] = [{"$ref": f"#/components/errors/{_name(code)}"} for code in method.errors]
        described_method["examples"] = [_example(method, method.result)]
    return described_method


def _params(method: Method, schemas: Schemas) -> Iterator[Schema]:
    required = {field.name for field in _fields(method) if field.required} | set(method.needs)
    for field in _fields(method):
        yield {
            "name": field.encode_name,
            **described(method.params, field.name),
            "required": field.name in required,
            "schema": _PAYLOAD if field.type is Raw else schemas[_plain(field.type)],
        }


def _example(method: Method, result: type[Struct]) -> Schema:
    values = ((field.encode_name, example_of_member(method.params, field)) for field in _fields(method))
    return {
        "name": method.name,
        "params": [{"name": name, "value": value} for name, value in values if value is not None],
        "result": {"name": "result", "value": example_of(result)},
    }


def _name(code: ErrorCode) -> str:
    return code.name.title().replace("_", "")


def _error(code: ErrorCode) -> Schema:
    return {"code": int(code), "message": code.text}


def _closes() -> Iterable[codes.Close]:
    return (value for value in vars(codes).values() if isinstance(value, codes.Close))
