"""Searching over HTTP: statement 144, and what else the contract says of it."""

import json
from base64 import b64encode
from collections.abc import AsyncIterator
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
