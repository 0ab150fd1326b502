"""HTTP statements 19-28 as the clients see them, frame by frame."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio
from api_calls import Api, OpenServer

from wukong_trio import StoreError
from wukong_trio.store.memory import MemoryStore
from wukong_trio.testing import RawClient, open_raw_client

KICKED = 12


@pytest.fixture
async def strict(open_server: OpenServer) -> AsyncIterator[Api]:
    """The API of a server on which nobody connects without his stored token."""
    with trio.fail_after(20):
        async with open_server(auth={"token_auth": "on"}) as server, Api(server) as api:
            yield api


async def sent_away(client: RawClient) -> str:
    """Waits for the goodbye and for the end of the connection, which has to follow soon; returns the text."""
    with trio.fail_after(2):
        goodbye = await client.receive()
        assert goodbye["method"] == "disconnect"
        assert goodbye["params"]["reasonCode"] == KICKED
        assert (await client.wait_closed()).code == 4003
    reason: Any = goodbye["params"].get("reason", "")
    return str(reason)


async def refused(api: Api, uid: str, token: str, device_flag: int = 0) -> int:
    """The reason code of a connect that is refused."""
    async with open_raw_client(api.server.endpoints.ws) as client:
        answer = await client.call("connect", {"uid": uid, "token": token, "deviceFlag": device_flag})
        return int(answer["error"]["data"]["reasonCode"])


async def test_h024_only_the_stored_token_of_the_flag_connects(strict: Api) -> None:
    await strict.ok("/user/token", uid="ann", token="app", device_flag=0)
    await strict.ok("/user/token", uid="ann", token="web", device_flag=1)
    for token, flag in (("bad", 0), ("", 0), ("web", 0), ("app", 1), ("app", 2)):
        assert await refused(strict, "ann", token, flag) == 2
    await strict.ok("/user/token", uid="ann", token="new", device_flag=0)
    assert await refused(strict, "ann", "app") == 2
    async with open_raw_client(strict.server.endpoints.ws) as app, open_raw_client(strict.server.endpoints.ws) as web:
        await app.connect("ann", "new", deviceFlag=0)
        await web.connect("ann", "web", deviceFlag=1)


async def test_h025_h026_a_master_token_sends_its_flag_away(strict: Api) -> None:
    url = strict.server.endpoints.ws
    for flag in (0, 1):
        await strict.ok("/user/token", uid="ann", token="t", device_flag=flag)
    async with open_raw_client(url) as app, open_raw_client(url) as web:
        await app.connect("ann", "t", deviceFlag=0)
        await web.connect("ann", "t", deviceFlag=1)
        await strict.ok("/user/token", uid="ann", token="t2", device_flag=0, device_level=0)
        await app.ping()
        await strict.ok("/user/token", uid="bob", token="t", device_flag=0, device_level=1)
        await app.ping()
        await strict.ok("/user/token", uid="ann", token="t3", device_flag=0, device_level=1)
        assert await sent_away(app) == "账号在其他设备上登录"
        await web.ping()
        assert await strict.post("/user/onlinestatus", ["ann"]) == [{"uid": "ann", "device_flag": 1, "online": 1}]


async def test_h027_h028_quitting_ends_tokens_and_connections(strict: Api) -> None:
    url = strict.server.endpoints.ws
    for flag in (0, 1, 2):
        await strict.ok("/user/token", uid="ann", token="t", device_flag=flag)
    async with open_raw_client(url) as app, open_raw_client(url) as web, open_raw_client(url) as pc:
        for flag, client in enumerate((app, web, pc)):
            await client.connect("ann", "t", deviceFlag=flag)
        await strict.ok("/user/device_quit", uid="ann")
        await sent_away(app)
        assert await refused(strict, "ann", "t", 0) == 2
        assert await refused(strict, "ann", "", 0) == 2
        await web.ping()
        await pc.ping()
        await strict.ok("/user/device_quit", uid="ann", device_flag=-1)
        for flag, client in ((1, web), (2, pc)):
            await sent_away(client)
            assert await refused(strict, "ann", "t", flag) == 2
    assert await strict.post("/user/onlinestatus", ["ann"]) == []
    await strict.ok("/user/token", uid="ann", token="t", device_flag=0)
    async with open_raw_client(url) as app:
        await app.connect("ann", "t")


async def test_h023_a_banned_user_gets_no_token(strict: Api) -> None:
    await strict.ok("/user/token", uid="ann", token="old")
    for flags, status in (({"ban": 1}, 19), ({"disband": 1}, 24)):
        await strict.ok("/channel/info", channel_id="ann", channel_type=1, **flags)
        assert await strict.post("/user/token", {"uid": "ann", "token": "new"}) == {"status": status}
    await strict.ok("/channel/info", channel_id="ann", channel_type=1)
    assert await refused(strict, "ann", "new") == 2
    await strict.ok("/user/token", uid="ann", token="new")
    async with open_raw_client(strict.server.endpoints.ws) as client:
        await client.connect("ann", "new")


class Unwritable(MemoryStore):
    """Reads, but writes nothing any more once `broken` is set."""

    broken = False

    async def put_device(self, device: Any) -> None:
        if self.broken:
            raise StoreError("read-only")
        await super().put_device(device)

    async def clear_tokens(self, uid: str, device_flags: Any) -> None:
        if self.broken:
            raise StoreError("read-only")
        await super().clear_tokens(uid, device_flags)

    async def change_system_uids(self, **changes: Any) -> None:
        if self.broken:
            raise StoreError("read-only")
        await super().change_system_uids(**changes)


async def test_what_was_not_stored_has_no_effect(open_server: OpenServer) -> None:
    store = Unwritable()
    with trio.fail_after(10):
        async with (
            open_server(store=store) as server,
            Api(server) as api,
            open_raw_client(server.endpoints.ws) as ann,
        ):
            await ann.connect("ann")
            await api.ok("/user/systemuids_add", uids=["s1"])
            store.broken = True
            for path, body in (
                ("/user/token", {"uid": "ann", "token": "t", "device_level": 1}),
                ("/user/device_quit", {"uid": "ann", "device_flag": -1}),
                ("/user/systemuids_add", {"uids": ["s2"]}),
                ("/user/systemuids_remove", {"uids": ["s1"]}),
            ):
                assert (await api.http.post(path, json=body)).status_code == 500
            await ann.ping()
            assert await api.get("/user/systemuids") == ["s1"]
