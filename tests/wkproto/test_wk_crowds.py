"""Bad connections by the hundred and floods by the megabyte, beside clients who must not notice."""

from base64 import b64encode
from collections.abc import Awaitable, Callable
from contextlib import suppress

import msgspec
import pytest
import trio
from places import OpenPlace, Place, in_parallel, message, read_until_closed, received, sent
from test_wk_bad_input import BAD, BAD_CONNECTS

from wukong_trio.protocol.wkproto import PONG_BYTES, Recvack, Sendack
from wukong_trio.protocol.wkproto_writer import encode
from wukong_trio.testing import RawPacketClient, SocketClosed

CONNECTIONS = {"tcp": 300, "ws": 300, "tls": 60, "ws reference": 60}
"""Fewer where each takes long."""
AT_ONCE = 30
FLOOD_BYTES = 3 * 2**19
FLOOD_S = 60
GONE = (SocketClosed, OSError, trio.BrokenResourceError, trio.ClosedResourceError)
Visit = Callable[[Place, RawPacketClient, int], Awaitable[None]]


async def without_a_session(place: Place, client: RawPacketClient, n: int) -> None:
    rows = list(BAD_CONNECTS.values())
    await client.send_bytes(rows[n % len(rows)])
    await client.wait_closed()


async def in_a_session(place: Place, client: RawPacketClient, n: int) -> None:
    rows = [data for data, _ in BAD.values()]
    await client.connect(f"bad{n}")
    await client.send_bytes(rows[n % len(rows)])
    await client.wait_closed()


async def half_a_packet(place: Place, client: RawPacketClient, n: int) -> None:
    """Left without a word."""
    data = encode(client.hello(f"bad{n}"), 6)
    if n % 2:
        await client.connect(f"bad{n}")
        data = encode(client.seal(message()), 6)
    await client.send_bytes(data[: 1 + n % (len(data) - 1)])


async def in_tiny_chunks(place: Place, client: RawPacketClient, n: int) -> None:
    data = encode(client.hello("a@b", token="t" * (n % 10)), 6)
    for i in range(len(data)):
        await client.send_bytes(data[i : i + 1])
    assert (await client.receive()).reason_code == 2  # type: ignore[union-attr]
    await client.wait_closed()


async def with_a_bad_key(place: Place, client: RawPacketClient, n: int) -> None:
    key = ("", "A" * 44, "!" * 44, b64encode(bytes(32)).decode(), b64encode(bytes(31)).decode())[n % 5]
    connack = await client.try_connect(f"bad{n}", client_key=key)
    assert connack.reason_code == (2 if key else 21)
    await client.wait_closed()


async def with_too_much(place: Place, client: RawPacketClient, n: int) -> None:
    """Far more than a stranger may send."""
    connect = encode(msgspec.structs.replace(client.hello("ann"), token="t" * 32_767, device_id="d" * 32_767), 6)
    with suppress(*GONE):
        await client.send_bytes((b"\x70" * 2**16, b"\x10" + b"\x80" * 2**16, connect)[n % 3])
    packets, _ = await read_until_closed(client)
    assert not packets


VISITS: tuple[Visit, ...] = (
    without_a_session, in_a_session, half_a_packet, in_tiny_chunks, with_a_bad_key, with_too_much,
)  # fmt: skip


@pytest.mark.parametrize("visit", VISITS)
async def test_bad_connections_by_the_hundred(open_place: OpenPlace, visit: Visit) -> None:
    async with open_place() as place, place.online("ann", "bob") as (ann, bob):
        numbers = iter(range(CONNECTIONS[place.carrier]))
        over = trio.Event()

        async def come() -> None:
            for n in numbers:
                async with place.stranger() as client:
                    await visit(place, client, n)

        async def talk() -> None:
            count = 0
            while not over.is_set() or not count:
                count += 1
                sendack = await sent(ann, count, payload=b"%d" % count)
                assert sendack.message_seq == count
                assert (await received(bob, sendack)).payload == b"%d" % count

        async with trio.open_nursery() as nursery:
            nursery.start_soon(talk)
            async with trio.open_nursery() as visitors:
                for _ in range(AT_ONCE):
                    visitors.start_soon(come)
            over.set()
        while place.server.statistics().sessions > 2:
            await trio.lowlevel.checkpoint()
        async with place.online("cid") as (cid,):
            await received(cid, await sent(ann, 0, to="cid"))


