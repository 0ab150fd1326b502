"""A server that does what a load test must notice."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, WebSocketRequest, serve_websocket


class FaultyServer:
    """Acknowledges and delivers, except that the third message of each sender meets a fault."""

    def __init__(self, fault: str) -> None:
        self._fault = fault
        self._users: dict[str, WebSocketConnection] = {}
        self._sent = 0
        self._kept: dict[str, list[dict[str, Any]]] = {}
        self._counts: dict[str, int] = {}

    async def serve(self, request: WebSocketRequest) -> None:
        """One connection."""
        websocket = await request.accept()
        uid = ""
        try:
            while True:
                frame = json.loads(await websocket.get_message())
                if frame["method"] == "connect":
                    uid = frame["params"]["uid"]
                    self._users[uid] = websocket
                if "id" in frame and frame["method"] != "send":
                    await self._answer(websocket, frame)
                elif frame["method"] == "send":
                    await self._take(uid, websocket, frame)
        except ConnectionClosed:
            pass

    async def _answer(self, websocket: WebSocketConnection, frame: dict[str, Any]) -> None:
        await websocket.send_message(json.dumps({"jsonrpc": "2.0", "id": frame["id"], "result": {}}))

    async def _take(self, uid: str, websocket: WebSocketConnection, frame: dict[str, Any]) -> None:
        count = self._counts[uid] = self._counts.get(uid, 0) + 1
        fault = self._fault if count == 3 else ""
        if fault == "close":
            await websocket.aclose(4000)
            return
        self._sent += 1
        params = frame["params"]
        push = {
            "jsonrpc": "2.0",
            "method": "recv",
            "params": {"messageId": str(self._sent), "messageSeq": self._sent, "payload": params["payload"]},
        }
        if fault != "unanswered":
            for _ in range(2 if fault == "answered_twice" else 1):
                await self._answer(websocket, frame)
        peer = params["channelId"]
        if fault == "out_of_order":
            self._kept.setdefault(peer, []).append(push)
            return
        if fault != "undelivered":
            for _ in range(2 if fault == "doubled" else 1):
                await self._users[peer].send_message(json.dumps(push))
        for kept in self._kept.pop(peer, []):
            await self._users[peer].send_message(json.dumps(kept))


@asynccontextmanager
async def open_faulty_server(fault: str) -> AsyncIterator[str]:
    """Gives its URL."""
    async with trio.open_nursery() as nursery:
        handler = FaultyServer(fault).serve
        server = await nursery.start(partial(serve_websocket, handler, "127.0.0.1", 0, ssl_context=None))
        yield f"ws://127.0.0.1:{server.port}"
        nursery.cancel_scope.cancel()
