"""Statements 16-39: authentication."""

import time
from typing import Any

import pytest
import trio
from steps import OpenServer, OpenServers, history, on_each, online, post, send_params, sent

from wukong_trio import Server
from wukong_trio.testing import RawClient, open_raw_client


async def connect_with(client: RawClient, **params: object) -> Any:
    """Sends a connect with exactly these parameters; returns the whole answer."""
    return await client.call("connect", params, id_="c")


async def refusal(server: Server, code: int, reason: int | None = None, **params: object) -> Any:
    """Connects in vain: an error, then close 4002."""
    async with open_raw_client(server.endpoints.ws) as client:
        error = (await connect_with(client, **params))["error"]
        assert error["code"] == code, error
        assert error.get("data", {}).get("reasonCode") == reason, error
        assert (await client.wait_closed()).code == 4002
    return error


async def test_j016_j018_the_published_example(open_server: OpenServer) -> None:
    async with open_server() as server, open_raw_client(server.endpoints.ws) as client:
        answer = await client.call("connect", {"uid": "testUser", "token": "testToken"}, id_="req-conn-1")
        assert answer == {
            "jsonrpc": "2.0",
            "id": "req-conn-1",
            "result": {
                "reasonCode": 1,
                "timeDiff": 0,
                "serverKey": "",
                "salt": "",
                "nodeId": 1001,
                "serverVersion": 5,
            },
        }
        assert list(answer["result"]) == ["reasonCode", "timeDiff", "serverKey", "salt", "nodeId", "serverVersion"]


@pytest.mark.parametrize(("ahead_ms", "low", "high"), [(-5000, 5000, 5500), (60000, -60000, -59500)])
async def test_j017_time_difference(open_server: OpenServer, ahead_ms: int, low: int, high: int) -> None:
    async with open_server() as server, open_raw_client(server.endpoints.ws) as client:
        result = await client.connect("ann", clientTimestamp=int(time.time() * 1000) + ahead_ms)
        assert low <= result["timeDiff"] <= high


@pytest.mark.parametrize(
    ("asked", "answered"), [({"version": 3}, 3), ({"version": 99}, 5), ({}, 5), ({"version": 0}, 5)]
)
async def test_j019_versions(open_server: OpenServer, asked: dict[str, Any], answered: int) -> None:
    async with open_server() as server, open_raw_client(server.endpoints.ws) as client:
        assert (await client.connect("ann", **asked))["serverVersion"] == answered


async def test_j020_j021_j022_wrong_parameters(open_server: OpenServer) -> None:
    async with open_server() as server:
        await refusal(server, -32002, uid="ann")
        await refusal(server, -32002, token="t")
        for uid in ("", "  ", "a@b", "a#b", "a&b", 7, None, "a\nb", "u" * 513, "é" * 257):
            await refusal(server, -32002, uid=uid, token="t")
        await refusal(server, -32002, uid="ann", token="t", deviceFlag="1")
        await refusal(server, -32002, uid="ann", token="t", deviceFlag=256)
        await refusal(server, -32002, uid="ann", token="t" * 4097)
        await refusal(server, -32002, uid="ann", token="t", deviceId="d" * 513)
        async with open_raw_client(server.endpoints.ws) as client:
            await client.connect("u" * 512, "t" * 4096, deviceId=None, deviceFlag=255)


async def test_j023_j024_tokens_in_auto_mode(open_server: OpenServer) -> None:
    async with open_server() as server:
        await post(server, "/user/token", {"uid": "ann", "token": "good"})
        error = await refusal(server, -32001, 2, uid="ann", token="bad")
        assert error["message"] == "Authentication failed"
        await refusal(server, -32001, 2, uid="ann", token="")
        for device_flag in (1, 2, 99):
            await refusal(server, -32001, 2, uid="ann", token="anything", deviceFlag=device_flag)
            await refusal(server, -32001, 2, uid="ann", token="good", deviceFlag=device_flag)
        async with open_raw_client(server.endpoints.ws) as client:
            await client.connect("ann", "good")
        async with online(server, "bob"):
            pass


