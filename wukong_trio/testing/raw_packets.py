"""A WKProto client that does exactly what it is told, over TCP, TLS or a WebSocket: for tests of the protocol itself.

    async with open_raw_packet_client(server.endpoints.tcp) as ann:
        await ann.connect("ann")
        sendack = await ann.call(ann.seal(Send(1, "bob", 1, b"hello", "m1")))

It answers nothing by itself - no RECVACK, no PONG - and can break every rule. Packets are those of
`wukong_trio.protocol.wkproto`.
"""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import msgspec
import trio

from ..model import ReasonCode
from ..protocol.wkproto import LATEST_VERSION, PING, PONG, Connack, Connect, Packet, Recv, Recvack, Send, Sendack
from ..protocol.wkproto_keys import ClientExchange, SessionKeys, recv_sign_text, send_sign_text
from ..protocol.wkproto_reader import PacketReader
from ..protocol.wkproto_writer import encode
from .raw_client import RawClient, SocketClosed, open_raw_client, receive_some

_SHORTEST_BYTES = 2


class RawPacketClient:
    """One connection. Get it from `open_raw_packet_client`."""

    def __init__(self, stream: trio.abc.Stream, websocket: RawClient | None) -> None:
        self.stream = stream
        """What carries the bytes; below the frames if there are any."""
        self.websocket = websocket
        """None on TCP and TLS."""
        self.version = LATEST_VERSION
        """How packets are laid out, in both directions. `connect` sets it."""
        self.keys: SessionKeys | None = None
        """Set by `connect`, unless it was told to do without encryption."""
        self._received = bytearray()
        self._exchange: ClientExchange | None = None

    # Sending

    async def send(self, *packets: Packet) -> None:
        """Packets, in one piece; on a WebSocket that is one binary message."""
        await self.send_bytes(b"".join([encode(packet, self.version) for packet in packets]))

    async def send_bytes(self, data: bytes) -> None:
        """Anything at all; on a WebSocket as one binary message."""
        if self.websocket is None:
            await self.stream.send_all(data)
        else:
            await self.websocket.send_binary(data)

    def seal(self, send: Send) -> Send:
        """The same with its payload encrypted and signed; as it is without encryption."""
        if self.keys is None:
            return send
        send = msgspec.structs.replace(send, payload=self.keys.encrypt(send.payload))
        return msgspec.structs.replace(send, msg_key=self.keys.sign(send_sign_text(send)).decode())

    # Receiving

    async def receive_bytes(self) -> bytes:
        """The next packet as it came. On a WebSocket it has to be one message.

        Raises:
            SocketClosed: there is none.
        """
        if self.websocket is not None:
            message = await self.websocket.receive_binary()
            assert _size_of_first(message) == len(message), f"a message that is not one packet: {message.hex()}"
            return message
        while not (size := _size_of_first(self._received)):
            data = await receive_some(self.stream)
            if not data:
                assert not self._received, f"the end came inside a packet: {self._received.hex()}"
                raise SocketClosed(1006)
            self._received += data
        packet = bytes(self._received[:size])
        del self._received[:size]
        return packet

    async def receive(self) -> Packet:
        """The next packet; its payload as it travels."""
        return self.decode(await self.receive_bytes())

    async def receive_message(self) -> Recv:
        """The next packet, which has to be a RECV, with its payload decrypted."""
        packet = await self.receive()
        assert isinstance(packet, Recv), f"not a RECV: {packet}"
        return self.open(packet)

    def decode(self, data: bytes) -> Packet:
        """Exactly one packet of the server."""
        reader = PacketReader(self.version)
        packets = reader.receive(data)
        assert reader.failure is None, f"{reader.failure}: {data.hex()}"
        assert len(packets) == 1, f"not one packet: {data.hex()}"
        assert reader.at_start, f"more than a packet: {data.hex()}"
        return packets[0]

    def open(self, recv: Recv) -> Recv:
        """The same with its payload decrypted, after a look at its signature; as it is without encryption."""
        if self.keys is None:
            assert not recv.msg_key, "signed without encryption"
            return recv
        assert self.keys.sign(recv_sign_text(recv)).decode() == recv.msg_key, f"wrongly signed: {recv}"
        return msgspec.structs.replace(recv, payload=self.keys.decrypt(recv.payload))

    async def wait_closed(self) -> SocketClosed:
        """Waits for the end, which has the code 1006 on TCP and TLS; packets that come before it are an error."""
        try:
            packet = await self.receive_bytes()
        except SocketClosed as closed:
            return closed
        raise AssertionError(f"a packet instead of the end: {packet.hex()}")

    async def expect_quiet(self, seconds: float) -> None:
        """Fails unless this many seconds pass without a packet and without an end."""
        with trio.move_on_after(seconds):
            raise AssertionError(f"not quiet: {await self.receive()}")

    # Protocol

    def hello(self, uid: str, version: int = LATEST_VERSION, *, encryption: bool = True, **fields: Any) -> Connect:
        """A CONNECT with a key of its own; from now on packets are laid out for this version.

        Args:
            encryption: without it `client_key` is empty.
            fields: those of `Connect`; `device_flag` is 0 by default.
        """
        self.version = min(version, LATEST_VERSION)
        self._exchange = ClientExchange() if encryption else None
        client_key = "" if self._exchange is None else self._exchange.client_key
        return Connect(**{"version": version, "device_flag": 0, "uid": uid, "client_key": client_key, **fields})

    async def try_connect(
        self, uid: str, version: int = LATEST_VERSION, *, encryption: bool = True, **fields: Any
    ) -> Connack:
        """Sends `hello` and returns the answer, whatever it says."""
        await self.send(self.hello(uid, version, encryption=encryption, **fields))
        connack = await self.receive()
        assert isinstance(connack, Connack), f"not a CONNACK: {connack}"
        if self._exchange is not None and connack.reason_code == ReasonCode.SUCCESS:
            self.keys = self._exchange.finish(connack.server_key, connack.salt)
        return connack

    async def connect(
        self,
        uid: str,
        version: int = LATEST_VERSION,
        *,
        token: str = "t",
        device_flag: int = 0,
        device_id: str = "",
        encryption: bool = True,
    ) -> Connack:
        """Authenticates, and agrees on keys unless it is told not to."""
        connack = await self.try_connect(
            uid, version, encryption=encryption, token=token, device_flag=device_flag, device_id=device_id
        )
        assert connack.reason_code == ReasonCode.SUCCESS, f"not connected: {connack}"
        return connack

    async def call(self, send: Send) -> Sendack:
        """Sends a SEND as it is and returns its SENDACK, which has to be the next packet."""
        await self.send(send)
        sendack = await self.receive()
        assert isinstance(sendack, Sendack), f"not a SENDACK: {sendack}"
        assert sendack.client_seq == send.client_seq, f"not the answer to {send.client_seq}: {sendack}"
        return sendack

    async def acknowledge(self, recv: Recv) -> None:
        """A RECVACK, with the flags that clients copy."""
        await self.send(Recvack(recv.message_id, recv.message_seq, recv.flags & 7))

    async def ping(self) -> None:
        """A PING whose PONG has to be the next packet: shows that nothing came before, and that all is well."""
        await self.send(PING)
        answer = await self.receive()
        assert answer == PONG, f"not a PONG: {answer}"


