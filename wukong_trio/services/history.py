"""The stored messages of a channel: pages of them, and single ones."""

from collections.abc import Sequence
from enum import IntEnum

from ..model import ChannelKey, Message
from ..store.base import Page, Store, Wanted

DEFAULT_LIMIT = 100
MAX_LIMIT = 10_000
PAGE_BYTES = 8 * 1024 * 1024
"""Payload of one page at most, unless a single message has more."""
SHORT_MESSAGES = 200
SHORT_BYTES = 64 * 1024
"""Of a short page: messages, and payload."""
NO_BOUND = 2**62


def are_short(messages: Sequence[Message]) -> bool:
    """Whether they are worth no slices."""
    sizes = [len(message.payload) for message in messages]
    return len(sizes) <= SHORT_MESSAGES and sum(sizes) <= SHORT_BYTES


def is_whole(page: Page, limit: int) -> bool:
    """Whether a page of SHORT_BYTES has all that the same page without this bound would have."""
    messages = page.messages
    cut = page.more and len(messages) < (limit if limit > 0 else DEFAULT_LIMIT)
    return not cut and not (len(messages) == 1 and len(messages[0].payload) > SHORT_BYTES)


class PullMode(IntEnum):
    """DOWN: towards older messages. UP: towards newer ones."""

    DOWN = 0
    UP = 1


class History:
    """Reads messages of channels. Everything raises StoreError if the store cannot be read."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def page(
        self, key: ChannelKey, *, start: int, end: int, limit: int, mode: PullMode, max_bytes: int = PAGE_BYTES
    ) -> Page:
        """One page.

        Args:
            start: the first `message_seq` wanted, inclusive, in the direction of `mode`; with `end` 0 too: the newest.
            end: where to stop, exclusive; 0 = no bound.
            limit: at most so many messages; 0 or less = DEFAULT_LIMIT.
            max_bytes: a page whose payloads would exceed it is shorter, but has a message if there is one.
        """
        limit = min(limit, MAX_LIMIT) if limit > 0 else DEFAULT_LIMIT
        low, high, newest = _window(start, end, mode)
        if low > high:
            return Page([], False)
        return await self._store.messages_between(key, low, high, limit, newest=newest, max_bytes=max_bytes)

    async def find(self, key: ChannelKey, wanted: Wanted) -> Page:
        """The messages of a channel that are wanted, as many of them as have PAGE_BYTES together."""
        return await self._store.find_messages(key, wanted, max_bytes=PAGE_BYTES)

    async def find_one(self, key: ChannelKey, wanted: Wanted) -> Message | None:
        """The first of them."""
        messages = (await self._store.find_messages(key, wanted, max_bytes=0)).messages
        return messages[0] if messages else None

    async def last(self, key: ChannelKey) -> Message | None:
        """The last message of a channel."""
        page = await self._store.messages_between(key, 1, NO_BOUND, 1, newest=True, max_bytes=0)
        return page.messages[0] if page.messages else None

    async def last_seq(self, key: ChannelKey) -> int:
        """The sequence number of the last message of a channel, 0 if it has none."""
        return await self._store.last_seq(key)


def _window(start: int, end: int, mode: PullMode) -> tuple[int, int, bool]:
    """The lowest and highest seq wanted, and whether the newest or the oldest of them come first."""
    if start <= 0 and end <= 0:
        return 1, NO_BOUND, True
    if mode is PullMode.UP:
        return max(start, 1), end - 1 if end > 0 else NO_BOUND, False
    if end > start:
        return 1, 0, True
    return max(end, 0) + 1, start, True
