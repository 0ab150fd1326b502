"""One connection of a load process: connects, shakes hands, authenticates, then carries messages.

What it is made of, its dialect says: a pipe (plain or TLS), a framing (WebSocket or bare) and a speech (JSON-RPC or
WKProto).
"""

import select
import socket
import ssl
from typing import Final, Protocol

from . import frames
from .dialect import Dialect
from .frames import ProtocolError
from .pipes import TlsSocket, secure
from .plan import Plan
from .swarm import Swarm, dial, now_us, words

_DIALING: Final = 0
_SECURING: Final = 1
_UPGRADING: Final = 2
_GREETING: Final = 3
_OPEN: Final = 4
_CLOSED: Final = 5
RESET: Final = "reset"
_IN: Final = select.EPOLLIN
_OUT: Final = select.EPOLLOUT
_SLOW_BUFFER_BYTES: Final = 4096


class Owner(Protocol):
    """The scenario that a connection belongs to."""

    def on_open(self, connection: "Connection") -> None:
        """It is authenticated."""

    def on_data(self, connection: "Connection", data: memoryview, at_us: int) -> int:
        """Bytes have arrived, beginning with a frame; returns how many of them need not be looked at any more."""

    def on_messages(self, connection: "Connection", messages: list[memoryview], at_us: int) -> None:
        """Messages have arrived, for the connection's speech to hear; what is offered now is written when this returns.

        Raises:
            ProtocolError: one cannot be read.
        """

    def on_end(self, connection: "Connection", why: str) -> None:
        """It is over: `why` is the server's close code, `reset`, or a sentence."""


class Connection:
    """A member's connection.

    Frames are offered and written together by `flush`, with one system call.
    """

    __slots__ = (
        "_dialect",
        "_fd",
        "_framing",
        "_out",
        "_owner",
        "_plan",
        "_sock",
        "_state",
        "_swarm",
        "member",
        "speech",
    )

    def __init__(self, owner: Owner, swarm: Swarm, plan: Plan, dialect: Dialect, member: int) -> None:
        self._owner, self._swarm, self._plan, self._dialect = owner, swarm, plan, dialect
        self.member = member
        self.speech = dialect.speech(member)
        self._framing = dialect.wire.framing()
        self._out: list[bytes] = []
        self._state = _DIALING
        self._sock: socket.socket
        self._fd = -1

    def open(self, serial: int) -> None:
        """Begins to connect; `on_open` or `on_end` will be called.

        Args:
            serial: how many connections this process has made before, which decides the source address.
        """
        try:
            self._sock = dial(self._plan.target, self._plan.source_address(serial))
        except OSError as error:
            self._state = _CLOSED
            self._owner.on_end(self, words(error))
            return
        self._fd = self._sock.fileno()
        self._swarm.add(self._fd, self, _OUT)

    @property
    def is_open(self) -> bool:
        """Whether it is authenticated and has not ended."""
        return self._state == _OPEN

    def offer(self, message: bytes) -> None:
        """Queues a message."""
        self._out.append(self._dialect.wire.frame(message))

    def offer_frames(self, data: bytes) -> None:
        """Queues what is in frames already."""
        if data:
            self._out.append(data)

    def flush(self) -> None:
        """Writes what was offered; what the socket does not take follows when it can."""
        if not self._out or self._state in (_DIALING, _SECURING, _CLOSED):
            return
        data = b"".join(self._out) if len(self._out) > 1 else self._out[0]
        try:
            taken = self._sock.send(data)
        except BlockingIOError:
            taken = 0
        except OSError as error:
            self._broke(error)
            return
        if taken == len(data):
            self._out.clear()
        else:
            self._out[:] = [data[taken:]]
            self._swarm.change(self._fd, _IN | _OUT)

    def stop_reading(self) -> None:
        """Leaves everything that arrives from now on to the kernel, which has little room for it."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SLOW_BUFFER_BYTES)
        self._swarm.change(self._fd, 0)

    def read_on(self) -> None:
        """Reads again."""
        if self._state == _OPEN:
            self._swarm.change(self._fd, _IN)

    def say_goodbye(self) -> None:
        """Asks the server to end the connection; `on_end` follows."""
        masker = self._dialect.masker
        if masker is not None:
            self._out.append(masker.control(frames.CLOSE, b"\x03\xe8"))
            self.flush()
            return
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError as error:
            self._broke(error)

    def drop(self) -> None:
        """Ends it here and now; `on_end` is not called."""
        if self._state != _CLOSED:
            self._state = _CLOSED
            if self._fd >= 0:
                self._swarm.remove(self._fd)
                self._sock.close()

    def on_event(self, events: int) -> None:
        """Serves the socket."""
        if self._state <= _SECURING:
            self._pave()
            return
        if events & _OUT:
            self._swarm.change(self._fd, _IN)
            self.flush()
        if events & ~_OUT and self._state != _CLOSED:
            self._read()

    def _pave(self) -> None:
        """Goes on with what comes before the first byte that is framed."""
        try:
            if self._state == _DIALING:
                code = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if code:
                    raise OSError(code, "")
                if self._dialect.tls is not None:
                    self._sock = secure(self._sock, self._dialect.tls)
                    self._state = _SECURING
            wait = self._sock.shake_hands() if isinstance(self._sock, TlsSocket) else 0
        except OSError as error:
            self._end(words(error))
            return
        self._swarm.change(self._fd, wait or _IN)
        if not wait:
            self._begin()

    def _begin(self) -> None:
        if self._dialect.masker is not None:
            self._state = _UPGRADING
            self._out.append(frames.upgrade_request(self._plan.target.netloc, self._plan.target.path))
        else:
            self._state = _GREETING
            self.offer(self.speech.connect())
        self.flush()

    def _read(self) -> None:
        buffer, rest = self._swarm.buffer, self._framing.rest
        kept = len(rest)
        buffer[:kept] = rest
        try:
            size = self._sock.recv_into(buffer[kept:])
        except BlockingIOError:
            return
        except OSError as error:
            self._broke(error)
            return
        if not size:
            self._end(RESET)
            return
        at_us = now_us()
        try:
            self._take(buffer[: kept + size], at_us)
        except ProtocolError as error:
            self._end(str(error))
            return
        if self._out:
            self.flush()

    def _take(self, data: memoryview, at_us: int) -> None:
        if self._state == _UPGRADING:
            head, mark, rest = bytes(data).partition(b"\r\n\r\n")
            if not mark:
                self._framing.rest = head
                return
            frames.check_upgrade(head)
            self._state = _GREETING
            self.offer(self.speech.connect())
            data = memoryview(rest)
        elif self._state == _OPEN:
            data = data[self._owner.on_data(self, data, at_us) :]
        messages = self._framing.feed(data)
        if len(self._framing.rest) >= len(self._swarm.buffer) // 2:
            raise ProtocolError("a message larger than any that was sent")
        if messages and self._state == _GREETING:
            self.speech.welcome(messages.pop(0))
            self._state = _OPEN
            self._owner.on_open(self)
        if messages:
            self._owner.on_messages(self, messages, at_us)
        for opcode, payload in self._framing.take_controls():
            if opcode == frames.PING and self._dialect.masker is not None:
                self._out.append(self._dialect.masker.control(frames.PONG, payload))
            elif opcode == frames.CLOSE:
                self._end(str(frames.close_code(payload)))

    def _broke(self, error: OSError) -> None:
        self._end(RESET if isinstance(error, ConnectionError | ssl.SSLEOFError) else words(error))

    def _end(self, why: str) -> None:
        if self._state != _CLOSED:
            self.drop()
            self._owner.on_end(self, why)
