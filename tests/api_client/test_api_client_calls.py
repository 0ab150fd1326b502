"""Every method of the client against a server, on Trio and on asyncio."""

import json
from collections.abc import AsyncIterator
from typing import Any, cast

import httpx
import pytest
import trio
from loops import run_on

from wukong_trio import ChannelType, Server, open_client
from wukong_trio.api_client import ApiClient, ApiRefusedError, InvalidArgumentError
from wukong_trio.contract.history import PageRequest
from wukong_trio.model import RED_DOT, SYNC_ONCE
from wukong_trio.testing import open_test_server

GROUP, PERSON = ChannelType.GROUP, ChannelType.PERSON


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    with trio.fail_after(20):
        async with open_test_server(auth={"manager_token": "schlüssel"}) as server:
            yield server


def client(server: Server) -> ApiClient:
    return ApiClient(server.endpoints.http, token="schlüssel")


async def test_users(server: Server, loop: str) -> None:
    async def use() -> None:
        async with client(server) as api:
            await api.users.set_token("ann", "t", device_flag=1)
            online = await api.users.online(["ann", "bob"])
            assert [(o.uid, o.device_flag) for o in online] == [("ann", 1)]
            assert await api.users.online([]) == await api.users.online(["nobody"]) == []
            await api.users.quit_device("ann", device_flag=-1)
            await api.users.add_system_uids(["robot", "notice"])
            await api.users.remove_system_uids(uids=["notice"])
            assert await api.users.system_uids() == ["robot"]
            await api.channels.set_flags("eve", PERSON, ban=True)
            with pytest.raises(ApiRefusedError) as error:
                await api.users.set_token("eve", "t")
            assert (error.value.http_status, error.value.reason_code) == (200, 19)

    async with open_client(server.endpoints.ws, uid="ann", device_flag=1):
        await run_on(loop, use)
    assert server.statistics().sessions == 0


async def test_channels(server: Server, loop: str) -> None:
    async def use() -> None:
        async with client(server) as api:
            await api.channels.put("g", GROUP, subscribers=["ann", "bob"], reset=True)
            await api.channels.add_subscribers("g", GROUP, subscribers=["carl"])
            await api.channels.remove_subscribers("g", GROUP, subscribers=["bob"])
            await api.channels.denied.add("g", GROUP, ["eve", "x"])
            await api.channels.denied.remove("g", GROUP, ["x"])
            await api.channels.allowed.set("g", GROUP, ["zoe", "ann"])
            assert [entry.uid for entry in await api.channels.allowed.get("g", GROUP)] == ["ann", "zoe"]
            await api.channels.put("h", GROUP, subscribers=["ann"])
            await api.channels.remove_all_subscribers("h", GROUP)
            for uids in (api.channels.denied, api.channels.allowed):
                await uids.add("h", GROUP, ["ann"])
                await uids.set("h", GROUP, ["bob"])
                await uids.remove("h", GROUP, ["x"])
                await uids.clear("h", GROUP)
            assert await api.channels.allowed.get("h", GROUP) == []
            await api.channels.set_recipients("job", ["ann"])
            await api.channels.disband("h", GROUP)
            with pytest.raises(ApiRefusedError, match="channel_id不能为空") as error:
                await api.channels.denied.clear("", GROUP)
            assert (error.value.http_status, error.value.reason_code) == (400, 0)

    await run_on(loop, use)
    assert await server.channels.subscribers("g", GROUP) == ["ann", "carl"]
    assert await server.channels.denied.get("g", GROUP) == ["eve"]


async def test_sends(server: Server, loop: str) -> None:
    async def use() -> None:
        async with client(server) as api:
            await api.channels.put("g", GROUP, subscribers=["ann"])
            payload = bytes(range(256))
            sent = await api.send(
                payload, from_uid="bob", channel_id="g", channel_type=GROUP, client_msg_no="c", red_dot=True, topic="t"
            )
            assert (sent.message_seq, sent.client_msg_no, sent.message_idstr) == (1, "c", str(sent.message_id))
            found = await api.history.find_one(channel_id="g", channel_type=GROUP, message_id=sent.message_id)
            assert found is not None
            assert (found.payload, found.message_id, found.header.red_dot, found.topic) == (
                payload, sent.message_id, 1, "t",
            )  # fmt: skip
            await api.send(b"come", subscribers=["ann"], sync_once=True)
            answer = await api.send_batch("bob", ["ann", "a@b"], b"hi")
            assert (answer.fail_uids, len(answer.reason)) == (["a@b"], 1)
            await api.channels.set_flags("g", GROUP, ban=1)
            with pytest.raises(ApiRefusedError, match="Ban") as error:
                await api.send(payload, channel_id="g", channel_type=GROUP)
            assert (error.value.http_status, error.value.reason_code) == (200, 19)

    async with open_client(server.endpoints.ws, uid="ann") as ann:
        await run_on(loop, use)
        received = [await ann.__anext__() for _ in range(3)]
    assert [message.flags for message in received] == [RED_DOT, SYNC_ONCE, 0]
    assert [message.payload for message in received] == [bytes(range(256)), b"come", b"hi"]


async def fill(api: ApiClient) -> list[int]:
    return [(await api.send(b"%d" % n, channel_id="g", channel_type=2, from_uid="ann")).message_id for n in range(1, 6)]


