"""`/event`, the older form."""

from base64 import b64decode
from typing import Any

import httpx
import pytest
import trio
from api_calls import OK, Api, OpenServer
from event_streams import G, Stream, online

from wukong_trio import MessageEvent


async def plain(api: Api, kind: str, query: str = "", event: dict[str, Any] | None = None, **more: Any) -> None:
    body = {**G, "event": {"type": kind, **(event or {})}, **more}
    answer = await api.http.post(f"/event{query}", json=body)
    assert (answer.status_code, answer.json()) == (200, OK), answer.text


async def test_plain_events_are_pushed_as_they_are(api: Api) -> None:
    await api.ok("/channel", **G, subscribers=["ann"])
    async with online(api, "ann") as ann:
        for kind in ("typing", "___ToolCallStart", "stream.delta"):
            await plain(api, kind, event={"id": "i", "timestamp": 5, "data": "no JSON"}, client_msg_no="s1")
            assert await ann.events.__anext__() == MessageEvent("i", kind, 5, b"no JSON")
        await plain(api, "typing")
        made = await ann.events.__anext__()
        assert made.event_id
        assert made.timestamp > 10**12
        assert made.data == b""
    assert (await Stream(api).sync(include_private=1))["events"] == []
    for body in ({**G}, {**G, "event": None}, {**G, "event": {"type": " "}}):
        await api.e400("/event", "event_type不能为空！", **body)
    await api.e400("/event", "channel_id不能为空！", event={"type": "x"})
    await api.e400("/event", "频道类型错误！", channel_id="g", event={"type": "x"})


async def test_a_text_in_the_older_form(api: Api) -> None:
    await api.ok("/channel", **G, subscribers=["ann"])
    stream = Stream(api)
    async with online(api, "ann") as ann:
        await plain(api, "___TextMessageStart", event={"data": '{"type":1}'}, client_msg_no="s1", from_uid="bot")
        message = await ann.__anext__()
        assert (message.client_msg_no, message.from_uid, message.payload) == ("s1", "bot", b'{"type":1}')
        for n, piece in enumerate(("Hel", "lo")):
            event = {"id": f"i{n}", "data": piece, "timestamp": 5}
            for _ in range(2):
                await plain(api, "___TextMessageContent", event=event, client_msg_no="s1")
        assert b64decode((await stream.record())["stream_data"]) == b"Hello"
        await plain(api, "___TextMessageEnd", event={"data": "bye"}, client_msg_no="s1")
        record = await stream.record()
        assert (record["end"], b64decode(record["stream_data"])) == (1, b"Hello")
        events = [await ann.events.__anext__() for _ in range(4)]
        assert [(event.type[14:], event.data) for event in events] == [
            *(("Start", b'{"type":1}'), ("Content", b"Hel"), ("Content", b"lo"), ("End", b"bye"))
        ]
        assert events[1] == MessageEvent("i0", "___TextMessageContent", 5, b"Hel")
    content = {"event": {"type": "___TextMessageContent"}}
    await api.e400("/event", "stream closed", **G, client_msg_no="s1", **content)
    await api.e400("/event", "client_msg_no不能为空！", **G, **content)
    await api.e400("/event", "client_msg_no不能为空！", **G, event={"type": "___TextMessageStart"})


async def test_a_forced_start_cancels_what_is_open(api: Api) -> None:
    first = Stream(api)
    start = {"type": "___TextMessageStart"}
    await plain(api, "___TextMessageStart", client_msg_no="s1")
    await first.add("e1", text="a")
    await plain(api, "___TextMessageStart", "?force=0", client_msg_no="s2")
    assert "end" not in (await api.history("g"))["messages"][0]
    await plain(api, "___TextMessageStart", "?force=1", client_msg_no="s3")
    records = (await api.history("g"))["messages"]
    assert [record.get("end", 0) for record in records] == [1, 1, 0]
    assert records[0]["event_meta"]["events"][0]["status"] == "cancelled"
    await first.refused("stream closed")
    await Stream(api, "s3").add("e1", text="b")
    await api.ok("/channel", **G, ban=1)
    await api.e400("/event", **G, client_msg_no="s4", event=start)
    await api.e400("/event", "频道ID不合法！", channel_id="a@b", channel_type=1, client_msg_no="s4", event=start)


@pytest.mark.parametrize("kind", ["typing", "___TextMessageContent", "___TextMessageStart", "___TextMessageEnd"])
async def test_plain_events_have_a_limit(open_server: OpenServer, kind: str) -> None:
    with trio.fail_after(20):
        async with open_server(limits={"payload_bytes": 1000}) as server, Api(server) as api:
            most = 1000 - len('{"kind":"text","delta":""}') if kind.endswith("Content") else 1000
            await plain(api, kind, event={"data": "x" * most}, client_msg_no="s1")
            body = {**G, "client_msg_no": "s1", "event": {"type": kind, "data": "x" * 1001}}
            answer: httpx.Response = await api.http.post("/event", json=body)
            assert answer.status_code == 400
            assert "is larger than 1000 bytes" in answer.json()["msg"]
