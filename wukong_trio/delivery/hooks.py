"""The embedding program's `before_send` in the path of messages.

A hook that fails or takes too long costs its own send and one logged error, nothing else.
"""

from collections import deque
from collections.abc import Awaitable, Callable
from logging import getLogger
from typing import TypeAlias

import trio

from ..model import ReasonCode, SendCommand
from ..services.commands import check_command
from ..services.hooks import call_hook
from .registry import Receiver
from .submission import Errand, Submission

log = getLogger(__name__)

BeforeSend: TypeAlias = Callable[[SendCommand], Awaitable[SendCommand | ReasonCode | None]]
"""Sees every send before it is decided. Returns a command to send instead, a reason code to refuse it, or None to let
it pass unchanged. It runs before permissions are checked, one call at a time per connection, so order is kept."""


class HookStage:
    """Runs `before_send` between the connections and the router.

    Each connection's errands pass one by one, in order. Nobody waits for another connection or for a back-end's send.
    """

    def __init__(
        self,
        hook: BeforeSend,
        outbox: trio.MemorySendChannel[list[Errand]],
        *,
        capacity: int,
        hook_timeout_s: float,
        payload_limit_bytes: int,
    ) -> None:
        self._hook = hook
        self._hook_timeout_s = hook_timeout_s
        self._payload_limit_bytes = payload_limit_bytes
        self._router = outbox
        self._inbox: trio.MemoryReceiveChannel[list[Errand]]
        self.outbox, self._inbox = trio.open_memory_channel[list[Errand]](capacity)
        self._waiting: dict[Receiver | Errand, deque[Errand]] = {}

    async def run(self) -> None:
        """Passes errands on, until cancelled; then nothing can be handed in any more."""
        async with self._inbox, trio.open_nursery() as nursery:
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
            answer = await call_hook(self._hook, submission.command, timeout_s=self._hook_timeout_s)
            if isinstance(answer, SendCommand):
                check_command(answer, payload_limit_bytes=self._payload_limit_bytes)
            elif answer is not None:
                answer = ReasonCode(answer)
        except Exception:
            log.exception("the before_send hook failed; one send of %r was refused", submission.command.from_uid)
            answer = ReasonCode.SYSTEM_ERROR
        if isinstance(answer, SendCommand):
            submission.command = answer
        elif answer is not None and answer is not ReasonCode.SUCCESS:
            submission.refuse(answer)
