"""Statements 54-59: messages on their way to their receivers (section 12.6)."""

from collections.abc import Sequence

import msgspec
import pytest
import trio
from places import VERSIONS, OpenPlace, OpenPlaces, Place, message, received, sent

from wukong_trio.model import NO_PERSIST, RED_DOT, SYNC_ONCE
from wukong_trio.protocol.wkproto import Recv, Recvack, Send, Sendack
from wukong_trio.protocol.wkproto_writer import encode
from wukong_trio.testing import RawPacketClient

RETRY = {"interval_s": 0.2, "max_count": 2}
REPETITIONS_S = 0.9
"""All of them are over after so much time."""


async def on_each(places: Sequence[Place], step: object) -> None:
    async with trio.open_nursery() as nursery:
        for place in places:
            nursery.start_soon(step, place)  # type: ignore[arg-type]


@pytest.mark.parametrize("encryption", [True, False])
async def test_w054_repetitions(open_places: OpenPlaces, encryption: bool) -> None:
    async def step(place: Place) -> None:
        async with place.online("ann", "bob", "2:bob", encryption=encryption) as (ann, *receivers):
            await sent(ann, flags=RED_DOT)
            for bob in receivers:
                packets = [await bob.receive_bytes() for _ in range(3)]
                assert len(set(packets)) == 1, "identical, DUP not set"
                assert not packets[0][0] & 8
                await bob.expect_quiet(RETRY["interval_s"] * 2)
                await bob.ping()

    async with open_places(message_retry=RETRY, encryption=encryption) as places:
        await on_each(places, step)


async def test_w054_an_acknowledged_message_is_not_repeated(open_places: OpenPlaces) -> None:
    async def step(place: Place) -> None:
        async with place.online("ann", "bob", "5:bob", "bob") as (ann, at_once, later, by_seq):
            await sent(ann)
            await at_once.acknowledge(await at_once.receive_message())
            # As JavaScript reads some ids.
            recv = await by_seq.receive_message()
            await by_seq.acknowledge(msgspec.structs.replace(recv, message_id=recv.message_id + 2**32))
            first = await later.receive_bytes()
            assert await later.receive_bytes() == first
            recv = await later.receive_message()
            await later.acknowledge(recv)
            async with trio.open_nursery() as nursery:
                for client in (at_once, later, by_seq):
                    nursery.start_soon(client.expect_quiet, REPETITIONS_S)

    async with open_places(message_retry=RETRY) as places:
        await on_each(places, step)


async def test_w054_w056_what_does_not_acknowledge(open_places: OpenPlaces) -> None:
    async def step(place: Place) -> None:
        async with place.online("ann", "bob", "bob") as (ann, bob, other):
            await sent(ann)
            raw = await bob.receive_bytes()
            recv = bob.decode(raw)
            assert isinstance(recv, Recv)
            id_, seq = recv.message_id, recv.message_seq
            await bob.send(
                Recvack(id_ + 1, seq), Recvack(id_ + 1, seq + 1), Recvack(0, 0), Recvack(-1, seq), Recvack(-id_, seq),
                Recvack(2**63 - 1, 2**64 - 1), Recvack(-(2**63), 0), Recvack(id_, seq, NO_PERSIST),
            )  # fmt: skip
            # An acknowledgement is good for its own connection only.
            await other.acknowledge(await other.receive_message())
            await bob.ping()
            assert await bob.receive_bytes() == raw
            await bob.send(Recvack(id_, seq + 7, SYNC_ONCE))
            await bob.expect_quiet(REPETITIONS_S)
            await bob.ping()

    async with open_places(message_retry=RETRY) as places:
        await on_each(places, step)


async def test_w055_what_is_not_stored_is_not_repeated(open_places: OpenPlaces) -> None:
    async def step(place: Place) -> None:
        async with place.online("ann", "bob") as (ann, bob):
            assert (await sent(ann, flags=NO_PERSIST)).message_seq == 0
            recv = await bob.receive_message()
            assert (recv.flags, recv.message_seq) == (NO_PERSIST, 0)
            await bob.expect_quiet(REPETITIONS_S)

    async with open_places(message_retry=RETRY) as places:
        await on_each(places, step)


async def test_a_new_connection_gets_no_repetition(open_native: OpenPlace) -> None:
    async with open_native(message_retry=RETRY) as place, place.online("ann") as (ann,):
        async with place.online("bob") as (bob,):
            await sent(ann)
            await bob.receive_message()
        async with place.online("bob") as (bob,):
            await bob.expect_quiet(REPETITIONS_S)


async def test_w056_strange_acknowledgements(open_place: OpenPlace) -> None:
    async with open_place() as place, place.online("3:bob") as (bob,):
        await bob.send(Recvack(123, 4), Recvack(-5, 2**32 - 1), Recvack(0, 0, 0xF))
        # What a version 6 client would send is the same with four more bytes.
        await bob.send_bytes(b"\x60\x10" + bytes(16))
        await bob.ping()