async def test_a_revoked_token_never_works_again(open_server: OpenServer) -> None:
    async with open_server() as server:
        await post(server, "/user/token", {"uid": "ann", "token": "good"})
        await post(server, "/user/device_quit", {"uid": "ann", "device_flag": 0})
        for token in ("good", "anything", ""):
            await refusal(server, -32001, 2, uid="ann", token=token)
            await refusal(server, -32001, 2, uid="ann", token=token, deviceFlag=1)
        await post(server, "/user/token", {"uid": "ann", "token": "new"})
        await refusal(server, -32001, 2, uid="ann", token="good")
        async with open_raw_client(server.endpoints.ws) as client:
            await client.connect("ann", "new")


async def test_j024_j025_j026_tokens_when_they_are_checked(open_server: OpenServer) -> None:
    async with open_server(auth={"token_auth": "on"}) as server:
        await post(server, "/user/token", {"uid": "ann", "token": "good"})
        await refusal(server, -32001, 2, uid="ann", token="good", deviceFlag=1)
        await refusal(server, -32001, 2, uid="bob", token="t")
        await refusal(server, -32001, 2, uid="bob", token="")
        async with open_raw_client(server.endpoints.ws) as client:
            await client.connect("guest___vstr", "whatever")


async def test_j025_tokens_when_they_are_not_checked(open_server: OpenServer) -> None:
    async with open_server(auth={"token_auth": "off"}) as server:
        await post(server, "/user/token", {"uid": "ann", "token": "good"})
        async with online(server, "ann"):
            pass


async def test_j027_reserved_uids(open_server: OpenServer) -> None:
    async with open_server(auth={"token_auth": "off"}) as server:
        for uid in ("____system", "____x", "____manager"):
            await refusal(server, -32001, 2, uid=uid, token="t")


async def test_the_manager_connects_with_the_manager_token(open_server: OpenServer) -> None:
    async with open_server(auth={"manager_token": "secret"}) as server:
        await refusal(server, -32001, 2, uid="____manager", token="wrong")
        async with open_raw_client(server.endpoints.ws) as client:
            await client.connect("____manager", "secret")


async def test_j028_a_banned_user(open_server: OpenServer) -> None:
    async with open_server() as server:
        async with online(server, "ann") as (ann,):
            await post(server, "/channel/info", {"channel_id": "ann", "channel_type": 1, "ban": 1})
            assert (await ann.receive())["params"]["reasonCode"] == 19
            assert (await ann.wait_closed()).code == 4003
        await refusal(server, -32004, 19, uid="ann", token="t")
        await post(server, "/channel/info", {"channel_id": "ann", "channel_type": 1})
        async with online(server, "ann"):
            pass


@pytest.mark.parametrize("method", ["ping", "send", "nosuch", "disconnect", "recvack"])
async def test_j029_a_request_before_connect(open_server: OpenServer, method: str) -> None:
    async with open_server() as server, open_raw_client(server.endpoints.ws) as client:
        assert (await client.call(method, {}, id_="p"))["error"]["code"] == -32001
        assert (await client.wait_closed()).code == 4002


@pytest.mark.parametrize(
    "text",
    [
        "{bad",
        "[]",
        '[{"id":"c","method":"connect","params":{"uid":"ann","token":"t"}}]',
        '{"method":"connect","params":{"uid":"ann","token":"t"}}',
        '{"id":null,"method":"connect","params":{"uid":"ann","token":"t"}}',
        '{"id":1.5,"method":"connect","params":{"uid":"ann","token":"t"}}',
    ],
)
async def test_j030_j032_malformed_first_frames(open_server: OpenServer, text: str) -> None:
    async with open_server() as server, open_raw_client(server.endpoints.ws) as client:
        await client.send_text(text)
        answer = await client.receive()
        assert answer["id"] is None
        assert answer["error"]["code"] == -32007
        assert (await client.wait_closed()).code == 4002


