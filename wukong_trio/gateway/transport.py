"""What a session sees of its connection: frames go out, and it can be ended. Engines fill in reading and writing."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final, Protocol

import trio

from ..delivery.submission import Errand
from ..errors import WukongError
from ..protocol.codes import CLOSE_SLOW_CONSUMER, Close
from .framing import Wire
from .gateway import PILES, STALLED, TOO_MUCH, Gateway
from .outbox import Outbox
from .proxied import ProxyHeader
from .writer import Writer

CHANCE_S: Final = 0.1
"""Who reads takes what was refused within so much time, or a good part of it."""
BURST: Final = 8
"""So many times the limits may wait for a client until then."""
GREETING_BYTES: Final = 16 * 1024
"""Of a message before the client has authenticated, and of all that is none."""
FRAME_COST_BYTES: Final = 64
"""As many bytes as a frame costs, whatever is in it."""


class Allowance:
    """What a client may still send before it has authenticated."""

    __slots__ = ("_left_bytes",)

    def __init__(self, left_bytes: int) -> None:
        self._left_bytes = left_bytes

    def spend(self, size_bytes: int) -> bool:
        """Uses some of it; whether there was so much."""
        self._left_bytes -= size_bytes
        return self._left_bytes >= 0


class DisconnectedError(WukongError):
    """The client is gone, or broke the WebSocket protocol (`violation`). Internal to the gateway."""

    def __init__(self, text: str, *, violation: bool = False) -> None:
        super().__init__(text)
        self.violation = violation


class Served(Protocol):
    """A session as its connection sees it."""

    in_flight: int
    """Errands under way; while there are too many, the client is not read."""
    slot: int | None

    unserved: bool
    """More was received than was served: `receive` wants to be called again, with nothing new."""

    @property
    def has_own_frames(self) -> bool:
        """What is pushed to it is written for nobody else."""

    def receive(self, message: bytes, errands: list[Errand]) -> int:
        """Serves one message, or a good part of it; returns how many requests that were."""

    def part_at_end(self) -> bool:
        """The client sends nothing more: closes once everything is answered. Returns whether there is anything."""

    def check_deadlines(self, now: float) -> float | None:
        """Does what is due; returns when to look again, None if never."""


class Transport(ABC):
    """One client's connection.

    Its task awaits the client only inside `awaiting`, so that `close` can interrupt that from anywhere.
    """

    __slots__ = (
        *("_flushes", "_frame", "_gateway", "_outbox", "_session", "_touched", "_waiting"),
        *("closing", "in_packets", "last_inbound", "limits", "out_packets", "proxy_header", "remote_address"),
    )

    bare = False
    """Nothing is around the packets of the binary protocol: no handshake, no frames, no other protocol."""

    def __init__(self, gateway: Gateway, remote_address: str) -> None:
        self._gateway = gateway
        self.limits = gateway.config.limits
        self.remote_address = remote_address
        self.proxy_header: ProxyHeader | None = None
        """Comes first, and says whose connection it is."""
        self.last_inbound = trio.current_time()
        """When the client last sent anything, Trio's clock."""
        self.closing: Close | None = None
        """Set once the server has decided to end the connection."""
        self._waiting: trio.CancelScope | None = None
        self._session: Served | None = None
        self._flushes = gateway.flushes
        self._frame: Callable[[bytes], bytes]
        self._outbox = Outbox()
        self._touched = False
        self.in_packets = 0
        """What the session has served."""
        self.out_packets = 0
        """What was offered besides pushes."""

    # For the session

    @abstractmethod
    def _wire(self, *, text: bool) -> Wire:
        """How messages are written on this kind of connection."""

    def speak(self, *, text: bool) -> Wire:
        """Decides how messages are written from now on, and returns that."""
        wire = self._wire(text=text)
        self._frame = wire.frame
        return wire

    def offer(self, message: bytes) -> None:
        """Queues a message, to be written when the turn is over."""
        # `put` written out: every answer comes along here.
        if self.closing is None:
            self.out_packets += 1
            self._outbox.frames.append(self._frame(message))
            if not self._touched:
                self._touched = True
                self._flushes.add(self)

    def put(self, frame: bytes) -> None:
        """Queues a frame that is ready for this kind of connection; an empty one is none."""
        if self.closing is None and frame:
            self._outbox.frames.append(frame)
            if not self._touched:
                self._touched = True
                self._flushes.add(self)

    def close(self, why: Close) -> None:
        """Ends the connection: what waits is still written, then the close frame. Later calls do nothing."""
        if self.closing is None:
            self.closing = why
            self._gateway.statistics.closes[why.code] += 1
            self._wake()

    @abstractmethod
    def resume(self) -> None:
        """The session has fewer sends under way: the client is read again."""

    @property
    def pending_bytes(self) -> int:
        """What waits because the client did not take it."""
        return self._outbox.refused_bytes

    def carried_bytes(self) -> tuple[int, int]:
        """How many bytes have come and gone, see kernel_counts.py."""
        return 0, 0

    def has_unread(self) -> bool:
        """Whether something has arrived that was not read yet, as far as that can be told."""
        return False

    def take_early(self) -> bool:
        """Receives what has arrived meanwhile, as far as that can be told; whether there is a message in it."""
        return False

    def check_writing(self, now: float) -> float | None:
        """Closes if something waits for too long to be written; returns when to look again, None if nothing waits."""
        return None

    # For the connection's task

    def awaiting(self, deadline: float = float("inf")) -> trio.CancelScope:
        """The scope in which to await the client. `close` cancels it; after `close` it is cancelled from the start."""
        scope = self._waiting = trio.CancelScope(deadline=deadline)
        if self.closing is not None:
            scope.cancel()
        return scope

    def forget_session(self) -> None:
        """Lets go of a session that is over: the two hold each other, and the garbage collector may come late."""
        self._gateway.piles.note(self, 0)
        self._session = None

    def _wake(self) -> None:
        """Interrupts what the connection's task awaits of the client."""
        if self._waiting is not None:
            self._waiting.cancel()

    @abstractmethod
    def flush(self) -> None:
        """Starts writing what waits; does not wait itself. Who has let too much pile up is closed as slow."""

    def _is_behind(self, now: float) -> str:
        """Whether more waits than may, and the client has had its chance to take it: empty, or how it is too much."""
        outbox, limits = self._outbox, self.limits
        if self._note_pile() and self._gateway.piles.is_too_large(self):
            return PILES
        if not outbox.exceeds(frames=limits.outbox_frames, size_bytes=limits.outbox_bytes):
            return ""
        assert outbox.since is not None
        has_had_chance = now >= outbox.since + CHANCE_S or outbox.exceeds(
            frames=BURST * limits.outbox_frames, size_bytes=BURST * limits.outbox_bytes
        )
        return TOO_MUCH if has_had_chance else ""

    def _note_pile(self) -> bool:
        """Counts what waits if it is the client's own; whether it is."""
        if self._session is None or not self._session.has_own_frames:
            return False
        self._gateway.piles.note(self, self._outbox.refused_bytes)
        return True

    def _wait_for_room(self) -> None:
        """Something was refused: `check_writing` looks after it from now on."""
        if self._session is not None:
            self._gateway.deadlines.watch(self._session, trio.current_time() + self.limits.write_timeout_s)

    def _flush_through(self, writer: Writer) -> None:
        """`flush` where a task writes."""
        self._touched = False
        now, was_blocked = trio.current_time(), self._outbox.blocked
        self._outbox.hold(now)
        if was_blocked and (how := self._is_behind(now)):
            self._cut_off(how)
        elif self._outbox.blocked and not was_blocked:
            self._wait_for_room()
        writer.wake()

    def _cut_off(self, how: str = STALLED) -> None:
        """The client is too slow: what waits is not for it any more.

        Args:
            how: one of SLOW.
        """
        self._outbox.clear()
        self._gateway.statistics.cut_off[how] += 1
        self.close(CLOSE_SLOW_CONSUMER)

    @abstractmethod
    async def open(self) -> str:
        """Whatever handshakes there are; returns path and query of the request for a WebSocket.

        If it was cancelled while it waited for the client, it may be called again and goes on.

        Raises:
            DisconnectedError: it did not succeed.
        """

    @abstractmethod
    async def receive(self, allowance: Allowance) -> tuple[bytes, bool]:
        """The next message before there is a session, and whether it came in a binary frame.

        Args:
            allowance: pays for frames that are no message.

        A call that is cancelled while it waits for the client loses nothing.

        Raises:
            DisconnectedError: there is none.
        """

    @abstractmethod
    async def carry(self, session: Served) -> None:
        """Feeds the session until `close` was called.

        Raises:
            DisconnectedError: the client is gone.
        """

    @abstractmethod
    async def finish(self) -> None:
        """Writes what waits, takes part in the closing handshake, closes the stream.

        May take for ever with a client that does not read: the caller bounds it. When it is left, however that
        happens, the stream is closed.
        """
