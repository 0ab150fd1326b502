"""Listening sockets: binding, with errors that name the setting to blame, and accepting with descriptors to spare."""

import errno
import resource
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
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
_SHORTAGE_OVER_S: Final = 5.0
API_SPARE: Final = 32
"""Descriptors that the API leaves for the store and for files that are opened now and then."""
GATEWAY_SPARE: Final = 96
"""Descriptors that the gateway leaves for the same, and for the API."""

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
    except (OSError, ValueError) as error:
        # ValueError: no resolver can be asked for it, for example `.example`.
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


async def accept_connections(
    listener: socket.socket,
    take: Callable[[socket.socket, Any], None],
    *,
    spare_descriptors: int,
    make_room: Callable[[], bool] = lambda: False,
) -> None:
    """Accepts for as long as it is not cancelled; then the listener is closed.

    Args:
        take: gets each connection, non-blocking, and the address of its other side; must not wait.
        spare_descriptors: how many of the process's descriptors this listener leaves for others. Where that many are
            left, connections are closed as soon as they are accepted, so that nobody waits for an answer.
        make_room: asked before that; closes other connections, or returns False if there are none to close.
    """
    shortage = _Shortage()
    try:
        while True:
            await trio.lowlevel.wait_readable(listener)
            usable = _usable_descriptors(spare_descriptors)
            try:
                for _ in range(ACCEPTS_PER_TURN):
                    sock, address = listener.accept()
                    # The kernel gives the lowest free number: the number of a new descriptor is how many are in use.
                    if sock.fileno() >= usable:
                        shortage.refused()
                        if make_room():
                            # It gets the number that became free, so that numbers go on saying how many are in use.
                            sock, high = sock.dup(), sock
                            high.close()
                        if sock.fileno() >= usable:
                            sock.close()
                            continue
                    elif shortage.began:
                        shortage.accepted()
                    sock.setblocking(False)
                    take(sock, address)
            except BlockingIOError:
                pass
            except OSError as error:
                # A connection that ended while it waited is nobody's loss; too few descriptors is everybody's.
                if error.errno in _EXHAUSTED:
                    shortage.refused()
                    await trio.sleep(_RETRY_S)
    finally:
        listener.close()


def raise_descriptor_limit() -> int:
    """Lets this process open as many files as it may without more rights. Returns how many these are."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Refused where the kernel has a limit of its own that is lower: then the old one stays.
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return _descriptor_limit()


def _usable_descriptors(spare: int) -> int:
    limit = _descriptor_limit()
    return limit - min(spare, limit // 4)


def _descriptor_limit() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft


class _Shortage:
    """Says once that connections are refused, and once that this is over."""

    def __init__(self) -> None:
        self._refused = 0
        self._last = 0.0

    @property
    def began(self) -> bool:
        return self._refused > 0

    def refused(self) -> None:
        if not self._refused:
            log.warning(
                "too many open files: new connections are refused, or idle ones closed; raise the limit of this "
                "process (now %d) with `ulimit -n` or LimitNOFILE=",
                _descriptor_limit(),
            )
        self._refused += 1
        self._last = trio.current_time()

    def accepted(self) -> None:
        # At the limit, refusals and others take turns. That is one shortage, not many.
        if trio.current_time() - self._last > _SHORTAGE_OVER_S:
            log.warning("there is room for connections again; %d were too many", self._refused)
            self._refused = 0
