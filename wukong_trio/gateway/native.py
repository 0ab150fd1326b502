"""The native engine: our own frames, or none, on whatever brings the bytes.

pipes           awaiting bytes: while a client authenticates, and while it is sent away
native_socket   sockets, plain and TLS: once the client has authenticated, its task is parked, and the shared reader
                (reader.py) serves all ready sockets in one turn without waking anybody
native_stream   streams of Trio, where there is no epoll: the connection's task reads until the end
"""

from abc import abstractmethod
from collections.abc import Iterator
from itertools import chain
from typing import Final

import trio

from ..delivery.submission import Errand
from ..protocol.codes import CLOSE_TOO_BIG, Close
from ..protocol.websocket import Arrival, BinaryMessage, Control, Failure, Opcode
from .framing import BareFraming, Framing, WebSocketFraming, Wire
from .gateway import Gateway
from .handshake import HandshakeReader, RefusedUpgrade
from .newcomers import HEAVY_BYTES
from .pipes import RECEIVE_BYTES, Pipe
from .transport import FRAME_COST_BYTES, GREETING_BYTES, Allowance, DisconnectedError, Served, Transport

LEFT: Final = "closed by the client"
GONE: Final = "connection ended"
GREETING_CHUNK_BYTES: Final = 4 * 1024
CHUNK_BYTES: Final = 16 * 1024
CROWDED_CHUNK_BYTES: Final = 4 * 1024
CROWD_FRAMES: Final = 400
"""More than so many frames in a chunk are tiny ones: who sends them is read in smaller chunks."""
_BARE: Final = BareFraming()
_NOTHING: Final[Iterator[Arrival]] = iter(())
"""One for all: an iterator would cost each connection 64 bytes for as long as it lasts."""


