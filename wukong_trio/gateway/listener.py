"""Accepting connections: listening sockets, TLS, and the nursery that the connections live in."""

import select
import socket
import ssl

import trio

from ..config import Config, Listeners
from ..errors import ConfigError
from ..net import accept_connections
from ..supervision import supervise
from .connection import run_connection
from .gateway import Gateway
from .native_socket import SocketTransport
from .native_stream import serve_stream
from .pipes import socket_of
from .reader import SharedReader
from .trio_websocket_engine import serve_trio_websocket


def tls_context(listeners: Listeners) -> ssl.SSLContext:
    """The certificate of the WSS listener.

    Raises:
        ConfigError: the files cannot be used.
    """
    assert listeners.cert_file is not None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(listeners.cert_file, listeners.key_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"wssConfig: {listeners.cert_file} and {listeners.key_file} are not a certificate and its key: {error}"
        ) from None
    return context


class Acceptor:
    """Accepts on all WebSocket listeners. `run` is one task of the server's nursery."""

    def __init__(self, gateway: Gateway, plain: list[socket.socket], tls: list[socket.socket], config: Config) -> None:
        self._gateway = gateway
        self._reference = config.engine == "reference"
        by_shared_reader = not self._reference and hasattr(select, "epoll")
        self._sockets = plain if by_shared_reader else []
        self._listeners: list[trio.abc.Listener[trio.abc.Stream]] = (
            [] if by_shared_reader else [_listener(sock) for sock in plain]
        )
        if tls:
            context = tls_context(config.listeners)
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
                readers.start_soon(supervise, "the shared reader", shared.run)
            async with trio.open_nursery() as connections:
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
            await serve_stream(self._gateway, stream, address)

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
    sock = socket_of(stream)
    if sock is None:
        return "a stream"
    try:
        host, port, *_ = sock.getpeername()
    except OSError:
        return "a client that is gone"
    return f"{host}:{port}"
