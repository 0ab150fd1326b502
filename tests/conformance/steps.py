"""Steps that many conformance tests share."""

import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
import trio
from common import OpenServer as OpenServer

from wukong_trio import Server
from wukong_trio.testing import RawClient, open_raw_client

OpenServers = Callable[..., AbstractAsyncContextManager[list[Server]]]
P = "eyJhIjoxfQ=="
"""base64 of {"a":1}"""
CONNECT = {"id": "c", "method": "connect", "params": {"uid": "ann", "token": "t"}}


def send_params(channel_id: str = "bob", channel_type: int = 1, number: str = "m1", **more: Any) -> dict[str, Any]:
    """Valid parameters of a `send`."""
    return {"clientMsgNo": number, "channelId": channel_id, "channelType": channel_type, "payload": P, **more}


async def send(client: RawClient, *arguments: Any, **more: Any) -> Any:
    """Sends and returns the whole answer."""
    return await client.call("send", send_params(*arguments, **more))


async def sent(client: RawClient, *arguments: Any, **more: Any) -> Any:
    """Sends and returns the result, which has to be one."""
    answer = await send(client, *arguments, **more)
    assert "error" not in answer, answer
    return answer["result"]


async def refused(client: RawClient, *arguments: Any, **more: Any) -> tuple[int, int | None]:
    """Sends and returns error code and reason code; the answer must not be a result."""
    answer = await send(client, *arguments, **more)
    assert "result" not in answer, answer
    return answer["error"]["code"], answer["error"].get("data", {}).get("reasonCode")


def check_frame(text: str) -> None:
    """Statements 9 and 10: JSON-RPC 2.0, and null nowhere but as the id of an error. Payloads belong to the users."""
    frame = json.loads(text)
    for entry in frame if isinstance(frame, list) else [frame]:
        assert isinstance(entry, dict), text
        assert next(iter(entry.items())) == ("jsonrpc", "2.0"), text
        fields = [(name, value) for name, value in entry.items() if not (name == "id" and "error" in entry)]
        while fields:
            name, value = fields.pop()
            assert value is not None, f"{name} is null: {text}"
            if name != "payload" and isinstance(value, dict):
                fields += value.items()
            elif name != "payload" and isinstance(value, list):
                fields += [(name, item) for item in value]


@asynccontextmanager
async def online(server: Server, *uids: str, query: str = "") -> AsyncIterator[list[RawClient]]:
    """A connected client of the published form for each uid; `sdk:` before a uid makes it an SDK."""
    async with AsyncExitStack() as stack:
        clients = []
        for uid in uids:
            client = await stack.enter_async_context(open_raw_client(server.endpoints.ws + query))
            sdk = re.fullmatch("sdk:(.*)", uid)
            await (client.sdk_connect(sdk[1]) if sdk else client.connect(uid))
            clients.append(client)
        yield clients


async def on_each(servers: Iterable[Server], step: Callable[[Server], Awaitable[None]]) -> None:
    """Takes a step with every server at the same time."""
    async with trio.open_nursery() as nursery:
        for server in servers:
            nursery.start_soon(step, server)


async def receive_for_ever(client: RawClient) -> None:
    """Reads until the connection ends, which raises SocketClosed."""
    while True:
        await client.receive()


async def post(server: Server, path: str, body: object) -> Any:
    """Calls the HTTP API; the answer has to be a success."""
    async with httpx.AsyncClient(base_url=server.endpoints.http) as http:
        answer = await http.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def group(server: Server, *uids: str, name: str = "g", **flags: int) -> None:
    """Creates or replaces a group."""
    body = {"channel_id": name, "channel_type": 2, "subscribers": list(uids), "reset": 1, **flags}
    await post(server, "/channel", body)


async def history(server: Server, channel_id: str, channel_type: int = 1, login_uid: str = "ann") -> list[Any]:
    """The stored messages of a channel."""
    body = {"login_uid": login_uid, "channel_id": channel_id, "channel_type": channel_type}
    messages: list[Any] = (await post(server, "/channel/messagesync", body))["messages"]
    return messages
