"""The frame reader: against the RFC by hand, and against two other implementations on random input."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.server import ServerProtocol
from wsproto.frame_protocol import FrameProtocol, ParseFailed
from wsproto.frame_protocol import Opcode as TheirOpcode

from wukong_trio.protocol.codes import Close
from wukong_trio.protocol.websocket import (
    FRAGMENT_BYTES,
    Arrival,
    BinaryMessage,
    Failure,
    FrameReader,
    Opcode,
    encode_close,
    encode_frame,
)

MASK = b"\x12\x34\x56\x78"
LIMIT = 1000
TEXT, BINARY, CONTINUATION = Opcode.TEXT, Opcode.BINARY, Opcode.CONTINUATION


def masked_by_hand(payload: bytes) -> bytes:
    return bytes(byte ^ MASK[n % 4] for n, byte in enumerate(payload))


def frame(
    opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, masked: bool = True, size: int = -1
) -> bytes:
    """A client's frame; `size` states the length in so many bytes (0, 2, 8) instead of the shortest way."""
    first = (0x80 if fin else 0) | rsv | opcode
    length = len(payload)
    if size < 0:
        size = 0 if length < 126 else 2 if length < 65536 else 8
    short = {0: length, 2: 126, 8: 127}[size]
    head = bytes([first, (0x80 if masked else 0) | short]) + (length.to_bytes(size, "big") if size else b"")
    return head + (MASK + masked_by_hand(payload) if masked else payload)


def read(data: bytes, *, chunks: int = 0, limit: int = LIMIT) -> list[Any]:
    """Everything that arrives, fed whole or in chunks of a size."""
    reader = FrameReader(limit_bytes=limit)
    size = chunks or max(len(data), 1)
    return [named(a) for start in range(0, len(data), size) for a in reader.receive(data[start : start + size])]


def named(arrival: Arrival) -> Any:
    """Messages and control frames as (opcode, payload)."""
    if isinstance(arrival, bytes):
        return (BINARY if isinstance(arrival, BinaryMessage) else TEXT), arrival
    return arrival


def code_of(arrivals: list[Any]) -> int:
    """The close code of the failure at the end, 0 without one."""
    return arrivals[-1].close.code if arrivals and isinstance(arrivals[-1], Failure) else 0


@pytest.mark.parametrize("chunks", [0, 1, 2, 3, 7])
@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 999, 1000])
def test_whole_messages_in_chunks_of_any_size(size: int, chunks: int) -> None:
    payload = b"x" * size
    data = frame(TEXT, payload) + frame(BINARY, payload) + frame(Opcode.PING, b"p")
    assert read(data, chunks=chunks) == [(TEXT, payload), (BINARY, payload), (Opcode.PING, b"p")]


def test_large_messages() -> None:
    payload = bytes(range(256)) * 300
    assert read(frame(BINARY, payload), chunks=1000, limit=100_000) == [(BINARY, payload)]


@pytest.mark.parametrize("chunks", [0, 1, 5])
def test_fragments_with_control_frames_between(chunks: int) -> None:
    data = (
        frame(TEXT, "é".encode()[:1], fin=False)
        + frame(Opcode.PING, b"1")
        + frame(CONTINUATION, "é".encode()[1:], fin=False)
        + frame(Opcode.PONG)
        + frame(CONTINUATION, b"!")
        + frame(TEXT, b"next")
    )
    assert read(data, chunks=chunks) == [
        (Opcode.PING, b"1"),
        (Opcode.PONG, b""),
        (TEXT, "é!".encode()),
        (TEXT, b"next"),
    ]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(TEXT, b"x", masked=False), 1002),
        (frame(TEXT, b"x", rsv=0x40), 1002),
        (frame(TEXT, b"x", rsv=0x20), 1002),
        (frame(TEXT, b"x", rsv=0x10), 1002),
        *((frame(opcode, b"x"), 1002) for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)),
        (frame(CONTINUATION, b"x"), 1002),
        (frame(TEXT, b"x", fin=False) + frame(TEXT, b"y"), 1002),
        (frame(TEXT, b"x", fin=False) + frame(BINARY, b"y", fin=False), 1002),
        (frame(Opcode.PING, b"x", fin=False), 1002),
        (frame(Opcode.PING, b"x" * 126), 1002),
        (frame(TEXT, b"x" * 125, size=2), 1002),
        (frame(TEXT, b"x" * 125, size=8), 1002),
        (frame(TEXT, b"x" * 126, size=8), 1002),
        (b"\x81\xff\xff" + b"\x00" * 20, 1002),
        (frame(TEXT, b"\xff"), 1007),
        (frame(TEXT, b"ok\xc3"), 1007),
        (frame(TEXT, b"\xed\xa0\x80"), 1007),
        (frame(TEXT, b"\xc3", fin=False) + frame(CONTINUATION, b"x"), 1007),
        (frame(Opcode.CLOSE, b"x"), 1002),
        *(
            (frame(Opcode.CLOSE, code.to_bytes(2, "big")), 1002)
            for code in (0, 999, 1004, 1005, 1006, 1015, 2999, 5000)
        ),
        (frame(Opcode.CLOSE, b"\x03\xe8\xff"), 1007),
        (frame(TEXT, b"x" * (LIMIT + 1)), 1009),
        (frame(TEXT, b"x" * LIMIT, fin=False) + frame(CONTINUATION, b"y"), 1009),
    ],
)
@pytest.mark.parametrize("chunks", [0, 1])
def test_violations(data: bytes, code: int, chunks: int) -> None:
    assert code_of(read(data, chunks=chunks)) == code
    good = frame(TEXT, b"before")
    arrivals = read(good + data + good, chunks=chunks)
    assert arrivals[0] == (TEXT, b"before")
    assert code_of(arrivals) == code, "nothing counts after a violation"


