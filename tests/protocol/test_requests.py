"""Decoding of client frames: both ways through the decoder have to agree."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wukong_trio.protocol.codes import ErrorCode
from wukong_trio.protocol.nesting import MAX_DEPTH
from wukong_trio.protocol.requests import (
    MAX_BATCH,
    Connect,
    Disconnect,
    Ignored,
    Invalid,
    Ping,
    Recvack,
    Send,
    decode,
    decode_first,
    used_snake_case,
)

SEND = {"clientMsgNo": "m1", "channelId": "bob", "channelType": 1, "payload": "eyJhIjoxfQ=="}


def encode(**frame: object) -> bytes:
    return json.dumps(frame).encode()


def send(id_: object = "s1", **params: object) -> bytes:
    return encode(id=id_, method="send", params={**SEND, **params})


def test_an_everyday_send_is_decoded() -> None:
    request = decode(send())
    assert isinstance(request, Send)
    assert (request.id, request.params.client_msg_no, request.params.channel_id) == ("s1", "m1", "bob")
    assert bytes(request.params.payload) == b'"eyJhIjoxfQ=="'


def test_unknown_members_do_not_change_what_is_decoded() -> None:
    plain, extra = decode(send()), decode(send(surprise={"a": [1]}, header={"redDot": True, "later": 1}))
    assert isinstance(plain, Send)
    assert isinstance(extra, Send)
    assert extra.params.channel_id == plain.params.channel_id
    assert extra.params.header is not None
    assert extra.params.header.red_dot


def test_snake_case_twins_are_accepted_at_every_level_and_camel_case_wins() -> None:
    params = {
        "client_msg_no": "a",
        "clientMsgNo": "b",
        "channel_id": "x",
        "channel_type": 2,
        "payload": "",
        "header": {"no_persist": 1},
    }
    request = decode(encode(id="1", method="send", params=params))
    assert isinstance(request, Send)
    assert (request.params.client_msg_no, request.params.channel_id, request.params.channel_type) == ("b", "x", 2)
    assert request.params.header is not None
    assert request.params.header.no_persist


@pytest.mark.parametrize("value", [17, -(2**53) + 1, 2**53 - 1, "", "x" * 256, "é" * 128])
def test_j034_j045_usable_ids_come_back_unchanged(value: object) -> None:
    assert decode(encode(id=value, method="ping")) == Ping(value)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [1.0, 1.5, True, [], {}, 2**53, -(2**53), "x" * 257, "é" * 129])
def test_j045_unusable_ids_are_an_error_without_id(value: object) -> None:
    request = decode(encode(id=value, method="ping"))
    assert isinstance(request, Invalid)
    assert (request.id, request.code) == (None, ErrorCode.INVALID_FORMAT)


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (b"{bad", (None, ErrorCode.INVALID_FORMAT)),
        (b'{"id":"x","method":"ping"} {}', (None, ErrorCode.INVALID_FORMAT)),
        (b'{"id":"x","method":"ping","params":NaN}', (None, ErrorCode.INVALID_FORMAT)),
        (b'{"id":"\xff","method":"ping"}', (None, ErrorCode.INVALID_FORMAT)),
        (b'{"id":"x","method":"ping","skipped":"\xff"}', (None, ErrorCode.INVALID_FORMAT)),
        (b'"text"', (None, ErrorCode.INVALID_FORMAT)),
        (b'{"id":"x","method":"nosuch"}', ("x", ErrorCode.METHOD_NOT_FOUND)),
        (b'{"id":"x","method":"subscribe","params":{}}', ("x", ErrorCode.METHOD_NOT_FOUND)),
        (b'{"id":"x","method":"Ping"}', ("x", ErrorCode.METHOD_NOT_FOUND)),
        (b'{"id":"x","method":5}', ("x", ErrorCode.INVALID_FORMAT)),
        (b'{"id":"x"}', ("x", ErrorCode.INVALID_FORMAT)),
        (b'{"id":"x","method":"ping","jsonrpc":"1.0"}', ("x", ErrorCode.INVALID_FORMAT)),
        (b'{"id":"x","method":"ping","jsonrpc":null}', ("x", ErrorCode.INVALID_FORMAT)),
        (b'{"id":"x","method":"send"}', ("x", ErrorCode.INVALID_PARAMETERS)),
        (b'{"id":"x","method":"send","params":[]}', ("x", ErrorCode.INVALID_PARAMETERS)),
        (b'{"method":"send","params":{}}', (None, ErrorCode.INVALID_FORMAT)),
        (b'{"id":"x","method":"connect","params":{}}', ("x", ErrorCode.INVALID_PARAMETERS)),
        (b'{"id":"x","method":"recvack","params":{}}', ("x", ErrorCode.INVALID_PARAMETERS)),
        (b'{"id":"x","method":"disconnect","params":{"reasonCode":"a"}}', ("x", ErrorCode.INVALID_PARAMETERS)),
        (b"[]", (None, ErrorCode.INVALID_FORMAT)),
        (b"[{}", (None, ErrorCode.INVALID_FORMAT)),
    ],
)
def test_errors_carry_the_id_where_it_is_known(frame: bytes, expected: tuple[Any, ErrorCode]) -> None:
    request = decode(frame)
    assert isinstance(request, Invalid)
    assert (request.id, request.code) == expected


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b" \n",
        b'{"method":"nosuch"}',
        b'{"method":"ping"}',
        b'{"id":"x","result":{}}',
        b'{"error":{}}',
        b'{"method":"recvack"}',
        b'{"method":"recvack","params":{"messageId":1.5}}',
    ],
)
def test_frames_that_get_no_answer(frame: bytes) -> None:
    assert decode(frame) == Ignored()


def test_other_methods() -> None:
    assert decode(b'{"method":"disconnect"}') == Disconnect(None)
    assert decode(b'{"id":1,"method":"disconnect","params":{"reasonCode":1,"reason":"x"}}') == Disconnect(1)
    for message_id in (5, "5"):
        ack = decode(encode(method="recvack", params={"messageId": message_id, "messageSeq": 1}))
        assert isinstance(ack, Recvack)
        assert ack.params.message_id == message_id
    assert isinstance(decode(b'{"id":"p","method":"ping","result":{}}'), Ping), "method decides"


def test_j052_j053_a_batch_is_decoded_entry_by_entry() -> None:
    requests = decode(b'[{"id":"a","method":"ping"},5,{"method":"ping"},[]]')
    assert isinstance(requests, list)
    assert [type(r) for r in requests] == [Ping, Invalid, Ignored, Invalid]


def test_a_batch_is_limited() -> None:
    ping = b'{"id":"a","method":"ping"}'
    requests = decode(b"[" + b",".join([ping] * MAX_BATCH) + b"]")
    assert isinstance(requests, list)
    assert len(requests) == MAX_BATCH
    too_many = decode(b"[" + b",".join([ping] * (MAX_BATCH + 1)) + b"]")
    assert isinstance(too_many, Invalid)
    assert too_many.code == ErrorCode.TOO_LARGE


def test_nesting_is_limited() -> None:
    deep = b"[" * (MAX_DEPTH - 1) + b"]" * (MAX_DEPTH - 1)
    assert isinstance(decode(b'{"id":"p","method":"ping","params":' + deep + b"}"), Ping)
    deeper = decode(b'{"id":"p","method":"ping","params":[' + deep + b"]}")
    assert isinstance(deeper, Invalid)
    assert deeper.code == ErrorCode.INVALID_FORMAT
    assert isinstance(decode(b"[" * 100_000), Invalid)


@pytest.mark.parametrize(
    "frame",
    [
        b'{"method":"ping"}',
        b'{"method":"recvack","params":{"messageId":1}}',
        b'{"id":"x","result":1}',
        b'{"method":"send","params":{}}',
    ],
)
def test_j031_first_frames_that_are_closed_without_an_answer(frame: bytes) -> None:
    assert decode_first(frame) is None


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (b"[]", (None, ErrorCode.INVALID_FORMAT)),
        (b"{bad", (None, ErrorCode.INVALID_FORMAT)),
        (b'{"id":"p","method":"ping"}', ("p", ErrorCode.AUTHENTICATION_FAILED)),
        (b'{"id":"p","method":"nosuch"}', ("p", ErrorCode.AUTHENTICATION_FAILED)),
        (b'{"method":"connect","params":{"uid":"a","token":""}}', (None, ErrorCode.INVALID_FORMAT)),
        (b'{"id":"c","method":"connect","params":{"uid":"a"}}', ("c", ErrorCode.INVALID_PARAMETERS)),
        (
            b'{"id":"c","method":"connect","params":{"uid":"a","token":"","deviceFlag":"1"}}',
            ("c", ErrorCode.INVALID_PARAMETERS),
        ),
    ],
)
def test_first_frames_that_are_refused(frame: bytes, expected: tuple[Any, ErrorCode]) -> None:
    request = decode_first(frame)
    assert isinstance(request, Invalid)
    assert (request.id, request.code) == expected


def test_connect_keeps_the_names_the_client_used() -> None:
    connect = decode_first(encode(id="c", method="connect", params={"uid": "a", "token": "", "device_flag": 1}))
    assert isinstance(connect, Connect)
    assert connect.params.device_flag == 1
    assert used_snake_case(connect.keys)
    assert not used_snake_case(frozenset({"uid", "token", "deviceFlag"}))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
frames = st.dictionaries(
    st.sampled_from(["jsonrpc", "id", "method", "params", "result", "x"]),
    st.sampled_from(["2.0", "send", "ping", "recvack", "connect", SEND]) | json_values,
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.binary() | frames.map(lambda frame: json.dumps(frame).encode()))
def test_nothing_a_client_sends_raises(message: bytes) -> None:
    decode(message)
    decode_first(message)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(frames)
def test_member_order_and_extra_members_do_not_matter(frame: dict[str, object]) -> None:
    # An unknown member sends the frame the long way; the outcome has to be that of the short way.
    short, long = decode(json.dumps(frame).encode()), decode(json.dumps({**frame, "unknown": 0}).encode())
    assert type(short) is type(long)
    if isinstance(short, Invalid | Ping | Send):
        assert short.id == long.id  # type: ignore[union-attr]
