"""Pages of history that many ask for: the newest messages of a busy group, when all its members come back at once.

A page stays as long as nothing was stored in its channel. To see that costs a look into a dict, where reading the page
again costs a thread and a statement. What was asked for once is not kept: most pages never are again, and fifty
messages that come and go cost more than the look.
"""

from typing import Final, NamedTuple

from ..model import ChannelKey
from .base import Page, bytes_of
from .lately import Lately
from .message_index import MessageIndex

MAX_PAGES: Final = 128
MAX_MESSAGES: Final = 200
MAX_BYTES: Final = 64 * 1024
"""Larger pages are not kept."""


class Wish(NamedTuple):
    """The arguments of `Store.messages_between`."""

    key: ChannelKey
    low: int
    high: int
    limit: int
    newest: bool
    max_bytes: int


class CachedPage(NamedTuple):
    """What was read, and what its channel was like just before."""

    channel: int
    version: tuple[int, int]
    page: Page
    lasts: bool
    """It stays what it is until something is stored: no message expires before."""


class PageCache:
    """An LRU cache. Only the event loop uses it."""

    def __init__(self, index: MessageIndex) -> None:
        self._index = index
        self._pages: dict[Wish, CachedPage] = {}
        self._lately: Lately[Wish] = Lately()
        self.cleared = 0
        """How often."""

    def get(self, wish: Wish) -> Page | None:
        """The page, if it was read before and is still the same."""
        cached = self._pages.pop(wish, None)
        if cached is None or self._index.version(cached.channel) != cached.version:
            return None
        self._pages[wish] = cached
        return cached.page

    def clear(self) -> None:
        """Messages were removed: nothing that was read before is kept."""
        self._pages.clear()
        self.cleared += 1

    def put(self, wish: Wish, cached: CachedPage) -> None:
        """Keeps a page that was asked for before, unless it is large or will not last."""
        if not cached.lasts or not self._lately.again(wish):
            return
        messages = cached.page.messages
        if len(messages) > MAX_MESSAGES or bytes_of(messages) > MAX_BYTES:
            return
        self._pages[wish] = cached
        if len(self._pages) > MAX_PAGES:
            del self._pages[next(iter(self._pages))]