class NativeTransport(Transport):
    """Frames in, frames out; subclasses move the bytes."""

    __slots__ = ("_chunk_bytes", "_early", "_framing", "over")

    def __init__(self, gateway: Gateway, remote_address: str, *, bare: bool = False) -> None:
        """Args:
        bare: there is no WebSocket around the packets.
        """
        super().__init__(gateway, remote_address)
        self._framing: HandshakeReader | Framing = (
            _BARE if bare else HandshakeReader(allowed_origins=gateway.allowed_origins)
        )
        self._early: Iterator[Arrival] = _NOTHING
        """What has arrived and was not served yet."""
        self._chunk_bytes = CHUNK_BYTES
        """How much to receive at once: not so much that its frames keep everybody else waiting."""
        self.over = ""
        """Why nothing more will come from the client; empty while something may."""

    @property
    @abstractmethod
    def _pipe(self) -> Pipe:
        """For the connection's task, to await bytes."""

    @property
    def bare(self) -> bool:  # type: ignore[override]
        return self._framing is _BARE

    def has_unread(self) -> bool:
        return self._pipe.has_unread()

    def _wire(self, *, text: bool) -> Wire:
        return self._frames.wire(text=text)

    # Opening

    async def open(self) -> str:
        return "" if self.bare else await self._upgrade()

    async def _upgrade(self) -> str:
        """The opening handshake of a WebSocket."""
        pipe, reader = self._pipe, self._framing
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
        frames = self._framing = WebSocketFraming(limit_bytes=limit_bytes, will_rise=True)
        self._early = iter(frames.receive(outcome.rest))
        return outcome.target

    async def receive(self, allowance: Allowance) -> tuple[bytes, bool]:
        framing, pipe = self._frames, self._pipe
        while True:
            for arrival in self._early:
                blank = not isinstance(arrival, bytes) or not arrival.strip()
                if blank and not allowance.spend(FRAME_COST_BYTES):
                    self.close(CLOSE_TOO_BIG)
                elif not isinstance(arrival, bytes):
                    self._serve_other(arrival)
                elif arrival:
                    return arrival, isinstance(arrival, BinaryMessage)
                if self.over or self.closing is not None:
                    break
            self._flushes.flush()
            if self.over or self.closing is not None:
                raise DisconnectedError(self.over)
            data = await pipe.receive(GREETING_CHUNK_BYTES)
            self.last_inbound = trio.current_time()
            if len(data) > HEAVY_BYTES:
                await self._gateway.newcomers.turn()
            self._early = iter(framing.receive(data))
            if not data:
                self.over = GONE

    def take_early(self) -> bool:
        arrivals = list(self._early)
        data = self._pipe.receive_nowait(GREETING_CHUNK_BYTES)
        if data == b"":
            self.over = GONE
        elif data is not None:
            arrivals += self._frames.receive(data)
        self._early = iter(arrivals)
        return any(isinstance(arrival, bytes) and arrival for arrival in arrivals)

    @property
    def _frames(self) -> Framing:
        return self._framing  # type: ignore[return-value]  # once the handshake is done

    # Serving

    def _begin(self, session: Served) -> list[Errand]:
        """From now on arrivals go to the session; serves what came early."""
        self._session = session
        errands: list[Errand] = []
        late = self._frames.raise_limit(self.limits.ws_message_bytes)
        early, self._early = self._early, _NOTHING
        self._serve(chain(early, late), errands)
        self._flushes.flush()
        return errands

    @property
    def unserved(self) -> bool:
        """There is more to serve of what was received: nothing is received until that is done."""
        return self._session is not None and self._session.unserved

    def feed(self, data: bytes, now: float, errands: list[Errand]) -> int:
        """Serves a chunk that was received; `errands` takes what has to go through the router.

        Returns:
            What it cost, in bytes: frames without content are work too.
        """
        if not data:
            self._end_of_stream()
            return 0
        self.last_inbound = now
        framing: Framing = self._framing  # type: ignore[assignment]  # by now
        frames, size = self._serve(iter(framing.receive(data)), errands), len(data)
        if size >= self._chunk_bytes or not frames or frames > CROWD_FRAMES:
            self._chunk_bytes = _next_chunk_bytes(frames, framing.missing_bytes)
        return size + frames * FRAME_COST_BYTES

    def _end_of_stream(self) -> None:
        """The client will send nothing more."""
        self.end(GONE)

    def go_on(self, errands: list[Errand]) -> int:
        """Serves on what was received; returns what it cost, in bytes."""
        session = self._session
        assert session is not None
        count = session.receive(b"", errands)
        if not session.unserved:
            count += self._serve(self._early, errands)
        return count * FRAME_COST_BYTES

    def _serve(self, arrivals: Iterator[Arrival], errands: list[Errand]) -> int:
        """Serves what has arrived, or a good part of it; returns how many requests and other frames that were."""
        session = self._session
        assert session is not None
        count = 0
        for arrival in arrivals:
            if isinstance(arrival, bytes):
                count += session.receive(arrival, errands)
                if session.unserved:
                    self._early = arrivals
                    break
            else:
                self._serve_other(arrival)
                count += 1
        self.in_packets += count
        return count

    def _serve_other(self, arrival: Control | Failure) -> None:
        """A control frame, or the end of the protocol."""
        if isinstance(arrival, Failure):
            self.close(arrival.close)
        elif arrival.opcode is Opcode.PING:
            self.put(self._frames.pong(arrival.payload))
        elif arrival.opcode is Opcode.CLOSE:
            self.end(LEFT)

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
        close, framing = self.closing, self._framing
        if close is None and self.over == LEFT:
            close = Close(1000, "")
        return b"" if close is None or isinstance(framing, HandshakeReader) else framing.goodbye(close)

    async def _part(self, pipe: Pipe) -> None:
        """Waits for what is still to come from the client once the last frame is written."""
        framing = self._framing
        if isinstance(framing, HandshakeReader):
            return
        if framing.failed or (self.bare and self.closing is not None):
            # RFC 6455, 7.1.7: a failed connection is closed without waiting for the client's close frame. Without
            # frames there is none to wait for.
            await pipe.read_out()
        elif self.closing is not None:
            await self._wait_for_echo(pipe, framing)

    async def _wait_for_echo(self, pipe: Pipe, framing: Framing) -> None:
        """The client's part of the closing handshake."""
        while not self.over:
            data = await pipe.receive(CHUNK_BYTES)
            if not data:
                return
            for arrival in framing.receive(data):
                if isinstance(arrival, Control) and arrival.opcode is Opcode.CLOSE:
                    return


def _next_chunk_bytes(frames: int, missing_bytes: int) -> int:
    """How much to receive after a chunk of so many frames, of the last of which so much is missing."""
    if frames > CROWD_FRAMES:
        return CROWDED_CHUNK_BYTES
    return RECEIVE_BYTES if missing_bytes > CHUNK_BYTES else CHUNK_BYTES
