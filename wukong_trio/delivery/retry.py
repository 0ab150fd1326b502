"""Pushes that wait for their recvack. One queue per session that acknowledges."""

from collections.abc import Iterator
from time import time

from ..config import MessageRetry
from ..model import Message
from ..store.removals import has_expired
from .push import Delivery, Push

MAX_WAITING = 4096
"""Waiting pushes per session; beyond that the oldest is forgotten."""
_ROUNDED = 2**32


class RetryQueue:
    """Remembers pushes until they are acknowledged or were repeated often enough.

    What it holds is bounded in pushes and in bytes of their messages, which all sessions share; beyond either bound the
    oldest is forgotten, which is no loss: the client finds it in the history.

    Lane n holds what was repeated n + 1 times, the fresh lane what was not yet. Only the first entry of each lane is
    looked at. Since every repetition waits equally long, the numbered lanes are in the order of their due times by
    themselves. The fresh one is in the order of writing, which is nearly the same: a push to a large channel counts
    from the moment at which its delivery began. If a later one was written before it, it is repeated with that one.
    """

    __slots__ = ("_bytes", "_config", "_fresh", "_lanes", "_repeated")

    def __init__(self, config: MessageRetry) -> None:
        self._config = config
        self._fresh: dict[int, Push] = {}
        self._lanes: list[dict[int, tuple[float, Push]]] = []
        self._repeated = 0
        """How many wait in the lanes."""
        self._bytes = 0
        """Payloads of all that wait."""

    def add(self, delivery: Delivery) -> float | None:
        """Remembers what was just written.

        Returns:
            When it is due, or None if an earlier one is due before, or nothing is to be repeated.
        """
        fresh = self._fresh
        was_empty = not fresh
        self._bytes = size_bytes = self._bytes + delivery.wait_in(fresh)
        if size_bytes > self._config.waiting_bytes or len(fresh) + self._repeated > MAX_WAITING:
            self._forget_until_it_fits()
        if was_empty and fresh:
            return next(iter(fresh.values())).pushed_at + self._config.interval_s
        return None

    def _forget_until_it_fits(self) -> None:
        while len(self._fresh) + self._repeated > MAX_WAITING or self._bytes > self._config.waiting_bytes:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        for lane in reversed(self._lanes):
            if lane:
                _, push = lane.pop(next(iter(lane)))
                self._repeated -= 1
                break
        else:
            push = self._fresh.pop(next(iter(self._fresh)))
        self._bytes -= len(push.message.payload)

    def acknowledge(self, message_id: int, message_seq: int = 0) -> Message | None:
        """Forgets a push; an unknown id does nothing.

        Args:
            message_seq: tells which push is meant if the id is wrong in the way in which JavaScript clients get it
                wrong now and then: by 2**32.

        Returns:
            Its message.
        """
        push = self._fresh.pop(message_id, None)
        if push is None:
            push = self._find_and_pop(message_id, message_seq)
            if push is None:
                return None
        self._bytes -= len(push.message.payload)
        return push.message

    def _find_and_pop(self, message_id: int, message_seq: int) -> Push | None:
        push = self._pop_repeated(message_id) if self._repeated else None
        if push is None and message_seq:
            push = self._pop_rounded(message_id + _ROUNDED, message_seq)
            if push is None:
                push = self._pop_rounded(message_id - _ROUNDED, message_seq)
        return push

    def _pop_rounded(self, message_id: int, message_seq: int) -> Push | None:
        """A push with this id, if the sequence number is right as well."""
        push = self._fresh.get(message_id)
        if push is not None:
            return self._fresh.pop(message_id) if push.message.message_seq == message_seq else None
        for lane in self._lanes:
            if message_id in lane and lane[message_id][1].message.message_seq == message_seq:
                return self._pop_repeated(message_id)
        return None

    def _pop_repeated(self, message_id: int) -> Push | None:
        for lane in self._lanes:
            found = lane.pop(message_id, None)
            if found is not None:
                self._repeated -= 1
                return found[1]
        return None

    def next_due(self) -> float | None:
        """When the next repetition is due, None if nothing waits."""
        due = [next(iter(lane.values()))[0] for lane in self._lanes if lane]
        if self._fresh:
            due.append(next(iter(self._fresh.values())).pushed_at + self._config.interval_s)
        return min(due, default=None)

    def pop_due(self, now: float) -> Iterator[Push]:
        """The pushes to repeat now. Each waits again afterwards, unless this was its last repetition. What has expired
        is forgotten instead."""
        now_s = time()
        for repetitions, lane in reversed(list(enumerate(self._lanes, start=1))):
            while lane:
                message_id, (due, push) = next(iter(lane.items()))
                if due > now:
                    break
                del lane[message_id]
                self._repeated -= 1
                if has_expired(push.message, now_s):
                    self._bytes -= len(push.message.payload)
                    continue
                self._wait_again(repetitions + 1, message_id, push, now)
                yield push
        while self._fresh:
            message_id, push = next(iter(self._fresh.items()))
            if push.pushed_at + self._config.interval_s > now:
                break
            del self._fresh[message_id]
            if self._config.max_count and not has_expired(push.message, now_s):
                self._wait_again(1, message_id, push, now)
                yield push
            else:
                self._bytes -= len(push.message.payload)

    def _wait_again(self, repetitions: int, message_id: int, push: Push, now: float) -> None:
        """Enters what was just repeated for the `repetitions`th time into its lane."""
        if repetitions == self._config.max_count:
            self._bytes -= len(push.message.payload)
            return
        if repetitions > len(self._lanes):
            self._lanes.append({})
        self._lanes[repetitions - 1][message_id] = (now + self._config.interval_s, push)
        self._repeated += 1

    def __len__(self) -> int:
        return len(self._fresh) + self._repeated
