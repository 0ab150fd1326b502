"""msg.notify: the receiver is told of every stored message, at least once and in order.

Messages are stored by growing ids anyway. So the queue is the table of messages, and one position in it, the cursor,
says up to which message the receiver has been told. It moves when he has accepted. Nothing is written for a message,
and what is stored is told, also after a crash.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from logging import getLogger
from math import inf
from time import time
from typing import Final, TypeVar

import msgspec
import trio

from ..config import Webhook
from ..errors import StoreError
from ..model import SYNC_ONCE, Message, first_id_at, moment_of
from ..services.records import command_record_of, record_of
from ..store.base import Store
from .hook import FIRST_WAIT_S, Hook, waits
from .untold import UntoldMessages

log = getLogger(__name__)

T = TypeVar("T")

IDS_AT_ONCE: Final = 10_000
SAVE_INTERVAL_S: Final = 1.0
"""While messages wait, the cursor is written no more often: each time is a commit that sends have to wait for."""


class Notifications:
    """The messages that the receiver has not been told of."""

    def __init__(self, hook: Hook, store: Store, settings: Webhook, cursor: int | None, newest_id: int) -> None:
        """
        Args:
            cursor: the store's; None: webhooks are used for the first time, and begin with the next message.
            newest_id: of all stored messages.
        """
        self.hook = hook
        self._store = store
        self._settings = settings
        self._old_id = self._newest_id = newest_id
        self._told_id = newest_id if cursor is None else min(cursor, newest_id)
        self._oldest_id = 0
        """Of what waits; until that was read, of what came before it. 0: nothing is known."""
        self._saved_id = cursor
        self._save_at = 0.0
        self._untold = UntoldMessages(store, hook.pace, newest_id)
        self.waiting = 0
        """Messages that are stored and not told."""
        self.dropped = 0
        """Messages that were given up."""
        self._some, self._enough = trio.Event(), trio.Event()
        self._progress = trio.Event()
        self._draining = False

    def stored(self, messages: Sequence[Message]) -> None:
        """These were stored after all others; never waits."""
        self.waiting += len(messages)
        if self._told_id >= self._newest_id:
            self._oldest_id = messages[0].message_id
        self._newest_id = messages[-1].message_id
        self._untold.stored(messages, self.waiting)
        self._some.set()
        if self.waiting >= self._settings.count_per_push:
            self._enough.set()

    def oldest_s(self, now_s: float) -> float:
        """How long ago the oldest message was stored of which the receiver has not been told, or about; 0 if there is
        none.
        """
        waits_for_it = self._oldest_id and self._told_id < self._newest_id
        return max(now_s - moment_of(self._oldest_id) / 1e9, 0.0) if waits_for_it else 0.0

    @property
    def kept_from(self) -> int:
        """The receiver may still have to be told of messages from this id on, so they must not be removed."""
        return self._told_id + 1

    async def run(self) -> None:
        """Tells until cancelled."""
        try:
            await self._count_old()
            while True:
                await self._wait_for_messages()
                await self._tell_next()
        finally:
            with trio.move_on_after(SAVE_INTERVAL_S, shield=True):
                await self.save()

    async def drain(self) -> None:
        """Waits until all is told, or until the receiver does not accept: what is left is told after the next start.
        The caller bounds it."""
        self._draining = self.hook.pace.hurry = True
        self._enough.set()
        while self._told_id < self._newest_id and not self.hook.failing:
            await self._progress.wait()

    async def _count_old(self) -> None:
        """Counts what an earlier run of the server has left."""
        position = self._told_id
        while position < self._old_id:
            ids = await self._read(partial(self._store.message_ids_after, position, IDS_AT_ONCE))
            if ids and position == self._told_id:
                self._oldest_id = ids[0]
            old = bisect_right(ids, self._old_id)
            self.waiting += old
            position = ids[-1] if ids else self._old_id
        if self.waiting:
            log.info("webhook %s: %d messages wait from before the start", self.hook.event, self.waiting)

    async def _wait_for_messages(self) -> None:
        """Returns when messages wait, and have waited for others."""
        while self._told_id >= self._newest_id:
            self.waiting = 0
            self._some = trio.Event()
            # A cursor that could not be saved is saved later, even if nothing more comes.
            with trio.move_on_after(inf if self._saved_id == self._told_id else FIRST_WAIT_S):
                await self._some.wait()
            await self.save()
        if self.waiting < self._settings.count_per_push and not self._draining:
            self._enough = trio.Event()
            with trio.move_on_after(self._settings.push_interval_s):
                await self._enough.wait()

    async def _tell_next(self) -> None:
        """Tells what comes next, until the receiver accepts it or it is given up."""
        await self.hook.pace.give_way()
        newest_id = self._newest_id
        messages = await self._read(partial(self._untold.after, self._told_id, self._settings.count_per_push))
        if not messages:
            # Somebody has deleted them. What was stored since is another matter.
            self._told_id = newest_id
            self._notice_progress()
            return
        first_id, last_id = messages[0].message_id, messages[-1].message_id
        self._oldest_id = first_id
        with self.hook.pace.working():
            body = _encoded(messages)
        for attempt, wait_s in enumerate(waits(), start=1):
            if self._is_outdated(first_id):
                await self._drop_outdated()
                return
            if await self.hook.post(body, f"notify-{first_id}-{last_id}"):
                break
            if attempt == self._settings.retry_max_count:
                self._count_dropped(len(messages))
                break
            self._notice_progress()
            await trio.sleep(wait_s)
        self._pass(last_id, len(messages))
        if trio.current_time() >= self._save_at or self._told_id >= self._newest_id:
            await self.save()
        self._notice_progress()

    def _pass(self, message_id: int, count: int) -> None:
        """So many messages, up to this one, are done with."""
        self._told_id = self._oldest_id = message_id
        self._untold.forget(message_id)
        self.waiting -= count

    def _count_dropped(self, count: int) -> None:
        self.dropped += count
        log.warning("webhook %s: %d messages were given up", self.hook.event, count)

    def _notice_progress(self) -> None:
        """For who waits for the end: something was tried, or given up."""
        self._progress.set()
        self._progress = trio.Event()

    # What waits is bounded

    @property
    def _least_id(self) -> int:
        """Messages with lower ids are too old."""
        return first_id_at(time() - self._settings.max_age_s)

    def _is_outdated(self, message_id: int) -> bool:
        return message_id < self._least_id or self.waiting > self._settings.max_waiting

    async def _drop_outdated(self) -> None:
        """Gives up the oldest messages that are too old or too many."""
        dropped, count = 0, IDS_AT_ONCE
        while count == IDS_AT_ONCE:
            ids = await self._read(partial(self._store.message_ids_after, self._told_id, IDS_AT_ONCE))
            excess = min(max(self.waiting - self._settings.max_waiting, 0), len(ids))
            count = max(bisect_left(ids, self._least_id), excess)
            if count:
                self._pass(ids[count - 1], count)
                dropped += count
        self._count_dropped(dropped)
        await self.save()
        self._notice_progress()

    # The store

    async def _read(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Asks the store until it answers."""
        for wait_s in waits():
            try:
                return await ask()
            except StoreError as error:
                log.error("webhook %s: the messages cannot be read: %s", self.hook.event, error)
                await trio.sleep(wait_s)
        raise AssertionError

    async def save(self) -> None:
        """Moves the cursor, if it can be written: if not, the store says so, and some messages may be told again."""
        told_id = self._told_id
        if told_id == self._saved_id:
            return
        try:
            await self._store.move_webhook_cursor(told_id)
        except StoreError:
            return
        self._saved_id = told_id
        self._save_at = trio.current_time() + SAVE_INTERVAL_S


def _encoded(messages: Sequence[Message]) -> bytes:
    return msgspec.json.encode([command_record_of(m) if m.flags & SYNC_ONCE else record_of(m) for m in messages])
