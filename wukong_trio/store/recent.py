"""The newest messages, as they were when they were stored: most pages that anybody reads are made of them, and need
neither a thread nor a statement then."""

from collections import deque
from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from ..model import Message
from .base import Page, bytes_of, cut
from .message_index import MessageIndex
from .page_cache import Wish

MAX_BYTES: Final = 32 * 1024 * 1024
MESSAGE_BYTES: Final = 500
"""What a message takes beside its payload."""


class RecentMessages:
    """As many as MAX_BYTES hold. Only the event loop uses it."""

    def __init__(self, index: MessageIndex) -> None:
        self._index = index
        self._messages: dict[int, Message] = {}
        """By id. They get their numbers when they are read first."""
        self._batches: deque[tuple[list[int], int]] = deque()
        """Ids and bytes, oldest first."""
        self._bytes = 0

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

    def page(self, channel: int, wish: Wish) -> Page | None:
        """A page of a channel, if all of it is here."""
        (ids, seq), rest = self._index.part_of(channel, wish.low, wish.high, wish.limit + 1, wish.newest)
        if rest is not None or not ids:
            return None
        step = -1 if wish.newest else 1
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
        if (found[0].channel_id, found[0].channel_type) != wish.key:
            # The number was that of a channel whose transaction has failed.
            return None
        messages, more = cut(found, wish.limit, wish.max_bytes)
        return Page(messages[::-1] if wish.newest else messages, more)
