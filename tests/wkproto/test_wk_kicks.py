"""Statements 52, 53 and 60: who is sent away, and the last word (section 12.4)."""

from contextlib import nullcontext

import pytest
import trio
from places import OpenPlace, Place, message, read_until_closed, received, sent

from wukong_trio.protocol.wkproto import Disconnect, Recv, Sendack
from wukong_trio.testing import RawPacketClient

MASTER, SLAVE = 1, 0


async def kicked(place: Place, client: RawPacketClient, reason: str) -> None:
    """DISCONNECT 12 and the end, soon."""
    with trio.fail_after(2):
        assert await client.receive() == Disconnect(12, reason)
        await place.ended(client, 4003)


async def level(place: Place, device_level: int, device_flag: int = 0) -> None:
    await place.post(
        "/user/token", {"uid": "ann", "token": "t", "device_level": device_level, "device_flag": device_flag}
    )


async def test_w052_a_master_drives_all_others_away(open_place: OpenPlace) -> None:
    async with open_place() as place:
        await level(place, MASTER)
        await level(place, MASTER, 1)
        async with place.online("ann", device_id="w", device_flag=1) as (web,):
            async with place.online("ann", device_id="d1") as (one,), place.online("ann", device_id="d2") as (two,):
                await kicked(place, one, "login in other device")
                await two.ping()
                async with place.online("ann", device_id="d2") as (again,):
                    await place.ended(two, 4006)
                    async with place.online("ann") as (nameless,):
                        await kicked(place, again, "login in other device")
                        async with place.online("ann") as (other,):
                            # An empty device_id is nobody else's.
                            await kicked(place, nameless, "login in other device")
                            await other.ping()
            await web.ping()


@pytest.mark.parametrize("version", [0, 2, 5])
async def test_w052_in_older_versions(open_place: OpenPlace, version: int) -> None:
    async with open_place() as place:
        await level(place, MASTER)
        async with place.online(f"{version}:ann", device_id="d1") as (old,), place.online("ann", device_id="d2"):
            await kicked(place, old, "login in other device")


async def test_w053_slaves_share_a_device_flag(open_place: OpenPlace) -> None:
    async with (
        open_place() as place,
        place.online("bob") as (bob,),
        place.online("ann", device_id="d1") as (one,),
        place.online("ann", device_id="d2") as (two,),
        place.online("ann", "ann") as nameless,
        place.online("ann", device_id="d1", device_flag=1) as (web,),
        place.online("ann", device_id="d1") as (again,),
    ):
        await place.ended(one, 4006)
        sendack = await sent(bob, to="ann")
        for client in (two, *nameless, web, again):
            await received(client, sendack)


async def test_w060_what_waits_is_written_before_the_last_word(open_place: OpenPlace) -> None:
    async with open_place() as place, place.online("ann", "bob") as (ann, bob):
        for n in range(50):
            await sent(ann, n)
        await bob.send(*[bob.seal(message(n, to="ann")) for n in range(20)])
        for _ in range(20):
            await ann.receive_message()
        assert place.server.kick("bob", reason="go") == 1
        await sent(ann, 99)
        packets, closed = await read_until_closed(bob)
        kinds = [type(bob.decode(packet)) for packet in packets]
        assert (kinds.count(Recv), kinds.count(Sendack), len(kinds)) == (50, 20, 71)
        assert bob.decode(packets[-1]) == Disconnect(12, "go")
        assert closed.code == (4003 if place.has_frames else 1006)


async def test_w060_who_is_sent_away_is_not_heard_any_more(open_place: OpenPlace) -> None:
    async with open_place() as place, place.online("ann", "bob") as (ann, bob):
        place.server.kick("ann", reason="")
        await ann.send(ann.seal(message()))
        await kicked(place, ann, "")
        await bob.ping()
        assert not await place.history("bob")


async def test_device_quit(open_place: OpenPlace) -> None:
    async with open_place() as place:
        await level(place, SLAVE)
        await level(place, SLAVE, 1)
        async with place.online("ann") as (app,), place.online("ann", device_flag=1) as (web,):
            await place.post("/user/device_quit", {"uid": "ann", "device_flag": 0})
            await kicked(place, app, "device quit")
            await web.ping()
            await place.post("/user/device_quit", {"uid": "ann", "device_flag": -1})
            await kicked(place, web, "device quit")
        async with place.stranger() as client:
            assert (await client.try_connect("ann", token="t")).reason_code == 2


async def test_a_new_master_token(open_place: OpenPlace) -> None:
    async with open_place() as place, place.online("ann") as (ann,):
        await level(place, SLAVE)
        await level(place, MASTER, 1)
        await ann.ping()
        await level(place, MASTER)
        await kicked(place, ann, "账号在其他设备上登录")


async def test_a_client_that_does_not_read_is_closed_all_the_same(open_place: OpenPlace) -> None:
    limits = {"close_timeout_s": 0.2, "outbox_bytes": 2**30}
    async with open_place(limits=limits) as place, place.online("ann", "deaf") as (ann, deaf):
        for n in range(60):
            await sent(ann, n, to="deaf", payload=bytes(200_000), flags=1)
        place.server.kick("deaf", reason="go")
        # Longer than the server waits.
        await trio.sleep(0.5)
        with pytest.raises(AssertionError, match="inside a packet") if not place.has_frames else nullcontext():
            _, closed = await read_until_closed(deaf)
            assert closed.code == 1006
        await ann.ping()
