"""Statements 134-138: events of messages, over HTTP with each engine, and what is shown of them everywhere."""

import json
from base64 import b64decode
from pathlib import Path
from typing import Any

import trio
from api_calls import Api, OpenServer
from event_streams import G, Stream, online, told

from wukong_trio import open_client
from wukong_trio.store import base as store_base
from wukong_trio.store.memory import MemoryStore


async def test_h134_deltas_reach_who_is_online_and_the_record(api: Api) -> None:
    await api.ok("/channel", **G, subscribers=["ann", "bob"])
    stream = Stream(api)
    async with online(api, "ann") as ann, online(api, "bob") as bob:
        message_id = (await stream.start())["message_id"]
        assert "event_meta" not in await stream.record()
        await stream.add("e1", text="Hel")
        assert (await stream.add("e2", " Stream.DELTA ", text="lo", occurred_at=123))["msg_event_seq"] == 0
        for client in (ann, bob):
            assert (await client.__anext__()).message_id == message_id
            first, _ = await told(client)
            assert (first.event_id, first.type) == ("e1", "stream.delta")
            assert first.timestamp > 10**12
            second, data = await told(client)
            assert (second.event_id, second.type, second.timestamp) == ("e2", " Stream.DELTA ", 123)
            assert data == {
                **stream.name,
                "from_uid": "bot",
                "message_id": message_id,
                "event_key": "main",
                "msg_event_seq": 0,
                "stream_status": "open",
                "payload": {"kind": "text", "delta": "lo"},
            }
    record = await stream.record()
    [key] = record["event_meta"]["events"]
    assert key == {"event_key": "main", "status": "open", "snapshot": {"kind": "text", "text": "Hello"}}
    assert b64decode(record["stream_data"]) == b"Hello"
    assert "end" not in record
    assert record["event_sync_hint"] == {"client_msg_no": "s1", "from_msg_event_seq": 0}


async def test_h135_a_closed_stream(api: Api) -> None:
    stream = Stream(api)
    await stream.start()
    await stream.add("e1", text="Hello")
    closed = await stream.add("e2", "stream.close", payload={"end_reason": 2})
    assert closed == {
        "client_msg_no": "s1",
        "event_key": "main",
        "event_id": "e2",
        "msg_event_seq": 1,
        "stream_status": "closed",
        **G,
        "from_uid": "bot",
    }
    record = await stream.record()
    assert (record["end"], record["end_reason"], b64decode(record["stream_data"])) == (1, 2, b"Hello")
    await stream.refused("stream closed", event_id="e3", payload={"kind": "text", "delta": "x"})
    assert await stream.record() == record


async def test_h135_all_keys_ended_and_a_restart(open_server: OpenServer, tmp_path: Path) -> None:
    with trio.fail_after(20):
        for n in range(2):
            async with open_server(data_dir=tmp_path, synchronous="normal") as server, Api(server) as api:
                stream = Stream(api)
                if n == 0:
                    await stream.start()
                    await stream.add("e1", text="Hello")
                    await stream.add("e2", event_key="open", text="lost")
                    await stream.add("e3", "stream.snapshot", event_key="kept", payload={"n": 1})
                    await stream.add("e4", "stream.close")
                await stream.refused("stream closed")
                record = await stream.record()
                assert (record["end"], b64decode(record["stream_data"])) == (1, b"Hello")
                keys = {key["event_key"]: key.get("snapshot") for key in record["event_meta"]["events"]}
                text = {"kind": "text", "text": "Hello"}
                assert keys == {"main": text, "kept": {"n": 1}} | (
                    {"open": {"kind": "text", "text": "lost"}} if n == 0 else {}
                )


async def test_h136_the_same_event_again_and_what_is_missing(api: Api) -> None:
    await api.ok("/channel", **G, subscribers=["ann"])
    stream = Stream(api)
    async with online(api, "ann") as ann:
        for kind in ("stream.delta", "own.type", "stream.close"):
            first = await stream.add(kind, kind, text="a")
            assert await stream.add(kind, kind, text="b") == first
        await api.send("g", client_msg_no="last")
        assert (await ann.__anext__()).client_msg_no == "last"
        assert [(await told(ann))[0].event_id for _ in range(3)] == ["stream.delta", "own.type", "stream.close"]
    record = (await stream.sync())["events"][0]
    assert (record["msg_event_seq"], record["payload"]) == (2, {"kind": "text", "text": "a"})
    for name in ("channel_id", "client_msg_no", "event_id", "event_type"):
        for blank in ("", " "):
            await stream.refused(f"{name}不能为空！", **{name: blank})
    await api.e400("/message/event", "channel_id不能为空！", raw=b"null")


