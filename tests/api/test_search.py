"""Searching over HTTP: statement 144, and what else the contract says of it."""

import json
import os
import time
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trio
from api_calls import Api, OpenServer

from wukong_trio.api.search import PATH
from wukong_trio.config import Search

ON = Search(on=True)


def encoded(**payload: object) -> str:
    return b64encode(json.dumps(payload).encode()).decode()


async def say(
    api: Api, channel_id: str, content: str, channel_type: int = 2, from_uid: str = "ann", **more: object
) -> Any:
    """Sends a text."""
    payload = encoded(type=1, content=content)
    return await api.send(channel_id, channel_type, from_uid=from_uid, payload=payload, **more)


async def found(api: Api, content: str, uid: str = "ann", **more: object) -> list[str]:
    """The texts that a user finds, newest first."""
    answer = await api.post(PATH, {"uid": uid, "payload": {"content": content}, **more})
    return [message["payload"]["content"] for message in answer["messages"]]


async def until_indexed(api: Api) -> None:
    search = api.server._parts.search
    assert search is not None
    while search.lag_s:  # noqa: ASYNC110 - that it has caught up has no event
        await trio.sleep(0.01)


@pytest.fixture
async def api(open_server: OpenServer) -> AsyncIterator[Api]:
    with trio.fail_after(20):
        async with open_server(search=ON) as server, Api(server) as api:
            yield api


async def test_h144_own_messages_are_found_and_no_others(api: Api) -> None:
    await api.ok("/channel", channel_id="team", channel_type=2, subscribers=["ann", "bob"])
    await api.ok("/channel", channel_id="other", channel_type=2, subscribers=["eve"])
    for channel_id in ("team", "other"):
        await say(api, channel_id, f"hello {channel_id}", from_uid="eve")
    await say(api, "bob", "hello person", 1)
    await say(api, "eve", "hello eve", 1, from_uid="bob")
    await until_indexed(api)
    assert await found(api, "hello") == ["hello person", "hello team"]
    assert await found(api, "hello", uid="bob") == ["hello eve", "hello person", "hello team"]
    assert await found(api, "hello", uid="eve") == ["hello eve", "hello other"]
    assert await found(api, "hello", uid="nobody") == []


async def test_h144_a_payload_is_an_object_and_the_record_complete(api: Api) -> None:
    sent = await say(api, "bob", "hello", 1, client_msg_no="mine", topic="t")
    await until_indexed(api)
    answer = await api.post(PATH, {"uid": "bob", "payload": {"content": "hello"}, "highlights": ["payload.content"]})
    [message] = answer["messages"]
    timestamp = message.pop("timestamp")
    assert abs(timestamp - time.time()) < 10
    assert answer == {
        "total": 1,
        "limit": 10,
        "page": 1,
        "messages": [
            {
                "message_id": sent["message_id"],
                "message_idstr": str(sent["message_id"]),
                "message_seq": 1,
                "client_msg_no": "mine",
                "from_uid": "ann",
                "channel_id": "ann",
                "channel_type": 1,
                "payload": {"type": 1, "content": "<mark>hello</mark>"},
                "topic": "t",
            }
        ],
    }


async def test_h144_words_inside_a_chinese_sentence(api: Api) -> None:
    await say(api, "bob", "今天下午三点在公司会议室开会", 1)
    await until_indexed(api)
    for word in ("下午", "会议", "三", "公司会议室", "开会 今天"):
        assert await found(api, word) == ["今天下午三点在公司会议室开会"]
    assert await found(api, "上午") == []


async def test_who_has_left_finds_nothing_at_once(api: Api) -> None:
    team = {"channel_id": "team", "channel_type": 2}
    await api.ok("/channel", **team, subscribers=["ann", "bob"])
    await say(api, "team", "hello")
    await until_indexed(api)
    assert await found(api, "hello", uid="bob") == ["hello"]
    await api.ok("/channel/blacklist_add", **team, uids=["bob"])
    assert await found(api, "hello", uid="bob") == []
    await api.ok("/channel/blacklist_remove", **team, uids=["bob"])
    assert await found(api, "hello", uid="bob") == ["hello"]
    await api.ok("/channel/subscriber_remove", **team, subscribers=["bob"])
    assert await found(api, "hello", uid="bob") == []
    assert await found(api, "hello") == ["hello"]


async def test_what_was_stored_before_is_found_too(open_server: OpenServer, tmp_path: Path) -> None:
    """Search may be switched off for a while."""
    with trio.fail_after(20):
        for on in (True, False, True):
            async with open_server(search=Search(on=on), data_dir=tmp_path) as server, Api(server) as api:
                await say(api, "bob", "hello", 1)
                if on:
                    await until_indexed(api)
        async with open_server(search=ON, data_dir=tmp_path) as server, Api(server) as api:
            await until_indexed(api)
            assert await found(api, "hello") == ["hello"] * 3


async def test_lag_is_2_s_at_most(api: Api) -> None:
    """From the answer to a send to the search that finds it."""
    for number in range(20):
        await say(api, "bob", f"hello {number}", 1)
        with trio.fail_after(2):
            while not await found(api, f"hello {number}"):  # noqa: ASYNC110 - there is no event
                await trio.sleep(0.01)


async def test_without_it_the_plugin_is_not_there(open_server: OpenServer) -> None:
    with trio.fail_after(10):
        async with open_server() as server, Api(server) as api:
            for body in ({"uid": "ann"}, {}):
                answer = await api.http.post(PATH, json=body)
                assert (answer.status_code, answer.json()) == (400, {"msg": "plugin not found", "status": 404})


async def test_refusals_name_the_field(api: Api) -> None:
    await api.e400(PATH, "uid不能为空！", payload={"content": "hello"})
    await api.e400(PATH, "uid不能为空！", uid=" ")
    await api.e400(PATH, "uid is longer than 512 bytes", uid="u" * 513)
    await api.e400(
        PATH, "payload.content must be a text or a whole number of 64 bits", uid="ann", payload={"content": []}
    )
    await api.e400(PATH, "page is beyond the newest 10000 messages", uid="ann", limit=100, page=101)
    await api.e400(
        PATH, "highlights must be members of the payload, for example payload.content", uid="ann", highlights=["x"]
    )
    await api.e400(PATH, "数据格式有误！", uid="ann", payload="hello")
    await api.e400(PATH, "数据格式有误！", uid="ann", payload_types=["1"])
    assert await api.post(PATH, {"uid": "ann", "payload": None, "limit": None, "page": None}) == {
        "total": 0,
        "limit": 10,
        "page": 1,
        "messages": [],
    }


async def test_an_index_that_cannot_be_had(open_server: OpenServer, tmp_path: Path) -> None:
    os.mkdir(tmp_path / "search.db")
    with trio.fail_after(20):
        async with open_server(search=ON, data_dir=tmp_path) as server, Api(server) as api:
            await say(api, "bob", "hello", 1)
            answer = await api.http.post(PATH, json={"uid": "ann"})
            assert (answer.status_code, answer.json()) == (
                503,
                {"msg": "the search is not available at the moment; the server's log says why", "status": 503},
            )
            os.rmdir(tmp_path / "search.db")
            while (await api.http.post(PATH, json={"uid": "ann"})).status_code == 503:  # noqa: ASYNC110 - no event
                await trio.sleep(0.05)
            await until_indexed(api)
            assert await found(api, "hello") == ["hello"]
