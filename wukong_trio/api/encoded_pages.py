"""The JSON of pages of history: what many members of a group ask for is made once.

Stored messages do not change, and no others come between them. Some may leave, so channel, first and last number and
how many there are say what is in a page. Only what is shown of the events of a message changes, so pages with messages
that may have events are not kept.
"""

from typing import Final

from msgspec import Raw

from ..services.history import are_short
from ..services.message_events import MessageEvents, SummaryMode, may_have_events
from ..services.records import record_of, records_of
from ..store.base import Page
from ..store.lately import Lately
from .bodies import encode_list, encode_short_list

MAX_BYTES: Final = 32 * 1024 * 1024
"""Of all together: the newest pages of 50 messages of more than a thousand channels."""
PAGE_BYTES: Final = 128 * 1024
"""Longer ones are not kept."""


class EncodedPages:
    """An LRU cache of what was asked for more than once."""

    def __init__(self, events: MessageEvents) -> None:
        self._events = events
        self._pages: dict[tuple[str, int, int, int, int], Raw] = {}
        self._bytes = 0
        self._lately: Lately[tuple[str, int, int, int, int]] = Lately()

    async def records(self, page: Page, mode: SummaryMode = SummaryMode.FULL) -> Raw:
        """The messages of a page as a JSON list of their records.

        Args:
            mode: how much is shown of their events.
        """
        if not page.messages:
            return Raw(b"[]")
        first, last = page.messages[0], page.messages[-1]
        name = (first.channel_id, first.channel_type, first.message_seq, last.message_seq, len(page.messages))
        encoded = self._pages.pop(name, None)
        if encoded is not None:
            self._pages[name] = encoded
            return encoded
        if may_have_events(page.messages):
            return await encode_list(await self._events.records(page.messages, mode=mode))
        if are_short(page.messages):
            encoded = encode_short_list(records_of(page.messages))
        else:
            encoded = await encode_list(map(record_of, page.messages))
        if self._lately.again(name):
            self._keep(name, encoded)
        return encoded

    def _keep(self, name: tuple[str, int, int, int, int], encoded: Raw) -> None:
        size_bytes = memoryview(encoded).nbytes
        if size_bytes > PAGE_BYTES or name in self._pages:
            return
        self._pages[name] = encoded
        self._bytes += size_bytes
        while self._bytes > MAX_BYTES:
            self._bytes -= memoryview(self._pages.pop(next(iter(self._pages)))).nbytes
