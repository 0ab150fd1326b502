"""The path of every message: a batch is decided, stored in one transaction, and delivered while the next is stored.

    inbox ─► commit stage: addresses, permissions, repetitions, ids ─► store: numbers
                                                              │ after the commit
                                                              ▼
             deliver stage: the answer, then pushes to the receivers, batch by batch in commit order

The commit stage awaits look-ups first and then decides a whole batch without awaiting, so nothing it has looked at
changes under its hands. Where others write to the store too, it says what has changed all the same, and the batch is
decided anew. Order comes from here alone: what enters the inbox earlier is stored, delivered and answered earlier.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from enum import Enum, auto
from functools import partial
from logging import getLogger

import trio

from ..errors import InvalidCommandError, StoreError, WukongError
from ..model import ChannelKey, Message, MessageEvent, SendCommand, SendResult
from ..services.commands import check_command
from ..store.base import ChannelsChangedError, RepeatedSendsError, Store
from ..supervision import supervise
from .decide import Decider
from .deliver import Deliverer
from .hooks import BeforeSend, HookStage
from .statistics import Queues
from .submission import BackendSend, Errand, EventErrand, Submission

log = getLogger(__name__)

MAX_BATCH = 4096
"""Errands that are decided and committed together."""
INBOX_BATCHES = 256
MOST_ATTEMPTS = 8
"""So many times a batch is decided, if each time others were faster."""


class RouterState(Enum):
    """OPEN: takes everything. DRAINING: answers what is under way, takes no new sends of back-ends.
    CLOSED: works on nothing any more; what was under way has been refused."""

    OPEN = auto()
    DRAINING = auto()
    CLOSED = auto()


class Router:
    """Owns the inbox and both stages. `run` is one task of the server's nursery."""

    def __init__(
        self,
        store: Store,
        decider: Decider,
        deliverer: Deliverer,
        *,
        payload_limit_bytes: int,
        before_send: BeforeSend | None = None,
        hook_timeout_s: float = 5.0,
        on_stored: Callable[[Sequence[Message]], None] | None = None,
    ) -> None:
        """
        Args:
            on_stored: called after each commit with the messages, of which there is one at least. It must neither wait
                nor raise.
        """
        self.state = RouterState.OPEN
        self._store = store
        self._decider = decider
        self._deliverer = deliverer
        self._payload_limit_bytes = payload_limit_bytes
        self._on_stored = on_stored
        self._pending = 0
        self._idle = trio.Event()
        self._backend_sends: set[BackendSend] = set()
        """Those that somebody waits for."""
        self._refused_since_stored = 0
        self._entry, self._inbox = trio.open_memory_channel[list[Errand]](INBOX_BATCHES)
        self._past_hooks = self._entry
        self._hooks: HookStage | None = None
        if before_send is not None:
            self._hooks = HookStage(
                before_send,
                self._entry,
                capacity=INBOX_BATCHES,
                hook_timeout_s=hook_timeout_s,
                payload_limit_bytes=payload_limit_bytes,
            )
            self._entry = self._hooks.outbox
        self.statistics = deliverer.statistics

    async def submit(self, batch: list[Errand]) -> None:
        """Hands in errands; waits while the inbox is full. If cancelled, none of them was handed in.

        A router that is closed refuses them at once.
        """
        count = len(batch)
        self._pending += count
        _stamp(batch[0])
        try:
            await self._entry.send(batch)
        except BaseException as error:
            self._pending -= count
            if not isinstance(error, trio.BrokenResourceError):
                raise
            self._abandon(batch)

    def submit_nowait(self, batch: list[Errand]) -> None:
        """Hands in errands. A router that is closed refuses them at once.

        Raises:
            trio.WouldBlock: the inbox is full.
        """
        count = len(batch)
        _stamp(batch[0])
        try:
            self._entry.send_nowait(batch)
        except trio.BrokenResourceError:
            self._abandon(batch)
        else:
            self._pending += count

    async def push_event(self, key: ChannelKey, event: MessageEvent) -> None:
        """Pushes an event to everybody of a channel who is online, behind whatever was handed in before. It neither
        waits for that nor fails: whoever could not get it reads it later.

        Waits while the inbox is full. If cancelled, it was not handed in.
        """
        batch: list[Errand] = [EventErrand(None, key, event)]
        self._pending += 1
        try:
            try:
                self._past_hooks.send_nowait(batch)
            except trio.WouldBlock:
                await self._past_hooks.send(batch)
        except BaseException as error:
            self._pending -= 1
            if not isinstance(error, trio.BrokenResourceError):
                raise

    async def send(
        self, command: SendCommand, *, command_channel: bool = False, direct_to: frozenset[str] | None = None
    ) -> SendResult:
        """Sends on behalf of a back-end, which may write to every channel that is neither banned nor disbanded.

        Once it was handed in the message is stored and delivered even if the caller is cancelled.

        Args:
            command_channel: a command with SYNC_ONCE goes to the command channel and ignores the channel's state.
            direct_to: it goes to these users instead of members of its channel, which is a temporary one made for them.

        Raises:
            InvalidCommandError: no such message can be sent.
            SendRefusedError: the channel, or the `before_send` hook, does not take it.
            StoreError: it could not be stored, or the server is stopping.
        """
        check_command(command, payload_limit_bytes=self._payload_limit_bytes)
        submission = BackendSend(None, command, to_command_channel=command_channel, direct_to=direct_to)
        await self._send([submission])
        return submission.result

    async def send_all(
        self, commands: Iterable[SendCommand], *, command_channel: bool = False
    ) -> list[SendResult | WukongError]:
        """Sends several together, each as `send` does.

        Returns:
            What has become of each: its result, or the error that `send` would have raised.
        """
        sends = [BackendSend(None, command, to_command_channel=command_channel) for command in commands]
        outcomes: dict[BackendSend, SendResult | WukongError] = {}
        for submission in sends:
            try:
                check_command(submission.command, payload_limit_bytes=self._payload_limit_bytes)
            except InvalidCommandError as error:
                outcomes[submission] = error
        good = [submission for submission in sends if submission not in outcomes]
        try:
            await self._send(good)
        except StoreError as error:
            return [outcomes.get(submission, error) for submission in sends]
        for submission in good:
            try:
                outcomes[submission] = submission.result
            except WukongError as error:
                outcomes[submission] = error
        return [outcomes[submission] for submission in sends]

    async def _send(self, sends: Sequence[BackendSend]) -> None:
        """Hands in sends of a back-end and waits until all are finished."""
        if self.state is not RouterState.OPEN:
            raise StoreError("the message was not stored: the server is stopping or has stopped")
        if not sends:
            return
        self._backend_sends.update(sends)
        try:
            await self.submit(list(sends))
            for submission in sends:
                if not submission.finished.is_set():  # to wait all the same would be a turn of the scheduler for each
                    await submission.finished.wait()
        finally:
            self._backend_sends.difference_update(sends)

    @property
    def queues(self) -> Queues:
        """What waits at the moment."""
        messages, size_bytes = self._deliverer.waiting
        return Queues(self._inbox.statistics().current_buffer_used, self._pending, messages, size_bytes)

    async def drain(self) -> None:
        """Takes no more sends of back-ends, and waits until everything handed in so far is answered."""
        if self.state is RouterState.OPEN:
            self.state = RouterState.DRAINING
        while self._pending and self.state is not RouterState.CLOSED:
            self._idle = trio.Event()
            await self._idle.wait()

    async def run(self) -> None:
        """Commits and delivers, until cancelled. However it ends, nobody waits for an answer after that."""
        outbox, inbox = trio.open_memory_channel[list[Errand]](1)
        try:
            async with trio.open_nursery() as nursery:
                if self._hooks is not None:
                    nursery.start_soon(supervise, "the hook stage", self._hooks.run)
                nursery.start_soon(supervise, "the commit stage", partial(self._commit_stage, outbox))
                nursery.start_soon(supervise, "the deliver stage", partial(self._deliverer.run, inbox, self._done))
        finally:
            self._close()

    def _close(self) -> None:
        self.state = RouterState.CLOSED
        # From now on handing in fails, also for those who wait for room.
        self._inbox.close()
        self._abandon(self._backend_sends)
        self._idle.set()

    @staticmethod
    def _abandon(errands: Iterable[Errand]) -> None:
        for errand in errands:
            errand.abandon()

    async def _commit_stage(self, outbox: trio.MemorySendChannel[list[Errand]]) -> None:
        async for batch in self._inbox:
            self._add_waiting(batch)
            submissions = [errand for errand in batch if isinstance(errand, Submission)]
            if submissions:
                await self._commit(submissions)
            if len(submissions) < len(batch):
                await self._find_channels([errand for errand in batch if isinstance(errand, EventErrand)])
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

    async def _find_channels(self, errands: list[EventErrand]) -> None:
        if not errands:
            return
        try:
            channels = await self._decider.find_channels(errand.key for errand in errands)
        except StoreError as error:
            log.error("%d events of messages were not pushed: %s", len(errands), error)
            return
        for errand in errands:
            errand.channel = channels.get(errand.key)

    async def _commit(self, submissions: list[Submission]) -> None:
        """Decides and stores, all or nothing. A send that the code cannot cope with is found and refused alone."""
        try:
            messages, numbers = await self._append(submissions)
        except StoreError as error:
            self._count_refused(len(submissions), error)
            self._decider.undo(submissions)
        except Exception:
            # A bug, but one that must not take the server and everybody's connection with it.
            if len(submissions) > 1:
                await self._commit_halves(submissions)
                return
            log.exception("a send of %r was refused", submissions[0].command.from_uid)
            self._decider.undo(submissions)
        except BaseException:
            # Cancelled before the write has begun, or worse: nothing was stored.
            self._decider.undo(submissions)
            raise
        else:
            self._decider.confirm(submissions, messages, numbers)
            if messages:
                self._count_stored(len(messages))
                if self._on_stored is not None:
                    self._on_stored(messages)

    async def _append(self, undecided: list[Submission]) -> tuple[list[Message], Sequence[int]]:
        """Decides and stores; once more if the store has refused the batch for what others have done.

        Returns:
            What was stored, and the numbers of these messages, which they do not have yet.
        """
        for _ in range(MOST_ATTEMPTS):
            originals = await self._decider.look_up(undecided)
            drafts = self._decider.decide(undecided, originals, time.time())
            if not drafts.messages:
                return [], []
            begun = time.perf_counter()
            try:
                numbers = await self._store.append_messages(
                    drafts.messages, versions=drafts.versions, distinct=drafts.distinct, direct=drafts.direct
                )
            except ChannelsChangedError as error:
                self._decider.outdate(error.keys)
            except RepeatedSendsError as error:
                self._decider.answer(undecided, error.originals)
            else:
                self.statistics.commit_s.add(time.perf_counter() - begun)
                return drafts.messages, numbers
            undecided = self._decider.reopen(undecided)
        raise StoreError(f"others were faster {MOST_ATTEMPTS} times: the channels of these sends change all the time")

    async def _commit_halves(self, submissions: list[Submission]) -> None:
        undecided = self._decider.reopen(submissions)
        middle = len(undecided) // 2
        await self._commit(undecided[:middle])
        await self._commit(undecided[middle:])

    def _count_stored(self, count: int) -> None:
        self.statistics.commits += 1
        self.statistics.stored += count
        self.statistics.batch_messages.add(count)
        if self._refused_since_stored:
            log.warning(
                "a message was stored again; sends refused since the one before: %d", self._refused_since_stored
            )
            self._refused_since_stored = 0

    def _count_refused(self, count: int, error: StoreError) -> None:
        """Speaks at the first of many failures only: there may be thousands in a second."""
        if not self._refused_since_stored:
            log.error("sends are refused until the store works again: %s", error)
        self._refused_since_stored += count

    def _done(self, errands: int) -> None:
        self._pending -= errands
        if not self._pending:
            self._idle.set()


def _stamp(first: Errand) -> None:
    """Notes when a batch is handed in. A batch that waits for room keeps its first moment."""
    if isinstance(first, Submission) and not first.handed_in_at:
        first.handed_in_at = trio.current_time()
