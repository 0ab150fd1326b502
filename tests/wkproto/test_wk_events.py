"""Statement 57 and section 12.7: EVENT packets."""

import json
from typing import Any

import pytest
from places import VERSIONS, OpenPlace, Place, sent

from wukong_trio.protocol.wkproto import Event
from wukong_trio.testing import RawPacketClient

NAME = {"channel_id": "g", "channel_type": 2, "client_msg_no": "s1"}


async def append(place: Place, event_id: str, kind: str = "stream.delta", **more: Any) -> None:
    await place.post("/message/event", {**NAME, "event_id": event_id, "event_type": kind, **more})


async def event_of(client: RawPacketClient) -> Event:
    packet = await client.receive()
    assert isinstance(packet, Event), packet
    return packet


@pytest.mark.parametrize("encryption", [True, False])
async def test_w057_who_knows_events_gets_them(open_place: OpenPlace, encryption: bool) -> None:
    async with (
        open_place(encryption=encryption) as place,
        place.online(*(f"{version}:u{version}" for version in VERSIONS), encryption=encryption) as clients,
    ):
        await place.group(*(f"u{version}" for version in VERSIONS))
        await append(place, "e1", occurred_at=123, payload={"kind": "text", "delta": "群"})
        for version, client in zip(VERSIONS, clients, strict=True):
            if version >= 5:
                event = await event_of(client)
                assert (event.event_id, event.type, event.timestamp) == ("e1", "stream.delta", 123)
                # In clear, and the same for all.
                assert json.loads(event.data)["payload"] == {"kind": "text", "delta": "群"}
            await client.ping()


async def test_w057_an_event_comes_after_its_message(open_place: OpenPlace) -> None:
    async with open_place() as place, place.online("5:ann", "6:bob", "4:old") as (*new, old):
        await place.group("ann", "bob", "old")
        send = {**NAME, "from_uid": "bot", "payload": "e30=", "is_stream": 1}
        await place.post("/message/send", send)
        for n in range(3):
            await append(place, f"e{n}")
        await append(place, "e3", "stream.close")
        for client in new:
            recv = await client.receive_message()
            assert recv.setting & 2, "a mark of version 5"
            assert [(await event_of(client)).event_id for _ in range(4)] == ["e0", "e1", "e2", "e3"]
        recv = await old.receive_message()
        assert not recv.setting & 2
        await old.ping()


async def test_an_event_that_fits_into_no_packet_goes_to_the_others(open_place: OpenPlace) -> None:
    limits = {"payload_bytes": 2_000_000, "ws_message_bytes": 4_000_000}
    async with open_place(limits=limits) as place, place.online("ann") as (ann,), place.json_online("bob") as (bob,):
        await place.group("ann", "bob")
        for event_id, size in (("large", 1_100_000), ("small", 1_000_000)):
            await append(place, event_id, "x", payload="x" * size)
            assert (await bob.receive())["params"]["id"] == event_id
        assert (await event_of(ann)).event_id == "small"
        await sent(ann, to="nobody")
