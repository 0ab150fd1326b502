"""One WebSocket of a load process: connects, upgrades, authenticates, then carries messages."""

import select
import socket
from typing import Final, Protocol

import msgspec

from . import frames
from .frames import FrameReader, Masker, ProtocolError
from .plan import Plan
from .swarm import Swarm, dial, now_us, words

_DIALING: Final = 0
_UPGRADING: Final = 1
_GREETING: Final = 2
_OPEN: Final = 3
_CLOSED: Final = 4
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

    def on_messages(self, connection: "Connection", messages: list[tuple[int, memoryview]], at_us: int) -> None:
        """Text messages have arrived; what is offered now is written when this returns."""

    def on_end(self, connection: "Connection", why: str) -> None:
        """It is over: `why` is the server's close code, `reset`, or a sentence."""


class Connection:
    """A member's connection.

    Frames are offered and written together by `flush`, with one system call.
    """

    __slots__ = (
        "_fd",
        "_masker",
        "_out",
        "_owner",
        "_plan",
        "_reader",
        "_sock",
        "_state",
        "_swarm",
        "member",
        "server_version",
    )

    def __init__(self, owner: Owner, swarm: Swarm, plan: Plan, masker: Masker, member: int) -> None:
        self._owner, self._swarm, self._plan, self._masker = owner, swarm, plan, masker
        self.member = member
        self.server_version = 0
        """Of the protocol, as the server names it in its answer to `connect`; 0 if it does not."""
        self._reader = FrameReader()
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
        """Queues a text message."""
        self._out.append(self._masker.text(message))

    def offer_frames(self, data: bytes) -> None:
        """Queues frames that are masked already."""
        if data:
            self._out.append(data)

    def flush(self) -> None:
        """Writes what was offered; what the socket does not take follows when it can."""
        if not self._out or self._state in (_DIALING, _CLOSED):
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
        self._out.append(self._masker.control(frames.CLOSE, b"\x03\xe8"))
        self.flush()

    def drop(self) -> None:
        """Ends it here and now; `on_end` is not called."""
        if self._state != _CLOSED:
            self._state = _CLOSED
            if self._fd >= 0:
                self._swarm.remove(self._fd)
                self._sock.close()

    def on_event(self, events: int) -> None:
        """Serves the socket."""
        if events & _OUT:
            if self._state == _DIALING:
                self._begin_upgrade()
                return
            self._swarm.change(self._fd, _IN)
            self.flush()
        if events & ~_OUT and self._state != _CLOSED:
            self._read()

    def _begin_upgrade(self) -> None:
        code = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._end(words(OSError(code, "")))
            return
        self._state = _UPGRADING
        self._swarm.change(self._fd, _IN)
        self._out.append(frames.upgrade_request(self._plan.target.netloc, self._plan.target.path))
        self.flush()

    def _read(self) -> None:
        buffer, rest = self._swarm.buffer, self._reader.rest
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
        except (ProtocolError, msgspec.MsgspecError) as error:
            self._end(str(error))
            return
        if self._out:
            self.flush()

    def _take(self, data: memoryview, at_us: int) -> None:
        if self._state == _UPGRADING:
            head, mark, rest = bytes(data).partition(b"\r\n\r\n")
            if not mark:
                self._reader.rest = head
                return
            frames.check_upgrade(head)
            self._state = _GREETING
            self.offer(self._connect_request())
            data = memoryview(rest)
        elif self._state == _OPEN:
            data = data[self._owner.on_data(self, data, at_us) :]
        messages = self._reader.feed(data)
        if len(self._reader.rest) >= len(self._swarm.buffer) // 2:
            raise ProtocolError("a message larger than any that was sent")
        texts = [message for message in messages if message[0] == frames.TEXT]
        if texts and self._state == _GREETING:
            self._greet(texts.pop(0)[1])
        if texts:
            self._owner.on_messages(self, texts, at_us)
        if len(texts) != len(messages):
            for opcode, payload in messages:
                self._control(opcode, payload)

    def _connect_request(self) -> bytes:
        uid, device_id = self._plan.uid(self.member), f"d{self.member}"
        return frames.connect_request(uid, self._plan.token, device_id, acknowledges=self._plan.recvack)

    def _greet(self, text: memoryview) -> None:
        answer = frames.decode(text)
        if not answer.succeeded:
            raise ProtocolError(f"the server refused {self._plan.uid(self.member)}: {bytes(text).decode()}")
        self._state = _OPEN
        self.server_version = answer.result.server_version if answer.result else 0
        self._owner.on_open(self)

    def _control(self, opcode: int, payload: memoryview) -> None:
        if opcode == frames.PING:
            self._out.append(self._masker.control(frames.PONG, bytes(payload)))
        elif opcode == frames.CLOSE:
            self._end(str(frames.close_code(payload)))

    def _broke(self, error: OSError) -> None:
        self._end(RESET if isinstance(error, ConnectionError) else words(error))

    def _end(self, why: str) -> None:
        if self._state != _CLOSED:
            self.drop()
            self._owner.on_end(self, why)
