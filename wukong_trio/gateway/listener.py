"""Accepting connections: listening sockets, TLS, and the nursery that the connections live in."""

import select
import socket
import ssl
from functools import partial

import trio

from ..config import Config
from ..net import GATEWAY_SPARE, accept_connections
from ..supervision import supervise
from .connection import run_connection
from .gateway import Gateway
from .native_socket import SocketTransport, TlsTransport
from .native_stream import serve_stream
from .reader import SharedReader
from .tls_socket import TlsSocket
from .trio_websocket_engine import serve_trio_websocket


class Acceptor:
    """Accepts on all WebSocket listeners. `run` is one task of the server's nursery."""

    def __init__(
        self,
        gateway: Gateway,
        plain: list[socket.socket],
        tls: list[socket.socket],
        context: ssl.SSLContext | None,
        config: Config,
    ) -> None:
        self._gateway = gateway
        self._reference = config.engine == "reference"
        self._by_shared_reader = not self._reference and hasattr(select, "epoll")
        self._plain = plain
        self._tls = tls
        self._context = context
        self._accepting = trio.CancelScope()
        self.done = trio.Event()
        """Accepting has stopped and the last connection is closed."""

    async def run(self) -> None:
        """Accepts until `stop`, then waits for the connections to end."""
        if self._by_shared_reader and (self._plain or self._tls):
            with SharedReader(self._gateway) as shared:
                await self._run(shared)
        else:
            await self._run(None)
        self.done.set()

    async def _run(self, shared: SharedReader | None) -> None:
        async with trio.open_nursery() as readers:
            if shared is not None:
                readers.start_soon(supervise, "the shared reader", shared.run)
            async with trio.open_nursery() as connections:
                with self._accepting:
                    await self._accept(connections, shared)
            readers.cancel_scope.cancel()

    async def _accept(self, connections: trio.Nursery, shared: SharedReader | None) -> None:
        def take_socket(sock: socket.socket, address: tuple[str, int]) -> None:
            assert shared is not None
            transport = SocketTransport(self._gateway, shared, sock, f"{address[0]}:{address[1]}")
            # One name for all: Trio would make a new text for each task.
            connections.start_soon(run_connection, self._gateway, transport, name="connection")

        def take_tls_socket(sock: socket.socket, address: tuple[str, int]) -> None:
            assert shared is not None
            assert self._context is not None
            transport = TlsTransport(
                self._gateway, shared, TlsSocket(sock, self._context), f"{address[0]}:{address[1]}"
            )
            connections.start_soon(run_connection, self._gateway, transport, name="connection")

        def take_plain(sock: socket.socket, address: tuple[str, int]) -> None:
            connections.start_soon(self._serve_stream, _stream(sock), f"{address[0]}:{address[1]}")

        def take_tls(sock: socket.socket, address: tuple[str, int]) -> None:
            assert self._context is not None
            stream = trio.SSLStream(_stream(sock), self._context, server_side=True, https_compatible=True)
            connections.start_soon(self._serve_stream, stream, f"{address[0]}:{address[1]}")

        take = [(sock, take_plain if shared is None else take_socket) for sock in self._plain]
        take += [(sock, take_tls if shared is None else take_tls_socket) for sock in self._tls]
        async with trio.open_nursery() as nursery:
            # Without a listener too this goes on until it is stopped.
            nursery.start_soon(trio.sleep_forever)
            for sock, take_connection in take:
                accept = partial(accept_connections, sock, take_connection, spare_descriptors=GATEWAY_SPARE)
                nursery.start_soon(supervise, "accepting clients", accept)
            # Also where every listener is off: a server may be there for its API alone.
            await trio.sleep_forever()

    async def _serve_stream(self, stream: trio.abc.Stream, address: str) -> None:
        try:
            if self._reference:
                await serve_trio_websocket(self._gateway, stream, address)
            else:
                await serve_stream(self._gateway, stream, address)
        finally:
            await trio.aclose_forcefully(stream)

    def stop(self) -> None:
        """Refuses new connections from now on."""
        self._accepting.cancel()


def _stream(sock: socket.socket) -> trio.SocketStream:
    return trio.SocketStream(trio.socket.from_stdlib_socket(sock))
