"""HTTP statements 19-34: users and system accounts. What tokens do to connections is in test_devices."""

from pathlib import Path

import pytest
import trio
from api_calls import OK, Api, OpenServer

from wukong_trio import ConnectionClosed, open_client


async def test_h019_h020_h021_h022_tokens(api: Api) -> None:
    for _ in range(2):
        await api.ok("/user/token", uid="ann", token="t")
    await api.e400("/user/token", "uid不能为空！", token="t")
    await api.e400("/user/token", "token不能为空！", uid="ann")
    for uid in ("a@b", "a#b", "a&b"):
        await api.e400("/user/token", "uid不能包含特殊字符！", uid=uid, token="t")
    await api.e400("/user/token", "系统账号不允许更新token！", uid="____system", token="t")
    await api.ok("/user/token", uid="u" * 512, token="t")
    await api.e400("/user/token", uid="u" * 513, token="t")


async def test_h028_whom_a_quit_concerns(api: Api) -> None:
    await api.ok("/user/device_quit", uid="nobody", device_flag=0)
    await api.ok("/user/device_quit", uid="nobody", device_flag=300)
    await api.e400("/user/device_quit", "uid不能为空！")
    async with open_client(api.server.endpoints.ws, uid="ann", device_flag=5) as other:
        await api.ok("/user/device_quit", uid="ann", device_flag=-1)
        await other.ping()
        await api.ok("/user/device_quit", uid="ann", device_flag=5)
        with pytest.raises(ConnectionClosed, match="4003"):
            await other.__anext__()


async def test_h029_h030_h031_online_status(api: Api) -> None:
    assert await api.post("/user/onlinestatus", []) == OK
    assert (await api.http.post("/user/onlinestatus", content=b"null")).json() == OK
    await api.e400("/user/onlinestatus", raw=b'{"a":1}')
    async with (
        open_client(api.server.endpoints.ws, uid="ann", device_flag=1),
        open_client(api.server.endpoints.ws, uid="ann", device_flag=1),
        open_client(api.server.endpoints.ws, uid="bob", device_flag=0),
    ):
        assert await api.post("/user/onlinestatus", ["nobody", "bob", "ann", "bob"]) == [
            {"uid": "bob", "device_flag": 0, "online": 1},
            {"uid": "ann", "device_flag": 1, "online": 1},
        ]
    assert await api.post("/user/onlinestatus", ["nobody"]) == []


async def test_h032_h033_system_accounts(api: Api) -> None:
    assert await api.get("/user/systemuids") == []
    for _ in range(2):
        await api.ok("/user/systemuids_add", uids=["s1", "s2", " "])
    assert await api.get("/user/systemuids") == ["s1", "s2"]
    await api.ok("/user/systemuids_remove", uids=["s1", "zz"])
    await api.ok("/user/systemuids_add", uids=[])
    assert await api.get("/user/systemuids") == ["s2"]


async def test_h034_system_accounts_survive_a_restart(open_server: OpenServer, tmp_path: Path) -> None:
    with trio.fail_after(10):
        async with open_server(data_dir=tmp_path) as server, Api(server) as api:
            await api.ok("/user/systemuids_add", uids=["s1"])
        async with open_server(data_dir=tmp_path) as server, Api(server) as api:
            assert await api.get("/user/systemuids") == ["s1"]
