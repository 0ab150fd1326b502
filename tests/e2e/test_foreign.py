"""A WebSocket client that knows nothing of us, following the published examples by hand."""

import asyncio
import json
from base64 import b64encode
from typing import Any

import pytest
import trio
from common import ENGINES, OpenServer
from websockets.asyncio.client import ClientConnection, connect


async def call(socket: ClientConnection, frame: dict[str, Any]) -> Any:
    await socket.send(json.dumps(frame))
    return json.loads(await socket.recv())


async def follow_the_examples(url: str) -> None:
    async with connect(url, compression="deflate") as one, connect(f"{url}/some/path?x=1") as two:
        for socket, uid in ((one, "testUser"), (two, "user123")):
            connected = await call(
                socket,
                {
                    "jsonrpc": "2.0",
                    "method": "connect",
                    "id": "req-conn-1",
                    "params": {"uid": uid, "token": "token", "version": 1, "clientTimestamp": 0},
                },
            )
            assert connected["id"] == "req-conn-1"
            assert connected["result"]["timeDiff"] == 0
        content = b64encode(b'{"type":1,"content":"hello"}').decode()
        sent = await call(
            one,
            {
                "jsonrpc": "2.0",
                "method": "send",
                "id": "req-send-1",
                "params": {
                    "clientMsgNo": "msg-001",
                    "channelId": "user123",
                    "channelType": 1,
                    "payload": content,
                    "header": {"redDot": True},
                    "setting": {"receipt": True},
                },
            },
        )
        pushed = json.loads(await two.recv())
        assert pushed["method"] == "message"
        assert pushed["params"]["messageId"] == sent["result"]["messageId"]
        assert pushed["params"]["fromUid"] == pushed["params"]["channelId"] == "testUser"
        assert pushed["params"]["payload"] == content
        assert await (await one.ping()) > 0
        assert (await call(one, {"jsonrpc": "2.0", "method": "ping", "id": "req-ping-1"}))["result"] == {}
        bye = {"jsonrpc": "2.0", "method": "disconnect", "id": "bye", "params": {"reasonCode": 1}}
        assert (await call(one, bye))["result"] == {}
        await one.wait_closed()
        assert one.close_code == 1000


@pytest.mark.parametrize("engine", ENGINES)
async def test_j016_j061_j087_the_published_examples_with_websockets(engine: str, open_engine: OpenServer) -> None:
    with trio.fail_after(20):
        async with open_engine(engine) as server:
            await trio.to_thread.run_sync(asyncio.run, follow_the_examples(server.endpoints.ws))
