"""What a client shows of events of messages, in both protocols."""

import json

import httpx
import pytest
import trio
from common import person
from stub_server import url_of

from wukong_trio import ConnectionClosed, MessageEvent, MessagesMissed, Server, open_client
from wukong_trio.client import inbox
from wukong_trio.testing import open_test_server

NAME = {"channel_id": "ann", "channel_type": 1, "from_uid": "bot", "client_msg_no": "s1"}


async def append(server: Server, event_id: str, **more: object) -> None:
    body = {**NAME, "event_id": event_id, "event_type": "own.type", **more}
    async with httpx.AsyncClient(base_url=server.endpoints.http) as http:
        assert (await http.post("/message/event", json=body)).status_code == 200


async def test_events_come_beside_the_messages(protocol: str) -> None:
    with trio.fail_after(10):
        async with open_test_server() as server, open_client(url_of(server, protocol), uid="ann") as ann:
            await append(server, "e1", occurred_at=-5, payload={"text": '"\n群'})
            await append(server, "e2")
            await server.send(person(b"hi", to="ann"))
            assert (await ann.__anext__()).payload == b"hi", "an iteration over messages gives messages"
            event = await ann.events.__anext__()
            assert (event.event_id, event.type, event.timestamp) == ("e1", "own.type", -5)
            assert json.loads(event.data)["payload"] == {"text": '"\n群'}
            async for event in ann.events:
                assert isinstance(event, MessageEvent)
                assert event.event_id == "e2"
                break


async def test_after_the_end_what_had_arrived_can_be_taken(protocol: str) -> None:
    with trio.fail_after(10):
        async with open_test_server() as server, open_client(url_of(server, protocol), uid="ann") as ann:
            await append(server, "e1")
            await ann.ping()
            server.kick("ann")
            with pytest.raises(ConnectionClosed) as closed:
                await ann.__anext__()
            assert closed.value.reason_code == 12
            assert (await ann.events.__anext__()).event_id == "e1"
            with pytest.raises(ConnectionClosed):
                await ann.events.__anext__()


async def test_who_takes_no_events_is_told_how_many_are_gone(protocol: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "INBOX_MESSAGES", 2)
    with trio.fail_after(10):
        async with open_test_server() as server, open_client(url_of(server, protocol), uid="ann") as ann:
            for n in range(3):
                await append(server, f"e{n}")
            await server.send(person(b"hi", to="ann"))
            assert (await ann.__anext__()).payload == b"hi"
            with pytest.raises(MessagesMissed) as missed:
                await ann.events.__anext__()
            assert missed.value.count == 1
            assert (await ann.events.__anext__()).event_id == "e1"