async def test_h137_events_are_read_ascending_one_for_each_key(api: Api) -> None:
    stream = Stream(api)
    await stream.add("e1", "tool.call", event_key="tools", visibility="private", occurred_at=5, headers={"a": "b"})
    await stream.add("e2", text="Hello")
    await stream.add("e3", "Stream.Close")
    await stream.add("e4", "stream.error", event_key="bad", payload={"error": "boom"})
    assert await stream.sync() == {
        "client_msg_no": "s1",
        "from_msg_event_seq": 0,
        "next_msg_event_seq": 3,
        "more": 0,
        "filtered_by_event_key": "",
        "events": [
            {
                "msg_event_seq": 2,
                "event_id": "e3",
                "event_key": "main",
                "event_type": "stream.close",
                "visibility": "",
                "occurred_at": (await stream.sync())["events"][0]["occurred_at"],
                "payload": {"kind": "text", "text": "Hello"},
            },
            {
                "msg_event_seq": 3,
                "event_id": "e4",
                "event_key": "bad",
                "event_type": "stream.error",
                "visibility": "",
                "occurred_at": (await stream.sync())["events"][1]["occurred_at"],
                "payload": {"status": "error", "end_reason": 0, "error": "boom"},
            },
        ],
    }
    private = (await stream.sync(include_private=1))["events"]
    assert [event["msg_event_seq"] for event in private] == [1, 2, 3]
    assert private[0]["payload"] == {"status": "open", "end_reason": 0}
    assert (private[0]["visibility"], private[0]["occurred_at"]) == ("private", 5)
    page = await stream.sync(from_msg_event_seq=2, event_key="bad")
    assert ([event["event_id"] for event in page["events"]], page["filtered_by_event_key"]) == (["e4"], "bad")
    page = await stream.sync(limit=1)
    assert (page["next_msg_event_seq"], page["more"], len(page["events"])) == (2, 1, 1)
    page = await stream.sync(from_msg_event_seq=9)
    assert (page["next_msg_event_seq"], page["more"], page["events"]) == (9, 0, [])
    await api.e400("/message/eventsync", "limit不能为负数！", **stream.name, limit=-1)
    await api.e400("/message/eventsync", "channel_id不能为空！", client_msg_no="s1")
    await api.e400("/message/eventsync", "client_msg_no不能为空！", **G)


async def test_h138_a_finish_completes_the_message(api: Api) -> None:
    stream = Stream(api)
    await stream.start()
    await stream.add("e1", text="Hello")
    finished = await stream.add("e2", "stream.finish", event_key="main")
    assert (finished["event_key"], finished["stream_status"]) == ("__finish__", "closed")
    meta = (await stream.record())["event_meta"]
    assert (meta["completed"], meta["event_count"], "event_version" in meta) == (True, 1, False)
    await stream.refused("stream closed", event_key="new")


async def test_everywhere_a_record_shows_its_events(api: Api) -> None:
    await api.ok("/channel", **G, subscribers=["ann"])
    stream = Stream(api)
    sent = await stream.start()
    await api.send("g")
    await stream.add("e1", text="Hello")
    for mode, shown in (("", True), ("full", True), ("strange", True), ("basic", False)):
        body = {"login_uid": "ann", "items": [{**G, "event_summary_mode": mode}]}
        batch = (await api.post("/channel/messagesyncbatch", body))["items"][0]["messages"]
        page = (await api.history("g", event_summary_mode=mode))["messages"]
        assert batch == page
        assert ("snapshot" in page[0]["event_meta"]["events"][0]) is shown
        assert b64decode(page[0]["stream_data"]) == b"Hello"
        assert "event_meta" not in page[1]
    record = (await api.history("g"))["messages"][0]
    found = await api.post("/messages", {"login_uid": "ann", **G, "message_seqs": [1, 2]})
    assert found["messages"][0] == record
    assert await api.post("/message", {"login_uid": "ann", **G, "message_id": sent["message_id"]}) == record
    query = "channel_id=g&channel_type=2&login_uid=ann&client_msg_no=s1"
    assert await api.get(f"/message/byclientmsgno?{query}") == record
    other = Stream(api, "s2")
    await other.start()
    await other.add("e1", text="last")
    assert b64decode((await api.get(f"/channel/last_message?{query}"))["stream_data"]) == b"last"


async def test_a_page_that_is_kept_is_not_shown_stale(api: Api) -> None:
    """Pages of a busy group are kept; a page with a stream is always as it is now."""
    stream = Stream(api)
    await api.send("g")
    for _ in range(2):
        assert len((await api.history("g"))["messages"]) == 1
    await stream.start()
    for n in range(3):
        assert ("stream_data" in await stream.record()) is (n > 0)
        await stream.add(f"e{n}", text="a")
    await stream.add("e9", "stream.close")
    assert (await stream.record())["end"] == 1


async def test_only_messages_with_the_stream_bit_show_events(api: Api) -> None:
    stream = Stream(api)
    await stream.start(is_stream=0)
    await stream.add("e1", text="a")
    assert "event_meta" not in await stream.record()


async def test_deltas_of_many_requests_at_once(api: Api) -> None:
    stream = Stream(api)
    await stream.start()

    async def write(name: str) -> None:
        for n in range(20):
            await stream.add(f"{name}{n}", text=name)

    async with trio.open_nursery() as nursery:
        for name in "abcd":
            nursery.start_soon(write, name)
    text = b64decode((await stream.record())["stream_data"]).decode()
    assert sorted(text) == sorted("abcd" * 20)


