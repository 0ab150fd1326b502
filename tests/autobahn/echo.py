"""An echo server for the Autobahn test suite, made of an engine's own handshake, reader, writer and close code.

python tests/autobahn/echo.py PORT --engine native|reference [--tls DIRECTORY]

With TLS the directory holds cert.pem and key.pem.
"""

import argparse
import ssl
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import trio
from trio_websocket import ConnectionClosed, WebSocketRequest, serve_websocket

from wukong_trio.config import Address, Config, Limits
from wukong_trio.delivery.flush import FlushList
from wukong_trio.delivery.submission import Errand
from wukong_trio.gateway.gateway import Gateway, GatewayStatistics
from wukong_trio.gateway.native import NativeTransport
from wukong_trio.gateway.native_socket import SocketTransport, TlsTransport
from wukong_trio.gateway.reader import SharedReader
from wukong_trio.gateway.tls_socket import TlsSocket
from wukong_trio.gateway.transport import DisconnectedError
from wukong_trio.net import bind_tcp
from wukong_trio.protocol.websocket import Arrival, BinaryMessage, Opcode, encode_frame
from wukong_trio.tls import Certificate

MESSAGE_BYTES = 64 * 1024 * 1024
CLOSE_TIMEOUT_S = 1.0


@dataclass
class EchoGateway:
    """As much of a gateway as transports need."""

    config: Config = field(
        default_factory=lambda: Config(
            limits=Limits(ws_message_bytes=MESSAGE_BYTES, outbox_bytes=4 * MESSAGE_BYTES, outbox_frames=100_000)
        )
    )
    flushes: FlushList = field(default_factory=FlushList)
    allowed_origins: frozenset[str] = frozenset()
    deadlines: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(watch=lambda session, due: None))
    """Nobody is judged here."""
    newcomers: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(turn=trio.lowlevel.checkpoint))
    statistics: GatewayStatistics = field(default_factory=GatewayStatistics)


class Echo(NativeTransport):
    """Sends back what it gets, in place of a session."""

    __slots__ = ()

    def _serve(self, arrivals: Iterator[Arrival], errands: list[Errand]) -> int:
        count = 0
        for arrival in arrivals:
            count += 1
            if isinstance(arrival, bytes):
                opcode = Opcode.BINARY if isinstance(arrival, BinaryMessage) else Opcode.TEXT
                self.put(encode_frame(opcode, arrival))
            else:
                self._serve_other(arrival)
        return count


class EchoTransport(Echo, SocketTransport):
    """A plain connection."""


class TlsEchoTransport(Echo, TlsTransport):
    """A connection with TLS."""


async def serve_native(transport: EchoTransport | TlsEchoTransport) -> None:
    """One connection of the native engine."""
    with suppress(DisconnectedError):
        await transport.open()
        await transport.carry(cast(Any, SimpleNamespace(in_flight=0, unserved=False, has_own_frames=False)))
    with trio.move_on_after(CLOSE_TIMEOUT_S):
        await transport.finish()


async def run_native(port: int, context: ssl.SSLContext | None) -> None:
    """Accepts for ever."""
    listener = bind_tcp(Address("127.0.0.1", port), setting="PORT")
    gateway = cast(Gateway, EchoGateway())
    with SharedReader(gateway) as shared:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(shared.run)
            while True:
                await trio.lowlevel.wait_readable(listener)
                sock, _ = listener.accept()
                sock.setblocking(False)
                if context is None:
                    nursery.start_soon(serve_native, EchoTransport(gateway, shared, sock, ""))
                else:
                    tls = TlsSocket(sock, context)
                    nursery.start_soon(serve_native, TlsEchoTransport(gateway, shared, tls, ""))


async def serve_reference(request: WebSocketRequest) -> None:
    """One connection of the reference engine."""
    websocket = await request.accept()
    try:
        while True:
            await websocket.send_message(await websocket.get_message())
    except ConnectionClosed:
        pass


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("port", type=int)
    parser.add_argument("--engine", choices=["native", "reference"], default="native")
    parser.add_argument("--tls", type=Path)
    options = parser.parse_args()
    files: Path | None = options.tls
    context = None if files is None else Certificate(files / "cert.pem", files / "key.pem").context
    if options.engine == "native":
        trio.run(run_native, options.port, context)
    else:
        trio.run(
            partial(serve_websocket, max_message_size=MESSAGE_BYTES),
            serve_reference,
            "127.0.0.1",
            options.port,
            context,
        )


if __name__ == "__main__":
    main()