def _size_of_first(data: bytes | bytearray) -> int:
    """How many bytes the first packet has; 0 if it is not complete."""
    if not data:
        return 0
    if 0x70 <= data[0] < 0x90:
        return 1
    if len(data) < _SHORTEST_BYTES:
        return 0
    size = 0
    for n, byte in enumerate(data[1:5]):
        size |= (byte & 127) << 7 * n
        if byte < 128:
            end = n + 2 + size
            return end if len(data) >= end else 0
    return 0


@asynccontextmanager
async def open_raw_packet_client(
    url: str, *, ssl_context: ssl.SSLContext | None = None
) -> AsyncIterator[RawPacketClient]:
    """Connects, with the handshakes of TLS and WebSocket where the URL says so, no more. Leaving the block closes the
    socket without a word.

    Args:
        url: `tcp`, `tls`, `ws` or `wss`.
        ssl_context: whom to trust, for `tls` and `wss`.

    Raises:
        SocketClosed: the server did not take the WebSocket.
    """
    parts = urlsplit(url)
    if parts.scheme in ("ws", "wss"):
        async with open_raw_client(url, ssl_context=ssl_context) as websocket:
            yield RawPacketClient(websocket.stream, websocket)
        return
    host, port = parts.hostname or "", parts.port or 0
    stream: trio.abc.Stream
    if parts.scheme == "tls":
        stream = await trio.open_ssl_over_tcp_stream(host, port, ssl_context=ssl_context, https_compatible=True)
    else:
        stream = await trio.open_tcp_stream(host, port)
    async with stream:
        yield RawPacketClient(stream, None)
