"""Over HTTP: a message that has expired is nowhere, and numbers go on."""

from pathlib import Path
from time import time

import pytest
import trio
from api_calls import Api, OpenServer

from wukong_trio import open_store

TEAM = {"channel_id": "team", "channel_type": 2, "login_uid": "ann"}
BY_QUERY = "channel_id=team&channel_type=2&login_uid=ann"


async def found(api: Api, message_id: int) -> dict[str, list[int] | int]:
    """Sequence numbers, as every look-up gives them."""
    several = {**TEAM, "message_seqs": [1, 2], "message_ids": [message_id], "client_msg_nos": ["c2"]}
    answers = {
        "page": (await api.history("team"))["messages"],
        "page up": (await api.history("team", start_message_seq=1, pull_mode=1))["messages"],
        "batch": (await api.post("/channel/messagesyncbatch", {"login_uid": "ann", "items": [TEAM]}))["items"][0][
            "messages"
        ],
        "several": (await api.post("/messages", several))["messages"],
    }
    singles = {
        "by id": await api.post("/message", {**TEAM, "message_id": message_id}),
        "by number": await api.get(f"/message/byclientmsgno?{BY_QUERY}&client_msg_no=c2"),
        "last": await api.get(f"/channel/last_message?{BY_QUERY}"),
    }
    return {
        **{name: [record["message_seq"] for record in records] for name, records in answers.items()},
        **{name: record.get("message_seq", 0) for name, record in singles.items()},
        "highest": (await api.get(f"/channel/max_message_seq?{BY_QUERY}"))["message_seq"],
    }


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_it_is_gone_from_every_look_up_at_its_second(open_server: OpenServer, tmp_path: Path, kind: str) -> None:
    with trio.fail_after(20):
        async with (
            open_store(None if kind == "memory" else tmp_path) as store,
            open_server(store=store) as server,
            Api(server) as api,
        ):
            await api.send("team", client_msg_no="c1")
            sent = await api.send("team", client_msg_no="c2", expire=100)
            message_id = sent["data"]["message_id"]
            [timestamp] = [record["timestamp"] for record in (await api.history("team", limit=1))["messages"]]
            assert abs(timestamp - time()) < 10
            pages, singles = ("page", "page up", "batch"), ("by id", "by number", "last", "highest")
            before = {name: [1, 2] for name in pages} | {"several": [1, 2, 2, 2]} | dict.fromkeys(singles, 2)
            after = {name: [1] for name in (*pages, "several")} | dict.fromkeys(singles, 0) | {"last": 1, "highest": 2}
            for at_s, expected in ((timestamp + 99.9, before), (timestamp + 100, after)):
                store.clock = lambda at_s=at_s: at_s
                for _ in range(3):
                    assert await found(api, message_id) == expected
            assert (await api.send("team"))["data"]["message_seq"] == 3


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_so_are_the_events_of_a_stream(open_server: OpenServer, tmp_path: Path, kind: str) -> None:
    with trio.fail_after(20):
        async with (
            open_store(None if kind == "memory" else tmp_path) as store,
            open_server(store=store) as server,
            Api(server) as api,
        ):
            name = {"channel_id": "team", "channel_type": 2, "client_msg_no": "s"}
            await api.send("team", client_msg_no="s", is_stream=1, expire=100)
            event = {**name, "event_id": "e", "event_type": "stream.close", "payload": {"kind": "text", "text": "x"}}
            await api.post("/message/event", event)
            [timestamp] = [record["timestamp"] for record in (await api.history("team", limit=1))["messages"]]
            for at_s, count in ((timestamp + 99.9, 1), (timestamp + 100, 0)):
                store.clock = lambda at_s=at_s: at_s
                assert len((await api.post("/message/eventsync", name))["data"]["events"]) == count
