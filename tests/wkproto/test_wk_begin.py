"""Statements 42-47 and the checks of CONNECT: the way into a session, and out of it before it began."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
from places import VERSIONS, OpenPlace, OpenPlaces, Place, message, read_until_closed

from wukong_trio import ConnectInfo
from wukong_trio.protocol.wkproto import (
    PING,
    PONG,
    Connack,
    Disconnect,
    Event,
    Packet,
    Recv,
    Recvack,
    Sendack,
    Sub,
    Suback,
)
from wukong_trio.protocol.wkproto_writer import encode
from wukong_trio.testing import RawPacketClient

NODE_ID = (1001).to_bytes(8, "big")
WITHOUT_WORDS = {
    "PING": PING,
    "PONG": PONG,
    "SEND": message(),
    "RECVACK": Recvack(1, 1),
    "CONNACK": Connack(0, 1, server_version=6),
    "SENDACK": Sendack(1, 1, 1, 1),
    "RECV": Recv(1, 1, "a", "b", 1, b"", "m", 1),
    "DISCONNECT": Disconnect(12),
    "SUB": Sub("s", "g", 2, 0),
    "SUBACK": Suback("s", "g", 2, 0, 1),
    "EVENT": Event("1", "t", 1, b"{}"),
}


async def test_w042_versions(open_place: OpenPlace) -> None:
    async with open_place() as place:
        for asked in (*VERSIONS, 7, 200, 255):
            async with place.stranger() as client:
                await client.send(client.hello("ann", asked))
                raw = await client.receive_bytes()
                assert raw[0] == (0x21 if asked > 3 else 0x20), asked
                connack = client.decode(raw)
                assert isinstance(connack, Connack)
                assert connack.reason_code == 1
                assert connack.server_version == (min(asked, 6) if asked > 3 else None), asked
                # time_diff, reason_code, server_key and salt are always there.
                assert len(raw) == 2 + 9 + (2 + 44) + (2 + 16) + (9 if asked > 3 else 0)
                assert raw.endswith(NODE_ID if asked > 3 else connack.salt.encode())
                await client.ping()


async def test_w043_w060_a_refusal_is_the_last_word(open_place: OpenPlace) -> None:
    async with open_place() as place:
        for asked in (*VERSIONS, 200):
            async with place.stranger() as client:
                await client.send(client.hello("a@b", asked))
                packets, closed = await read_until_closed(client)
                body = bytes(8) + b"\x02" + bytes(4)
                if asked > 3:
                    body = bytes((min(asked, 6),)) + body + NODE_ID
                assert packets == [bytes((0x21 if asked > 3 else 0x20, len(body))) + body]
                assert closed.code == (4002 if place.has_frames else 1006)


@pytest.mark.parametrize("name", WITHOUT_WORDS)
async def test_w044_w045_connect_comes_first(open_place: OpenPlace, name: str) -> None:
    async with open_place() as place, place.stranger() as client:
        hello = client.hello("ann")
        packet: Packet = WITHOUT_WORDS[name]
        await client.send(packet, hello)
        await place.ended(client, 1002)
        assert place.server.statistics().authenticated == 0


async def test_w044_the_first_byte_is_enough(open_place: OpenPlace) -> None:
    async with open_place() as place:
        for first in b"\x00\x0f\x21\x30\x40\x50\x60\x70\x80\x90\xa0\xb0\xc0\xd0\xe0\xf0\xff":
            async with place.stranger() as client:
                await client.send_bytes(bytes((first,)))
                await place.ended(client, 1002)


@pytest.mark.parametrize("blank", b" \t\r\n")
async def test_w044_blanks_are_no_padding_on_tcp(open_native: OpenPlace, blank: int) -> None:
    async with open_native() as place, place.stranger() as client:
        await client.send_bytes(bytes((blank,)) + encode(client.hello("ann"), 6))
        await place.ended(client)


@asynccontextmanager
async def being_checked(open_place: OpenPlace) -> AsyncIterator[tuple[Place, RawPacketClient, trio.Event]]:
    """A client whose CONNECT has been taken, but not answered; the event lets it in."""
    asked, may_enter = trio.Event(), trio.Event()

    async def authenticate(_: ConnectInfo) -> bool:
        asked.set()
        await may_enter.wait()
        return True

    async with open_place(authenticate=authenticate) as place, place.stranger() as client:
        await client.send(client.hello("ann"))
        await asked.wait()
        yield place, client, may_enter


@pytest.mark.parametrize("packet", [PING, message(), Disconnect(1)], ids=["PING", "SEND", "DISCONNECT"])
async def test_w046_nothing_comes_between_connect_and_connack(open_natively: OpenPlace, packet: Packet) -> None:
    async with being_checked(open_natively) as (place, client, may_enter):
        await client.send(packet)
        await trio.testing.wait_all_tasks_blocked(0.01)
        may_enter.set()
        await place.ended(client, 1002)
        assert place.server.statistics().authenticated == 0


@pytest.mark.parametrize("more", [b"\x70", b"\x30", b"\x10\x80"], ids=["PING", "half a SEND", "half a CONNECT"])
async def test_w046_not_even_in_the_same_read(open_place: OpenPlace, more: bytes) -> None:
    async with open_place() as place, place.stranger() as client:
        await client.send_bytes(encode(client.hello("ann"), 6) + more)
        await place.ended(client, 1002)
        assert place.server.statistics().authenticated == 0


async def test_w046_not_even_in_a_message_of_its_own(open_natively: OpenPlace) -> None:
    async with open_natively() as place, place.stranger() as client:
        await client.send_bytes(encode(client.hello("ann"), 6))
        await client.send_bytes(b"\x70")
        await place.ended(client, 1002)
        assert place.server.statistics().authenticated == 0


async def test_w046_not_even_a_second_connect(open_place: OpenPlace) -> None:
    async with open_place() as place, place.stranger() as client:
        await client.send(client.hello("ann"), client.hello("ann"))
        await place.ended(client, 1002)


async def test_a_connect_may_come_in_pieces(open_place: OpenPlace) -> None:
    async with open_place() as place, place.stranger() as client:
        data = encode(client.hello("ann"), 6)
        for n in range(len(data)):
            await client.send_bytes(data[n : n + 1])
        assert (await client.receive()).reason_code == 1  # type: ignore[union-attr]
        await client.ping()


Half = Callable[[bytes], bytes]
"""What is sent of a CONNECT before the deadline."""


@pytest.mark.parametrize("half", [lambda _: b"", lambda data: data[:1], lambda data: data[:-1]])
async def test_w047_the_deadline(open_places: OpenPlaces, half: Half) -> None:
    async with open_places(auth={"auth_timeout_s": 0.3}) as places, trio.open_nursery() as nursery:

        async def wait(place: Place) -> None:
            async with place.stranger() as client:
                if data := half(encode(client.hello("ann"), 6)):
                    await client.send_bytes(data)
                with trio.fail_after(2):
                    await place.ended(client, 4001)

        for place in places:
            nursery.start_soon(wait, place)


async def test_w047_no_byte_moves_the_deadline(open_places: OpenPlaces) -> None:
    async with open_places(auth={"auth_timeout_s": 0.5}) as places, trio.open_nursery() as nursery:

        async def trickle(place: Place) -> None:
            async with place.stranger() as client, trio.open_nursery() as nursery:
                data = encode(client.hello("ann", token="t" * 200), 6)

                async def send() -> None:
                    for n in range(len(data)):
                        await client.send_bytes(data[n : n + 1])
                        await trio.sleep(0.05)

                nursery.start_soon(send)
                start = trio.current_time()
                await place.ended(client, 4001)
                # Had a byte moved it, the end would not have come before the last of some 300.
                assert trio.current_time() - start < 0.05 * len(data) / 2
                nursery.cancel_scope.cancel()

        for place in places:
            nursery.start_soon(trickle, place)


async def test_w047_who_is_in_time_stays(open_places: OpenPlaces) -> None:
    async with open_places(auth={"auth_timeout_s": 0.4}) as places, trio.open_nursery() as nursery:

        async def stay(place: Place) -> None:
            async with place.stranger() as client:
                data = encode(client.hello("ann"), 6)
                await client.send_bytes(data[:20])
                await trio.sleep(0.1)
                await client.send_bytes(data[20:])
                assert (await client.receive()).reason_code == 1  # type: ignore[union-attr]
                await trio.sleep(0.6)
                await client.ping()

        for place in places:
            nursery.start_soon(stay, place)


async def test_w047_a_slow_answer_counts(open_places: OpenPlaces) -> None:
    async def authenticate(_: ConnectInfo) -> bool:
        await trio.sleep_forever()
        return True

    async with (
        open_places(auth={"auth_timeout_s": 0.3}, authenticate=authenticate) as places,
        trio.open_nursery() as nursery,
    ):

        async def wait(place: Place) -> None:
            async with place.stranger() as client:
                await client.send(client.hello("ann"))
                await place.ended(client, 4001)

        for place in places:
            nursery.start_soon(wait, place)


async def test_time_diff(open_native: OpenPlace) -> None:
    async with open_native() as place:
        now = int(time.time() * 1000)
        for ahead in (-5_000, 0, 5_000):
            async with place.stranger() as client:
                connack = await client.try_connect("ann", client_timestamp=now + ahead)
                assert -ahead <= connack.time_diff < -ahead + 2_000
        for absurd in (0, 1_700_000_000, 2**63 - 1, -(2**63)):
            async with place.stranger() as client:
                assert (await client.try_connect("ann", client_timestamp=absurd)).reason_code == 1
