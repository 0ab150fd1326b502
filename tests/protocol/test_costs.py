"""What input that was built against a parser costs: time and memory by its length, with small factors.

Each case is measured at two sizes, one eight times the other. What is linear costs eight times as much there, what is
quadratic sixty-four times.
"""

import gc
import time
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

import pytest
from websockets.frames import Frame, Opcode

from wukong_trio.gateway.handshake import HandshakeReader
from wukong_trio.model import Message
from wukong_trio.protocol.answers import FORM_OBJECT, encode_error, encode_push
from wukong_trio.protocol.nesting import too_deep
from wukong_trio.protocol.payload import PayloadError, is_json_object, read_payload
from wukong_trio.protocol.requests import Invalid, decode, decode_first
from wukong_trio.protocol.websocket import FRAGMENT_BYTES, FrameReader
from wukong_trio.protocol.wkproto import Event, Packet, Recvack, Send
from wukong_trio.protocol.wkproto_keys import CiphertextError, SessionKeys
from wukong_trio.protocol.wkproto_reader import PacketReader
from wukong_trio.protocol.wkproto_writer import encode

GROWTH = 8
MOST_GROWTH = 16
NOISE_S = 0.002
SECONDS_PER_MB = 0.5
"""What a slow machine may need; a usual one needs a tenth."""
SECONDS_PER_CALL = 0.0001
MEMORY_FACTOR = 7
MEMORY_NOISE_BYTES = 200_000


class Cost(NamedTuple):
    """Of one input: the CPU time, and the most memory held meanwhile."""

    seconds: float
    peak_bytes: int


