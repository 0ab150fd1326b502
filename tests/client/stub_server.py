"""Servers that do what a client must survive."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, WebSocketRequest, serve_websocket

Behaviour = Callable[[WebSocketConnection], Awaitable[None]]
Conversation = Callable[[trio.SocketStream], Awaitable[None]]


@asynccontextmanager
async def open_stub_server(behave: Behaviour) -> AsyncIterator[str]:
    """Answers `connect`, then behaves; gives its URL."""

    async def handle(request: WebSocketRequest) -> None:
        websocket = await request.accept()
        try:
            connect = json.loads(await websocket.get_message())
            await websocket.send_message(json.dumps({"jsonrpc": "2.0", "id": connect["id"], "result": {}}))
            await behave(websocket)
        except ConnectionClosed:
            pass

    async with trio.open_nursery() as nursery:
        server = await nursery.start(partial(serve_websocket, handle, "127.0.0.1", 0, ssl_context=None))
        yield f"ws://127.0.0.1:{server.port}"
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def open_port(converse: Conversation) -> AsyncIterator[str]:
    """Accepts and talks as told; gives its host and port."""

    async def handle(stream: trio.SocketStream) -> None:
        async with stream:
            with suppress(trio.BrokenResourceError):
                await converse(stream)

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, handle, 0, host="127.0.0.1"))
        yield f"127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        nursery.cancel_scope.cancel()


async def deaf(websocket: WebSocketConnection) -> None:
    """Reads and never answers."""
    while True:
        await websocket.get_message()


def push(number: int, payload: str = "aGk=") -> str:
    """A message as servers send it."""
    params = {"messageId": str(number), "messageSeq": number, "clientMsgNo": "", "timestamp": 0, "fromUid": "bob"}
    params |= {"channelId": "bob", "channelType": 1, "payload": payload}
    return json.dumps({"jsonrpc": "2.0", "method": "recv", "params": params})
