"""The connections to the receiver, which all events share: made when there is none left, used again, and closed.

A request is built by `hook`; here it is written, and its answer read. That costs a fifth to a tenth of what a
general client takes, because there is one receiver, and nothing of an answer matters but its status.
"""

import socket
import ssl
from contextlib import suppress
from math import inf
from types import TracebackType
from typing import Final, NamedTuple, Protocol, Self

import trio

from .address import parse_address
from .answer import AnswerReader
from .pace import Stopwatch
from .wires import TlsWire, Wire

CONNECT_TIMEOUT_S: Final = 5.0
"""TLS included."""
CONNECTING_S: Final = 3e-4
"""The CPU time of trying to connect, more or less: Trio does that in tasks and threads of its own."""
ANSWER_TIMEOUT_S: Final = 10.0
"""For the request, and for each piece of the answer."""
KEPT_ALIVE_S: Final = 4.0
"""Many servers close after 5 s, and whoever writes to them just then has written in vain."""
REST_TIMEOUT_S: Final = 1.0
REST_BYTES: Final = 1024 * 1024
"""For so long, and so far, an answer is read behind its head, and thrown away, to use the connection again."""


class Transport(Protocol):
    """Carries requests to the receiver."""

    async def exchange(self, head: bytes, body: bytes, limit: trio.CancelScope, watch: Stopwatch) -> int:
        """Sends a request and returns the status of the answer.

        Args:
            head: with its empty line.
            limit: surrounds the call and says how long all may take; its deadline is moved meanwhile.
            watch: is stopped while it waits.

        Raises:
            Exception: there is no answer, whatever the reason is.
        """


class _Kept(NamedTuple):
    """A connection that waits for its next request."""

    wire: Wire
    reader: AnswerReader
    until: float


class Connections:
    """Those to one receiver; there are as many as requests were under way at a time."""

    def __init__(self, url: str) -> None:
        """
        Raises:
            ConfigError: nobody can be found there.
        """
        self._address = parse_address(url)
        self._context = _tls_context() if self._address.tls else None
        self._kept: list[_Kept] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        while self._kept:
            self._kept.pop().wire.close()

    async def exchange(self, head: bytes, body: bytes, limit: trio.CancelScope, watch: Stopwatch) -> int:
        """Part of `Transport`.

        Raises:
            OSError: the receiver cannot be reached, or the connection broke.
            AnswerError: what he says is no answer.
        """
        end = limit.deadline
        connection = self._take()
        if connection is None:
            limit.deadline = min(end, trio.current_time() + CONNECT_TIMEOUT_S)
            connection = await self._connect(watch), AnswerReader()
        wire, reader = connection
        try:
            reader.begin()
            limit.deadline = min(end, trio.current_time() + ANSWER_TIMEOUT_S)
            # Who refuses a request may answer before he has all of it, and close.
            with suppress(OSError):
                await wire.send(head + body, watch)
            while True:
                reader.feed(await wire.receive(watch))
                if reader.status:
                    break
                limit.deadline = min(end, trio.current_time() + ANSWER_TIMEOUT_S)
            # He has spoken, whatever becomes of the rest.
            limit.deadline = inf
            if not reader.complete:
                await _read_rest(wire, reader, watch)
            if reader.complete and reader.reusable:
                self._kept.append(_Kept(wire, reader, trio.current_time() + KEPT_ALIVE_S))
            else:
                wire.close()
        except BaseException:
            wire.close()
            raise
        return reader.status

    def _take(self) -> tuple[Wire, AnswerReader] | None:
        """A connection that was used before, if there is one."""
        while self._kept:
            wire, reader, until = self._kept.pop()
            if trio.current_time() < until and not wire.is_readable:
                return wire, reader
            wire.close()
        return None

    async def _connect(self, watch: Stopwatch) -> Wire:
        watch.stop()
        watch.elapsed_s += CONNECTING_S
        stream = await trio.open_tcp_stream(self._address.host, self._address.port)
        watch.start()
        sock = socket.socket(fileno=stream.socket.detach())
        sock.setblocking(False)
        try:
            if self._context is None:
                return Wire(sock)
            wire = TlsWire(sock, self._context, self._address.host)
            await wire.shake_hands(watch)
        except BaseException:
            sock.close()
            raise
        return wire


def _tls_context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


async def _read_rest(wire: Wire, reader: AnswerReader, watch: Stopwatch) -> None:
    """Reads behind the head, within bounds."""
    size_bytes = 0
    with trio.move_on_after(REST_TIMEOUT_S), suppress(OSError):
        while not reader.complete and size_bytes < REST_BYTES:
            data = await wire.receive(watch)
            size_bytes += len(data)
            reader.feed(data)
