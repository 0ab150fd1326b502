"""Pushes that wait for their recvack. One queue per session that acknowledges."""

from collections.abc import Iterator

from ..config import MessageRetry
from .push import Push

MAX_WAITING = 4096
"""Waiting pushes per session; beyond that the oldest is forgotten."""


class RetryQueue:
    """Remembers pushes until they are acknowledged or were repeated often enough.

    Lane n holds what was repeated n times. Since every repetition waits equally long, each lane is in the order of its
    due times by itself, and only its first entry needs to be looked at.
    """

    __slots__ = ("_config", "_lanes", "_waiting")

    def __init__(self, config: MessageRetry) -> None:
        self._config = config
        self._lanes: list[dict[int, tuple[float, Push]]] = [{}]
        self._waiting = 0

    def add(self, push: Push, now: float) -> float:
        """Remembers a push that was just written; returns when it is due again."""
        due = now + self._config.interval_s
        self._lanes[0][push.message.message_id] = (due, push)
        self._waiting += 1
        if self._waiting > MAX_WAITING:
            oldest = next(lane for lane in reversed(self._lanes) if lane)
            del oldest[next(iter(oldest))]
            self._waiting -= 1
        return due

    def acknowledge(self, message_id: int) -> None:
        """Forgets a push; an unknown id does nothing."""
        for lane in self._lanes:
            if lane.pop(message_id, None) is not None:
                self._waiting -= 1
                return

    def next_due(self) -> float | None:
        """When the next repetition is due, None if nothing waits."""
        return min((next(iter(lane.values()))[0] for lane in self._lanes if lane), default=None)

    def pop_due(self, now: float) -> Iterator[Push]:
        """The pushes to repeat now. Each waits again afterwards, unless this was its last repetition."""
        for repetition, lane in reversed(list(enumerate(self._lanes, start=1))):
            while lane:
                message_id, (due, push) = next(iter(lane.items()))
                if due > now:
                    break
                del lane[message_id]
                self._waiting -= 1
                if repetition <= self._config.max_count:
                    self._wait_again(repetition, message_id, push, now)
                    yield push

    def _wait_again(self, repetition: int, message_id: int, push: Push, now: float) -> None:
        if repetition == self._config.max_count:
            return
        if repetition == len(self._lanes):
            self._lanes.append({})
        self._lanes[repetition][message_id] = (now + self._config.interval_s, push)
        self._waiting += 1

    def __len__(self) -> int:
        return self._waiting
