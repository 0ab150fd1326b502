"""Reading a stream of the binary protocol, however it is cut, and whatever is wrong with it."""

from random import Random

import pytest
from binary_packets import VERSIONS, cut, random_packet
from hypothesis import given
from hypothesis import strategies as st

from wukong_trio.protocol.codes import CLOSE_PROTOCOL_ERROR, CLOSE_TOO_BIG
from wukong_trio.protocol.wkproto import (
    MAX_PACKET_BYTES,
    PING,
    PONG,
    Connack,
    Connect,
    Disconnect,
    Event,
    Packet,
    Recv,
    Recvack,
    Send,
    Sendack,
    Sub,
    Suback,
)
from wukong_trio.protocol.wkproto_reader import PacketReader
from wukong_trio.protocol.wkproto_writer import encode

PACKETS: list[Packet] = [
    Connect(6, 1, "device", "uid", "token", 1, "key"),
    Connack(1, 1, "key", "salt", 1, 6),
    Send(1, "g", 2, b"", "n", 8, msg_key="k", topic="t"),
    Sendack(1, 2, 3, 1, "n"),
    Recv(1, 2, "u", "g", 2, b"", "n", 3, 8, msg_key="k", topic="t"),
    Recvack(1, 2),
    Disconnect(12, "r"),
    Sub("s", "g", 2, 0, "p"),
    Suback("s", "g", 2, 0, 1),
    Event("e", "t", 1, b""),
]
RECVACK = encode(Recvack(1, 2), 6)


