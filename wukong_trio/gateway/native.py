"""The native WebSocket engine: our own frames, on whatever brings the bytes.

pipes           awaiting bytes: while a client authenticates, and while it is sent away
native_socket   plain sockets: once the client has authenticated, its task is parked, and the shared reader (reader.py)
                serves all ready sockets in one turn without waking anybody
native_stream   TLS and other streams: the connection's task reads until the end
"""

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from typing import Final

import trio

from ..delivery.push import FORM_FRAMED
from ..delivery.submission import Errand
from ..protocol.codes import CLOSE_TOO_BIG, Close
from ..protocol.websocket import (
    Arrival,
    BinaryMessage,
    Control,
    Failure,
    FrameReader,
    Opcode,
    encode_close,
    encode_frame,
    text_frame,
)
from .gateway import Gateway
from .handshake import HandshakeReader, RefusedUpgrade
from .newcomers import HEAVY_BYTES
from .pipes import RECEIVE_BYTES, Pipe
from .transport import DisconnectedError, Served, Transport

LEFT: Final = "closed by the client"
GONE: Final = "connection ended"
GREETING_BYTES: Final = 16 * 1024
"""Of a message before the client has authenticated, and of all that is none, each frame counting FRAME_COST_BYTES."""
GREETING_CHUNK_BYTES: Final = 4 * 1024
FRAME_COST_BYTES: Final = 64
"""As many bytes as a frame costs, whatever is in it."""
CHUNK_BYTES: Final = 16 * 1024
CROWDED_CHUNK_BYTES: Final = 4 * 1024
CROWD_FRAMES: Final = 400
"""More than so many frames in a chunk are tiny ones: who sends them is read in smaller chunks."""


