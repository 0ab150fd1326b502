"""The JSON-RPC that a load generator says, and what it hears."""

import json
from base64 import b64decode, b64encode
from typing import Any

import pytest
from speeches import PREFIX, Heard, a_plan

from wukong_trio.bench import stamps
from wukong_trio.bench.jsonrpc import JsonRpc
from wukong_trio.bench.speech import ProtocolError


def speech(**changes: Any) -> JsonRpc:
    plan = a_plan(**changes)
    return JsonRpc(plan, 1, lambda message: b"<" + message + b">", b64encode(stamps.padding(plan.payload_bytes)))


def heard(*texts: bytes, **changes: Any) -> Heard:
    ear = Heard()
    speech(**changes).hear([memoryview(text) for text in texts], ear, 5)
    return ear


@pytest.mark.parametrize("size", [stamps.MIN_PAYLOAD_BYTES, 64, 65, 66, 1000])
def test_a_send_carries_a_stamp_in_a_payload_of_the_wanted_size(size: int) -> None:
    request = json.loads(speech(payload_bytes=size).send(3, 123_456_789))
    payload = b64decode(request["params"]["payload"], validate=True)
    assert request["id"] == "3"
    assert request["params"]["channelId"] == f"{PREFIX}0"
    assert request["params"]["clientMsgNo"] == f"{PREFIX}-1-3"
    assert len(payload) == size
    assert json.loads(payload)["type"] == 1
    assert stamps.read_stamp(payload) == (1, 3, 123_456_789)


@pytest.mark.parametrize("payload", [b"", b'{"type":1,"content":"hi"}', b'{"type":2}' * 9])
def test_other_payloads_have_no_stamp(payload: bytes) -> None:
    with pytest.raises(ValueError, match=r"stamp|int"):
        stamps.read_stamp(payload)
    text = {"method": "recv", "params": {"messageId": "7", "messageSeq": 1, "payload": b64encode(payload).decode()}}
    assert heard(json.dumps(text).encode()).foreign == [""]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b'{"id":"1","result":{}}', ""),
        (b'{"id":"1","result":{"reasonCode":1}}', ""),
        (b'{"id":"1","result":{"reasonCode":5}}', "reason 5"),
        (b'{"id":"1","error":{"code":-32004,"message":"no"}}', "no (code -32004)"),
        (b'{"id":"1"}', "neither result nor error"),
    ],
)
def test_success_is_a_result_that_says_so(text: bytes, problem: str) -> None:
    assert heard(text).answers == [("1", problem)]


@pytest.mark.parametrize("message_id", ['"831204"', "831204"])
def test_a_receipt_names_the_message_as_it_was_named(message_id: str) -> None:
    payload = b64encode(stamps.OPENING + stamps.digits(0, 2, 3)).decode()
    rest = f'"messageSeq":7,"header":{{"dup":true}},"payload":"{payload}"}}}}'
    text = f'{{"method":"recv","params":{{"messageId":{message_id},{rest}'.encode()
    (delivery,) = heard(text).deliveries
    assert delivery.stamp == (0, 2, 3)
    assert delivery.repeated
    assert delivery.message_seq == 7
    receipt = json.loads(delivery.receipt.strip(b"<>"))
    assert receipt["params"] == {"header": {}, "messageId": json.loads(message_id), "messageSeq": 7}
    (delivery,) = heard(text, recvack=False).deliveries
    assert delivery.receipt == b""


def test_requests_are_json() -> None:
    assert json.loads(speech().ping(12))["id"] == "12"
    connect = json.loads(speech(token="t").connect())["params"]
    assert connect == {"uid": f"{PREFIX}1", "token": "t", "deviceId": "d1", "deviceFlag": 1, "clientTimestamp": 0}
    assert "clientTimestamp" not in json.loads(speech(recvack=False).connect())["params"]


def test_a_sign_of_life_and_a_complaint_are_told_apart_from_answers() -> None:
    id_ = json.loads(speech().keep_alive())["id"]
    ear = heard(json.dumps({"id": id_, "result": {}}).encode(), b'{"error":{"code":1,"message":"no"}}')
    assert (ear.alive, ear.answers) == (1, [])
    assert ear.complaints == ["an error without id: no"]


def test_a_refusal_says_who_and_why() -> None:
    one = speech()
    with pytest.raises(ProtocolError, match=f"refused {PREFIX}1.*no way"):
        one.welcome(memoryview(b'{"id":"0","error":{"code":2,"message":"no way"}}'))
    one.welcome(memoryview(b'{"id":"0","result":{"serverVersion":5}}'))
    assert one.server_version == 5


def test_what_is_not_json_rpc_ends_the_connection() -> None:
    with pytest.raises(ProtocolError):
        heard(b"{")
    with pytest.raises(ProtocolError):
        speech().welcome(memoryview(b"{"))
