"""Statements 48-51: an open session, packet by packet (sections 12.1, 12.3 and 12.5)."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import msgspec
import pytest
import trio
from places import VERSIONS, OpenPlace, OpenPlaces, Place, message, received, refused, sent

from wukong_trio import Message, SendCommand
from wukong_trio.protocol.wkproto import (
    PING,
    PONG,
    Connack,
    Connect,
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
from wukong_trio.store import MemoryStore
from wukong_trio.testing import SocketClosed

IGNORED: dict[str, Packet] = {
    "RECVACK": Recvack(1, 1),
    "PONG": PONG,
    "SUB": Sub("s", "g", 2, 0, "{}", 0xFF),
    "EVENT": Event("1", "t", 1, b"{}"),
}
CLOSING: dict[str, Packet] = {
    "CONNECT": Connect(6, 0, uid="ann"),
    "CONNACK": Connack(0, 1, server_version=6),
    "SENDACK": Sendack(1, 1, 1, 1),
    "RECV": Recv(1, 1, "a", "b", 1, b"", "m", 1),
    "SUBACK": Suback("s", "g", 2, 0, 1),
}


@pytest.mark.parametrize("name", IGNORED)
async def test_packets_that_are_not_answered(open_place: OpenPlace, name: str) -> None:
    async with open_place() as place, place.online("ann", "bob") as (ann, bob):
        await ann.send(IGNORED[name])
        await ann.ping()
        await ann.send(IGNORED[name], IGNORED[name], PING)
        assert await ann.receive() == PONG
        await received(bob, await sent(ann))


@pytest.mark.parametrize("name", CLOSING)
async def test_packets_that_only_servers_send_and_a_second_connect(open_place: OpenPlace, name: str) -> None:
    async with open_place() as place, place.online("ann", "bob") as (ann, bob):
        await ann.send(ann.seal(message()), PING, CLOSING[name], ann.seal(message(2)), PING)
        assert isinstance(await ann.receive(), Sendack)
        assert await ann.receive() == PONG
        await place.ended(ann, 1002)
        assert (await bob.receive_message()).client_msg_no == "m1"
        await bob.ping()


async def test_disconnect_is_obeyed_without_a_reply(open_place: OpenPlace) -> None:
    async with open_place() as place, place.online("ann", "bob") as (ann, bob):
        await ann.send(ann.seal(message()), Disconnect(0, "bye"), PING)
        assert isinstance(await ann.receive(), Sendack)
        await place.ended(ann, 1000)
        assert (await bob.receive_message()).client_msg_no == "m1"


async def test_w048_a_pong_for_each_ping(open_place: OpenPlace) -> None:
    async with open_place() as place, place.online("ann") as (ann,):
        await ann.ping()
        await ann.send(PING, PING, PING)
        assert [await ann.receive_bytes() for _ in range(3)] == [b"\x80"] * 3
        await ann.send_bytes(bytes(range(0x70, 0x90)))
        assert [await ann.receive_bytes() for _ in range(16)] == [b"\x80"] * 16
        await ann.ping()


async def test_w048_a_pong_waits_for_its_turn(open_place: OpenPlace) -> None:
    async with open_place() as place, place.online("ann") as (ann,):
        await ann.send(PING, ann.seal(message()), PING, message(2), PING)
        kinds = [type(await ann.receive()).__name__ for _ in range(5)]
        assert kinds == ["Pong", "Sendack", "Pong", "Sendack", "Pong"]


async def test_w049_silence_ends_a_session(open_places: OpenPlaces) -> None:
    async with open_places(limits={"conn_idle_time_s": 0.4}) as places, trio.open_nursery() as nursery:

        async def fall_silent(place: Place) -> None:
            async with place.online("ann") as (ann,):
                await place.ended(ann, 4004)

        for place in places:
            nursery.start_soon(fall_silent, place)


async def test_w049_every_byte_is_a_sign_of_life(open_places: OpenPlaces) -> None:
    pings, pongs, a_send = b"\x70" * 5, b"\x80" * 5, encode(message(), 6)
    async with open_places(limits={"conn_idle_time_s": 1}) as places, trio.open_nursery() as nursery:

        async def live(place: Place, signs: bytes) -> None:
            async with place.online("ann") as (ann,):
                for n in range(5):
                    await trio.sleep(0.3)
                    await ann.send_bytes(signs[n : n + 1])
                    if signs is pings:
                        assert await ann.receive() == PONG
                await ann.expect_quiet(0.1)

        for place in places:
            for signs in (pings, pongs, a_send):
                nursery.start_soon(live, place, signs)


async def test_w049_what_is_received_is_no_sign_of_life(open_places: OpenPlaces) -> None:
    async with open_places(limits={"conn_idle_time_s": 0.6}) as places, trio.open_nursery() as nursery:

        async def listen(place: Place) -> None:
            command = SendCommand(from_uid="robot", channel_id="bob", channel_type=1, payload=b"{}")
            async with place.online("bob") as (bob,):
                with suppress(SocketClosed):
                    while True:
                        await place.server.send(command)
                        await bob.receive_message()
                        await trio.sleep(0.1)

        for place in places:
            nursery.start_soon(listen, place)


async def test_w050_a_sendack_for_each_send_in_order(open_place: OpenPlace) -> None:
    async with open_place() as place, place.online("ann", "bob") as (ann, bob):
        await place.group("ann", "bob")
        sends = [
            ann.seal(message(9)),
            message(2, payload=b"wrong key"),
            ann.seal(message(2**32 - 1, "g", channel_type=2, flags=0xF)),
            ann.seal(message(0, "nowhere", channel_type=2)),
            ann.seal(message(1, client_msg_no="")),
            ann.seal(message(1, "ann@bob")),
            ann.seal(message(10)),
        ]
        await ann.send(*sends)
        for send, reason_code in zip(sends, (1, 8, 1, 5, 1, 16, 1), strict=True):
            raw = await ann.receive_bytes()
            assert raw[0] == 0x40
            sendack = ann.decode(raw)
            assert isinstance(sendack, Sendack)
            assert (sendack.client_seq, sendack.client_msg_no) == (send.client_seq, send.client_msg_no)
            if reason_code == 1:
                assert sendack.reason_code == 1
                assert sendack.message_id > 0
                assert (sendack.message_seq > 0) is not bool(send.flags & 1)
            else:
                assert (sendack.reason_code, sendack.message_id, sendack.message_seq) == (reason_code, 0, 0)
        numbers = [(await bob.receive_message()).client_msg_no for _ in range(4)]
        assert (numbers[0], numbers[1], numbers[3]) == ("m9", f"m{2**32 - 1}", "m10")
        assert numbers[2] != "", "the server makes one up"


async def test_w050_in_every_version(open_place: OpenPlace) -> None:
    async with open_place() as place:
        for n in VERSIONS:
            async with place.online(f"{n}:ann", f"{6 - n}:bob") as (ann, bob):
                await ann.send(ann.seal(message(n, payload=b"%d" % n)))
                raw = await ann.receive_bytes()
                assert len(raw) == 2 + (17 if n < 6 else 21) + 2 + 2
                sendack = ann.decode(raw)
                assert isinstance(sendack, Sendack)
                assert (sendack.client_seq, sendack.client_msg_no, sendack.message_seq) == (n, f"m{n}", n + 1)
                recv = await received(bob, sendack)
                assert (recv.from_uid, recv.channel_id, recv.payload) == ("ann", "ann", b"%d" % n)


async def test_w050_answers_do_not_overtake_the_store(open_place: OpenPlace) -> None:
    class SlowStore(MemoryStore):
        may_store = trio.Event()

        async def append_messages(self, drafts: Sequence[Message], **terms: Any) -> Sequence[int]:
            await self.may_store.wait()
            return await super().append_messages(drafts, **terms)

    async with open_place(store=(store := SlowStore())) as place, place.online("ann") as (ann,):
        await ann.send(ann.seal(message(1)), PING, message(2), ann.seal(message(3)), PING)
        await ann.expect_quiet(0.05)
        store.may_store.set()
        answers = [await ann.receive() for _ in range(5)]
        assert [getattr(answer, "client_seq", 0) for answer in answers] == [1, 0, 2, 3, 0]
        assert [getattr(answer, "reason_code", 0) for answer in answers] == [1, 0, 8, 1, 0]


async def test_w051_a_repeated_send(open_place: OpenPlace) -> None:
    async with open_place() as place, place.online("ann", "bob") as (ann, bob):
        first = await sent(ann, 1)
        await received(bob, first)
        again = await ann.call(ann.seal(msgspec.structs.replace(message(1), flags=8, expire=7)))
        assert again == first
        other_seq = await sent(ann, 7, client_msg_no="m1")
        assert (other_seq.message_id, other_seq.message_seq) == (first.message_id, first.message_seq)
        # In one read, before the first is stored.
        await ann.send(*[ann.seal(message(n, client_msg_no="m2")) for n in (2, 3, 4)])
        acks = [await ann.receive() for _ in range(3)]
        assert {(a.message_id, a.message_seq, a.reason_code) for a in acks} == {(acks[0].message_id, 2, 1)}  # type: ignore[union-attr]
        assert [a.client_seq for a in acks] == [2, 3, 4]  # type: ignore[union-attr]
        # Another payload is another message, and so is the number in another channel or of another user.
        assert (await sent(ann, 5, client_msg_no="m1", payload=b"other")).message_seq == 3
        assert (await sent(ann, 6, to="cid", client_msg_no="m1")).message_seq == 1
        assert [(await bob.receive_message()).message_seq for _ in range(2)] == [2, 3]
        assert (await sent(bob, 1, to="ann", client_msg_no="m1")).message_seq == 4
        await bob.ping()
        assert [entry["message_seq"] for entry in await place.history("bob")] == [1, 2, 3, 4]


async def test_w051_after_a_reconnect(open_place: OpenPlace) -> None:
    async with open_place() as place, place.online("bob") as (bob,):
        async with place.online("4:ann") as (ann,):
            first = await sent(ann, 3)
        async with place.online("ann") as (ann,):
            # As SDKs do it: the same client_seq and client_msg_no, not in order, DUP not set.
            await ann.send(*[ann.seal(message(n)) for n in (10, 2, 3)])
            acks = [await ann.receive() for _ in range(3)]
            assert [a.client_seq for a in acks] == [10, 2, 3]  # type: ignore[union-attr]
            assert acks[2].message_id == first.message_id  # type: ignore[union-attr]
        assert [(await bob.receive_message()).client_msg_no for _ in range(3)] == ["m3", "m10", "m2"]
        await bob.ping()


async def test_w051_what_is_not_stored_is_never_a_repetition(open_place: OpenPlace) -> None:
    async with open_place() as place, place.online("ann", "bob") as (ann, bob):
        one, two = [await sent(ann, 1, flags=1) for _ in range(2)]
        assert one.message_seq == two.message_seq == 0
        assert one.message_id != two.message_id
        assert [(await bob.receive_message()).message_id for _ in range(2)] == [one.message_id, two.message_id]


NOT_TO_BE_SAID: tuple[tuple[dict[str, Any], int], ...] = (
    ({"to": ""}, 9),
    ({"to": " "}, 9),
    ({"to": "c" * 513}, 9),
    ({"to": "ann@bob"}, 16),
    ({"to": "g", "channel_type": 0}, 23),
    ({"to": "g", "channel_type": 13}, 23),
    ({"to": "g", "channel_type": 255}, 23),
    ({"client_msg_no": "n" * 513}, 9),
    ({"setting": 8, "topic": "t" * 513}, 9),
)


async def test_what_a_send_must_not_say(open_place: OpenPlace) -> None:
    async with open_place() as place, place.online("ann", "bob") as (ann, bob):
        for fields, reason_code in NOT_TO_BE_SAID:
            assert await refused(ann, 1, **fields) == reason_code, fields
        await received(bob, await sent(ann, 2))


async def test_who_may_not_send(open_place: OpenPlace) -> None:
    async with open_place() as place, place.online("ann") as (ann,):
        await place.group("bob", name="others")
        await place.group("ann", name="banned", ban=1)
        await place.group("ann", name="disbanded", disband=1)
        assert await refused(ann, to="others", channel_type=2) == 3
        assert await refused(ann, to="banned", channel_type=2) == 19
        assert await refused(ann, to="disbanded", channel_type=2) == 24
        await place.post("/channel/blacklist_add", {"channel_id": "bob", "channel_type": 1, "uids": ["ann"]})
        assert await refused(ann) == 4
        await place.post("/channel/info", {"channel_id": "ann", "channel_type": 1, "send_ban": 1})
        assert await refused(ann, to="cid") == 25


async def test_who_sends_too_often(open_place: OpenPlace) -> None:
    async with open_place(limits={"rate_limit_per_s": 2}) as place, place.online("ann") as (ann,):
        await ann.send(*[ann.seal(message(n)) for n in range(9)])
        reasons = [(await ann.receive()).reason_code for _ in range(9)]  # type: ignore[union-attr]
        assert reasons[:2] == [1, 1]
        assert reasons[-1] == 22


async def test_a_client_may_send_and_leave_in_one_breath(open_place: OpenPlace) -> None:
    """More than is served at once, then the end."""
    async with open_place() as place, place.online("bob") as (bob,), place.online("ann") as (ann,):
        await ann.send(*[ann.seal(message(n)) for n in range(1000)])
        if ann.websocket is not None:
            await ann.websocket.send_close()
        elif isinstance(ann.stream, trio.SocketStream):
            await ann.stream.send_eof()
        for n in range(1000):
            assert (await bob.receive_message()).client_msg_no == f"m{n}"
