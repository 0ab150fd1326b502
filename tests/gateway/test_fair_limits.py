"""Who reads quickly is never closed as slow, however much comes at once; and a machine that slept accuses nobody."""

import os
import socket

import pytest
import trio
from parts import CONNECT, UPGRADE, Scene, frame, send_frame
from trio.testing import MockClock, wait_all_tasks_blocked

from wukong_trio import ReasonCode, SendCommand
from wukong_trio.gateway.deadlines import RESOLUTION_S
from wukong_trio.gateway.native_socket import SocketTransport
from wukong_trio.gateway.reader import SharedReader
from wukong_trio.gateway.session import REPEAT_AT_ONCE
from wukong_trio.testing import open_raw_client, open_test_server

ENGINES = ["native", "reference"]


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_flood_of_pings_in_one_write_is_answered(engine: str) -> None:
    with trio.fail_after(20):
        async with open_test_server(engine=engine) as server, open_raw_client(server.endpoints.ws) as ann:
            await ann.connect("ann")
            await ann.send_bytes(frame(b"x", 9) * 1500)
            for _ in range(1500):
                assert await ann.wait_pong() == b"x"
            await ann.ping()


@pytest.mark.parametrize("engine", ENGINES)
async def test_many_large_messages_at_once_reach_a_client_that_reads(engine: str) -> None:
    payload = os.urandom(500_000)
    with trio.fail_after(30):
        async with open_test_server(engine=engine) as server, open_raw_client(server.endpoints.ws) as bob:
            await bob.connect("bob")

            async def send() -> None:
                command = SendCommand(from_uid="ann", channel_id="bob", channel_type=1, payload=payload)
                await server.send(command)

            async with trio.open_nursery() as nursery:
                for _ in range(20):
                    nursery.start_soon(send)
                for n in range(1, 21):
                    assert (await bob.receive())["params"]["messageSeq"] == n
            await bob.ping()


