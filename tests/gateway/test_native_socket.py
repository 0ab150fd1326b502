"""Plain sockets: when a client counts as slow, and how connections begin and end, byte for byte.

Most of it runs over socket pairs inside this process, where the kernel takes no time: so the clock may jump.
"""

import socket

import pytest
import trio
from parts import CONNECT, UPGRADE, Scene, frame, send_frame
from trio.testing import MockClock, wait_all_tasks_blocked

from wukong_trio import ReasonCode
from wukong_trio.delivery.registry import Notice
from wukong_trio.gateway.native_socket import SocketTransport
from wukong_trio.gateway.reader import SharedReader
from wukong_trio.gateway.session import Session
from wukong_trio.gateway.transport import BURST, CHANCE_S
from wukong_trio.protocol.codes import CLOSE_BYE, CLOSE_SHUTDOWN
from wukong_trio.services.auth import check_connect
from wukong_trio.testing import RawClient, open_test_server

FRAME = b'"' + b"x" * 998 + b'"'


class Pair(Scene):
    """A connection whose socket takes a few kilobytes, and its client."""

    shared: SharedReader
    transport: SocketTransport
    client: RawClient

    def start(self, *, early: bytes = b"") -> None:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        for sock in (ours, theirs):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        theirs.setblocking(False)
        theirs.send(early)
        self.stream = trio.SocketStream(trio.socket.from_stdlib_socket(theirs))
        self.nursery.start_soon(self._hold, theirs)
        self.transport = SocketTransport(self.gateway, self.shared, ours, "a test")
        self.nursery.start_soon(self.run, self.transport)

    @staticmethod
    async def _hold(sock: socket.socket) -> None:
        with sock:
            await trio.sleep_forever()

    async def read_shared(self) -> None:
        with self.shared:
            await self.shared.run()

    async def shake_hands(self) -> None:
        self.start(early=UPGRADE)
        assert (await self.stream.receive_some()).startswith(b"HTTP/1.1 101")
        self.client = RawClient(self.stream, "")
        await self.client.connect("slow")

    def offer(self, frames: int) -> None:
        """Hands frames to the client as one turn of the deliver stage would."""
        for _ in range(frames):
            self.transport.offer(FRAME)
        self.gateway.flushes.flush()

    def put(self, size: int) -> None:
        """Hands bytes to the client."""
        self.transport.put(b"x" * size)
        self.gateway.flushes.flush()

    async def read(self, frames: int) -> None:
        for _ in range(frames):
            assert await self.client.receive_text() == FRAME.decode()

    def fill(self) -> int:
        """Offers frames until one of them has to wait; returns how many."""
        count = 0
        while not self.transport._outbox.blocked:
            self.offer(1)
            count += 1
        return count

    @property
    def code(self) -> int:
        return self.transport.closing.code if self.transport.closing is not None else 0


async def opened(nursery: trio.Nursery, **limits: float) -> Pair:
    pair = Pair(nursery, limits=limits)
    pair.shared = SharedReader(pair.gateway)
    nursery.start_soon(pair.read_shared)
    return pair


async def opened_and_full(nursery: trio.Nursery, limit: str) -> tuple[Pair, int]:
    """One with low limits and a full socket, and how many bytes wait."""
    limits = {"outbox_bytes": 50_000} if limit == "bytes" else {"outbox_frames": 10}
    pair = await opened(nursery, **limits)
    await pair.shake_hands()
    pair.fill()
    backlog = pair.transport._outbox._backlog
    assert backlog is not None
    return pair, backlog.bytes


