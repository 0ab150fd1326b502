"""What a session sees of its connection: a bounded outbox, and a way to end it. Engines fill in reading and writing."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import trio

from ..config import Limits
from ..delivery.flush import FlushList
from ..errors import WukongError
from ..protocol.codes import CLOSE_SLOW_CONSUMER, Close

if TYPE_CHECKING:
    from .session import Session


class DisconnectedError(WukongError):
    """The client is gone, or broke the WebSocket protocol (`violation`). Internal to the gateway."""

    def __init__(self, text: str, *, violation: bool = False) -> None:
        super().__init__(text)
        self.violation = violation


class Transport(ABC):
    """One client's connection.

    Frames are the JSON texts of messages; the engine turns them into WebSocket frames.
    """

    __slots__ = (
        "_flushes",
        "_frames",
        "_frames_bytes",
        "_touched",
        "closing",
        "last_inbound",
        "limits",
        "remote_address",
        "resume_at",
        "waiting",
    )

    def __init__(self, limits: Limits, flushes: FlushList, *, remote_address: str, now: float) -> None:
        self.limits = limits
        self.resume_at = limits.sends_in_flight // 2
        """How few sends must be under way before `resume` is called."""
        self.remote_address = remote_address
        self.last_inbound = now
        """When the client last sent anything, Trio's clock."""
        self.closing: Close | None = None
        """Set once the server has decided to end the connection."""
        self.waiting: trio.CancelScope | None = None
        """Around whatever the connection's task awaits of the client; cancelled by `close`."""
        self._flushes = flushes
        self._frames: list[bytes] = []
        self._frames_bytes = 0
        self._touched = False

    def offer(self, frame: bytes) -> None:
        """Queues a frame, to be written when the turn is over. A client that lets too much pile up is cut off."""
        if self.closing is not None:
            return
        frames, limits = self._frames, self.limits
        frames.append(frame)
        self._frames_bytes += len(frame)
        if len(frames) > limits.outbox_frames or self._frames_bytes > limits.outbox_bytes:
            frames.clear()
            self._frames_bytes = 0
            self.close(CLOSE_SLOW_CONSUMER)
        elif not self._touched:
            self._touched = True
            self._flushes.add(self)

    def flush(self) -> None:
        """Starts writing what waits; does not wait itself."""
        self._touched = False
        if self._frames:
            self._write()

    def close(self, close: Close) -> None:
        """Ends the connection: what waits is still written, then the close frame. Later calls do nothing."""
        if self.closing is None:
            self.closing = close
            self._wake()

    def _wake(self) -> None:
        """Interrupts what the connection's task awaits of the client."""
        if self.waiting is not None:
            self.waiting.cancel()

    @abstractmethod
    def _write(self) -> None:
        """Starts writing the waiting frames."""

    @abstractmethod
    async def open(self) -> str:
        """The WebSocket handshake; returns path and query of the request.

        Raises:
            DisconnectedError: it did not succeed.
        """

    @abstractmethod
    async def receive(self) -> tuple[bytes, bool]:
        """The next message, and whether it came in a binary frame.

        Raises:
            DisconnectedError: there is none.
        """

    @abstractmethod
    async def carry(self, session: "Session") -> None:
        """Feeds the session until `close` was called or the client is gone."""

    @abstractmethod
    def forget_session(self) -> None:
        """Lets go of a session that is over: the two hold each other, and the garbage collector may come late."""

    @abstractmethod
    def resume(self) -> None:
        """The session takes messages again, after it had too many sends under way."""

    @abstractmethod
    async def finish(self) -> None:
        """Writes what waits, takes part in the closing handshake, closes the stream.

        May take for ever with a client that does not read: the caller bounds it. When it is left, however that
        happens, the stream is closed.
        """
