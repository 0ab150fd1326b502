"""`/openrpc.json`: it is valid, complete, and true of the running server.

`openrpc-1.3.schema.json` is the published schema of OpenRPC (Apache-2.0), without its texts.
"""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
from api_calls import Api, OpenServer
from documented import OPENRPC, validator
from jsonschema import Draft7Validator

from wukong_trio import Address, Listeners
from wukong_trio.model import RED_DOT, SETTING_RECEIPT, SETTING_TOPIC, Message, MessageEvent, ReasonCode
from wukong_trio.protocol import codes
from wukong_trio.protocol.answers import FORM_OBJECT, FORM_SDK, encode_disconnect, encode_event, encode_push
from wukong_trio.protocol.codes import ErrorCode
from wukong_trio.protocol.requests import ConnectParams, DisconnectParams, RecvackParams, SendParams
from wukong_trio.testing import RawClient, open_raw_client

SCHEMA = json.loads(Path(__file__).with_name("openrpc-1.3.schema.json").read_text())
METHODS = {method["name"]: method for method in OPENRPC["methods"]}
NOTIFICATIONS = {method["name"]: method for method in OPENRPC["x-notifications"]}
PARAMS = {"connect": ConnectParams, "send": SendParams, "recvack": RecvackParams, "disconnect": DisconnectParams}


def test_it_is_openrpc() -> None:
    Draft7Validator.check_schema(SCHEMA)
    assert [error.message for error in Draft7Validator(SCHEMA).iter_errors(OPENRPC)] == []
    # An extension, in the form of methods.
    as_methods = {**OPENRPC, "methods": OPENRPC["x-notifications"]}
    assert [error.message for error in Draft7Validator(SCHEMA).iter_errors(as_methods)] == []


@pytest.mark.parametrize("member", ["info", "methods", "openrpc"])
def test_what_is_no_openrpc_is_seen(member: str) -> None:
    """The check above checks something."""
    assert list(Draft7Validator(SCHEMA).iter_errors({**OPENRPC, member: [{}]}))


def test_every_parameter_is_in_it() -> None:
    assert METHODS.keys() == {*PARAMS, "ping"}
    assert METHODS["ping"]["params"] == []
    for name, type_ in PARAMS.items():
        assert [param["name"] for param in METHODS[name]["params"]] == list(type_.__struct_encode_fields__)


def test_everything_has_a_meaning() -> None:
    described = {}
    for method in (*METHODS.values(), *NOTIFICATIONS.values()):
        described[method["name"]] = method["summary"]
        described |= {f"{method['name']}.{param['name']}": param["description"] for param in method["params"]}
    for name, schema in OPENRPC["components"]["schemas"].items():
        described[name] = schema["description"]
        described |= {f"{name}.{member}": part["description"] for member, part in schema["properties"].items()}
    assert [name for name, text in described.items() if not text] == []


def test_all_codes_are_in_it() -> None:
    errors = OPENRPC["components"]["errors"].values()
    assert {error["code"]: error["message"] for error in errors} == {int(code): code.text for code in ErrorCode}
    assert [entry["reasonCode"] for entry in OPENRPC["x-reason-codes"]] == [int(r) for r in ReasonCode if r != 1]
    by_reason = {entry["reason"]: entry["code"] for entry in OPENRPC["x-reason-codes"]}
    assert (by_reason["InBlacklist"], by_reason["SystemError"]) == (-32004, -32603)
    assert {codes.CLOSE_KICKED.code, codes.CLOSE_BYE.code} < {close["code"] for close in OPENRPC["x-close-codes"]}


def error_codes(method: str) -> set[int]:
    """The codes that the document says a method may answer."""
    references = [error["$ref"].rpartition("/")[2] for error in METHODS[method]["errors"]]
    return {OPENRPC["components"]["errors"][name]["code"] for name in references}


def example(method: str) -> dict[str, Any]:
    """The parameters of a method's example."""
    [pairing] = METHODS[method]["examples"]
    return {param["name"]: param["value"] for param in pairing["params"]}


def check_params(method: dict[str, Any], params: dict[str, Any]) -> None:
    """Fails if parameters are not as the document says."""
    described = {param["name"]: param for param in method["params"]}
    assert params.keys() <= described.keys()
    assert {name for name, param in described.items() if param["required"]} <= params.keys()
    for name, value in params.items():
        assert list(validator(described[name]["schema"], OPENRPC).iter_errors(value)) == [], name


@pytest.mark.parametrize("name", METHODS)
def test_examples_are_what_their_schemas_say(name: str) -> None:
    check_params(METHODS[name], example(name))
    [pairing] = METHODS[name]["examples"]
    assert list(validator(METHODS[name]["result"]["schema"], OPENRPC).iter_errors(pairing["result"]["value"])) == []


async def call(client: RawClient, method: str, params: dict[str, Any]) -> Any:
    """A whole answer."""
    await client.send({"id": method, "method": method, "params": params})
    return await client.receive()


async def test_examples_are_played(open_server: OpenServer) -> None:
    with trio.fail_after(10):
        async with open_server() as server, Api(server) as api, open_raw_client(server.endpoints.ws) as client:
            await api.ok("/channel", channel_id="team", channel_type=2, subscribers=["ann"])
            for name in ("connect", "send", "recvack", "ping", "disconnect"):
                answer = await call(client, name, example(name))
                schema = {**METHODS[name]["result"]["schema"], "unevaluatedProperties": False}
                assert list(validator(schema, OPENRPC).iter_errors(answer["result"])) == [], answer


