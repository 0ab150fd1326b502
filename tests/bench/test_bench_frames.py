"""The client's frames, read by the server, and how the server's are found."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wukong_trio.bench import frames
from wukong_trio.bench.frames import FrameReader, Framing, Masker, PacketSplitter, ProtocolError
from wukong_trio.protocol import websocket
from wukong_trio.protocol.wkproto import MAX_PACKET_BYTES, Event, Ping, Pong, Recvack
from wukong_trio.protocol.wkproto_writer import encode

SIZES = (0, 1, 125, 126, 65535, 65536)


def feed(reader: Framing, data: bytes) -> list[bytes]:
    return [bytes(message) for message in reader.feed(memoryview(reader.rest + data))]


@pytest.mark.parametrize("size", SIZES)
def test_a_server_reads_the_masked_frame(size: int) -> None:
    payload = b"x" * size
    for opcode in (frames.TEXT, frames.BINARY):
        reader = websocket.FrameReader(limit_bytes=1 << 20)
        (message,) = reader.receive(Masker(opcode).frame(payload))
        assert message == payload
        assert isinstance(message, websocket.BinaryMessage) == (opcode == frames.BINARY)


def test_a_server_reads_control_frames() -> None:
    reader = websocket.FrameReader(limit_bytes=1000)
    masker = Masker(frames.TEXT)
    data = masker.control(frames.PONG, b"abc") + masker.control(frames.CLOSE, b"\x03\xe8")
    assert reader.receive(data) == [(websocket.Opcode.PONG, b"abc"), (websocket.Opcode.CLOSE, b"\x03\xe8")]


def test_keys_are_never_zero() -> None:
    assert 0 not in Masker(frames.TEXT).frame(b"")[-4:]


@given(st.lists(st.sampled_from(SIZES[:4]), min_size=1, max_size=5), st.integers(1, 300))
def test_messages_are_found_however_they_are_cut(sizes: list[int], step: int) -> None:
    messages = [bytes([65 + size % 26]) * size for size in sizes]
    data = b"".join(websocket.encode_frame(frames.TEXT, payload) for payload in messages)
    step = max(step, len(data) // 50)
    reader = FrameReader(frames.TEXT)
    found = [message for start in range(0, len(data), step) for message in feed(reader, data[start : start + step])]
    assert found == messages
    assert reader.rest == b""


def test_a_large_message_is_found() -> None:
    frame = websocket.encode_frame(frames.TEXT, b"y" * 70_000)
    reader = FrameReader(frames.TEXT)
    assert feed(reader, frame[:9]) == []
    assert feed(reader, frame[9:]) == [b"y" * 70_000]


def test_fragments_are_joined_around_control_frames() -> None:
    data = b"\x01\x02ab" + b"\x89\x01p" + b"\x00\x01c" + b"\x80\x01d" + b"\x88\x02\x0f\xa5"
    reader = FrameReader(frames.TEXT)
    assert feed(reader, data) == [b"abcd"]
    controls = reader.take_controls()
    assert list(controls) == [(frames.PING, b"p"), (frames.CLOSE, b"\x0f\xa5")]
    assert not reader.take_controls()
    assert frames.close_code(controls[1][1]) == 4005
    assert frames.close_code(b"") == 1005


@pytest.mark.parametrize("data", [b"\x81\x81abcde", b"\x80\x01a", b"\x01\x01a\x01\x01b", b"\x82\x01a"])
def test_what_no_client_can_read_is_an_error(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        FrameReader(frames.TEXT).feed(memoryview(data))


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


PACKETS = [encode(packet, 6) for packet in (Ping(), Pong(), Recvack(1, 2), Event("1", "x", 3, b"y" * 300))]


@given(st.lists(st.sampled_from(PACKETS), min_size=1, max_size=8), st.integers(1, 50))
def test_packets_are_found_however_they_are_cut(packets: list[bytes], step: int) -> None:
    data = b"".join(packets)
    splitter = PacketSplitter()
    found = [packet for start in range(0, len(data), step) for packet in feed(splitter, data[start : start + step])]
    assert found == packets
    assert splitter.rest == b""
    assert not splitter.take_controls()


def test_the_largest_packet_is_found() -> None:
    packet = encode(Event("", "", 0, b"z" * (MAX_PACKET_BYTES - 12)), 6)
    splitter = PacketSplitter()
    assert feed(splitter, packet[:-1]) == []
    assert feed(splitter, packet[-1:]) == [packet]


def test_a_length_of_five_bytes_is_an_error() -> None:
    with pytest.raises(ProtocolError, match="four bytes"):
        feed(PacketSplitter(), b"\x50\xff\xff\xff\xff\x01")
