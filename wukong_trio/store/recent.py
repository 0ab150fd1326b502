"""The newest messages, as they were when they were stored: most pages that anybody reads are made of them, and need
neither a thread nor a statement then."""

from collections import deque
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Final

from msgspec.structs import replace

from ..model import ChannelKey, Message
from .base import bytes_of, page_of
from .conversations import NewestWish
from .message_index import MessageIndex
from .page_cache import MESSAGE_BYTES, CachedPage, Wish
from .sql import NO_BOUND

MAX_BYTES: Final = 32 * 1024 * 1024
MOST_NEWEST: Final = 1024
"""Newest messages of channels that are taken from here in one turn: a millisecond or two."""


class RecentMessages:
    """As many as MAX_BYTES hold. Only the event loop uses it."""

    def __init__(self, index: MessageIndex) -> None:
        self._index = index
        self._messages: dict[int, Message] = {}
        """By id. They get their numbers when they are read first."""
        self._batches: deque[tuple[list[int], int]] = deque()
        """Ids and bytes, oldest first."""
        self._bytes = 0
        self._removed_id = 0
        """No message with a higher id was removed."""

    def note_removal(self) -> None:
        """Some messages were removed. That happens only to those that the table of the index has."""
        self._removed_id = self._index.frozen_id

    def add(self, drafts: Sequence[Message]) -> None:
        """Takes messages that were stored. Those that expire are left to the database."""
        drafts = [draft for draft in drafts if not draft.expire]
        if not drafts:
            # What counts no bytes would never be let go.
            return
        ids = [draft.message_id for draft in drafts]
        size_bytes = bytes_of(drafts) + len(ids) * MESSAGE_BYTES
        self._messages.update(zip(ids, drafts, strict=True))
        self._batches.append((ids, size_bytes))
        self._bytes += size_bytes
        while self._bytes > MAX_BYTES:
            ids, size_bytes = self._batches.popleft()
            self._bytes -= size_bytes
            for message_id in ids:
                del self._messages[message_id]

    def page(self, channel: int, wish: Wish) -> CachedPage | None:
        """A page of a channel, if all of it is here."""
        version = self._index.version(channel)
        found = self._between(channel, wish.key, wish.low, wish.high, wish.limit + 1, newest=wish.newest)
        if not found:
            return None
        page = page_of(found, wish.limit, wish.max_bytes, newest=wish.newest)
        return CachedPage(channel, version, page, lasts=True)

    def newest(
        self, wishes: Sequence[NewestWish], channels: Iterable[int], max_bytes: int
    ) -> list[list[Message]] | None:
        """What `ConversationStore.newest_messages` gives, if all of it is here, and does not have to be cut short.

        Args:
            channels: their numbers; 0 is none.
        """
        if sum([wish.count for wish in wishes]) > MOST_NEWEST:
            return None
        found: list[list[Message]] = []
        for channel, wish in zip(channels, wishes, strict=True):
            sure = wish.count == 1 and wish.newest_id > self._removed_id
            message = self._messages.get(wish.newest_id) if sure else None
            if message is None or not message.message_seq or (message.channel_id, message.channel_type) != wish.key:
                messages = self._between(channel, wish.key, wish.low, NO_BOUND, wish.count, newest=True)
                if messages is None:
                    return None
                found.append(messages)
            else:
                found.append([message])
        return found if bytes_of(chain.from_iterable(found)) <= max_bytes else None

    def _between(
        self, channel: int, key: ChannelKey, low: int, high: int, limit: int, *, newest: bool
    ) -> list[Message] | None:
        """Messages of a channel, in the order in which they are wanted, if all of them are here, and at least one."""
        (ids, seq), rest = self._index.part_of(channel, low, high, limit, newest)
        if rest is not None or not ids:
            return None
        step = -1 if newest else 1
        seq -= step * (len(ids) - 1)
        found: list[Message] = []
        for message_id in ids:
            message = self._messages.get(message_id)
            if message is None:
                return None
            if not message.message_seq:
                message = self._messages[message_id] = replace(message, message_seq=seq)
            found.append(message)
            seq += step
        if (found[0].channel_id, found[0].channel_type) != key:
            # The number was that of a channel whose transaction has failed.
            return None
        return found
