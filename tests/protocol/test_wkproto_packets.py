"""The packets of the binary protocol: what their bytes are, and what cannot be written.

Numbers are those of the protocol's checklist.
"""

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from binary_packets import VERSIONS, random_packet
from hypothesis import given
from hypothesis import strategies as st

from wukong_trio.protocol.codes import CLOSE_PROTOCOL_ERROR, CLOSE_TOO_BIG
from wukong_trio.protocol.wkproto import (
    HIGHEST_SHORT_SEQ,
    MAX_PACKET_BYTES,
    MAX_STRING_BYTES,
    PING,
    PONG,
    Connack,
    Connect,
    Disconnect,
    Event,
    Packet,
    PacketError,
    Recv,
    Recvack,
    Send,
    Sendack,
    Sub,
    Suback,
)
from wukong_trio.protocol.wkproto_reader import PacketReader
from wukong_trio.protocol.wkproto_writer import encode, encode_recvack, encode_sendack, recv_parts, write_recv

PARTS: dict[str, Any] = {
    "message_id": 8,
    "message_seq": 9,
    "from_uid": "u",
    "channel_id": "g",
    "channel_type": 2,
    "client_msg_no": "n",
    "timestamp": -1,
}
"""Of a RECV, in any version."""


def read(data: bytes, version: int = 6) -> Packet:
    """The only packet in these bytes."""
    reader = PacketReader(version)
    packets = reader.receive(data)
    assert reader.failure is None
    assert reader.at_start
    (packet,) = packets
    return packet


def refused(data: bytes, version: int = 6) -> bool:
    reader = PacketReader(version)
    assert reader.receive(data) == []
    assert reader.failure is None or reader.failure.close is CLOSE_PROTOCOL_ERROR
    return reader.failure is not None


def body(packet: Packet, version: int) -> bytes:
    """What follows the two bytes of a short head."""
    data = encode(packet, version)
    assert data[1] == len(data) - 2 < 128
    return data[2:]


def send(setting: int = 0, **fields: str | int) -> Send:
    return Send(client_seq=7, channel_id="g", channel_type=2, payload=b"P", setting=setting, **fields)  # type: ignore[arg-type]


def recv(setting: int = 0, *, message_seq: int = 9, **fields: str | int) -> Recv:
    return Recv(
        message_id=8,
        message_seq=message_seq,
        from_uid="u",
        channel_id="g",
        channel_type=2,
        payload=b"P",
        client_msg_no="n",
        timestamp=-1,
        setting=setting,
        **fields,  # type: ignore[arg-type]
    )


@given(st.randoms(use_true_random=False), st.sampled_from(VERSIONS))
def test_every_packet_comes_back(random: Random, version: int) -> None:
    packet = random_packet(random, version)
    assert read(encode(packet, version), version) == packet


def test_w001_ping_and_pong_are_one_byte() -> None:
    for low in range(16):
        assert read(bytes((0x70 | low,))) is PING
        assert read(bytes((0x80 | low,))) is PONG
    assert encode(PING, 6) == b"\x70"
    assert encode(PONG, 6) == b"\x80"


def test_w002_strings() -> None:
    assert encode(Disconnect(12, ""), 6) == bytes.fromhex("90030c0000")
    assert encode(Disconnect(12, "é"), 6) == bytes.fromhex("90050c0002c3a9")


