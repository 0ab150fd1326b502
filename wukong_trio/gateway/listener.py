"""Accepting connections: listening sockets, TLS, and the nursery that the connections live in."""

import select
import socket
import ssl
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import trio

from ..config import Config
from ..hosts import is_from, parse_networks
from ..net import GATEWAY_SPARE, accept_connections
from ..supervision import supervise
from .connection import run_connection
from .gateway import Gateway
from .native_socket import SocketTransport, TlsTransport
from .native_stream import serve_stream
from .proxied import ProxyHeader
from .reader import SharedReader
from .tls_socket import TlsSocket
from .trio_websocket_engine import serve_trio_websocket

_Take: TypeAlias = Callable[[socket.socket, Any], None]


class Doors(NamedTuple):
    """Listening sockets: what is inside of TLS or not, of WebSocket or not."""

    ws: list[socket.socket]
    wss: list[socket.socket]
    tcp: list[socket.socket]
    tls: list[socket.socket]


class Acceptor:
    """Accepts on all listeners of clients. `run` is one task of the server's nursery."""

    def __init__(self, gateway: Gateway, doors: Doors, context: ssl.SSLContext | None, config: Config) -> None:
        """Args:
        context: for the listeners with TLS; None if there are none.
        """
        self._gateway = gateway
        self._reference = config.engine == "reference"
        self._by_shared_reader = hasattr(select, "epoll")
        self._doors = doors
        self._context = context
        self._proxies = parse_networks(config.proxies)
        """Whose connections begin with a header that says whose they are."""
        self._accepting = trio.CancelScope()
        self.done = trio.Event()
        """Accepting has stopped and the last connection is closed."""

    async def run(self) -> None:
        """Accepts until `stop`, then waits for the connections to end."""
        if self._by_shared_reader and any(self._doors):
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
        doors = self._doors
        async with trio.open_nursery() as nursery:
            for listening, context, bare in (
                (doors.ws, None, False),
                (doors.wss, self._context, False),
                (doors.tcp, None, True),
                (doors.tls, self._context, True),
            ):
                for sock in listening:
                    if shared is None or (self._reference and not bare):
                        take = self._taker_on_stream(connections, context, bare=bare)
                    else:
                        take = self._taker(connections, shared, context, bare=bare)
                    accept = partial(accept_connections, sock, take, spare_descriptors=GATEWAY_SPARE)
                    nursery.start_soon(supervise, "accepting clients", accept)
            # Also where every listener is off: a server may be there for its API alone.
            await trio.sleep_forever()

    def _taker(
        self, connections: trio.Nursery, shared: SharedReader, context: ssl.SSLContext | None, *, bare: bool
    ) -> _Take:
        """What serves a socket that was accepted, with the shared reader."""
        gateway = self._gateway

        def take(sock: socket.socket, address: tuple[str, int]) -> None:
            peer = f"{address[0]}:{address[1]}"
            transport = (
                TlsTransport(gateway, shared, TlsSocket(sock, context), peer, bare=bare)
                if context is not None
                else SocketTransport(gateway, shared, sock, peer, bare=bare)
            )
            if self._proxies and is_from(self._proxies, address[0]):
                transport.proxy_header = ProxyHeader(sock)
            # One name for all: Trio would make a new text for each task.
            connections.start_soon(run_connection, gateway, transport, name="connection")

        return take

    def _taker_on_stream(self, connections: trio.Nursery, context: ssl.SSLContext | None, *, bare: bool) -> _Take:
        """The same with a task that reads and one that writes."""

        def take(sock: socket.socket, address: tuple[str, int]) -> None:
            stream: trio.abc.Stream = trio.SocketStream(trio.socket.from_stdlib_socket(sock))
            if context is not None:
                stream = trio.SSLStream(stream, context, server_side=True, https_compatible=True)
            proxied = self._proxies and is_from(self._proxies, address[0])
            header = ProxyHeader(sock) if proxied else None
            connections.start_soon(self._serve_stream, stream, f"{address[0]}:{address[1]}", header, bare)

        return take

    async def _serve_stream(
        self, stream: trio.abc.Stream, peer: str, proxy_header: ProxyHeader | None, bare: bool
    ) -> None:
        try:
            # The reference engine is there for WebSocket only.
            if self._reference and not bare:
                await serve_trio_websocket(self._gateway, stream, peer, proxy_header)
            else:
                await serve_stream(self._gateway, stream, peer, proxy_header, bare=bare)
        finally:
            await trio.aclose_forcefully(stream)

    def stop(self) -> None:
        """Refuses new connections from now on."""
        self._accepting.cancel()
