"""Streams of events in tests of the API."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from api_calls import Api, P

from wukong_trio import MessageEvent, open_client

G = {"channel_id": "g", "channel_type": 2}


class Stream:
    """A message of a group, and what is appended to it."""

    def __init__(self, api: Api, number: str = "s1", **channel: Any) -> None:
        self.api = api
        self.name = {**G, "client_msg_no": number, **channel}

    async def start(self, **more: Any) -> Any:
        body = {"from_uid": "bot", "payload": P, "is_stream": 1, **self.name, **more}
        return await self.api.post("/message/send", body)

    async def add(self, event_id: str, kind: str = "stream.delta", text: str | None = None, **more: Any) -> Any:
        payload = {} if text is None else {"payload": {"kind": "text", "delta": text}}
        body = {**self.name, "event_id": event_id, "event_type": kind, **payload, **more}
        return (await self.api.post("/message/event", body))["data"]

    async def refused(self, message: str, **body: Any) -> None:
        fields = {"event_id": "e", "event_type": "stream.delta", **self.name, **body}
        await self.api.e400("/message/event", message, **fields)

    async def sync(self, **more: Any) -> Any:
        return (await self.api.post("/message/eventsync", {**self.name, **more}))["data"]

    async def record(self, **more: Any) -> Any:
        return (await self.api.history("g", **more))["messages"][-1]


@asynccontextmanager
async def online(api: Api, uid: str) -> AsyncIterator[Any]:
    async with open_client(api.server.endpoints.ws, uid=uid) as client:
        yield client


async def told(client: Any) -> tuple[MessageEvent, Any]:
    """The next event, and its data."""
    event = await client.events.__anext__()
    return event, json.loads(event.data)
