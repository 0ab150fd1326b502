"""Where binary clients meet a server, and steps that many tests share."""

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
import trio

from wukong_trio import Server
from wukong_trio.protocol.wkproto import Recv, Send, Sendack
from wukong_trio.testing import RawClient, RawPacketClient, SocketClosed, open_raw_client, open_raw_packet_client

WEBSOCKETS = ("ws", "ws reference")
CARRIERS = ("tcp", "tls", *WEBSOCKETS)
VERSIONS = range(7)


class Place:
    """A server, and the carrier on which its binary clients come."""

    def __init__(self, server: Server, carrier: str, url: str, ssl_context: ssl.SSLContext) -> None:
        self.server = server
        self.carrier = carrier
        self.url = url
        self._ssl_context = ssl_context

    @property
    def has_frames(self) -> bool:
        """Packets travel in WebSocket messages."""
        return self.carrier.startswith("ws")

    def stranger(self) -> AbstractAsyncContextManager[RawPacketClient]:
        """A client that has said nothing yet."""
        return open_raw_packet_client(self.url, ssl_context=self._ssl_context)

    @asynccontextmanager
    async def online(self, *uids: str, version: int = 6, **fields: Any) -> AsyncIterator[list[RawPacketClient]]:
        """An authenticated client for each uid; a number before a colon is its version."""
        async with AsyncExitStack() as stack:
            clients = []
            for uid in uids:
                own, _, name = uid.rpartition(":")
                client = await stack.enter_async_context(self.stranger())
                await client.connect(name, int(own or version), **fields)
                clients.append(client)
            yield clients

    @asynccontextmanager
    async def json_online(self, *uids: str, **params: Any) -> AsyncIterator[list[RawClient]]:
        """The same with clients that speak JSON-RPC, as the SDKs do."""
        async with AsyncExitStack() as stack:
            clients = []
            for uid in uids:
                client = await stack.enter_async_context(open_raw_client(self.server.endpoints.ws))
                await client.sdk_connect(uid, **params)
                clients.append(client)
            yield clients

    async def ended(self, client: RawPacketClient, *codes: int) -> None:
        """The end, without a word before it; on WebSockets with one of these codes."""
        closed = await client.wait_closed()
        assert closed.code in (codes if self.has_frames else (1006,)), closed

    async def post(self, path: str, body: object) -> Any:
        """Calls the HTTP API; the answer has to be a success."""
        async with httpx.AsyncClient(base_url=self.server.endpoints.http, verify=False) as http:
            answer = await http.post(path, json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def group(self, *uids: str, name: str = "g", **flags: int) -> None:
        """Creates or replaces a group."""
        body = {"channel_id": name, "channel_type": 2, "subscribers": list(uids), "reset": 1, **flags}
        await self.post("/channel", body)

    async def history(self, channel_id: str, channel_type: int = 1, login_uid: str = "ann") -> list[Any]:
        """The stored messages of a channel."""
        body = {"login_uid": login_uid, "channel_id": channel_id, "channel_type": channel_type}
        messages: list[Any] = (await self.post("/channel/messagesync", body))["messages"]
        return messages


OpenPlace = Callable[..., AbstractAsyncContextManager[Place]]
OpenPlaces = Callable[..., AbstractAsyncContextManager[list[Place]]]


def message(number: int = 1, to: str = "bob", payload: bytes = b'{"a":1}', **fields: Any) -> Send:
    """A valid SEND to a person; its client_seq and client_msg_no follow from the number."""
    return Send(
        **{"channel_type": 1, "client_msg_no": f"m{number}", **fields},
        client_seq=number,
        channel_id=to,
        payload=payload,
    )


async def sent(client: RawPacketClient, *arguments: Any, **fields: Any) -> Sendack:
    """Seals and sends a `message`, which has to be accepted."""
    sendack = await client.call(client.seal(message(*arguments, **fields)))
    assert sendack.reason_code == 1, sendack
    return sendack


async def refused(client: RawPacketClient, *arguments: Any, **fields: Any) -> int:
    """Seals and sends a `message`; returns why it was refused."""
    send = client.seal(message(*arguments, **fields))
    sendack = await client.call(send)
    assert sendack == Sendack(0, send.client_seq, 0, sendack.reason_code, send.client_msg_no)
    assert sendack.reason_code != 1
    return sendack.reason_code


async def received(client: RawPacketClient, sendack: Sendack) -> Recv:
    """The next packet, which has to be the message that was answered like this."""
    recv = await client.receive_message()
    assert (recv.message_id, recv.message_seq) == (sendack.message_id, sendack.message_seq), recv
    return recv


async def in_parallel(*steps: Callable[[], Any]) -> None:
    """Takes steps at the same time."""
    async with trio.open_nursery() as nursery:
        for step in steps:
            nursery.start_soon(step)


async def read_until_closed(client: RawPacketClient) -> tuple[list[bytes], SocketClosed]:
    """All packets to the end."""
    packets: list[bytes] = []
    while True:
        try:
            packets.append(await client.receive_bytes())
        except SocketClosed as closed:
            return packets, closed
