"""Statement 102: events of messages, for clients of each form."""

import json
from typing import Any

from steps import OpenServer, P, group, online, post

from wukong_trio import Server
from wukong_trio.testing import open_raw_client

NAME = {"channel_id": "g", "channel_type": 2, "client_msg_no": "s1"}


async def append(server: Server, event_id: str, kind: str = "stream.delta", **more: Any) -> None:
    await post(server, "/message/event", {**NAME, "event_id": event_id, "event_type": kind, **more})


async def test_j102_members_get_events(open_server: OpenServer) -> None:
    async with (
        open_server() as server,
        online(server, "ann", "sdk:bob", "eve") as (ann, bob, eve),
        online(server, "carl", query="/?profile=both") as (carl,),
        open_raw_client(server.endpoints.ws) as dan,
    ):
        await dan.send_binary(b'{"id":"c","method":"connect","params":{"uid":"dan","token":"t"}}')
        assert "result" in await dan.receive()
        await group(server, "ann", "bob", "carl", "dan")
        await append(server, "e1", payload={"kind": "text", "delta": '"\n群'})
        events = [await client.receive() for client in (ann, bob, carl, dan)]
        assert all(event == events[0] for event in events)
        event = events[0]
        assert event.keys() == {"jsonrpc", "method", "params"}
        assert event["method"] == "event"
        params = event["params"]
        assert params.keys() == {"id", "type", "timestamp", "data"}
        assert (params["id"], params["type"]) == ("e1", "stream.delta")
        assert params["timestamp"] > 10**12
        assert json.loads(params["data"])["payload"] == {"kind": "text", "delta": '"\n群'}
        # Once each, and nobody else.
        for client in (ann, bob, carl, dan, eve):
            await client.ping()


async def test_events_and_messages_keep_their_order(open_server: OpenServer) -> None:
    async with open_server() as server, online(server, "ann", "sdk:bob") as (ann, bob):
        await group(server, "ann", "bob")
        send = {**NAME, "from_uid": "bot", "payload": P}
        await post(server, "/message/send", {**send, "is_stream": 1})
        for n in range(3):
            await append(server, f"e{n}")
            await post(server, "/message/send", {**send, "client_msg_no": f"m{n}"})
        for client in (ann, bob):
            frames = [(await client.receive())["params"] for _ in range(7)]
            names = [params.get("clientMsgNo") or params["id"] for params in frames]
            assert names == ["s1", "e0", "m0", "e1", "m1", "e2", "m2"]


async def test_events_are_not_repeated(open_server: OpenServer) -> None:
    retry = {"interval_s": 0.1, "max_count": 3}
    async with open_server(message_retry=retry) as server, online(server, "sdk:bob") as (bob,):
        await group(server, "bob")
        await append(server, "e1", "stream.close")
        assert (await bob.receive())["method"] == "event"
        # A message that is repeated twice says that there was time for it.
        await post(server, "/message/send", {**NAME, "from_uid": "bot", "payload": P})
        assert [(await bob.receive())["method"] for _ in range(3)] == ["recv"] * 3