async def test_histories(server: Server, loop: str) -> None:
    async def use() -> None:
        async with client(server) as api:
            ids = await fill(api)
            page = await api.history.page("g", GROUP, limit=2, login_uid="ann")
            assert ([m.payload for m in page.messages], page.more) == ([b"4", b"5"], 1)
            page = await api.history.page("g", GROUP, start_message_seq=2, limit=2, pull_mode=1, login_uid="ann")
            assert [m.message_id for m in page.messages] == ids[1:3]
            items = [PageRequest("g", GROUP, limit=1), PageRequest(), PageRequest("never", GROUP)]
            one, wrong, empty = (await api.history.pages("ann", items)).items
            assert ([m.payload for m in one.messages], one.more, empty.messages, wrong.error) == (
                [b"5"], 1, [], "channel_id不能为空！",
            )  # fmt: skip
            found = await api.history.find(channel_id="g", channel_type=GROUP, message_seqs=[3, 1], message_ids=ids[:1])
            assert [m.message_seq for m in found.messages] == [3, 1, 1]
            last = await api.history.last("g", GROUP)
            assert last is not None
            assert last == await api.history.find_by_number("g", GROUP, client_msg_no=last.client_msg_no)
            assert (await api.history.last_seq("g", GROUP)).message_seq == 5
            assert (await api.history.last_seq("never", GROUP)).message_seq == 0
            assert await api.history.last("never", GROUP) is None
            assert await api.history.find_one(channel_id="g", channel_type=GROUP, message_id=7) is None
            assert await api.history.find_by_number("g", GROUP, client_msg_no="never") is None

    await run_on(loop, use)


async def test_connections_addresses_and_counters(server: Server, loop: str) -> None:
    async def use() -> None:
        async with client(server) as api:
            listed = await api.connections.list(sort="id", uid="a")
            assert [c.uid for c in listed.connections] == ["ann", "carl"]
            await api.connections.kick("ann", listed.connections[0].id)
            await api.connections.remove(uid="carl", conn_id=listed.connections[1].id)
            assert (await api.connections.list(limit=1)).total == 1
            route = await api.routes.get(intranet=1)
            assert route.ws_addr == server.endpoints.ws
            [group] = await api.routes.get_batch(["ann", "bob"], intranet=1)
            assert (group.uids, group.ws_addr) == (["ann", "bob"], route.ws_addr)
            counters = await api.monitor.vars(show="conn")
            assert counters.connections == 1
            assert [c.uid for c in counters.conns or ()] == ["bob"]
            assert (await api.monitor.features()).logger.trace_on == 0

    url = server.endpoints.ws
    async with open_client(url, uid="ann"), open_client(url, uid="bob"), open_client(url, uid="carl"):
        await run_on(loop, use)


async def test_many_calls_at_once(server: Server) -> None:
    async with client(server) as api, trio.open_nursery() as nursery:
        for n in range(200):
            nursery.start_soon(api.channels.add_subscribers, f"g{n % 7}", GROUP, [f"u{n}"])
    assert sum([len(await server.channels.subscribers(f"g{n}", GROUP)) for n in range(7)]) == 200


async def test_what_is_sent_is_what_the_contract_says() -> None:
    """Numbers for flags, base64 for payloads, and only what was given in queries."""
    seen: list[tuple[str, str, Any]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append((request.method, str(request.url), json.loads(request.content) if request.content else None))
        return httpx.Response(200, json={"status": 200})

    async with ApiClient("http://h:5001/wk/", connections=httpx.MockTransport(answer)) as api:
        await api.channels.set_flags("g", GROUP, ban=True, large=False)
        await api.send(b"\xff", channel_id="g", channel_type=GROUP, red_dot=True)
        await api.channels.allowed.get("a&b", GROUP)
        await api.routes.get_batch(("ann",), intranet=True)
    (_, url, info), (_, _, send), (method, query, nothing), (_, batch, uids) = seen
    assert (url, info["ban"], info["large"], type(info["ban"])) == ("http://h:5001/wk/channel/info", 1, 0, int)
    assert (send["payload"], send["header"]["red_dot"], send["channel_type"]) == ("/w==", 1, 2)
    assert (method, query, nothing) == (
        "GET",
        "http://h:5001/wk/channel/whitelist?channel_id=a%26b&channel_type=2",
        None,
    )
    assert (batch, uids) == ("http://h:5001/wk/route/batch?intranet=1", ["ann"])


@pytest.mark.parametrize("url", ["", "host:5001", "ftp://h", "http://", "http://u:p@h", "http://h?a=1", "http://h#a"])
def test_what_is_no_url(url: str) -> None:
    with pytest.raises(InvalidArgumentError, match="url"):
        ApiClient(url)


async def test_what_cannot_be_written_down() -> None:
    with pytest.raises(InvalidArgumentError, match="token"):
        ApiClient("http://h", token="a\r\nb")
    async with ApiClient("http://h") as api:
        with pytest.raises(InvalidArgumentError, match="half a character"):
            await api.users.set_token("a\ud800", "t")
        with pytest.raises(InvalidArgumentError, match="payload must be bytes, not str"):
            await api.send(cast("Any", "text"), channel_id="g", channel_type=GROUP)
        with pytest.raises(InvalidArgumentError, match="request cannot be written as JSON"):
            await api.users.set_token(cast("Any", object()), "t")