def test_a_part_of_a_message_counts_some_bytes_even_if_it_is_empty() -> None:
    parts = LIMIT // FRAGMENT_BYTES
    most = frame(TEXT, b"", fin=False) + frame(CONTINUATION, b"", fin=False) * (parts - 1)
    assert read(most + frame(CONTINUATION, b"")) == [(TEXT, b"")]
    assert code_of(read(most + frame(CONTINUATION, b"", fin=False) * 10_000 + frame(CONTINUATION, b"x"))) == 1009
    exact = frame(TEXT, b"x" * (LIMIT - FRAGMENT_BYTES), fin=False)
    assert read(exact + frame(CONTINUATION, b"y" * FRAGMENT_BYTES))[0][1][-1:] == b"y"


def test_the_limit_may_change() -> None:
    reader = FrameReader(limit_bytes=10)
    assert reader.receive(frame(TEXT, b"x" * 10)) == [b"x" * 10]
    reader.limit_bytes = 20
    assert reader.receive(frame(TEXT, b"x" * 20)) == [b"x" * 20]
    assert code_of(reader.receive(frame(TEXT, b"x" * 21))) == 1009


@pytest.mark.parametrize("size", [11, 200, 40_000, 70_000])
@pytest.mark.parametrize("sent_with_it", [1.0, 0.5, 0.0])
def test_what_comes_in_the_same_chunk_as_what_raises_the_limit(size: int, sent_with_it: float) -> None:
    """A client need not wait for the answer to its `connect` before it sends something large."""
    large = frame(TEXT, "é".encode() + b"x" * (size - 2))
    cut = max(int(len(large) * sent_with_it), 12)
    reader = FrameReader(limit_bytes=10, will_rise=True)
    assert reader.receive(frame(TEXT, b"connect") + large[:cut]) == [b"connect"]
    arrivals = reader.raise_limit(70_000) + reader.receive(large[cut:])
    assert [len(message) for message in arrivals if isinstance(message, bytes)] == [size]


def test_a_limit_that_is_not_raised_after_all_holds() -> None:
    reader = FrameReader(limit_bytes=10, will_rise=True)
    assert reader.receive(frame(TEXT, b" ") + frame(TEXT, b"x" * 11)) == [b" "]
    assert code_of(reader.receive(b"\x81")) == 1009
    assert code_of(FrameReader(limit_bytes=10, will_rise=True).receive(frame(TEXT, b"x" * 11))) == 1009
    reader = FrameReader(limit_bytes=10, will_rise=True)
    reader.raise_limit(20)
    assert code_of(reader.receive(frame(TEXT, b" ") + frame(TEXT, b"x" * 21))) == 1009


@pytest.mark.parametrize("code", [1000, 1001, 1003, 1007, 1011, 1014, 3000, 4999])
def test_close_frames(code: int) -> None:
    payload = code.to_bytes(2, "big") + "é".encode()
    assert read(frame(Opcode.CLOSE, payload) + frame(TEXT, b"late")) == [(Opcode.CLOSE, payload)]
    assert read(frame(Opcode.CLOSE)) == [(Opcode.CLOSE, b"")]


def test_what_can_be_refused_is_refused_before_it_arrives() -> None:
    assert code_of(read(frame(TEXT, b"x" * (LIMIT + 1))[:4])) == 1009
    assert code_of(read(frame(TEXT, b"x" * 300, masked=False)[:2])) == 1002
    assert code_of(read(frame(TEXT, b"ok" + b"\xff" + b"x" * 500)[:20])) == 1007
    assert code_of(read(frame(TEXT, b"\xc3", fin=False) + frame(CONTINUATION, b"x" * 100)[:10])) == 1007
    assert code_of(read(b"\x81\xff" + (2**40).to_bytes(8, "big"))) == 1009


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536])
def test_what_is_written_can_be_read_by_others(size: int) -> None:
    reader = FrameProtocol(client=True, extensions=[])
    reader.receive_bytes(encode_frame(BINARY, b"x" * size) + encode_close(Close(4001, "why")))
    message = b""
    for received in reader.received_frames():
        if received.opcode is TheirOpcode.CLOSE:
            assert received.payload == (4001, "why")
        else:
            message += bytes(received.payload)  # type: ignore[arg-type]
    assert message == b"x" * size


