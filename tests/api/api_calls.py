"""Calling the HTTP API in tests."""

from base64 import b64encode
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Self

import httpx
import trio

from wukong_trio import Server
from wukong_trio.model import Device
from wukong_trio.store.memory import MemoryStore

OpenServer = Callable[..., AbstractAsyncContextManager[Server]]
OK = {"status": 200}
P = b64encode(b'{"type":1}').decode()


async def read_all(stream: trio.SocketStream) -> bytes:
    """Everything until the server closes the connection."""
    received = b""
    async for data in stream:
        received += data
    return received


async def read_until(stream: trio.SocketStream, end: bytes) -> bytes:
    """Everything up to a certain end."""
    received = b""
    while not received.endswith(end):
        data = await stream.receive_some()
        assert data, received
        received += data
    return received


class SlowStore(MemoryStore):
    """Its writes last until they are let go."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.go_on = trio.Event(), trio.Event()

    async def put_device(self, device: Device) -> None:
        self.begun.set()
        await self.go_on.wait()
        await super().put_device(device)


class Api:
    """One server's API. JSON bodies are given as Python values, anything else as `raw`."""

    def __init__(self, server: Server, token: str = "") -> None:
        self.server = server
        self.http = httpx.AsyncClient(base_url=server.endpoints.http, headers={"token": token} if token else {})

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.http.aclose()

    async def get(self, path: str) -> Any:
        """The JSON of a GET that succeeds."""
        answer = await self.http.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def post(self, path: str, body: object) -> Any:
        """The JSON of a POST that succeeds."""
        answer = await self.http.post(path, json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def ok(self, path: str, **body: object) -> None:
        """A POST that is answered with a plain success."""
        assert await self.post(path, body) == OK

    async def e400(self, path: str, message: str = "", *, raw: bytes | None = None, **body: object) -> None:
        """A POST that is refused, with this text if there is one."""
        answer = await self.http.post(path, content=raw) if raw is not None else await self.http.post(path, json=body)
        assert answer.status_code == 400, answer.text
        refusal = answer.json()
        assert refusal["status"] == 400
        assert refusal["msg"]
        if message:
            assert refusal["msg"] == message

    async def send(self, channel_id: str, channel_type: int = 2, **more: object) -> Any:
        """Sends a message; returns the whole answer."""
        body = {"channel_id": channel_id, "channel_type": channel_type, "payload": P, **more}
        return await self.post("/message/send", body)

    async def history(self, channel_id: str, channel_type: int = 2, login_uid: str = "ann", **more: object) -> Any:
        """A page of history."""
        body = {"login_uid": login_uid, "channel_id": channel_id, "channel_type": channel_type, **more}
        return await self.post("/channel/messagesync", body)
