"""Accepting connections: listening sockets, TLS, and the nursery that the connections live in."""

import select
import socket
import ssl

import trio

from ..config import Config
from ..net import accept_connections
from .connection import run_connection
from .gateway import Gateway
from .native_socket import SocketTransport
from .native_stream import StreamTransport
from .reader import SharedReader
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
        by_shared_reader = not self._reference and hasattr(select, "epoll")
        self._sockets = plain if by_shared_reader else []
        self._listeners: list[trio.abc.Listener[trio.abc.Stream]] = (
            [] if by_shared_reader else [_listener(sock) for sock in plain]
        )
        if context is not None:
            self._listeners += [trio.SSLListener(_listener(s), context, https_compatible=True) for s in tls]
        self._accepting = trio.CancelScope()
        self.done = trio.Event()
        """Accepting has stopped and the last connection is closed."""

    async def run(self) -> None:
        """Accepts until `stop`, then waits for the connections to end."""
        if self._sockets:
            with SharedReader(self._gateway) as shared:
                await self._run(shared)
        else:
            await self._run(None)
        self.done.set()

    async def _run(self, shared: SharedReader | None) -> None:
        async with trio.open_nursery() as readers:
            if shared is not None:
                readers.start_soon(shared.run)
            async with trio.open_nursery() as connections:
                self._gateway.start_soon = connections.start_soon
                with self._accepting:
                    await self._accept(connections, shared)
            readers.cancel_scope.cancel()

    async def _accept(self, connections: trio.Nursery, shared: SharedReader | None) -> None:
        async with trio.open_nursery() as nursery:
            if shared is not None:
                for sock in self._sockets:
                    nursery.start_soon(self._accept_sockets, sock, connections, shared)
            if self._listeners:
                nursery.start_soon(self._accept_streams, connections)

    async def _accept_streams(self, connections: trio.Nursery) -> None:
        await trio.serve_listeners(self._serve_stream, self._listeners, handler_nursery=connections)

    async def _serve_stream(self, stream: trio.abc.Stream) -> None:
        address = _remote_address(stream)
        if self._reference:
            await serve_trio_websocket(self._gateway, stream, address)
        else:
            await run_connection(self._gateway, StreamTransport(self._gateway, stream, address))

    async def _accept_sockets(self, listener: socket.socket, connections: trio.Nursery, shared: SharedReader) -> None:
        def take(sock: socket.socket, address: tuple[str, int]) -> None:
            transport = SocketTransport(self._gateway, shared, sock, f"{address[0]}:{address[1]}")
            # One name for all: Trio would make a new text for each task.
            connections.start_soon(run_connection, self._gateway, transport, name="connection")

        await accept_connections(listener, take)

    def stop(self) -> None:
        """Refuses new connections from now on."""
        self._accepting.cancel()


def _listener(sock: socket.socket) -> trio.SocketListener:
    return trio.SocketListener(trio.socket.from_stdlib_socket(sock))


def _remote_address(stream: trio.abc.Stream) -> str:
    inner = stream.transport_stream if isinstance(stream, trio.SSLStream) else stream
    if isinstance(inner, trio.SocketStream):
        try:
            host, port, *_ = inner.socket.getpeername()
        except OSError:
            return "a client that is gone"
        return f"{host}:{port}"
    return "a stream"
