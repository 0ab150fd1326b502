"""Accepting connections: listening sockets, TLS, and the nursery that the connections live in."""

import socket
import ssl
from logging import getLogger

import trio

from ..config import Listeners
from ..errors import ConfigError
from .gateway import Gateway
from .trio_websocket_engine import serve_stream

log = getLogger(__name__)


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

    def __init__(self, gateway: Gateway, plain: list[socket.socket], tls: list[socket.socket], listeners: Listeners):
        self._gateway = gateway
        self._listeners: list[trio.abc.Listener[trio.abc.Stream]] = [_listener(s) for s in plain]
        if tls:
            context = tls_context(listeners)
            self._listeners += [trio.SSLListener(_listener(s), context, https_compatible=True) for s in tls]
        self._accepting = trio.CancelScope()
        self.done = trio.Event()
        """Accepting has stopped and the last connection is closed."""

    async def run(self) -> None:
        """Accepts until `stop`, then waits for the connections to end."""
        async with trio.open_nursery() as connections:
            with self._accepting:
                await trio.serve_listeners(self._serve, self._listeners, handler_nursery=connections)
        self.done.set()

    def stop(self) -> None:
        """Refuses new connections from now on."""
        self._accepting.cancel()

    async def _serve(self, stream: trio.abc.Stream) -> None:
        """One connection. Whatever goes wrong with it ends here, in one log line."""
        address = _remote_address(stream)
        try:
            await serve_stream(self._gateway, stream, address)
        except* (trio.BrokenResourceError, trio.ClosedResourceError, ssl.SSLError) as group:
            log.info("%s: connection dropped: %r", address, group.exceptions[0])
        except* Exception:
            log.exception("%s: connection dropped", address)


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
