"""The path of every message: a batch is decided, stored in one transaction, and delivered while the next is stored.

    inbox ─► commit stage: addresses, permissions, repetitions, ids, sequence ─► store
                                                              │ after the commit
                                                              ▼
             deliver stage: the answer, then pushes to the receivers, batch by batch in commit order

The commit stage awaits look-ups first and then decides a whole batch without awaiting, so nothing it has looked at
changes under its hands. Order comes from here alone: what enters the inbox earlier is stored, delivered and answered
earlier.
"""

import time
from functools import partial
from logging import getLogger

import trio

from ..errors import StoreError
from ..model import ReasonCode, SendCommand, SendResult
from ..store.base import Store
from ..supervision import supervise
from .commit import Committer
from .deliver import Deliverer
from .hooks import BeforeSend, HookStage
from .submission import BackendSend, Errand, Submission

log = getLogger(__name__)

MAX_BATCH = 4096
"""Errands that are decided and committed together."""
INBOX_BATCHES = 256


class Router:
    """Owns the inbox and both stages. `run` is one task of the server's nursery."""

    def __init__(
        self,
        store: Store,
        committer: Committer,
        deliverer: Deliverer,
        *,
        before_send: BeforeSend | None = None,
        hook_timeout_s: float = 5.0,
    ) -> None:
        self._store = store
        self._committer = committer
        self._deliverer = deliverer
        self._pending = 0
        self._idle = trio.Event()
        self._entry, self._inbox = trio.open_memory_channel[list[Errand]](INBOX_BATCHES)
        self._hooks: HookStage | None = None
        if before_send is not None:
            self._hooks = HookStage(before_send, self._entry, capacity=INBOX_BATCHES, hook_timeout_s=hook_timeout_s)
            self._entry = self._hooks.outbox
        self.statistics = deliverer.statistics

    async def submit(self, batch: list[Errand]) -> None:
        """Hands in errands; waits while the inbox is full. If cancelled, none of them was handed in."""
        count = len(batch)
        self._pending += count
        try:
            await self._entry.send(batch)
        except BaseException:
            self._pending -= count
            raise

    def submit_nowait(self, batch: list[Errand]) -> None:
        """Hands in errands.

        Raises:
            trio.WouldBlock: the inbox is full.
        """
        count = len(batch)
        self._entry.send_nowait(batch)
        self._pending += count

    async def send(self, command: SendCommand, *, command_channel: bool = False) -> SendResult:
        """Sends on behalf of a back-end, which may write to every channel that is neither banned nor disbanded.

        Once it was handed in the message is stored and delivered even if the caller is cancelled.

        Args:
            command_channel: a command with SYNC_ONCE goes to the command channel and ignores the channel's state.

        Raises:
            StoreError: it could not be stored.
        """
        submission = BackendSend(None, command, to_command_channel=command_channel)
        await self.submit([submission])
        await submission.finished.wait()
        if submission.reason is ReasonCode.SYSTEM_ERROR:
            raise StoreError("the message could not be stored; the server's log says why. Try again later.")
        return submission.result

    async def drain(self) -> None:
        """Waits until everything handed in so far is answered."""
        while self._pending:
            self._idle = trio.Event()
            await self._idle.wait()

    async def run(self) -> None:
        """Commits and delivers, until cancelled."""
        outbox, inbox = trio.open_memory_channel[list[Errand]](1)
        async with trio.open_nursery() as nursery:
            if self._hooks is not None:
                nursery.start_soon(supervise, "the hook stage", self._hooks.run)
            nursery.start_soon(supervise, "the commit stage", partial(self._commit_stage, outbox))
            nursery.start_soon(supervise, "the deliver stage", partial(self._deliver_stage, inbox))

    async def _commit_stage(self, outbox: trio.MemorySendChannel[list[Errand]]) -> None:
        async for batch in self._inbox:
            self._add_waiting(batch)
            submissions = [errand for errand in batch if isinstance(errand, Submission)]
            if submissions:
                await self._commit(submissions)
            try:
                # A send that need not wait would still cost a turn of the scheduler.
                outbox.send_nowait(batch)
            except trio.WouldBlock:
                await outbox.send(batch)

    def _add_waiting(self, batch: list[Errand]) -> None:
        """Everything that came in during the last commit becomes part of this one."""
        try:
            while len(batch) < MAX_BATCH:
                batch += self._inbox.receive_nowait()
        except trio.WouldBlock:
            pass

    async def _commit(self, submissions: list[Submission]) -> None:
        try:
            originals = await self._committer.look_up(submissions)
            messages = self._committer.decide(submissions, originals, time.time())
            if messages:
                await self._store.append_messages(messages)
        except StoreError as error:
            log.warning("a batch of %d sends was refused: %s", len(submissions), error)
            self._committer.undo(submissions)
        except Exception:
            # A bug, but one that must not take the server and everybody's connection with it.
            log.exception("a batch of %d sends was refused", len(submissions))
            self._committer.undo(submissions)
        else:
            self._committer.confirm(submissions)
            self.statistics.commits += bool(messages)
            self.statistics.stored += len(messages)

    async def _deliver_stage(self, inbox: trio.MemoryReceiveChannel[list[Errand]]) -> None:
        await self._deliverer.run(inbox, self._done)

    def _done(self, errands: int) -> None:
        self._pending -= errands
        if not self._pending:
            self._idle.set()