@pytest.mark.parametrize("name", METHODS)
async def test_required_is_what_has_to_be_there(open_server: OpenServer, name: str) -> None:
    with trio.fail_after(10):
        async with open_server() as server, Api(server) as api:
            await api.ok("/channel", channel_id="team", channel_type=2, subscribers=["ann"])
            refused = []
            for left_out in example(name):
                params = {key: value for key, value in example(name).items() if key != left_out}
                async with open_raw_client(server.endpoints.ws) as client:
                    if name != "connect":
                        await call(client, "connect", example("connect"))
                    answer = await call(client, name, params)
                if "error" in answer:
                    assert answer["error"]["code"] in error_codes(name)
                    refused.append(left_out)
            assert refused == [param["name"] for param in METHODS[name]["params"] if param["required"]]


WRONG: list[tuple[str, dict[str, Any]]] = [
    ("connect", {"uid": 5, "token": "t"}),
    ("connect", {"uid": "a@b", "token": "t"}),
    ("connect", {"uid": "banned", "token": "t"}),
    ("connect", {"uid": "known", "token": "wrong"}),
    ("send", {"channelType": "x"}),
    ("send", {"channelId": "nowhere"}),
    ("send", {"channelId": "banned", "channelType": 2}),
    ("send", {"payload": "?"}),
    ("send", {"payload": "A" * 1_000_000}),
    ("recvack", {"messageId": True}),
    ("disconnect", {"reasonCode": "x"}),
]


@pytest.mark.parametrize(("name", "params"), WRONG, ids=lambda value: str(value)[:40])
async def test_errors_are_those_that_are_listed(open_server: OpenServer, name: str, params: dict[str, Any]) -> None:
    with trio.fail_after(10):
        async with (
            open_server() as server,
            Api(server) as api,
            open_raw_client(server.endpoints.ws) as client,
            open_raw_client(server.endpoints.ws) as early,
        ):
            await api.ok("/channel", channel_id="team", channel_type=2, subscribers=["ann"])
            await api.ok("/channel", channel_id="banned", channel_type=2, subscribers=["ann"], ban=1)
            await api.ok("/channel/info", channel_id="banned", channel_type=1, ban=1)
            await api.ok("/user/token", uid="known", token="t")
            if name != "connect":
                await call(client, "connect", example("connect"))
                assert (await call(early, name, {}))["error"]["code"] in error_codes(name)
            answer = await call(client, name, {**example(name), **params})
            assert answer["error"]["code"] in error_codes(name)


def message(**more: Any) -> Message:
    """A message to ann."""
    plain: dict[str, Any] = {"channel_id": "bob@ann", "channel_type": 1, "from_uid": "bob", "client_msg_no": "m"}
    return Message(message_id=9, message_seq=1, timestamp=5, **{**plain, "payload": b"x", **more})


FULL = {"setting": SETTING_RECEIPT | SETTING_TOPIC, "expire": 7, "topic": "t", "stream_no": "s", "flags": RED_DOT}


@pytest.mark.parametrize("form", [0, FORM_OBJECT, FORM_SDK, FORM_SDK | FORM_OBJECT])
@pytest.mark.parametrize("more", [{}, {"payload": b'{"a":1}'}, FULL], ids=["plain", "object", "full"])
def test_pushes_are_described(form: int, more: dict[str, Any]) -> None:
    push = json.loads(encode_push(message(**more), form, "bob", red_dot=True))
    assert push["method"] == ("recv" if form & FORM_SDK else "message")
    check_params(NOTIFICATIONS[push["method"]], push["params"])


def test_the_other_form_is_not_taken_for_it() -> None:
    push = json.loads(encode_push(message(), FORM_SDK, "bob", red_dot=True))
    with pytest.raises(AssertionError):
        check_params(NOTIFICATIONS["message"], push["params"])


def test_notices_are_described() -> None:
    notice = json.loads(encode_disconnect(ReasonCode.CONNECT_KICK, "elsewhere"))
    check_params(NOTIFICATIONS["disconnect"], notice["params"])
    event = json.loads(encode_event(MessageEvent("e", "stream.close", 1, b"{}")))
    check_params(NOTIFICATIONS["event"], event["params"])
    assert NOTIFICATIONS.keys() == {"recv", "message", "event", "disconnect"}


async def test_it_is_served_with_where_to_connect(api: Api) -> None:
    answer = await api.http.get("/openrpc.json")
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    ws = (await api.get("/route"))["ws_addr"]
    assert answer.json()["servers"] == [{"name": "ws", "url": ws}]
    assert {**answer.json(), "servers": OPENRPC["servers"]} == msgspec.json.decode(msgspec.json.encode(OPENRPC))


async def test_without_websockets_it_names_no_address(open_server: OpenServer) -> None:
    with trio.fail_after(10):
        listeners = Listeners(http=Address("127.0.0.1", 0), tcp=Address("127.0.0.1", 0), ws=None)
        async with open_server(listeners=listeners) as server, Api(server) as api:
            document = await api.get("/openrpc.json")
            assert "servers" not in document
            assert [error.message for error in Draft7Validator(SCHEMA).iter_errors(document)] == []