async def test_a_trickle_is_not_enough(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    pair = await opened(nursery, write_timeout_s=10)
    await pair.shake_hands()
    start = trio.current_time()
    pair.offer(200)
    for n in range(19):
        await pair.read(1)
        assert not pair.code, n
        await trio.sleep_until(start + 0.5 * (n + 1))
    await trio.sleep_until(start + 9.99)
    assert not pair.code
    await trio.sleep_until(start + 10.2)
    assert pair.code == 4005
    nursery.cancel_scope.cancel()


async def test_who_catches_up_in_time_may_fall_behind_again(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    pair = await opened(nursery, write_timeout_s=10)
    await pair.shake_hands()
    for _ in range(4):
        pair.offer(200)
        await trio.sleep(9.9)
        await pair.read(200)
    await pair.client.ping()
    nursery.cancel_scope.cancel()


async def test_what_was_taken_in_time_does_not_make_the_next_younger(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    pair = await opened(nursery, write_timeout_s=10)
    await pair.shake_hands()
    start = trio.current_time()
    pair.offer(30)
    await trio.sleep(1)
    pair.offer(30)
    await trio.sleep(5)
    await pair.read(30)
    await trio.sleep_until(start + 10.99)
    assert not pair.code
    await trio.sleep_until(start + 11.2)
    assert pair.code == 4005
    nursery.cancel_scope.cancel()


async def test_who_is_late_but_takes_some_has_to_take_the_rest_in_time_too(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    pair = await opened(nursery, write_timeout_s=10)
    await pair.shake_hands()
    start = trio.current_time()
    count = pair.fill()
    await trio.sleep(9.5)
    pair.offer(30)
    await pair.read(count - 1)
    # Looked at before the socket was found ready, as after a sleep of the whole machine.
    due = pair.transport.check_writing(start + 10.5)
    assert pair.transport.closing is None
    assert due == pytest.approx(start + 19.5)
    nursery.cancel_scope.cancel()


async def test_a_session_that_was_closed_waits_for_nothing(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    pair = await opened(nursery)
    await pair.shake_hands()
    [session] = pair.registry.sessions_of("slow")
    assert isinstance(session, Session)
    for _ in range(60):
        pair.transport.offer(FRAME)
    session.close(CLOSE_BYE)
    pair.gateway.flushes.flush()
    assert session.slot is None
    pair.gateway.draining = True
    info = check_connect(uid="late", token="", device_id="", device_flag=0, remote_address="a test")
    late = Session(pair.gateway, pair.transport, session._speech, info, session.level)
    late.enter(b"")
    assert late.slot is None
    nursery.cancel_scope.cancel()


async def test_age_counts_while_new_frames_come(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    for read_per_s, stays in ((4, True), (2, False)):
        pair = await opened(nursery, write_timeout_s=10)
        await pair.shake_hands()
        start, read = trio.current_time(), 0
        pair.offer(12)
        while trio.current_time() - start < 60 and not pair.code:
            await trio.sleep(1)
            await pair.read(read_per_s if not pair.code else 0)
            read += read_per_s
            pair.offer(4)
        assert (pair.code == 0) is stays
        assert read > 10
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize("limit", ["bytes", "frames"])
async def test_a_full_outbox_on_both_sides_of_its_limits(
    limit: str, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    pair, backlog_bytes = await opened_and_full(nursery, limit)
    for size in [1] * 10 if limit == "frames" else [40_000, 10_000 - backlog_bytes]:
        pair.put(size)
    await trio.sleep(CHANCE_S)
    pair.transport.flush()
    assert not pair.code
    pair.put(1)
    assert pair.code == 4005
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize("limit", ["bytes", "frames"])
async def test_a_client_has_a_chance_to_take_a_burst(
    limit: str, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    pair, backlog_bytes = await opened_and_full(nursery, limit)
    for size in [1] * BURST * 10 if limit == "frames" else [BURST * 50_000 - backlog_bytes]:
        pair.put(size)
        assert not pair.code
    pair.put(1)
    assert pair.code == 4005, "but not to keep everything"
    nursery.cancel_scope.cancel()


async def test_what_waits_and_the_close_frame_arrive_though_the_socket_is_full(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    for more in (0, 1, 20):
        pair = await opened(nursery, close_timeout_s=5)
        await pair.shake_hands()
        count = pair.fill() + more
        pair.offer(more)
        pair.transport.close(CLOSE_SHUTDOWN)
        start = trio.current_time()
        for _ in range(count):
            await trio.sleep(0.1)
            await pair.read(1)
        assert (await pair.client.wait_closed()).code == 1001
        assert trio.current_time() - start < 5
    nursery.cancel_scope.cancel()


async def test_only_one_writes_what_waits_at_the_end(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    pair = await opened(nursery, outbox_frames=4, close_timeout_s=5)
    await pair.shake_hands()
    count = pair.fill() + 4
    for _ in range(4):
        pair.offer(1)
    [session] = pair.registry.sessions_of("slow")
    session.close(CLOSE_BYE, Notice(ReasonCode.CONNECT_KICK, "enough"))
    await wait_all_tasks_blocked()
    await pair.read(2)
    # The notice was one frame more than may wait, and now somebody else's turn is over.
    pair.gateway.flushes.flush()
    await pair.read(count - 2)
    assert (await pair.client.receive())["params"] == {"reasonCode": 12, "reason": "enough"}
    assert (await pair.client.wait_closed()).code == 1000
    nursery.cancel_scope.cancel()


async def test_who_does_not_answer_the_close_frame_is_gone_in_time(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    pair = await opened(nursery, close_timeout_s=3)
    await pair.shake_hands()
    start = trio.current_time()
    pair.transport.close(CLOSE_BYE)
    assert (await pair.client.wait_closed()).code == 1000
    await trio.sleep(20)
    assert pair.ended - start == pytest.approx(3)
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize("size", [1, 7, 10_000])
async def test_everything_may_come_in_one_segment_or_byte_by_byte(
    size: int, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    pair = await opened(nursery)
    data = UPGRADE + frame(CONNECT % b"ann") + send_frame(1) + frame(b"x", 9) + send_frame(2)
    pair.start(early=data[:size])
    for start in range(size, len(data), size):
        await wait_all_tasks_blocked()
        await pair.stream.send_all(data[start : start + size])
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += await pair.stream.receive_some(1)
    client = RawClient(pair.stream, "")
    answers = [await client.receive() for _ in range(3)]
    assert [answer["id"] for answer in answers] == ["c", "s1", "s2"]
    assert [answer["result"].get("messageSeq") for answer in answers] == [None, 1, 2]
    assert client.pongs == [b"x"]
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (UPGRADE.replace(b"GET", b"POST"), 405),
        (UPGRADE.replace(b"Upgrade: websocket\r\n", b""), 426),
        (UPGRADE.replace(b"Version: 13", b"Version: 8"), 426),
        (UPGRADE.replace(b"==", b""), 400),
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 4000 + b"\r\n", 431),
    ],
)
async def test_a_refusal_arrives_whole_though_more_was_sent(request_head: bytes, status: int) -> None:
    with trio.fail_after(10):
        async with open_test_server(engine="native") as server:
            port = int(server.endpoints.ws.rpartition(":")[2])
            for more in (b"", b"x" * 300_000):
                async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
                    await stream.send_all(request_head + more)
                    answer = b""
                    while chunk := await stream.receive_some():
                        answer += chunk
                head, _, body = answer.partition(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 %d " % status)
                assert b"Content-Length: %d\r\n" % len(body) in head
                assert body.endswith(b"\n")


async def test_a_path_that_is_no_url_is_a_path_like_any_other(caplog: pytest.LogCaptureFixture) -> None:
    with trio.fail_after(10):
        async with open_test_server(engine="native") as server:
            port = int(server.endpoints.ws.rpartition(":")[2])
            async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
                target = UPGRADE.replace(b"GET /", b"GET //[x?profile=sdk")
                await stream.send_all(target + frame(CONNECT % b"ann"))
                received = b""
                while b'"id":"c"' not in received:
                    received += await stream.receive_some()
    assert not caplog.records
