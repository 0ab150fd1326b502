"""Listening sockets: binding, with errors that say which setting is to blame, and accepting."""

import errno
import socket
from collections.abc import Callable
from logging import getLogger
from typing import Any, Final

import trio

from .config import Address
from .errors import ConfigError

log = getLogger(__name__)

BACKLOG = 4096
ACCEPTS_PER_TURN: Final = 32
_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_RETRY_S: Final = 0.1

_CURES = {
    errno.EADDRINUSE: "the port is in use; stop the other program or choose another port",
    errno.EACCES: "this user may not use the port; choose one above 1023",
    errno.EADDRNOTAVAIL: "this machine has no such address; use 127.0.0.1 or 0.0.0.0",
}


def bind_tcp(address: Address, *, setting: str) -> socket.socket:
    """A non-blocking socket that listens.

    Args:
        setting: the name of the setting that the address comes from.

    Raises:
        ConfigError: the address cannot be used; says why and what would be right.
    """
    try:
        family, kind, protocol, _, target = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        sock = socket.socket(family, kind, protocol)
    except (
        OSError,
        ValueError,
    ) as error:  # ValueError: no resolver can be asked for such a name, for example `.example`
        problem = error.strerror if isinstance(error, OSError) else "not the name of a host"
        raise ConfigError(f"{setting} = '{address}': {problem}; name an address of this machine") from None
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Passed on to every connection by the kernel.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setblocking(False)
        sock.bind(target)
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        cure = _CURES.get(error.errno or 0, f"{error.strerror}; choose another address")
        raise ConfigError(f"{setting} = '{address}': {cure}") from None
    return sock


async def accept_connections(listener: socket.socket, take: Callable[[socket.socket, Any], None]) -> None:
    """Accepts for as long as it is not cancelled; then the listener is closed.

    Args:
        take: gets each connection, non-blocking, and the address of its other side; must not wait.
    """
    try:
        while True:
            await trio.lowlevel.wait_readable(listener)
            try:
                for _ in range(ACCEPTS_PER_TURN):
                    sock, address = listener.accept()
                    sock.setblocking(False)
                    take(sock, address)
            except BlockingIOError:
                pass
            except OSError as error:
                # A connection that ended while it waited is nobody's loss; too few descriptors is everybody's.
                if error.errno in _EXHAUSTED:
                    log.warning("no connection can be accepted: %s", error)
                    await trio.sleep(_RETRY_S)
    finally:
        listener.close()
