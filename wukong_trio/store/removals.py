"""How messages leave a store: because they have expired, or because a channel keeps no more.

A message with `expire` is gone from every read at its second, whether it was removed by then or not. Removing works in
slices, so that sends get their turn in between. Sequence numbers and ids never move, and none is given again, also when
nothing of a channel is left.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from time import time
from typing import NamedTuple

from ..model import ChannelKey, Message

Position = tuple[int, ...]
"""Where a round of slices goes on; only the store knows what it means."""
START: Position = ()


class Slice(NamedTuple):
    """What one call has done."""

    removed: int
    """Messages."""
    position: Position | None
    """What to call it with next; None at the end of a round."""
    held_back: bool = False
    """There are messages to be removed that `settle` has to prepare."""


def has_expired(message: Message, now_s: float) -> bool:
    """Whether nobody reads it any more at a moment, in seconds since 1970."""
    return message.expire > 0 and message.timestamp + message.expire <= now_s


class Removals(ABC):
    """The part of a store that messages leave by.

    Each method removes some messages, and the events of streams among them, in one transaction, and is called again
    with the position that it has returned until there is none. A position holds for calls with the same other
    arguments. What was removed is counted by the caller; a call that raises StoreError has removed nothing.
    """

    clock: Callable[[], float] = staticmethod(time)
    """Seconds since 1970, by which messages expire."""

    @abstractmethod
    async def gone_between(self, key: ChannelKey, low: int, high: int) -> int:
        """How many of the messages with low <= message_seq <= high have expired or were removed. `high` is no more than
        the last one. Costs next to nothing in a channel where none ever had `expire`."""

    @abstractmethod
    async def settle(self, position: Position) -> Slice:
        """Prepares the removal of all messages that are there when a round begins. Removes nothing."""

    @abstractmethod
    async def remove_expired(self, position: Position, limit: int, *, before_id: int) -> Slice:
        """Removes messages that have expired and whose ids are below `before_id`."""

    @abstractmethod
    async def remove_before(self, position: Position, limit: int, *, before_id: int) -> Slice:
        """Removes the oldest messages of all channels, those with ids below `before_id`."""

    @abstractmethod
    async def remove_surplus(self, position: Position, limit: int, *, kept: int, before_id: int) -> Slice:
        """Removes the oldest messages of channels that have more sequence numbers than `kept`, as far as their ids are
        below `before_id`. Every channel is looked at once in a round."""