payloads = st.binary(max_size=20) | st.text(max_size=20).map(str.encode) | st.integers(0, 300).map(lambda n: b"a" * n)
frames = st.builds(
    frame,
    st.sampled_from([0, 1, 2, 8, 9, 10]) | st.integers(0, 15),
    payloads,
    fin=st.booleans() | st.just(True),
    rsv=st.just(0) | st.sampled_from([0x10, 0x20, 0x40]),
    masked=st.just(True) | st.booleans(),
    size=st.just(-1),
)
plain_frames = st.builds(frame, st.sampled_from([0, 1, 2, 9, 10]), payloads, fin=st.booleans())


@st.composite
def streams(draw: st.DrawFn, of: st.SearchStrategy[bytes]) -> tuple[bytes, list[int]]:
    """Frames in a row, perhaps with some bytes changed, and where to cut them."""
    data = bytearray(b"".join(draw(st.lists(of, min_size=1, max_size=6))))
    for place, value in draw(st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=2)):
        data[place % len(data)] = value
    cuts = draw(st.lists(st.integers(0, len(data)), max_size=5))
    return bytes(data), sorted(cuts)


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *cuts, len(data)]
    return [data[a:b] for a, b in pairwise(edges) if a < b]


def ours(chunks: list[bytes]) -> tuple[list[Any], int]:
    reader = FrameReader(limit_bytes=2**63)
    arrivals = [named(arrival) for chunk in chunks for arrival in reader.receive(chunk)]
    code = code_of(arrivals)
    messages = arrivals[:-1] if code else arrivals
    return [(int(opcode), payload) for opcode, payload in messages], code


def by_wsproto(chunks: list[bytes]) -> tuple[list[Any], int]:
    protocol = FrameProtocol(client=False, extensions=[])
    messages: list[Any] = []
    parts = b""
    try:
        for chunk in chunks:
            protocol.receive_bytes(chunk)
            for received in protocol.received_frames():
                payload: Any = received.payload
                if received.opcode is TheirOpcode.CLOSE:
                    code, reason = payload
                    body = b"" if code == 1005 else int(code).to_bytes(2, "big") + (reason or "").encode()
                    return [*messages, (8, body)], 0
                if received.opcode in (TheirOpcode.PING, TheirOpcode.PONG):
                    messages.append((int(received.opcode), bytes(payload)))
                    continue
                parts += payload.encode() if isinstance(payload, str) else bytes(payload)
                if received.message_finished:
                    messages.append((int(received.opcode), parts))
                    parts = b""
    except ParseFailed as failed:
        return messages, int(failed.code)
    return messages, 0


@given(streams(frames | plain_frames))
def test_the_same_as_wsproto(stream: tuple[bytes, list[int]]) -> None:
    chunks = split(*stream)
    mine, theirs = ours(chunks), by_wsproto(chunks)
    if theirs[1] == 0 and mine[1] == 1002 and _lenient(stream[0]):
        return
    assert mine == theirs


def _lenient(data: bytes) -> bool:
    """wsproto waits for the rest of a frame where its first bytes are wrong already; so look only at whole streams."""
    return by_wsproto([data + frame(Opcode.PING) * 40])[1] != 0 or ours([data])[1] != 0


UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def by_websockets(chunks: list[bytes]) -> tuple[list[Any], int]:
    protocol = ServerProtocol(max_size=None)
    protocol.receive_data(UPGRADE)
    [request] = protocol.events_received()
    protocol.send_response(protocol.accept(request))  # type: ignore[arg-type]
    messages: list[Any] = []
    parts, opcode = b"", 0
    for chunk in chunks:
        protocol.receive_data(chunk)
        for event in protocol.events_received():
            event_frame: Any = event
            if event_frame.opcode in (1, 2):
                parts, opcode = b"", int(event_frame.opcode)
            if event_frame.opcode <= 2:
                parts += bytes(event_frame.data)
                if event_frame.fin:
                    messages.append((opcode, parts))
            else:
                messages.append((int(event_frame.opcode), bytes(event_frame.data)))
    failed = protocol.close_sent is not None and protocol.close_rcvd is None
    return messages, protocol.close_sent.code if failed and protocol.close_sent is not None else 0


binary_frames = st.builds(frame, st.sampled_from([0, 2, 2, 9, 10, 8]), payloads, fin=st.booleans() | st.just(True))


@given(st.lists(binary_frames | frames, min_size=1, max_size=6), st.lists(st.integers(0, 500), max_size=4))
def test_the_same_as_websockets(parts: list[bytes], cuts: list[int]) -> None:
    data = b"".join(parts)
    chunks = split(data, sorted(cut % (len(data) + 1) for cut in cuts))
    mine, theirs = ours(chunks), by_websockets(chunks)
    if mine[1] == 1007:
        return  # its core leaves the UTF-8 of text to the layer above
    if mine[0] == theirs[0] and {mine[1], theirs[1]} == {1002, 1007}:
        return  # a close frame with two faults
    if mine[0] and mine[0][-1][0] == Opcode.CLOSE:
        # It does not accept a close frame amid the fragments of a message, which the RFC allows.
        assert mine[0][:-1] == [message for message in theirs[0] if message[0] != Opcode.CLOSE]
    else:
        assert mine == theirs