def cost_of(work: Callable[[bytes], object], data: bytes) -> Cost:
    seconds = min(timed(work, data) for _ in range(3))
    tracemalloc.start()
    try:
        work(data)
        return Cost(seconds, tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()


def timed(work: Callable[[bytes], object], data: bytes) -> float:
    gc.disable()
    try:
        started = time.thread_time()
        work(data)
        return time.thread_time() - started
    finally:
        gc.enable()


def check(
    work: Callable[[bytes], object], build: Callable[[int], bytes], size: int, *, calls_per_byte: float = 0
) -> None:
    """Measures at `size` and at GROWTH times that; `calls_per_byte` where the work is fed in small pieces."""
    small_data, large_data = build(size), build(size * GROWTH)
    assert size * 0.5 < len(small_data) < size * 1.5 + 200
    for attempt in range(3):
        small, large = cost_of(work, small_data), cost_of(work, large_data)
        ceiling_s = len(large_data) * (SECONDS_PER_MB / 1e6 + calls_per_byte * SECONDS_PER_CALL)
        if large.seconds <= MOST_GROWTH * small.seconds + NOISE_S and large.seconds <= ceiling_s:
            break
        assert attempt < 2, (
            f"{small.seconds * 1e3:.2f} ms at the small size, {large.seconds * 1e3:.2f} ms at the large one"
        )
    assert large.peak_bytes <= MEMORY_FACTOR * len(large_data) + MEMORY_NOISE_BYTES


# Values that are expensive to look at, to skip or to build.


def filled(before: bytes, unit: bytes, after: bytes) -> Callable[[int], bytes]:
    """A text that repeats a unit until it has the size."""
    return lambda size: before + unit * ((size - len(before) - len(after)) // len(unit)) + after


def many_members(size: int) -> bytes:
    return b"{%b}" % b",".join(b'"%06x":0' % number for number in range(size // 11))


VALUES: dict[str, Callable[[int], bytes]] = {
    "arrays": filled(b"[", b"[],", b"0]"),
    "objects": filled(b"[", b"{},", b"0]"),
    "numbers": filled(b"[", b"0,", b"0]"),
    "members": many_members,
    "one member again": filled(b"{", b'"a":0,', b'"a":0}'),
    "digits": filled(b"", b"1", b""),
    "decimals": filled(b"1.", b"1", b""),
    "exponent": filled(b"1e", b"1", b""),
    "text": filled(b'"', b"x", b'"'),
    "escapes": filled(b'"', b"\\n", b'"'),
    "escaped quotes": filled(b"[" * 65 + b'"', b'\\"', b""),
    "backslashes": filled(b"[" * 65 + b'"', b"\\\\", b'"'),
    "unicode escapes": filled(b'"', b"\\u00e9", b'"'),
    "four bytes": filled(b'"', "😀".encode(), b'"'),
    "opening": filled(b"", b"[", b""),
    "as deep as allowed": filled(b"[", b"[" * 60 + b"]" * 60 + b",", b"0]"),
    "strings": filled(b"[" * 65, b'"",', b""),
    "brackets in strings": filled(b"[" * 65, b'"[",', b""),
    "brackets in and out": filled(b"[[", b'"[[",[{}],', b"0]]"),
    "quotes": filled(b"[" * 65, b'"', b""),
    "quote and bracket": filled(b"[" * 65, b'"[', b""),
    "blanks": filled(b"0", b" ", b""),
}

PLACES = {
    "message": b"%b",
    "id": b'{"method":"ping","id":%b}',
    "method": b'{"id":"x","method":%b}',
    "jsonrpc": b'{"id":"x","method":"ping","jsonrpc":%b}',
    "ignored params": b'{"id":"x","method":"ping","params":%b}',
    "params of send": b'{"id":"x","method":"send","params":%b}',
    "params of recvack": b'{"id":"x","method":"recvack","params":%b}',
    "payload": b'{"id":"x","method":"send","params":{"clientMsgNo":"a","channelId":"b","channelType":1,"payload":%b}}',
    "channelId": b'{"id":"x","method":"send","params":{"channelId":%b,"channel_id":%b}}',
    "channelType": b'{"id":"x","method":"send","params":{"channelType":%b}}',
    "header": b'{"id":"x","method":"send","params":{"header":%b,"payload":""}}',
    "setting": b'{"id":"x","method":"send","params":{"setting":%b,"payload":""}}',
    "messageId": b'{"method":"recvack","params":{"messageId":%b}}',
    "result": b'{"id":"x","result":%b}',
    "params of connect": b'{"id":"x","method":"connect","params":%b}',
    "uid": b'{"id":"x","method":"connect","params":{"token":"t","uid":%b}}',
    "deviceFlag": b'{"id":"x","method":"connect","params":{"token":"t","uid":"u","deviceFlag":%b}}',
    "unknown member": b'{"id":"x","method":"ping","unknown":%b}',
    "entry of a batch": b"[%b]",
    "params in a batch": b'[0,{"id":"x","method":"ping","params":%b}]',
}

MESSAGE_BYTES = 8 * 1024


def placed(place: str, value: str) -> Callable[[int], bytes]:
    template = PLACES[place]
    holes = template.count(b"%b")
    return lambda size: template % ((VALUES[value](size // holes),) * holes)


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("place", PLACES)
def test_decoding_a_message(place: str, value: str) -> None:
    check(decode, placed(place, value), MESSAGE_BYTES)


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("place", ["message", "id", "params of connect", "uid", "unknown member"])
def test_decoding_a_first_message(place: str, value: str) -> None:
    check(decode_first, placed(place, value), MESSAGE_BYTES)


@pytest.mark.parametrize(
    "build",
    [
        filled(b"[", b'{"id":1,"method":"ping"},', b"0]"),
        filled(b"{", b'"method":"ping",', b'"id":1}'),
        filled(b"{", b'"id":"x",', b'"method":"ping"}'),
        lambda size: b"[%b]" % b",".join([b'{"id":"x","method":%b}' % many_members(size // 64 - 25)] * 64),
    ],
    ids=["more requests than a batch holds", "tags", "ids", "a full batch"],
)
def test_decoding_other_messages(build: Callable[[int], bytes]) -> None:
    check(decode, build, MESSAGE_BYTES)


@pytest.mark.parametrize("value", VALUES)
def test_nesting(value: str) -> None:
    check(too_deep, VALUES[value], MESSAGE_BYTES)


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("place", PLACES)
def test_an_error_quotes_little_of_what_it_is_about(place: str, value: str) -> None:
    for request in (decode(placed(place, value)(4000)), decode_first(placed(place, value)(4000))):
        if isinstance(request, Invalid):
            assert len(encode_error(request.id, request.code, request.message)) < 300


def read_any_payload(text: bytes) -> None:
    with suppress(PayloadError):
        read_payload(text)


@pytest.mark.parametrize(
    "build",
    [
        *VALUES.values(),
        filled(b'"', b"AAAA\\n", b'"'),
        filled(b'"', b"\\r\\n", b'"'),
        filled(b'"', b"=", b'"'),
        filled(b'"', b" ", b'"'),
        filled(b'"', b"[", b'"'),
        filled(b'"[', b"[],", b'0]"'),
        filled(b'" {', b'\\"a\\":1,', b'"'),
        filled(b'"[', b'\\"\\\\\\"', b'"'),
        filled(b'"[', b"\\ud800", b'"'),
    ],
)
def test_reading_a_payload(build: Callable[[int], bytes]) -> None:
    check(read_any_payload, build, MESSAGE_BYTES)


@pytest.mark.parametrize("value", VALUES)
def test_pushing_a_payload_that_may_be_an_object(value: str) -> None:
    def push(payload: bytes) -> bytes:
        message = Message(
            message_id=1,
            message_seq=1,
            channel_id="a@b",
            channel_type=1,
            from_uid="a",
            client_msg_no="1",
            timestamp=1,
            payload=payload,
        )
        return encode_push(message, FORM_OBJECT, "a", red_dot=True)

    build = VALUES[value]
    check(push, lambda size: b'{"a":%b}' % build(size), MESSAGE_BYTES)
    check(push, lambda size: b'{"a":' * 70 + build(size) + b"}" * 70, MESSAGE_BYTES)
    check(is_json_object, lambda size: b" " * (size // 2) + b'{"a":%b\xff}' % build(size // 2), MESSAGE_BYTES)


# WebSocket frames


def masked(opcode: Opcode, payload: bytes = b"", *, fin: bool = True) -> bytes:
    return Frame(opcode, payload, fin).serialize(mask=True)


def repeated(unit: bytes, before: bytes = b"") -> Callable[[int], bytes]:
    return lambda size: before + unit * (size // len(unit))


BEGIN_TEXT = masked(Opcode.TEXT, fin=False)
STREAMS: dict[str, Callable[[int], bytes]] = {
    "one text": lambda size: masked(Opcode.TEXT, b"x" * size),
    "one text of two bytes each": lambda size: masked(Opcode.TEXT, "é".encode() * (size // 2)),
    "one binary message": lambda size: masked(Opcode.BINARY, b"x" * size),
    "empty texts": repeated(masked(Opcode.TEXT)),
    "texts": repeated(masked(Opcode.TEXT, b"x" * 100)),
    "empty binary messages": repeated(masked(Opcode.BINARY)),
    "pings": repeated(masked(Opcode.PING)),
    "pongs": repeated(masked(Opcode.PONG, b"x" * 125)),
    "empty parts": repeated(masked(Opcode.CONT, fin=False), BEGIN_TEXT),
    "parts of a byte": repeated(masked(Opcode.CONT, b"x", fin=False), BEGIN_TEXT),
    "parts of half a character": repeated(
        masked(Opcode.CONT, b"\xc3", fin=False) + masked(Opcode.CONT, b"\xa9", fin=False), BEGIN_TEXT
    ),
    "parts and pings": repeated(masked(Opcode.CONT, b"x", fin=False) + masked(Opcode.PING), BEGIN_TEXT),
    "binary parts": repeated(masked(Opcode.CONT, b"x", fin=False), masked(Opcode.BINARY, fin=False)),
}


@pytest.mark.parametrize(("chunk_bytes", "size"), [(16_384, 8000), (1000, 4000), (7, 1000), (1, 1000)])
@pytest.mark.parametrize("stream", STREAMS)
def test_reading_frames(stream: str, chunk_bytes: int, size: int) -> None:
    def read(data: bytes) -> None:
        reader = FrameReader(limit_bytes=2**40)
        for start in range(0, len(data), chunk_bytes):
            reader.receive(data[start : start + chunk_bytes])

    # A frame of six bytes takes about as long as a call.
    check(read, STREAMS[stream], size, calls_per_byte=1 / min(chunk_bytes, 6))


def test_a_message_in_parts_is_over_before_it_costs_much() -> None:
    part = masked(Opcode.CONT, fin=False)
    reader = FrameReader(limit_bytes=16 * 1024)
    reader.receive(BEGIN_TEXT + part * (16 * 1024 // FRAGMENT_BYTES - 1))
    assert not reader.failed
    reader.receive(part * 2)
    assert reader.failed


# The opening handshake

HEAD = (
    b"GET %b HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n%b\r\n"
)
HEADS: dict[str, Callable[[int], bytes]] = {
    "a long target": lambda size: HEAD % (b"/" + b"a" * (size - 180), b""),
    "a long header": lambda size: HEAD % (b"/", b"X: " + b"y" * (size - 180) + b"\r\n"),
    "many headers": lambda size: HEAD % (b"/", b"x:\r\n" * ((size - 180) // 4)),
    "many of one header": lambda size: HEAD % (b"/", b"Connection:,\r\n" * ((size - 180) // 14)),
    "a list": lambda size: HEAD % (b"/", b"Upgrade: %b\r\n" % (b"," * (size - 190))),
    "a head without an end": lambda size: b"GET / HTTP/1.1\r\nX: " + b"\r\t" * (size // 2),
    "blank lines": lambda size: b"\r\n" * (size // 2),
    "target only": lambda size: b"GET /" + b"a" * size,
}


@pytest.mark.parametrize("chunk_bytes", [65536, 1])
@pytest.mark.parametrize("head", HEADS)
def test_reading_a_head(head: str, chunk_bytes: int) -> None:
    def read(data: bytes) -> None:
        reader = HandshakeReader()
        for start in range(0, len(data), chunk_bytes):
            if reader.receive(data[start : start + chunk_bytes]) is not None:
                break

    # A header of four bytes takes about as long as a call.
    check(read, HEADS[head], 1500, calls_per_byte=1 / min(chunk_bytes, 4))


# The binary protocol

SESSION_KEYS = SessionKeys(b"d3514bfacef9c97a", b"abcdEFGH12345678")


def many(packet: Packet) -> Callable[[int], bytes]:
    return repeated(encode(packet, 6))


BINARY_STREAMS: dict[str, Callable[[int], bytes]] = {
    "pings": repeated(b"\x70"),
    "acknowledgements": many(Recvack(1, 2)),
    "small sends": many(Send(1, "g", 2, b"")),
    "empty events": many(Event("", "", 0, b"")),
    "lengths of four bytes": repeated(b"\x60\x90\x80\x80\x00" + bytes(16)),
    "one send": lambda size: encode(Send(1, "g", 2, bytes(size)), 6),
    "long ids": many(Send(1, "é" * 500, 2, b"")),
    "a packet that does not end": lambda size: b"\x30\x80\x80\x40" + bytes(size),
    "a string that is too long": lambda size: b"\x30\xff\xff\x3f" + b"\xff" * size,
}


def read_packets(data: bytes, chunk_bytes: int, most: int) -> None:
    reader = PacketReader()
    for start in range(0, len(data), chunk_bytes):
        reader.receive(data[start : start + chunk_bytes], most=most)
        while reader.unserved:
            reader.receive(b"", most=most)


@pytest.mark.parametrize(
    ("chunk_bytes", "most", "size"),
    [(2**20, 128, 30_000), (2**20, 1, 20_000), (1000, 128, 8000), (7, 1, 2000), (1, 128, 2000)],
)
@pytest.mark.parametrize("stream", BINARY_STREAMS)
def test_reading_packets(stream: str, chunk_bytes: int, most: int, size: int) -> None:
    # A packet of one byte takes about as long as a call.
    check(lambda data: read_packets(data, chunk_bytes, most), BINARY_STREAMS[stream], size, calls_per_byte=1)


def test_reading_a_large_packet_in_small_pieces() -> None:
    check(lambda data: read_packets(data, 100, 128), BINARY_STREAMS["one send"], 100_000, calls_per_byte=1 / 100)


@pytest.mark.parametrize(
    "build",
    [
        lambda size: SESSION_KEYS.encrypt(bytes(size * 3 // 4)),
        filled(b"", b"AaWBaCd7viNNSvoCeqj8JQ==", b""),
        filled(b"", b"\r\n", b"AaWBaCd7viNNSvoCeqj8JQ=="),
        filled(b"AaWBaCd7viNNSvoCeqj8JQ==", b"\n", b""),
        filled(b"", b"=", b""),
        filled(b"", b"A", b""),
    ],
)
def test_decrypting(build: Callable[[int], bytes]) -> None:
    def decrypt(text: bytes) -> None:
        with suppress(CiphertextError):
            SESSION_KEYS.decrypt(text)

    check(decrypt, build, MESSAGE_BYTES)