async def test_ends_at_once_count_once(api: Api) -> None:
    stream = Stream(api)
    await stream.add("e0", text="a")
    seqs: list[int] = []

    async def close(n: int) -> None:
        seqs.append((await stream.add(f"e{n}", "stream.close"))["msg_event_seq"])

    async with trio.open_nursery() as nursery:
        for n in range(1, 10):
            nursery.start_soon(close, n)
    assert seqs == [1] * 9


async def test_both_sides_of_a_person_channel_on_all_devices(api: Api) -> None:
    url = api.server.endpoints.ws
    stream = Stream(api, channel_id="ann", channel_type=1)
    async with (
        open_client(url, uid="ann", device_flag=0) as phone,
        open_client(url, uid="ann", device_flag=1) as browser,
        open_client(url, uid="bot") as bot,
        open_client(url, uid="eve") as eve,
    ):
        await stream.start()
        await stream.add("e1", text="a")
        for client in (phone, browser, bot):
            _, data = await told(client)
            assert (data["channel_id"], data["channel_type"], data["from_uid"]) == ("ann", 1, "bot")
        await eve.send("eve", b"{}")
        with trio.move_on_after(0.05) as nothing:
            await told(eve)
        assert nothing.cancelled_caught
    [record] = (await api.history("bot", 1, login_uid="ann"))["messages"]
    assert b64decode(record["stream_data"]) == b"a"
    # After the end the number says no more who it was.
    await stream.add("e2", "stream.close")
    assert len((await stream.sync(from_uid="bot"))["events"]) == 1
    assert (await stream.sync())["events"] == []


async def test_events_come_though_the_channel_is_banned_and_nobody_is_told_offline(api: Api) -> None:
    await api.ok("/channel", **G, subscribers=["ann"], ban=1, disband=1)
    async with online(api, "ann") as ann:
        await Stream(api).add("e1", "own.type", payload={"a": [1]}, visibility="restricted")
        _, data = await told(ann)
        assert (data["payload"], data["visibility"], data["message_id"]) == ({"a": [1]}, "restricted", 0)
        assert data["from_uid"] == "____system"
    assert (await api.history("g"))["messages"] == []


async def test_bad_values(api: Api) -> None:
    stream = Stream(api)
    await stream.refused("visibility is one of public, private, restricted, or empty", visibility="secret")
    await stream.refused("频道类型错误！", channel_type=0)
    await stream.refused("频道ID不合法！", channel_type=1, channel_id="a@b")
    for name, value in (("headers", {"a": 1}), ("headers", []), ("occurred_at", "5"), ("message_id", 2**63)):
        await stream.refused("数据格式有误！", **{name: value})
    raw = json.dumps({**stream.name, "event_id": "e", "event_type": "x"})[:-1].encode()
    for payload in (b'"\xff"', b'"\\ud800"', b"[" * 2000 + b"]" * 2000):
        await api.e400("/message/event", raw=raw + b',"payload":' + payload + b"}")
    assert (await stream.sync(include_private=1))["events"] == []


async def test_payloads_as_large_as_those_of_messages(open_server: OpenServer) -> None:
    with trio.fail_after(20):
        async with open_server(limits={"payload_bytes": 1000}) as server, Api(server) as api:
            stream = Stream(api)
            await stream.add("e1", "x", payload="x" * 998)
            await stream.refused("payload is larger than 1000 bytes", payload="x" * 999)
            await stream.add("e2", "x", headers={"a": "x" * 4088})
            await stream.refused("headers are larger than 4096 bytes", headers={"a": "x" * 4089})


async def test_null_is_no_payload(api: Api) -> None:
    await api.ok("/channel", **G, subscribers=["ann"])
    async with online(api, "ann") as ann:
        await Stream(api).add("e1", "x", payload=None, headers=None, from_uid=None)
        assert "payload" not in (await told(ann))[1]


class FullStore(MemoryStore):
    """Takes no events once it is full."""

    full = False

    async def save_event(self, event: Any) -> None:
        if self.full:
            raise store_base.StoreError("no disk")
        await super().save_event(event)


async def test_what_cannot_be_stored_is_said_and_not_told(open_server: OpenServer) -> None:
    store = FullStore()
    with trio.fail_after(20):
        async with open_server(store=store) as server, Api(server) as api:
            await api.ok("/channel", **G, subscribers=["ann"])
            stream = Stream(api)
            async with online(api, "ann") as ann:
                await stream.add("e1", text="a")
                store.full = True
                body = {**stream.name, "event_id": "e2", "event_type": "stream.close"}
                answer = await api.http.post("/message/event", json=body)
                assert (answer.status_code, answer.json()["status"]) == (500, 500)
                await stream.add("e3", text="b")
                store.full = False
                assert (await stream.add("e2", "stream.close"))["msg_event_seq"] == 1
                assert [(await told(ann))[0].event_id for _ in range(3)] == ["e1", "e3", "e2"]