async def test_repetitions_beyond_the_limits_of_an_outbox_reach_a_client_that_reads(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    scene = Scene(nursery, limits={"outbox_frames": 4, "outbox_bytes": 200}, message_retry={"interval_s": 5})
    bob = await scene.upgraded()
    await bob.sdk_connect("bob")
    ann = await scene.connected("ann")
    for n in range(9):
        await ann.send_bytes(send_frame(n))
        assert (await bob.receive())["params"]["messageSeq"] == n + 1
    for n in range(9):
        params = (await bob.receive())["params"]
        assert params["messageSeq"] == n + 1
        assert params["header"]["dup"] is True
    await bob.ping()
    nursery.cancel_scope.cancel()


class Sleeper(Scene):
    """A server in a process that may sleep, and a client that acts meanwhile."""

    def start(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.setblocking(False)
        shared = SharedReader(self.gateway)
        self.nursery.start_soon(self._read, shared)
        self.nursery.start_soon(self._hold, theirs)
        self.nursery.start_soon(self.run, SocketTransport(self.gateway, shared, ours, "a test"))
        return theirs

    @staticmethod
    async def _hold(sock: socket.socket) -> None:
        with sock:
            await trio.sleep_forever()

    @staticmethod
    async def _read(shared: SharedReader) -> None:
        with shared:
            await shared.run()


async def answered(sock: socket.socket) -> bytes:
    """What the server has to say, once it has nothing more to do."""
    await trio.sleep(0.2)
    await wait_all_tasks_blocked()
    try:
        return sock.recv(65536)
    except BlockingIOError:
        return b""


@pytest.mark.parametrize("awake", [True, False])
async def test_a_machine_that_slept_reads_before_it_judges_who_is_idle(
    awake: bool, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    scene = Sleeper(nursery, limits={"conn_idle_time_s": 30})
    sock = scene.start()
    sock.send(UPGRADE + frame(CONNECT % b"ann"))
    assert b'"id":"c"' in await answered(sock)
    if awake:
        sock.send(frame(b'{"id":"p","method":"ping"}'))
    autojump_clock.jump(1000)
    said = await answered(sock)
    assert (b'"id":"p"' in said) is awake
    assert (b"\x0f\xa4" in said) is not awake, "close code 4004"
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize("early", [True, False])
async def test_a_machine_that_slept_reads_before_it_judges_who_has_not_connected(
    early: bool, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    scene = Sleeper(nursery)
    sock = scene.start()
    sock.send(UPGRADE)
    assert b"101" in await answered(sock)
    if early:
        sock.send(frame(CONNECT % b"ann"))
    autojump_clock.jump(1000)
    said = await answered(sock)
    assert (b'"id":"c"' in said) is early
    assert (b"\x0f\xa1" in said) is not early, "close code 4001"
    nursery.cancel_scope.cancel()


async def test_a_machine_that_slept_reads_before_it_repeats(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    scene = Sleeper(nursery, message_retry={"interval_s": 5})
    sock = scene.start()
    sock.send(UPGRADE + frame(CONNECT % b"bob"))
    await answered(sock)
    # Who has acknowledged once gets repetitions.
    sock.send(frame(b'{"method":"recvack","params":{"messageId":"1"}}'))
    ann = await scene.connected("ann")
    params = {"clientMsgNo": "m", "channelId": "bob", "channelType": 1, "payload": "e30="}
    sent = (await ann.call("send", params))["result"]
    assert b'"messageSeq":1' in await answered(sock)
    sock.send(frame(b'{"method":"recvack","params":{"messageId":"%d"}}' % sent["messageId"]))
    autojump_clock.jump(6)
    assert await answered(sock) == b""
    nursery.cancel_scope.cancel()


async def test_a_machine_that_slept_lets_a_stream_take_what_waits(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    scene = Scene(nursery, limits={"write_timeout_s": 10})
    bob = await scene.connected("bob", lockstep=True)
    ann = await scene.connected("ann")
    await ann.send_bytes(send_frame(1))
    await wait_all_tasks_blocked()
    autojump_clock.jump(60)
    assert (await bob.receive())["params"]["messageSeq"] == 1
    await trio.sleep(1)
    await bob.ping()
    nursery.cancel_scope.cancel()


async def test_many_repetitions_are_written_a_few_at_a_time(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    scene = Scene(nursery, message_retry={"interval_s": 5})
    bob = await scene.upgraded()
    await bob.sdk_connect("bob")
    count = REPEAT_AT_ONCE + 1
    for n in range(1, count + 1):
        await scene.router.send(SendCommand(from_uid="ann", channel_id="bob", channel_type=1, payload=b"x"))
        assert (await bob.receive())["params"]["messageSeq"] == n
    moments = []
    for n in range(1, count + 1):
        params = (await bob.receive())["params"]
        assert (params["messageSeq"], params["header"]["dup"]) == (n, True)
        moments.append(trio.current_time())
    assert len(set(moments[:-1])) == 1
    assert moments[-2] < moments[-1] <= moments[-2] + 2 * RESOLUTION_S
    nursery.cancel_scope.cancel()


async def test_unacknowledged_pushes_hold_the_messages_and_no_more_than_so_many_bytes(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    scene = Scene(nursery, message_retry={"interval_s": 5, "waiting_bytes": 1000}, limits={"rate_limit_per_s": 0})
    bob = await scene.upgraded()
    await bob.sdk_connect("bob")
    for n in range(1, 6):
        command = SendCommand(from_uid="ann", channel_id="bob", channel_type=1, payload=b"x" * 300)
        result = await scene.router.send(command)
        assert result.reason_code == ReasonCode.SUCCESS
        assert (await bob.receive())["params"]["messageSeq"] == n
    [session] = scene.registry.sessions_of("bob")
    pushes = session._retries._fresh.values()  # type: ignore[attr-defined]
    assert all(not push.made for push in pushes)
    assert [(await bob.receive())["params"]["messageSeq"] for _ in range(3)] == [3, 4, 5]
    await bob.expect_quiet(1)
    nursery.cancel_scope.cancel()
