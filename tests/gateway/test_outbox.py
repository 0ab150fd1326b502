"""The outbox of every engine: order, ages and limits, whatever a socket takes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wukong_trio.gateway.outbox import CHUNK_BYTES, Chunk, Outbox


class Socket:
    """Takes as much as it is told to."""

    def __init__(self, room: int = 10**9) -> None:
        self.room = room
        self.taken = b""
        self.calls: list[Chunk] = []

    def send(self, data: Chunk) -> int:
        self.calls.append(data)
        size = min(self.room, len(data))
        self.room -= size
        self.taken += bytes(data[:size])
        return size


def write(outbox: Outbox, socket: Socket, now: float = 0.0) -> None:
    outbox.write(socket.send, lambda: now)


def test_what_is_put_in_one_turn_is_one_write() -> None:
    outbox, socket = Outbox(), Socket()
    for n in range(10):
        outbox.put(b"%d" % n)
    write(outbox, socket)
    write(outbox, socket)
    assert socket.calls == [b"0123456789"]
    assert not outbox
    assert outbox.since is None


def test_a_large_frame_is_not_copied() -> None:
    outbox, socket, large = Outbox(), Socket(), bytes(CHUNK_BYTES + 1)
    outbox.put(large)
    write(outbox, socket)
    for frame in (b"a", large, b"b"):
        outbox.put(frame)
    write(outbox, socket)
    assert [data is large for data in socket.calls] == [True, False, True, False]
    assert socket.taken == large + b"a" + large + b"b"


def test_a_burst_is_judged_by_what_was_refused_and_not_before() -> None:
    outbox, socket = Outbox(), Socket(room=5)
    for _ in range(3000):
        outbox.put(b"x")
    assert not outbox.exceeds(frames=10, size_bytes=10)
    write(outbox, socket)
    assert outbox.blocked
    assert outbox.exceeds(frames=2994, size_bytes=2994)
    assert outbox.exceeds(frames=2993, size_bytes=2995)
    assert not outbox.exceeds(frames=2994, size_bytes=2995)


def test_limits_on_both_sides() -> None:
    outbox, socket = Outbox(), Socket(room=0)
    for _ in range(4):
        outbox.put(b"xy")
        write(outbox, socket)
    # One is being written, three wait behind it.
    assert not outbox.exceeds(frames=3, size_bytes=8)
    assert outbox.exceeds(frames=2, size_bytes=8)
    assert outbox.exceeds(frames=3, size_bytes=7)


def test_every_byte_keeps_the_age_at_which_it_was_refused() -> None:
    outbox, socket = Outbox(), Socket(room=0)
    for now in (1.0, 2.0, 3.0):
        outbox.put(b"abc")
        write(outbox, socket, now)
    for room, since in ((2, 1.0), (1, 2.0), (4, 3.0), (1, 3.0), (1, None)):
        socket.room = room
        write(outbox, socket, 9.0)
        assert outbox.since == since
    assert socket.taken == b"abc" * 3


def test_clearing_keeps_nothing_of_what_was_refused_whole() -> None:
    outbox, socket = Outbox(), Socket(room=0)
    for frame in (b"one", b"two"):
        outbox.put(frame)
    write(outbox, socket, 1.0)
    outbox.clear()
    assert not outbox


def test_clearing_keeps_the_rest_of_what_was_begun() -> None:
    outbox, socket = Outbox(), Socket(room=4)
    for frame in (b"begun", b"whole"):
        outbox.put(frame)
        write(outbox, socket, 1.0)
    outbox.put(b"fresh")
    outbox.clear()
    assert outbox.since == 1.0
    socket.room = 100
    write(outbox, socket)
    assert socket.taken == b"begun"
    assert not outbox


@given(
    st.lists(st.tuples(st.lists(st.binary(min_size=1, max_size=9), max_size=5), st.integers(0, 12))),
    st.booleans(),
)
def test_nothing_is_lost_or_moved(turns: list[tuple[list[bytes], int]], awaited: bool) -> None:
    outbox, socket, expected = Outbox(), Socket(), b""
    for frames, room in [*turns, ([], 10**6)]:
        socket.room = room
        for frame in frames:
            outbox.put(frame)
            expected += frame
        if awaited:
            outbox.hold(0.0)
            while outbox.blocked and socket.room:
                outbox.sent(socket.send(outbox.head(join_bytes=8)))
        else:
            write(outbox, socket)
    assert socket.taken == expected
    assert not outbox


@pytest.mark.parametrize("join_bytes", [0, 4, 1000])
def test_heads_are_joined_up_to_a_size(join_bytes: int) -> None:
    outbox = Outbox()
    for frame in (b"ab", b"cd", b"ef"):
        outbox.put(frame)
    outbox.hold(0.0)
    heads = []
    while outbox.blocked:
        heads.append(outbox.head(join_bytes=join_bytes))
        outbox.sent(len(heads[-1]))
    assert heads == {0: [b"ab", b"cd", b"ef"], 4: [b"abcd", b"ef"], 1000: [b"abcdef"]}[join_bytes]
