"""What the kernel knows of a connection: how many bytes it has carried.

Counting them ourselves would cost memory for each of many idle sessions, and time for each message.
"""

import socket
from contextlib import suppress
from struct import Struct
from typing import Final, Protocol

_INFO: Final = getattr(socket, "TCP_INFO", None)
_BYTES: Final = Struct("=QQ")
_OFFSET: Final = 120
"""In Linux's `tcp_info`: what the peer has acknowledged, then what has been received."""


class Asked(Protocol):
    """A socket, or what has one."""

    def getsockopt(self, level: int, name: int, size: int, /) -> bytes: ...


def carried_bytes(sock: Asked) -> tuple[int, int]:
    """How many bytes a connection has brought and taken away, TLS and handshakes included.

    0 where the kernel does not count: elsewhere than on Linux, and on what is no TCP socket.
    """
    if _INFO is not None:
        with suppress(OSError):
            info = sock.getsockopt(socket.IPPROTO_TCP, _INFO, _OFFSET + _BYTES.size)
            if len(info) == _OFFSET + _BYTES.size:
                acknowledged, received = _BYTES.unpack_from(info, _OFFSET)
                return received, acknowledged
    return 0, 0