def by_name(packets: list[Packet]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("packet", packets, ids=lambda packet: type(packet).__name__)


def rest_of(reader: PacketReader, most: int) -> list[Packet]:
    packets: list[Packet] = []
    while reader.unserved:
        packets += reader.receive(b"", most=most)
    return packets


@given(st.randoms(use_true_random=False), st.sampled_from(VERSIONS), st.integers(1, 5))
def test_w008_any_cuts_give_the_same_packets(random: Random, version: int, most: int) -> None:
    packets = [random_packet(random, version) for _ in range(random.randint(0, 10))]
    stream = b"".join(encode(packet, version) for packet in packets)
    assert PacketReader(version).receive(stream) == packets
    pieces = cut(random, stream)
    at_once, served, unserved = PacketReader(version), PacketReader(version), PacketReader(version)
    assert [packet for piece in pieces for packet in at_once.receive(piece)] == packets
    received = []
    for piece in pieces:
        received += served.receive(piece, most=most)
        assert len(received) <= len(packets)
        received += rest_of(served, most)
    assert received == packets
    # It also works to go on reading before everything is served.
    received = [packet for piece in pieces for packet in unserved.receive(piece, most=most)]
    assert received + rest_of(unserved, most) == packets
    for reader in (at_once, served, unserved):
        assert reader.failure is None
        assert reader.at_start


@given(st.binary(max_size=200), st.sampled_from(VERSIONS), st.randoms(use_true_random=False))
def test_random_bytes_end_in_the_same_way_however_they_are_cut(data: bytes, version: int, random: Random) -> None:
    whole, pieces = PacketReader(version), PacketReader(version)
    packets = whole.receive(data)
    assert [
        packet for piece in cut(random, data) for packet in pieces.receive(piece, most=2) + rest_of(pieces, 2)
    ] == packets
    assert (whole.failure is None) == (pieces.failure is None)
    assert whole.at_start == pieces.at_start
    assert len(packets) <= len(data)


@given(st.randoms(use_true_random=False), st.sampled_from(VERSIONS))
def test_a_damaged_packet_is_read_or_refused(random: Random, version: int) -> None:
    data = bytearray(encode(random_packet(random, version), version))
    for _ in range(random.randint(1, 3)):
        data[random.randrange(len(data))] = random.choice((0, 1, 0x7F, 0x80, 0xFF, random.randint(0, 255)))
    reader = PacketReader(version)
    for packet in reader.receive(bytes(data)):
        encode(packet, version)
    if reader.failure is not None:
        assert reader.failure.close in (CLOSE_PROTOCOL_ERROR, CLOSE_TOO_BIG)
        assert reader.receive(RECVACK) == []


def test_w005_too_long_is_refused_before_the_body_is_there() -> None:
    reader = PacketReader()
    assert reader.receive(bytes.fromhex("30808040")) == []
    assert reader.failure is None
    reader = PacketReader()
    assert reader.receive(bytes.fromhex("308180")) == []
    assert reader.failure is None
    assert reader.receive(b"\x40") == []
    assert reader.failure is not None
    assert reader.failure.close is CLOSE_TOO_BIG


def test_w006_length_bytes() -> None:
    reader = PacketReader()
    reader.receive(bytes.fromhex("30ffffff"))
    assert reader.failure is None
    reader.receive(b"\xff")
    assert reader.failure is not None
    assert reader.failure.close is CLOSE_PROTOCOL_ERROR
    reader = PacketReader()
    reader.receive(bytes.fromhex("308080808000"))
    assert reader.failure is not None
    for length in ("10", "9000", "908000", "90808000"):
        assert PacketReader().receive(b"\x60" + bytes.fromhex(length) + RECVACK[2:]) == [Recvack(1, 2)]


@pytest.mark.parametrize("packet_type", [0, 13, 14, 15])
def test_w024_unknown_types_are_refused_at_their_first_byte(packet_type: int) -> None:
    for flags in range(16):
        reader = PacketReader()
        assert reader.receive(bytes((packet_type << 4 | flags,))) == []
        assert reader.failure is not None
        assert reader.failure.close is CLOSE_PROTOCOL_ERROR


@by_name(PACKETS)
@pytest.mark.parametrize("follows", [b"", b"\x00" * 70_000, b"\x70" * 70_000], ids=["nothing", "zeros", "pings"])
def test_w025_a_body_that_ends_inside_a_field(packet: Packet, follows: bytes) -> None:
    """In these packets each byte of the body belongs to a field that has to be there."""
    data = encode(packet, 6)
    optional = 3 if isinstance(packet, Sendack) else 0
    for missing in range(1, len(data) - 1):
        short = bytes((data[0], data[1] - missing)) + data[2 : len(data) - missing]
        reader = PacketReader(6)
        packets = reader.receive(short + follows)
        if missing == optional:
            assert packets[0] == Sendack(1, 2, 3, 1)
            continue
        assert packets == []
        assert reader.failure is not None
        assert reader.failure.close is CLOSE_PROTOCOL_ERROR


@pytest.mark.parametrize("bad", [b"\x00", b"\xd0", b"\x90\x00", b"\x30\x81\x80\x40", b"\x90\x04\x01\x00\x01\xff"])
def test_what_comes_before_a_failure_is_returned_first(bad: bytes) -> None:
    reader = PacketReader()
    assert reader.receive(b"\x70\x80" + bad + b"\x70") == [PING, PONG]
    assert reader.failure is not None
    assert not reader.unserved
    assert reader.receive(b"\x70") == []
    reader = PacketReader()
    assert reader.receive(b"\x70\x80" + bad + b"\x70", most=1) == [PING]
    assert reader.failure is None
    assert reader.unserved
    assert reader.receive(b"", most=1) == [PONG]
    assert reader.failure is None
    assert reader.unserved
    assert reader.receive(b"", most=1) == []
    assert reader.failure is not None
    assert not reader.unserved
    assert reader.receive(b"\x70", most=1) == []


def test_most_stops_between_packets() -> None:
    reader = PacketReader()
    assert reader.receive(RECVACK * 5 + RECVACK[:3], most=2) == [Recvack(1, 2)] * 2
    assert not reader.at_start
    assert reader.receive(b"", most=3) == [Recvack(1, 2)] * 3
    assert reader.receive(b"", most=3) == []
    assert not reader.unserved
    assert not reader.at_start
    assert reader.receive(RECVACK[3:], most=1) == [Recvack(1, 2)]
    assert not reader.unserved
    assert reader.at_start
    assert reader.receive(b"\x70" * 3, most=3) == [PING] * 3
    assert not reader.unserved


def test_the_version_may_change_between_packets() -> None:
    stream = encode(Connack(1, 1, server_version=4), 4) + encode(Recvack(1, 2), 4) * 2
    reader = PacketReader(6)
    assert reader.receive(stream, most=1) == [Connack(1, 1, server_version=4)]
    reader.version = 4
    assert reader.receive(b"") == [Recvack(1, 2)] * 2
    reader.version = 6
    assert reader.receive(RECVACK) == [Recvack(1, 2)]


def test_the_limit_may_be_raised() -> None:
    reader = PacketReader(limit_bytes=16)
    assert reader.receive(RECVACK) == [Recvack(1, 2)]
    reader.limit_bytes = 100
    large = Event("", "", 0, bytes(88))
    assert reader.receive(encode(large, 6)) == [large]
    assert reader.receive(encode(Event("", "", 0, bytes(89)), 6)[:2]) == []
    assert reader.failure is not None
    assert reader.failure.close is CLOSE_TOO_BIG
    reader = PacketReader(limit_bytes=15)
    assert reader.receive(RECVACK) == []
    assert reader.failure is not None


def test_the_largest_packet_in_pieces() -> None:
    packet = Event("", "", 0, b"x" * (MAX_PACKET_BYTES - 12))
    stream = encode(packet, 6) + RECVACK
    reader = PacketReader()
    pieces = [stream[start : start + 65_536] for start in range(0, len(stream), 65_536)]
    assert [packet for piece in pieces for packet in reader.receive(piece)] == [packet, Recvack(1, 2)]
    assert reader.at_start


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"\xd0", "type 13"),
        (b"\x90\x01\x0c", "DISCONNECT ends inside a field"),
        (b"\x90\x05\x0c\x00\x02\xff\xff", "DISCONNECT is not UTF-8"),
        (b"\x40\x14" + bytes(16) + b"\x01\x00\x00\x00", "SENDACK goes on"),
        (b"\x30\xff\xff\x7f", "2,097,151 bytes; 1,048,576 are allowed"),
        (b"\x30\xff\xff\xff\xff", "more than four bytes"),
    ],
)
def test_what_a_failure_says(data: bytes, problem: str) -> None:
    reader = PacketReader(5)
    reader.receive(data)
    assert problem in str(reader.failure)