def test_w003_the_longest_string() -> None:
    packet = Disconnect(1, "é" * (MAX_STRING_BYTES // 2) + "x")
    assert read(encode(packet, 6)) == packet
    assert refused(bytes.fromhex("90838002018000") + b"x" * 0x8000)
    assert read(bytes.fromhex("90828002017fff") + b"x" * 0x7FFF) == Disconnect(1, "x" * MAX_STRING_BYTES)


def with_text(text: str) -> list[Packet]:
    """Packets with a text in each of their strings in turn."""
    return [
        Connect(6, 0, text),
        Connect(6, 0, uid=text),
        Connect(6, 0, token=text),
        Connect(6, 0, client_key=text),
        Connack(0, 1, text),
        Connack(0, 1, salt=text),
        send(client_msg_no=text),
        Send(7, text, 2, b""),
        send(msg_key=text),
        send(8, topic=text),
        send(2, stream_no=text),
        Sendack(1, 2, 3, 1, text),
        Recv(8, 9, text, "g", 2, b"", "n", 0),
        Recv(8, 9, "u", text, 2, b"", "n", 0),
        Recv(8, 9, "u", "g", 2, b"", text, 0),
        recv(msg_key=text),
        recv(8, topic=text),
        recv(2, stream_no=text),
        Disconnect(1, text),
        Sub(text, "g", 2, 0),
        Sub("s", text, 2, 0),
        Sub("s", "g", 2, 0, text),
        Suback(text, "g", 2, 0, 1),
        Suback("s", text, 2, 0, 1),
        Event(text, "t", 0, b""),
        Event("e", text, 0, b""),
    ]


FIELDS = range(len(with_text("")))


@pytest.mark.parametrize("index", FIELDS)
def test_w003_strings_that_cannot_be_written(index: int) -> None:
    longest = with_text("x" * MAX_STRING_BYTES)[index]
    assert read(encode(longest, 4), 4) == longest
    for text in ("x" * (MAX_STRING_BYTES + 1), "é" * (MAX_STRING_BYTES // 2 + 1), "\ud800"):
        with pytest.raises(PacketError) as caught:
            encode(with_text(text)[index], 4)
        assert caught.value.close is CLOSE_PROTOCOL_ERROR


@pytest.mark.parametrize("index", FIELDS)
def test_w003_strings_that_cannot_be_read(index: int) -> None:
    good = encode(with_text("wxyz")[index], 4)
    place = good.index(b"\x00\x04wxyz")
    for lie in (b"\xff\xff", b"\x80\x00", b"\x7f\xff", b"\x80\x04"):
        assert refused(good[:place] + lie + good[place + 2 :], 4)
        # What follows in the same chunk does not help.
        assert refused(good[:place] + lie + good[place + 2 :] + b"\x70" * 70_000, 4)
    # Nor does it help that there are so many bytes.
    data = encode(with_text("x" * MAX_STRING_BYTES)[index], 4)
    place = data.index(b"\x7f\xffxx")
    size = len(data) - 4 + 1
    head = bytes((data[0], size & 127 | 128, size >> 7 & 127 | 128, size >> 14))
    assert refused(head + data[4:place] + b"\x80\x00x" + data[place + 2 :], 4)
    for wrong in (b"wxy\xff", b"\xc3\xa9\xc3(", b"w\xed\xa0\x80", b"xyz\xc3", b"\xc0\x80yz"):
        assert refused(good.replace(b"wxyz", wrong), 4)


def test_w011_connect_is_the_same_in_all_versions() -> None:
    packet = Connect(2, 1, "d", "u", "t", -5, "k")
    for version in VERSIONS:
        assert encode(packet, version) == encode(packet, 0)
        assert read(encode(packet, 0), version) == packet


@pytest.mark.parametrize(
    "packet", [Connect(2, 1), Connack(1, 1), Recvack(1, 2), Disconnect(12), Sub("", "", 1, 0), Suback("", "", 1, 0, 1)]
)
def test_w012_bytes_after_the_last_field_are_ignored(packet: Packet) -> None:
    data = encode(packet, 5)
    assert read(bytes((data[0], data[1] + 3)) + data[2:] + b"abc", 5) == packet


@pytest.mark.parametrize("version", [5, 6])
def test_w012_bytes_after_a_sendack_are_not(version: int) -> None:
    data = encode(Sendack(1, 2, 3, 1, "n"), version)
    assert refused(bytes((data[0], data[1] + 1)) + data[2:] + b"\x00", version)
    data = encode(Sendack(1, 2, 3, 1), version)
    assert refused(bytes((data[0], data[1] + 1)) + data[2:] + b"\x00", version)
    assert read(bytes((data[0], data[1] + 2)) + data[2:] + b"\x00\x00", version) == Sendack(1, 2, 3, 1)


def test_w013_server_version() -> None:
    assert encode(Connack(-1, 1, server_version=3), 3) == bytes.fromhex("210e 03 ffffffffffffffff 01 0000 0000")
    assert encode(Connack(-1, 1), 3) == bytes.fromhex("200d ffffffffffffffff 01 0000 0000")
    assert read(bytes.fromhex("2e0d ffffffffffffffff 01 0000 0000"), 3) == Connack(-1, 1)
    assert read(encode(Connack(1, 1, server_version=0), 6)) == Connack(1, 1, server_version=0)


@pytest.mark.parametrize("version", VERSIONS)
def test_w014_node_id(version: int) -> None:
    expected = (1001).to_bytes(8, "big") if version >= 4 else b""
    assert body(Connack(0, 1, "k", "s", 1001), version)[9:] == b"\x00\x01k\x00\x01s" + expected
    assert read(encode(Connack(0, 1, node_id=1001), version), version) == Connack(0, 1, node_id=len(expected) and 1001)


@pytest.mark.parametrize("version", VERSIONS)
def test_w015_expire(version: int) -> None:
    expected = bytes.fromhex("80000001") if version >= 3 else b""
    assert body(send(expire=2**31 + 1), version)[5:] == b"\x00\x00\x00\x01g\x02" + expected + b"\x00\x00P"
    assert body(recv(expire=2**31 + 1), version)[3:].startswith(b"\x00\x01u\x00\x01g\x02" + expected + b"\x00\x01n\x00")


@pytest.mark.parametrize("version", VERSIONS)
def test_w016_stream_number_in_send(version: int) -> None:
    packet = send(2, client_msg_no="n", stream_no="s1")
    expected = b"\x00\x02s1" if 2 <= version <= 4 else b""
    assert body(packet, version)[5:].startswith(b"\x00\x01n" + expected + b"\x00\x01g\x02")
    came_back = read(encode(packet, version), version)
    assert isinstance(came_back, Send)
    assert came_back.stream_no == ("s1" if expected else "")
    assert came_back.setting == 2


@pytest.mark.parametrize("version", VERSIONS)
def test_w016_stream_number_of_old_clients(version: int) -> None:
    """They set another bit, which means nothing in other versions. With both bits the number is there once."""
    old = 2 <= version <= 4
    data = encode(send(2, stream_no="s1"), version).replace(b"\x02\0\0\0\x07", b"\x04\0\0\0\x07")
    assert read(data, version) == (send(0, stream_no="s1") if old else send(4))
    assert read(encode(send(6, stream_no="s1" if old else ""), version), version) == send(6, stream_no="s1" * old)


@pytest.mark.parametrize("version", VERSIONS)
def test_w017_stream_fields_in_recv(version: int) -> None:
    packet = recv(2, stream_no="s1", stream_flag=1, stream_id=2**64 - 1)
    expected = b"\x01\x00\x02s1" + b"\xff" * 8 if 2 <= version <= 4 else b""
    assert b"\x00\x01n" + expected + bytes(7) + b"\x08" in encode(packet, version)
    came_back = read(encode(packet, version), version)
    assert came_back == (packet if expected else recv(2))


@pytest.mark.parametrize("version", VERSIONS)
def test_w017_old_stream_bit_means_nothing_in_recv(version: int) -> None:
    assert body(recv(4), version)[1:] == body(recv(), version)[1:]
    assert read(encode(recv(4), version), version) == recv(4)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("build", [send, recv])
def test_w018_topic(build: Callable[..., Packet], version: int) -> None:
    assert encode(build(8, topic="tt"), version).endswith(b"\x00\x02ttP")
    assert encode(build(8), version).endswith(b"\x00\x00P")
    assert len(body(build(8), version)) == len(body(build(0, topic="ignored"), version)) + 2
    for packet in (build(8, topic="tt"), build(8)):
        assert read(encode(packet, version), version) == packet


@pytest.mark.parametrize(
    ("packet", "size"),
    [(Sendack(1, 2, 9, 1), 17), (recv(), 30), (Recvack(1, 9), 12)],
    ids=["sendack", "recv", "recvack"],
)
def test_w019_width_of_message_seq(packet: Packet, size: int) -> None:
    for version in VERSIONS:
        expire = 4 if isinstance(packet, Recv) and version >= 3 else 0
        assert len(body(packet, version)) == size + expire + (4 if version == 6 else 0)
        assert b"\x00\x00\x00\x09" in body(packet, version)


@pytest.mark.parametrize(
    "build",
    [
        lambda seq: Sendack(1, 2, seq, 1),
        lambda seq: Sendack(1, 2, seq, 1, "n"),
        lambda seq: recv(message_seq=seq),
        lambda seq: Recvack(1, seq),
    ],
)
def test_w020_large_message_seq(build: Callable[[int], Packet]) -> None:
    for seq in (HIGHEST_SHORT_SEQ + 1, 2**64 - 1):
        assert read(encode(build(seq), 6)) == build(seq)
        for version in range(6):
            with pytest.raises(PacketError):
                encode(build(seq), version)
    for version in VERSIONS:
        assert read(encode(build(HIGHEST_SHORT_SEQ), version), version) == build(HIGHEST_SHORT_SEQ)
    with pytest.raises(PacketError):
        encode(build(2**64), 6)


def test_w021_size_of_recvack() -> None:
    for version in VERSIONS:
        data = encode_recvack(1, 2, 0, version)
        assert len(data) - 2 == data[1] == (16 if version == 6 else 12)
        assert refused(bytes((0x60, data[1] - 1)) + data[2:-1], version)
        # Nor does it take the bytes of the packet that follows.
        assert refused(bytes((0x60, data[1] - 1)) + data[2:-1] + b"\x70" * 20, version)


def test_w022_signed_numbers() -> None:
    assert encode(recv(), 5).endswith(b"\xff\xff\xff\xffP")
    assert read(encode(recv(), 5), 5) == recv()
    assert body(Connack(-250, 1), 3)[:8] == bytes.fromhex("ffffffffffffff06")
    assert read(encode(Connack(-250, 1), 3), 3) == Connack(-250, 1)


@pytest.mark.parametrize("setting", [0xF5, 0xFF, 0x40, 0x01])
def test_w023_unknown_bits_of_the_setting_stay(setting: int) -> None:
    packet = send(setting, topic="t" if setting & 8 else "")
    assert read(encode(packet, 6)) == packet


def test_w026_size_of_sendack() -> None:
    for version in VERSIONS:
        assert len(body(Sendack(1, 2, 3, 1), version)) == (21 if version == 6 else 17)
        assert len(body(Sendack(1, 2, 3, 1, "nnn"), version)) == (26 if version == 6 else 22)
        assert encode_sendack(1, 2, 3, 1, "n", version) == encode(Sendack(1, 2, 3, 1, "n"), version)


def test_w027_data_of_an_event() -> None:
    assert encode(Event("", "", 0, b""), 6) == bytes.fromhex("c00c 0000 0000 0000000000000000")
    for data in (b"", b"{}", b"\xff" * 300):
        assert read(encode(Event("e", "t", 1, data), 5), 5) == Event("e", "t", 1, data)


@pytest.mark.parametrize(("flags", "first"), [(0, 0x30), (1, 0x31), (2, 0x32), (4, 0x34), (7, 0x37), (15, 0x3F)])
def test_w028_flags(flags: int, first: int) -> None:
    for packet, kind in ((send(flags=flags), 0x30), (recv(flags=flags), 0x50), (Recvack(1, 2, flags), 0x60)):
        data = encode(packet, 6)
        assert data[0] == first - 0x30 + kind
        assert read(data) == packet


@pytest.mark.parametrize(
    "packet",
    [
        Connect(6, 0),
        Disconnect(1),
        Sub("", "", 0, 0),
        Suback("", "", 0, 0, 0),
        Event("", "", 0, b""),
        Sendack(1, 2, 3, 1),
    ],
)
def test_w028_flags_that_mean_nothing(packet: Packet) -> None:
    data = encode(packet, 6)
    assert data[0] & 15 == 0
    assert read(bytes((data[0] | 15,)) + data[1:]) == packet


def test_w029_unknown_reason_codes_and_other_numbers() -> None:
    for packet in (Connack(0, 200), Sendack(1, 2, 3, 200), Disconnect(200), Suback("s", "g", 200, 200, 200)):
        assert read(encode(packet, 6)) == packet
    assert read(encode(Connect(200, 99), 6)) == Connect(200, 99)


@pytest.mark.parametrize(
    "packet",
    [
        send(256),
        send(-1),
        send(flags=16),
        send(flags=-1),
        send(expire=2**32),
        Send(-1, "g", 2, b""),
        Send(2**32, "g", 2, b""),
        Send(1, "g", 256, b""),
        recv(256),
        recv(flags=32),
        recv(expire=-1),
        recv(2, stream_flag=256),
        recv(2, stream_id=2**64),
        Recv(1, 1, "u", "g", 2, b"", "", 2**31),
        Recv(2**63, 1, "u", "g", 2, b"", "", 0),
        Recv(1, 1, "u", "g", 256, b"", "", 0),
        Recvack(2**63, 1),
        Recvack(1, -1),
        Recvack(1, 1, 16),
        Sendack(1, 2**32, 3, 1),
        Sendack(1, 2, 3, 256, "n"),
        Connect(256, 0),
        Connect(6, 0, client_timestamp=2**63),
        Connack(0, 256),
        Connack(0, 1, server_version=256),
        Connack(0, 1, node_id=-1),
        Disconnect(256),
        Sub("", "", 256, 0),
        Suback("", "", 0, 0, 256),
        Event("", "", 2**63, b""),
    ],
    ids=repr,
)
def test_numbers_that_do_not_fit(packet: Packet) -> None:
    with pytest.raises(PacketError) as caught:
        encode(packet, 4)
    assert caught.value.close is CLOSE_PROTOCOL_ERROR


def test_writing_without_a_packet_refuses_the_same() -> None:
    for text in ("\ud800", "x" * (MAX_STRING_BYTES + 1)):
        with pytest.raises(PacketError):
            encode_sendack(1, 2, 3, 1, text, 6)
    with pytest.raises(PacketError):
        encode_sendack(1, 2, HIGHEST_SHORT_SEQ + 1, 1, "", 5)
    with pytest.raises(PacketError):
        encode_recvack(1, HIGHEST_SHORT_SEQ + 1, 0, 5)
    for fields in ({"message_seq": HIGHEST_SHORT_SEQ + 1}, {"from_uid": "\ud800"}, {"flags": 16}):
        with pytest.raises(PacketError):
            recv_parts(**PARTS | fields, version=5)
    with pytest.raises(PacketError):
        write_recv(0x50, 256, b"", b"", b"")


def test_the_parts_of_a_recv_fit_any_session() -> None:
    parts = recv_parts(**PARTS | {"flags": 2}, version=5)
    for size in (0, 1, 60, 90, 16_300, 20_000):
        packet = read(write_recv(*parts[:3], b"k" * 32, b"p" * size), 5)
        assert packet == Recv(8, 9, "u", "g", 2, b"p" * size, "n", -1, flags=2, msg_key="k" * 32)
    assert read(write_recv(*parts[:3], b"", b""), 5) == Recv(8, 9, "u", "g", 2, b"", "n", -1, flags=2)
    assert parts.signed == b"89n-1ug2"


@pytest.mark.parametrize(
    "build",
    [
        lambda data: Event("", "", 0, data),
        lambda data: Send(1, "", 2, data),
        lambda data: Recv(1, 1, "", "", 2, data, "", 0),
    ],
    ids=["event", "send", "recv"],
)
def test_the_largest_packet(build: Callable[[bytes], Packet]) -> None:
    room = MAX_PACKET_BYTES - (len(encode(build(bytes(200)), 6)) - 200 - 3)
    data = encode(build(bytes(room)), 6)
    assert data[1:4] == bytes.fromhex("808040")
    assert read(data) == build(bytes(room))
    with pytest.raises(PacketError) as caught:
        encode(build(bytes(room + 1)), 6)
    assert caught.value.close is CLOSE_TOO_BIG
