"""All sockets of a load process in one epoll set, and the loop that serves them."""

import os
import resource
import select
import socket
import ssl
import time
from typing import Final, Protocol

from .plan import Target

BUFFER_BYTES: Final = 256 * 1024
_IP_BIND_ADDRESS_NO_PORT: Final = 24
"""Choose the port when connecting, not when binding: an address then has all its ports for each server (ip(7))."""


class Source(Protocol):
    """What has a descriptor in the set."""

    def on_event(self, events: int) -> None:
        """Called when the kernel has something to say."""


def now_us() -> int:
    """The monotonic clock, which all processes of a machine share."""
    return time.monotonic_ns() // 1000


class Swarm:
    """Owns the epoll set and a buffer that all reads share."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._sources: dict[int, Source] = {}
        self.buffer = memoryview(bytearray(BUFFER_BYTES))

    def add(self, fd: int, source: Source, events: int) -> None:
        """Watches a descriptor."""
        self._sources[fd] = source
        self._epoll.register(fd, events)

    def change(self, fd: int, events: int) -> None:
        """Watches it for other events."""
        self._epoll.modify(fd, events)

    def remove(self, fd: int) -> None:
        """Forgets a descriptor, which must still be open."""
        if self._sources.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def turn(self, until_us: int) -> None:
        """Serves what is ready; if nothing is, waits for it until the given moment.

        `select` waits on the set itself, because epoll's timeouts are whole milliseconds: requests would leave late.
        """
        wait_s = (until_us - now_us()) / 1e6
        if wait_s > 0:
            select.select((self._epoll.fileno(),), (), (), wait_s)
        for fd, events in self._epoll.poll(0, 64):
            source = self._sources.get(fd)
            if source is not None:
                source.on_event(events)


def dial(target: Target, source: str | None) -> socket.socket:
    """A non-blocking socket that is about to be connected; writable when it is.

    Raises:
        OSError: there is no port or no descriptor left, or no way to the server.
    """
    sock = socket.socket(socket.AF_INET6 if ":" in target.host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if source is not None:
            sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
            sock.bind((source, 0))
        sock.connect((target.host, target.port))
    except BlockingIOError:
        pass
    except OSError:
        sock.close()
        raise
    return sock


def raise_file_limit() -> None:
    """Lets this process open as many files as it ever may."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def words(error: OSError) -> str:
    """An error of a socket in words."""
    if isinstance(error, ssl.SSLError):
        return f"TLS: {error.reason or error}"
    return os.strerror(error.errno) if error.errno else str(error)
