"""Pushes that wait for their recvack. One queue per session that acknowledges."""

from collections.abc import Iterator

from ..config import MessageRetry
from .push import Push

MAX_WAITING = 4096
"""Waiting pushes per session; beyond that the oldest is forgotten."""


class RetryQueue:
    """Remembers pushes until they are acknowledged or were repeated often enough.

    Lane n holds what was repeated n + 1 times, the fresh lane what was not yet. Since every repetition waits equally
    long, each lane is in the order of its due times by itself, and only its first entry needs to be looked at.
    """

    __slots__ = ("_config", "_fresh", "_lanes", "_repeated")

    def __init__(self, config: MessageRetry) -> None:
        self._config = config
        self._fresh: dict[int, Push] = {}
        self._lanes: list[dict[int, tuple[float, Push]]] = []
        self._repeated = 0
        """How many wait in the lanes."""

    def add(self, push: Push) -> float | None:
        """Remembers a push that was just written.

        Returns:
            When it is due, or None if an earlier one is due before.
        """
        fresh = self._fresh
        fresh[push.message.message_id] = push
        if len(fresh) + self._repeated > MAX_WAITING:
            self._forget_oldest()
        return push.pushed_at + self._config.interval_s if len(fresh) == 1 else None

    def _forget_oldest(self) -> None:
        for lane in reversed(self._lanes):
            if lane:
                del lane[next(iter(lane))]
                self._repeated -= 1
                return
        del self._fresh[next(iter(self._fresh))]

    def acknowledge(self, message_id: int) -> None:
        """Forgets a push; an unknown id does nothing."""
        if self._fresh.pop(message_id, None) is not None or not self._repeated:
            return
        for lane in self._lanes:
            if lane.pop(message_id, None) is not None:
                self._repeated -= 1
                return

    def next_due(self) -> float | None:
        """When the next repetition is due, None if nothing waits."""
        due = [next(iter(lane.values()))[0] for lane in self._lanes if lane]
        if self._fresh:
            due.append(next(iter(self._fresh.values())).pushed_at + self._config.interval_s)
        return min(due, default=None)

    def pop_due(self, now: float) -> Iterator[Push]:
        """The pushes to repeat now. Each waits again afterwards, unless this was its last repetition."""
        for repetitions, lane in reversed(list(enumerate(self._lanes, start=1))):
            while lane:
                message_id, (due, push) = next(iter(lane.items()))
                if due > now:
                    break
                del lane[message_id]
                self._repeated -= 1
                self._wait_again(repetitions + 1, message_id, push, now)
                yield push
        while self._fresh:
            message_id, push = next(iter(self._fresh.items()))
            if push.pushed_at + self._config.interval_s > now:
                break
            del self._fresh[message_id]
            if self._config.max_count:
                self._wait_again(1, message_id, push, now)
                yield push

    def _wait_again(self, repetitions: int, message_id: int, push: Push, now: float) -> None:
        """Enters what was just repeated for the `repetitions`th time into its lane."""
        if repetitions == self._config.max_count:
            return
        if repetitions > len(self._lanes):
            self._lanes.append({})
        self._lanes[repetitions - 1][message_id] = (now + self._config.interval_s, push)
        self._repeated += 1

    def __len__(self) -> int:
        return len(self._fresh) + self._repeated
