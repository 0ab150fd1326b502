"""The native WebSocket engine: our own frames, on whatever brings the bytes.

native_socket   plain sockets: while a client authenticates, its connection's task reads; then the task is parked, and
                the shared reader (reader.py) serves all ready sockets in one turn without waking anybody
native_stream   TLS and other streams: the connection's task reads until the end
"""

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

import trio

from ..delivery.submission import Errand
from ..protocol.codes import Close
from ..protocol.websocket import (
    SHORT_TEXT_HEADS,
    Arrival,
    BinaryMessage,
    Control,
    Failure,
    FrameReader,
    Opcode,
    encode_close,
    encode_frame,
    frame_head,
)
from .gateway import Gateway
from .handshake import HandshakeReader, RefusedUpgrade
from .transport import DisconnectedError, Transport

if TYPE_CHECKING:
    from .session import Session

RECEIVE_BYTES: Final = 64 * 1024
LEFT: Final = "closed by the client"
_TEXT: Final = int(Opcode.TEXT)


class ControlFrame(bytes):
    """A whole control frame in the outbox, among the JSON texts that still need a head."""


class NativeTransport(Transport):
    """Frames in, frames out; subclasses move the bytes."""

    __slots__ = ("_early", "_gateway", "_reader", "_session", "over")

    def __init__(self, gateway: Gateway, remote_address: str) -> None:
        limits = gateway.config.limits
        super().__init__(limits, gateway.flushes, remote_address=remote_address, now=trio.current_time())
        self._gateway = gateway
        self._reader: FrameReader | None = None
        """None until the handshake is done."""
        self._early: Iterator[Arrival] = iter(())
        """What arrived before there was a session to take it."""
        self._session: Session | None = None
        self.over = ""
        """Why nothing more will come from the client; empty while something may."""

    # Bytes

    @abstractmethod
    async def _receive_some(self) -> bytes:
        """The next chunk, empty at the end."""

    @abstractmethod
    async def _send_first(self, answer: bytes) -> None:
        """Writes the answer to the handshake."""

    # Opening

    async def open(self) -> str:
        reader = HandshakeReader()
        outcome = None
        while outcome is None:
            data = await self._receive_some()
            if not data:
                raise DisconnectedError("connection ended")
            outcome = reader.receive(data)
        await self._send_first(outcome.answer)
        if isinstance(outcome, RefusedUpgrade):
            await self._read_out()
            raise DisconnectedError(outcome.reason, violation=True)
        self._reader = FrameReader(limit_bytes=self.limits.ws_message_bytes)
        self._early = iter(self._reader.receive(outcome.rest))
        return outcome.target

    async def receive(self) -> tuple[bytes, bool]:
        assert self._reader is not None
        while True:
            for arrival in self._early:
                if isinstance(arrival, bytes):
                    return arrival, isinstance(arrival, BinaryMessage)
                self._serve_other(arrival)
            self._flushes.flush()
            if self.over or self.closing is not None:
                raise DisconnectedError(self.over)
            data = await self._receive_some()
            self.last_inbound = trio.current_time()
            self._early = iter(self._reader.receive(data))
            if not data:
                self.over = "connection ended"

    # Serving

    def _begin(self, session: "Session") -> list[Errand]:
        """From now on arrivals go to the session; serves what came early."""
        self._session = session
        errands: list[Errand] = []
        self._serve(self._early, errands)
        self._flushes.flush()
        return errands

    def feed(self, data: bytes, now: float, errands: list[Errand]) -> None:
        """Serves a chunk that was received; `errands` takes what has to go through the router."""
        if not data:
            self.end("connection ended")
            return
        assert self._reader is not None
        self.last_inbound = now
        self._serve(self._reader.receive(data), errands)

    def _serve(self, arrivals: Iterable[Arrival], errands: list[Errand]) -> None:
        session = self._session
        assert session is not None
        for arrival in arrivals:
            if isinstance(arrival, bytes):
                session.receive(arrival, errands)
            else:
                self._serve_other(arrival)

    def _serve_other(self, arrival: Control | Failure) -> None:
        """A control frame, or the end of the protocol."""
        if isinstance(arrival, Failure):
            self.close(arrival.close)
        elif arrival.opcode is Opcode.PING:
            self.offer(ControlFrame(encode_frame(Opcode.PONG, arrival.payload)))
        elif arrival.opcode is Opcode.CLOSE:
            self.end(LEFT)

    def forget_session(self) -> None:
        self._session = None

    def end(self, why: str) -> None:
        """Nothing more comes from the client."""
        if not self.over:
            self.over = why
            self._wake()

    # Writing and closing

    def _take_frames(self) -> bytes:
        """All waiting frames, as the bytes to write."""
        parts: list[bytes] = []
        for frame in self._frames:
            if type(frame) is not ControlFrame:
                size = len(frame)
                parts.append(SHORT_TEXT_HEADS[size] if size < 126 else frame_head(_TEXT, size))
            parts.append(frame)
        self._frames.clear()
        self._frames_bytes = 0
        return b"".join(parts)

    def _last_frame(self) -> bytes:
        """The close frame: ours, or the echo of the client's; nothing if the client is gone or never came."""
        close = self.closing
        if close is None and self.over == LEFT:
            close = Close(1000, "")
        return encode_close(close) if close is not None and self._reader is not None else b""

    async def _part(self) -> None:
        """Waits for what is still to come from the client once the last frame is written."""
        if self._reader is not None and self._reader.failed:
            # RFC 6455, 7.1.7: the connection is failed at once, without waiting for the client's close frame.
            await self._read_out()
        elif self._reader is not None and self.closing is not None:
            await self._wait_for_echo(self._reader)

    async def _read_out(self) -> None:
        """Lets what was written last arrive: closing a socket with unread data would destroy it."""
        await self._half_close()
        while await self._receive_some():
            pass

    @abstractmethod
    async def _half_close(self) -> None:
        """Says that nothing more will be written."""

    async def _wait_for_echo(self, reader: FrameReader) -> None:
        """The client's part of the closing handshake."""
        while not self.over:
            data = await self._receive_some()
            if not data:
                return
            for arrival in reader.receive(data):
                if isinstance(arrival, Control) and arrival.opcode is Opcode.CLOSE:
                    return