@pytest.mark.parametrize(
    "text",
    [
        '{"method":"recvack","params":{"messageId":"1"}}',
        '{"method":"ping"}',
        '{"id":"x","result":{}}',
        '{"method":"x"}',
    ],
)
async def test_j031_notifications_and_responses_before_connect(open_server: OpenServer, text: str) -> None:
    async with open_server() as server, open_raw_client(server.endpoints.ws) as client:
        await client.send_text(text)
        assert (await client.wait_closed()).code == 4002


async def test_j033_the_version_of_json_rpc(open_server: OpenServer) -> None:
    frame = {"id": "c", "method": "connect", "params": {"uid": "ann", "token": "t"}}
    async with open_server() as server:
        for version in ("1.0", 2, None):
            async with open_raw_client(server.endpoints.ws) as client:
                await client.send({"jsonrpc": version, **frame})
                assert (await client.receive())["error"]["code"] == -32007
                assert (await client.wait_closed()).code == 4002
        async with open_raw_client(server.endpoints.ws) as client:
            await client.send({"jsonrpc": "2.0", **frame})
            assert "result" in await client.receive()


async def test_j034_an_integer_id(open_server: OpenServer) -> None:
    async with open_server() as server, open_raw_client(server.endpoints.ws) as client:
        answer = await client.call("connect", {"uid": "ann", "token": "t"}, id_=17)
        assert type(answer["id"]) is int


async def test_j035_snake_case_only(open_server: OpenServer) -> None:
    async with open_server() as server, open_raw_client(server.endpoints.ws) as client:
        result = await client.connect("ann", device_id="d", device_flag=1, client_timestamp=5)
        for camel in ("reasonCode", "timeDiff", "serverKey", "nodeId", "serverVersion"):
            snake = "".join("_" + c.lower() if c.isupper() else c for c in camel)
            assert result[snake] == result[camel]
        sent_result = await sent(client)
        for camel, snake in (
            ("clientMsgNo", "client_msg_no"),
            ("messageId", "message_id"),
            ("messageSeq", "message_seq"),
            ("reasonCode", "reason_code"),
        ):
            assert sent_result[snake] == sent_result[camel]


async def test_j036_no_encryption(open_server: OpenServer) -> None:
    async with open_server() as server, open_raw_client(server.endpoints.ws) as client:
        assert (await client.connect("ann", clientKey="abc"))["serverKey"] == ""


async def test_j037_a_send_right_behind_connect(open_server: OpenServer) -> None:
    async with open_server() as server, open_raw_client(server.endpoints.ws) as client:
        await client.send({"id": "c", "method": "connect", "params": {"uid": "ann", "token": "t"}})
        await client.send({"id": "s1", "method": "send", "params": send_params()})
        first, second = await client.receive(), await client.receive()
        assert (first["id"], first["result"]["reasonCode"]) == ("c", 1)
        assert (second["id"], second["result"]["messageSeq"]) == ("s1", 1)


async def test_j038_nothing_is_replayed(open_servers: OpenServers) -> None:
    async def step(server: Server) -> None:
        async with online(server, "bob") as (bob,):
            await sent(bob, "ann")
        async with online(server, "sdk:ann") as (ann,):
            await ann.expect_quiet(1)
        assert len(await history(server, "bob")) == 1

    async with open_servers() as servers:
        await on_each(servers, step)


async def test_j039_the_answer_to_connect_comes_first(open_server: OpenServer) -> None:
    async def flood(ann: RawClient) -> None:
        for number in range(100_000):
            await ann.send({"id": f"s{number}", "method": "send", "params": send_params(number=f"m{number}")})

    async def ignore_answers(ann: RawClient) -> None:
        while True:
            await ann.receive()

    async with open_server() as server, online(server, "ann") as (ann,), trio.open_nursery() as nursery:
        nursery.start_soon(flood, ann)
        nursery.start_soon(ignore_answers, ann)
        for _ in range(10):
            async with open_raw_client(server.endpoints.ws) as bob:
                await bob.send({"id": "c", "method": "connect", "params": {"uid": "bob", "token": "t"}})
                assert (await bob.receive())["id"] == "c"
                assert (await bob.receive())["method"] == "message"
        nursery.cancel_scope.cancel()
