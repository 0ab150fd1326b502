"""The client's frames, read by the server, and the JSON-RPC in them."""

import json
from base64 import b64decode

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wukong_trio.bench import frames
from wukong_trio.bench.frames import FrameReader, Masker, ProtocolError
from wukong_trio.protocol import websocket

SIZES = (0, 1, 125, 126, 65535, 65536)


def feed(reader: FrameReader, data: bytes) -> list[tuple[int, bytes]]:
    return [(opcode, bytes(payload)) for opcode, payload in reader.feed(memoryview(reader.rest + data))]


@pytest.mark.parametrize("size", SIZES)
def test_a_server_reads_the_masked_frame(size: int) -> None:
    payload = b"x" * size
    frame = Masker().text(payload)
    reader = websocket.FrameReader(limit_bytes=1 << 20)
    assert reader.receive(frame) == [payload]


def test_a_server_reads_control_frames() -> None:
    reader = websocket.FrameReader(limit_bytes=1000)
    masker = Masker()
    data = masker.control(frames.PONG, b"abc") + masker.control(frames.CLOSE, b"\x03\xe8")
    assert reader.receive(data) == [(websocket.Opcode.PONG, b"abc"), (websocket.Opcode.CLOSE, b"\x03\xe8")]


def test_keys_are_never_zero() -> None:
    assert 0 not in Masker().text(b"")[-4:]


@given(st.lists(st.sampled_from(SIZES[:4]), min_size=1, max_size=5), st.integers(1, 300))
def test_messages_are_found_however_they_are_cut(sizes: list[int], step: int) -> None:
    messages = [(frames.TEXT, bytes([65 + size % 26]) * size) for size in sizes]
    data = b"".join(websocket.encode_frame(opcode, payload) for opcode, payload in messages)
    step = max(step, len(data) // 50)
    reader = FrameReader()
    found = [message for start in range(0, len(data), step) for message in feed(reader, data[start : start + step])]
    assert found == messages
    assert reader.rest == b""


def test_a_large_message_is_found() -> None:
    frame = websocket.encode_frame(frames.TEXT, b"y" * 70_000)
    reader = FrameReader()
    assert feed(reader, frame[:9]) == []
    assert feed(reader, frame[9:]) == [(frames.TEXT, b"y" * 70_000)]


def test_fragments_are_joined_around_control_frames() -> None:
    data = b"\x01\x02ab" + b"\x89\x01p" + b"\x00\x01c" + b"\x80\x01d" + b"\x88\x02\x0f\xa5"
    found = feed(FrameReader(), data)
    assert found == [(frames.PING, b"p"), (frames.TEXT, b"abcd"), (frames.CLOSE, b"\x0f\xa5")]
    assert frames.close_code(memoryview(found[2][1])) == 4005
    assert frames.close_code(memoryview(b"")) == 1005


@pytest.mark.parametrize("data", [b"\x81\x81abcde", b"\x80\x01a", b"\x01\x01a\x01\x01b"])
def test_what_no_client_can_read_is_an_error(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        FrameReader().feed(memoryview(data))


def test_an_upgrade_is_accepted_only_with_the_right_key() -> None:
    from wukong_trio.gateway.handshake import HandshakeReader, Upgrade

    upgrade = HandshakeReader().receive(frames.upgrade_request("127.0.0.1:1", "/a?b"))
    assert isinstance(upgrade, Upgrade)
    assert upgrade.target == "/a?b"
    frames.check_upgrade(upgrade.answer)
    with pytest.raises(ProtocolError, match="403"):
        frames.check_upgrade(b"HTTP/1.1 403 Forbidden\r\n")
    with pytest.raises(ProtocolError):
        frames.check_upgrade(b"HTTP/1.1 101 Switching Protocols\r\nsec-websocket-accept: other")


@pytest.mark.parametrize("size", [frames.MIN_PAYLOAD_BYTES, 64, 65, 66, 1000])
def test_a_send_carries_a_stamp_in_a_payload_of_the_wanted_size(size: int) -> None:
    template = frames.send_template("b-", 7, "b-8", 1)
    text = template % (3, frames.stamp_base64(7, 3, 123_456_789), frames.padding_base64(size), 3)
    request = json.loads(text)
    payload = b64decode(request["params"]["payload"], validate=True)
    assert request["id"] == "3"
    assert request["params"]["channelId"] == "b-8"
    assert request["params"]["clientMsgNo"] == "b--7-3"
    assert len(payload) == size
    assert json.loads(payload)["type"] == 1
    assert frames.read_stamp(payload) == (7, 3, 123_456_789)


@pytest.mark.parametrize("payload", [b"", b'{"type":1,"content":"hi"}', b'{"type":2}' * 9])
def test_other_payloads_have_no_stamp(payload: bytes) -> None:
    with pytest.raises(ValueError, match=r"stamp|int"):
        frames.read_stamp(payload)


@pytest.mark.parametrize(
    ("text", "succeeded"),
    [
        (b'{"id":"1","result":{}}', True),
        (b'{"id":"1","result":{"reasonCode":1}}', True),
        (b'{"id":"1","result":{"reasonCode":5}}', False),
        (b'{"id":"1","error":{"code":-32004,"message":"no"}}', False),
    ],
)
def test_success_is_a_result_that_says_so(text: bytes, succeeded: bool) -> None:
    assert frames.decode(text).succeeded is succeeded


@pytest.mark.parametrize("message_id", ['"831204"', "831204"])
def test_a_receipt_names_the_message_as_it_was_named(message_id: str) -> None:
    rest = '"messageSeq":7,"header":{"dup":true},"payload":"aGk="}}'
    params = frames.decode('{"method":"recv","params":{"messageId":' + message_id + "," + rest).params
    assert params is not None
    assert params.payload == b"hi"
    assert params.header.dup
    receipt = json.loads(frames.recvack(params))
    assert receipt["params"] == {"header": {}, "messageId": json.loads(message_id), "messageSeq": 7}


def test_requests_are_json() -> None:
    assert msgspec.json.decode(frames.ping_request(12))["id"] == "12"
    assert msgspec.json.decode(frames.connect_request("a", "t", "d"))["params"]["uid"] == "a"
