"""The embedding program's own code in the path of messages: `before_send` and `on_event`.

A hook that fails or takes too long costs its own request or event and one logged error, nothing else.
"""

from collections import deque
from collections.abc import Awaitable, Callable
from logging import getLogger
from typing import TypeAlias

import trio
from msgspec import Struct

from ..model import Message, ReasonCode, SendCommand
from .registry import Receiver
from .submission import Errand, Submission

log = getLogger(__name__)

EVENT_QUEUE = 10_000

BeforeSend: TypeAlias = Callable[[SendCommand], Awaitable[SendCommand | ReasonCode | None]]
"""Sees every send before it is decided. Returns a command to send instead, a reason code to refuse it, or None to let
it pass unchanged. It runs before permissions are checked, one call at a time per connection, so order is kept."""


class SessionOpened(Struct, frozen=True):
    """A client has authenticated."""

    uid: str
    device_flag: int
    device_id: str


class SessionClosed(Struct, frozen=True):
    """An authenticated client is gone."""

    uid: str
    device_flag: int
    device_id: str


class MessageAccepted(Struct, frozen=True):
    """A message was accepted, stored (unless `noPersist`) and delivered."""

    message: Message


Event: TypeAlias = SessionOpened | SessionClosed | MessageAccepted
OnEvent: TypeAlias = Callable[[Event], Awaitable[None]]


class Events:
    """A bounded queue in front of the `on_event` hook. When the hook is too slow, the newest events are dropped."""

    def __init__(self, hook: OnEvent, *, hook_timeout_s: float) -> None:
        self._hook = hook
        self._hook_timeout_s = hook_timeout_s
        self._outbox, self._inbox = trio.open_memory_channel[Event](EVENT_QUEUE)
        self.dropped = 0

    def emit(self, event: Event) -> None:
        """Queues an event; never waits."""
        try:
            self._outbox.send_nowait(event)
        except trio.WouldBlock:
            if self.dropped == 0:
                log.warning("the on_event hook is too slow: events are being dropped")
            self.dropped += 1

    async def run(self) -> None:
        """Calls the hook for one event after another, until cancelled."""
        async for event in self._inbox:
            try:
                with trio.fail_after(self._hook_timeout_s):
                    await self._hook(event)
            except Exception:
                log.exception("the on_event hook failed for a %s", type(event).__name__)


class HookStage:
    """Runs `before_send` between the connections and the router.

    Each connection's errands pass one by one, in order. Nobody waits for another connection or for a back-end's send.
    """

    def __init__(
        self, hook: BeforeSend, outbox: trio.MemorySendChannel[list[Errand]], *, capacity: int, hook_timeout_s: float
    ) -> None:
        self._hook = hook
        self._hook_timeout_s = hook_timeout_s
        self._router = outbox
        self._inbox: trio.MemoryReceiveChannel[list[Errand]]
        self.outbox, self._inbox = trio.open_memory_channel[list[Errand]](capacity)
        self._waiting: dict[Receiver | Errand, deque[Errand]] = {}

    async def run(self) -> None:
        """Passes errands on until the last sender has closed its end of the inbox."""
        async with self._router, trio.open_nursery() as nursery:
            async for batch in self._inbox:
                for errand in batch:
                    source = errand.sender or errand
                    queue = self._waiting.get(source)
                    if queue is None:
                        queue = self._waiting[source] = deque()
                        nursery.start_soon(self._pass_on, source, queue)
                    queue.append(errand)

    async def _pass_on(self, source: Receiver | Errand, queue: deque[Errand]) -> None:
        while queue:
            errand = queue.popleft()
            if isinstance(errand, Submission):
                await self._ask(errand)
            await self._router.send([errand])
        del self._waiting[source]

    async def _ask(self, submission: Submission) -> None:
        try:
            with trio.fail_after(self._hook_timeout_s):
                answer = await self._hook(submission.command)
            if answer is not None and not isinstance(answer, SendCommand):
                answer = ReasonCode(answer)
        except Exception:
            log.exception("the before_send hook failed; one send of %r was refused", submission.command.from_uid)
            answer = ReasonCode.SYSTEM_ERROR
        if isinstance(answer, SendCommand):
            submission.command = answer
        elif answer is not None and answer is not ReasonCode.SUCCESS:
            submission.refuse(answer)