async def pongs(client: RawPacketClient, count: int) -> None:
    """So many PONGs and nothing else. Not packet by packet, which would take long."""
    unit = PONG_BYTES if client.websocket is None else b"\x82\x01\x80"
    left = len(unit) * count
    at = 0
    while left:
        data = await client.stream.receive_some(65536)
        assert data, f"the end, and {left // len(unit)} PONGs are missing"
        window = (unit * (len(data) // len(unit) + 2))[at : at + len(data)]
        assert data == window
        at = (at + len(data)) % len(unit)
        left -= len(data)
        assert left >= 0


async def flood(place: Place, data: bytes, answers: Callable[[RawPacketClient], Awaitable[None]]) -> None:
    """One client sends a lot in one write, or one message. While it is answered another is served."""
    async with place.online("ann", "bob") as (ann, bob):
        answered = trio.Event()

        async def hear() -> None:
            await answers(ann)
            answered.set()

        async def talk() -> None:
            count = 0
            while not answered.is_set():
                await bob.ping()
                count += 1
            assert count > 2

        await in_parallel(hear, talk, lambda: ann.send_bytes(data))
        await ann.ping()


async def pongs_to(place: Place, limit_bytes: int) -> None:
    async def answers(client: RawPacketClient) -> None:
        await pongs(client, limit_bytes)

    await flood(place, b"\x70" * limit_bytes, answers)


async def flood_with_sends(place: Place, limit_bytes: int) -> None:
    one = encode(message(0, "b", b"", setting=0x10, client_msg_no=""), 6)
    count = limit_bytes // len(one)
    sends = b"".join([one[:3] + n.to_bytes(4, "big") + one[7:] for n in range(count)])

    async def answers(client: RawPacketClient) -> None:
        for n in range(count):
            sendack = await client.receive()
            assert isinstance(sendack, Sendack)
            assert (sendack.client_seq, sendack.message_seq, sendack.reason_code) == (n, n + 1, 1)

    await flood(place, sends, answers)


@pytest.mark.parametrize("carrier", ["tcp", "ws"])
async def test_a_flood_of_pings(open_on: OpenPlace, carrier: str) -> None:
    with trio.fail_after(FLOOD_S):
        async with open_on(carrier) as place:
            await pongs_to(place, FLOOD_BYTES)


async def test_an_engine_that_writes_slowly_serves_slowly(open_on: OpenPlace) -> None:
    """Whoever reads all answers is not taken for somebody who reads none."""
    with trio.fail_after(FLOOD_S):
        async with open_on("ws reference") as place:
            await pongs_to(place, 2**15)


@pytest.mark.parametrize("carrier", ["tcp", "ws"])
async def test_a_flood_of_sends(open_on: OpenPlace, carrier: str) -> None:
    with trio.fail_after(FLOOD_S):
        async with open_on(carrier) as place:
            await flood_with_sends(place, FLOOD_BYTES)


async def test_a_flood_of_recvacks(open_place: OpenPlace) -> None:
    async def answers(client: RawPacketClient) -> None:
        await pongs(client, 1)

    async with open_place() as place:
        one = encode(Recvack(1, 1), 6)
        await flood(place, one * (FLOOD_BYTES // len(one)) + b"\x70", answers)


async def test_smaller_floods(open_place: OpenPlace) -> None:
    async with open_place(limits={"outbox_frames": 2**16}) as place:
        await pongs_to(place, 2**13)
        await flood_with_sends(place, 2**15)