class NativeTransport(Transport):
    """Frames in, frames out; subclasses move the bytes."""

    __slots__ = ("_chunk_bytes", "_early", "_reader", "over")

    form = FORM_FRAMED

    def __init__(self, gateway: Gateway, remote_address: str) -> None:
        super().__init__(gateway, remote_address)
        self._reader: HandshakeReader | FrameReader = HandshakeReader(allowed_origins=gateway.allowed_origins)
        self._early: Iterator[Arrival] = iter(())
        """What arrived before there was a session to take it."""
        self._chunk_bytes = CHUNK_BYTES
        """How much to receive at once: not so much that its frames keep everybody else waiting."""
        self.over = ""
        """Why nothing more will come from the client; empty while something may."""

    @property
    @abstractmethod
    def _pipe(self) -> Pipe:
        """For the connection's task, to await bytes."""

    def has_unread(self) -> bool:
        return self._pipe.has_unread()

    # Opening

    async def open(self) -> str:
        pipe, reader = self._pipe, self._reader
        assert isinstance(reader, HandshakeReader)
        # A client sends its head right after connecting: very often it is there before this task first runs.
        outcome, wait = None, False
        while outcome is None:
            data = await pipe.receive(GREETING_BYTES, wait=wait)
            wait = True
            if not data:
                raise DisconnectedError(GONE)
            if len(data) > HEAVY_BYTES:
                await self._gateway.newcomers.turn()
            outcome = reader.receive(data)
        await pipe.send_all(outcome.answer)
        if isinstance(outcome, RefusedUpgrade):
            await pipe.read_out()
            raise DisconnectedError(outcome.reason, violation=True)
        limit_bytes = min(GREETING_BYTES, self.limits.ws_message_bytes)
        self._reader = FrameReader(limit_bytes=limit_bytes, will_rise=True)
        self._early = iter(self._reader.receive(outcome.rest))
        return outcome.target

    async def receive(self) -> tuple[bytes, bool]:
        reader, pipe, left_bytes = self._frames, self._pipe, GREETING_BYTES
        while True:
            for arrival in self._early:
                if isinstance(arrival, bytes) and arrival.strip():
                    return arrival, isinstance(arrival, BinaryMessage)
                left_bytes -= FRAME_COST_BYTES
                if left_bytes < 0:
                    self.close(CLOSE_TOO_BIG)
                elif not isinstance(arrival, bytes):
                    self._serve_other(arrival)
                if self.over or self.closing is not None:
                    break
            self._flushes.flush()
            if self.over or self.closing is not None:
                raise DisconnectedError(self.over)
            data = await pipe.receive(GREETING_CHUNK_BYTES)
            self.last_inbound = trio.current_time()
            if len(data) > HEAVY_BYTES:
                await self._gateway.newcomers.turn()
            self._early = iter(reader.receive(data))
            if not data:
                self.over = GONE

    @property
    def _frames(self) -> FrameReader:
        return self._reader  # type: ignore[return-value]  # once the handshake is done

    # Serving

    def _begin(self, session: Served) -> list[Errand]:
        """From now on arrivals go to the session; serves what came early."""
        self._session = session
        errands: list[Errand] = []
        self._serve(self._early, errands)
        self._serve(self._frames.raise_limit(self.limits.ws_message_bytes), errands)
        self._early = iter(())
        self._flushes.flush()
        return errands

    def feed(self, data: bytes, now: float, errands: list[Errand]) -> int:
        """Serves a chunk that was received; `errands` takes what has to go through the router.

        Returns:
            What it cost, in bytes: frames without content are work too.
        """
        if not data:
            self.end(GONE)
            return 0
        self.last_inbound = now
        reader: FrameReader = self._reader  # type: ignore[assignment]  # by now
        arrivals = reader.receive(data)
        self._serve(arrivals, errands)
        frames, size = len(arrivals), len(data)
        if size >= self._chunk_bytes or not frames or frames > CROWD_FRAMES:
            self._chunk_bytes = _next_chunk_bytes(frames, reader.missing_bytes)
        return size + frames * FRAME_COST_BYTES

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
            self.put(encode_frame(Opcode.PONG, arrival.payload))
        elif arrival.opcode is Opcode.CLOSE:
            self.end(LEFT)

    def offer(self, text: bytes) -> None:
        # `put` written out: every answer comes along here.
        if self.closing is None:
            self._outbox.frames.append(text_frame(text))
            if not self._touched:
                self._touched = True
                self._flushes.add(self)

    def end(self, why: str) -> None:
        """Nothing more comes from the client."""
        if not self.over:
            self.over = why
            self._wake()

    # Closing

    async def finish(self) -> None:
        pipe = self._pipe
        try:
            if self._outbox:
                await self._write_out(pipe)
            if last := self._last_frame():
                await pipe.send_all(last)
            await self._part(pipe)
        finally:
            await pipe.aclose()

    async def _write_out(self, pipe: Pipe) -> None:
        """Writes what still waits."""
        self._outbox.hold(trio.current_time())
        while self._outbox.blocked:
            head = self._outbox.head()
            await pipe.send_all(head)
            self._outbox.sent(len(head))

    def _last_frame(self) -> bytes:
        """The close frame: ours, or the echo of the client's; nothing if the client is gone or never came."""
        close = self.closing
        if close is None and self.over == LEFT:
            close = Close(1000, "")
        return encode_close(close) if close is not None and isinstance(self._reader, FrameReader) else b""

    async def _part(self, pipe: Pipe) -> None:
        """Waits for what is still to come from the client once the last frame is written."""
        reader = self._reader
        if not isinstance(reader, FrameReader):
            return
        if reader.failed:
            # RFC 6455, 7.1.7: the connection is failed at once, without waiting for the client's close frame.
            await pipe.read_out()
        elif self.closing is not None:
            await self._wait_for_echo(pipe, reader)

    async def _wait_for_echo(self, pipe: Pipe, reader: FrameReader) -> None:
        """The client's part of the closing handshake."""
        while not self.over:
            data = await pipe.receive(CHUNK_BYTES)
            if not data:
                return
            for arrival in reader.receive(data):
                if isinstance(arrival, Control) and arrival.opcode is Opcode.CLOSE:
                    return


def _next_chunk_bytes(frames: int, missing_bytes: int) -> int:
    """How much to receive after a chunk of so many frames, of the last of which so much is missing."""
    if frames > CROWD_FRAMES:
        return CROWDED_CHUNK_BYTES
    return RECEIVE_BYTES if missing_bytes > CHUNK_BYTES else CHUNK_BYTES
