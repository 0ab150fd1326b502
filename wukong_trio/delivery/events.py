"""Telling the embedding program what happens: a bounded queue in front of the `on_event` hook."""

from collections import deque
from collections.abc import Awaitable, Callable
from enum import Enum, auto
from logging import getLogger
from typing import Final, TypeAlias

import trio
from msgspec import Struct

from ..model import Message
from ..services.hooks import call_hook

log = getLogger(__name__)

EVENT_QUEUE: Final = 10_000
EVENT_QUEUE_BYTES: Final = 64 * 1024 * 1024
"""Payloads of the messages that wait."""


class SessionOpened(Struct, frozen=True, kw_only=True):
    """A client has authenticated."""

    session_id: int
    """Names the session in both of its events; later sessions of a server have higher numbers."""
    uid: str
    device_flag: int
    device_id: str
    """Empty if the client gave none."""
    remote_address: str


class SessionClosed(Struct, frozen=True, kw_only=True):
    """An authenticated client is gone. Comes after the `SessionOpened` with the same `session_id`."""

    session_id: int
    uid: str
    device_flag: int
    device_id: str
    remote_address: str
    close_code: int
    """With which the server has ended the session; 1006 if the client or the network did."""
    reason: str
    """The server's words, empty if it did not end the session."""
    duration_s: float


class MessageAccepted(Struct, frozen=True):
    """A message was accepted, stored (unless `noPersist`) and delivered."""

    message: Message


Event: TypeAlias = SessionOpened | SessionClosed | MessageAccepted
OnEvent: TypeAlias = Callable[[Event], Awaitable[None]]


class EventsState(Enum):
    """How the hook keeps up. KEEPING_UP: nothing is lost. DROPPING: the queue was full and is not empty yet.
    CLOSED: nobody is told any more."""

    KEEPING_UP = auto()
    DROPPING = auto()
    CLOSED = auto()


class Events:
    """Calls the hook for one event after another. When it is too slow, the newest events are dropped and counted."""

    def __init__(self, hook: OnEvent, *, hook_timeout_s: float) -> None:
        self._hook = hook
        self._hook_timeout_s = hook_timeout_s
        self._queue: deque[Event] = deque()
        """The first one is being told."""
        self._queue_bytes = 0
        self._filled = trio.Event()
        self._emptied = trio.Event()
        self.state = EventsState.KEEPING_UP
        self.dropped = 0

    @property
    def waiting(self) -> int:
        """Events that the hook has not seen yet."""
        return len(self._queue)

    def emit(self, event: Event) -> None:
        """Queues an event; never waits."""
        queue, size = self._queue, _size(event)
        if self.state is EventsState.CLOSED:
            self.dropped += 1
        elif len(queue) >= EVENT_QUEUE or (queue and self._queue_bytes + size > EVENT_QUEUE_BYTES):
            self.dropped += 1
            if self.state is EventsState.KEEPING_UP:
                self.state = EventsState.DROPPING
                log.warning("the on_event hook is too slow: events are being dropped")
        else:
            queue.append(event)
            self._queue_bytes += size
            self._filled.set()

    async def drain(self) -> None:
        """Waits until everything queued was told. The caller bounds it."""
        while self._queue:
            await self._emptied.wait()

    async def run(self) -> None:
        """Tells until cancelled; what was not told by then counts as dropped."""
        try:
            while True:
                await self._filled.wait()
                event = self._queue[0]
                await self._tell(event)
                self._queue.popleft()
                self._queue_bytes -= _size(event)
                if not self._queue:
                    self._catch_up()
        finally:
            self._close()

    async def _tell(self, event: Event) -> None:
        try:
            await call_hook(self._hook, event, timeout_s=self._hook_timeout_s)
        except Exception:
            log.exception("the on_event hook failed for a %s", type(event).__name__)

    def _catch_up(self) -> None:
        self._filled = trio.Event()
        self._emptied.set()
        self._emptied = trio.Event()
        if self.state is EventsState.DROPPING:
            self.state = EventsState.KEEPING_UP
            log.warning("the on_event hook has caught up; %d events were dropped since the start", self.dropped)

    def _close(self) -> None:
        self.state = EventsState.CLOSED
        self._emptied.set()
        if self._queue:
            log.warning("%d events were not told to the on_event hook: it was not done in time", len(self._queue))
            self.dropped += len(self._queue)
            self._queue.clear()


def _size(event: Event) -> int:
    return len(event.message.payload) if isinstance(event, MessageAccepted) else 0