async def sent_by_an_old_client(client: RawPacketClient, send: Send, stream_no: str) -> Sendack:
    """Sends with the old stream bit, behind which JS 1.0.4 and Flutter write what others write behind 0x02."""
    raw = bytearray(
        encode(msgspec.structs.replace(send, setting=send.setting | 0x02, stream_no=stream_no), client.version)
    )
    raw[2 if raw[1] < 128 else 3] = send.setting | 0x04
    await client.send_bytes(bytes(raw))
    sendack = await client.receive()
    assert isinstance(sendack, Sendack)
    assert sendack.reason_code == 1
    return sendack


async def test_w058_settings(open_place: OpenPlace) -> None:
    """D3, D8b: what is set, what is stored of it, and what each version gets."""
    versions = [f"{version}:" for version in VERSIONS]
    async with (
        open_place() as place,
        place.online(*[version + "ann" for version in versions]) as senders,
        place.online(*[version + "bob" for version in versions]) as receivers,
    ):
        number = 0
        for setting in (0xF5, 0xFF, 0x02, 0x04, 0x16, 0x08, 0x41):
            topic = "t" if setting & 8 else ""
            for sender in senders:
                number += 1
                send = message(number, payload=b"clear", setting=setting, expire=77, topic=topic)
                send = send if setting & 0x10 else sender.seal(send)
                stored = setting
                if setting & 0x06 == 0x04 and 2 <= sender.version <= 4:
                    stored ^= 0x04
                    sendack = await sent_by_an_old_client(sender, send, "s")
                else:
                    sendack = await sender.call(send)
                for client in (*receivers, *[other for other in senders if other is not sender]):
                    recv = await received(client, sendack)
                    assert recv.setting == stored & ~(0x14 if client.version >= 5 else 0x16), client.version
                    assert (recv.topic, recv.payload) == (topic, b"clear")
                    assert recv.expire == (77 if client.version >= 3 and sender.version >= 3 else 0)
                    assert (recv.stream_no, recv.stream_flag, recv.stream_id) == ("", 0, 0)
                if sender.version in (1, 4, 6):
                    assert (await place.history("bob"))[-1]["setting"] == stored


@pytest.mark.parametrize("version", [2, 3, 4])
async def test_d3_stream_no_of_old_versions(open_place: OpenPlace, version: int) -> None:
    async with (
        open_place() as place,
        place.online(f"{version}:ann", "6:bob", "4:bob") as (ann, bob, old),
        place.json_online("bob") as (json,),
    ):
        sendack = await sent(ann, setting=0x02, stream_no="s1")
        assert (await received(bob, sendack)).setting == 0x02
        assert (await received(old, sendack)).setting == 0
        params = (await json.receive())["params"]
        assert (params["streamNo"], params["setting"]) == ("s1", {"stream": True})
        sendack = await sent_by_an_old_client(ann, ann.seal(message(2)), "s2")
        assert (await received(bob, sendack)).setting == 0
        params = (await json.receive())["params"]
        assert params["streamNo"] == "s2"
        assert "setting" not in params


async def test_flags(open_place: OpenPlace) -> None:
    async with open_place() as place, place.online("ann", "bob", "ann") as (ann, bob, tablet):
        for flags in range(16):
            sendack = await sent(ann, flags, flags=flags)
            assert (await received(bob, sendack)).flags == flags & 7
            assert (await received(tablet, sendack)).flags == flags & 5


async def test_w059_the_senders_own_connections(open_place: OpenPlace) -> None:
    async with open_place() as place, place.online("ann", "bob", "4:ann") as (ann, bob, tablet):
        sendack = await sent(ann, flags=RED_DOT)
        for client, channel_id, flags in ((bob, "ann", RED_DOT), (tablet, "bob", 0)):
            recv = await received(client, sendack)
            assert (recv.from_uid, recv.channel_id, recv.channel_type) == ("ann", channel_id, 1)
            assert (recv.flags, recv.client_msg_no) == (flags, "m1")
        await place.group("ann", "bob")
        sendack = await sent(ann, 2, to="g", channel_type=2, flags=RED_DOT)
        for client, flags in ((bob, RED_DOT), (tablet, 0)):
            recv = await received(client, sendack)
            assert (recv.from_uid, recv.channel_id, recv.channel_type, recv.flags) == ("ann", "g", 2, flags)
        await ann.ping()
        sendack = await sent(ann, 3, to="ann", flags=RED_DOT)
        assert (await received(tablet, sendack)).flags == 0
        await ann.ping()


async def test_w058_topics(open_place: OpenPlace) -> None:
    async with open_place() as place, place.online("ann", *(f"{v}:bob" for v in VERSIONS)) as (ann, *receivers):
        for n, (setting, topic) in enumerate(((0x08, "thème"), (0x08, ""), (0x88, "t" * 512)), start=1):
            sendack = await sent(ann, n, setting=setting, topic=topic)
            for bob in receivers:
                recv = await received(bob, sendack)
                assert (recv.setting, recv.topic) == (setting, topic)
