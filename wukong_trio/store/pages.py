"""Pages of channels' histories."""

import sqlite3
from collections.abc import Container, Mapping, Sequence
from itertools import accumulate, chain
from typing import Final

from ..model import Message
from .base import Page, page_of
from .message_ids import Window, channel_number, channel_numbers, ids_in
from .message_index import MessageIndex
from .message_rows import completed, indexed_messages, live_messages, small_messages
from .page_cache import MAX_BYTES, MAX_MESSAGES, CachedPage, Wish

MOST_TOGETHER: Final = 4096
"""What pages that are read together may weigh: a few milliseconds."""
_Reader = sqlite3.Connection
_Windows = Mapping[Wish, Window]
_Found = dict[Wish, tuple[list[Message] | None, Container[int]]]
"""Messages, and of which of them the payloads are to be read; None: some are missing in between."""
NOTHING: Final = CachedPage(0, (0, 0), Page([], False), lasts=False)
"""Nobody has heard of the channel."""


def is_small(wish: Wish) -> bool:
    """Whether a page is read together with others. None of them should have to wait for a large one."""
    return wish.limit <= MAX_MESSAGES and wish.max_bytes <= MAX_BYTES


def weight(wish: Wish) -> int:
    """What a page may cost at most, as messages; a KiB counts as one."""
    return wish.limit + wish.max_bytes // 1024


def read_page(reader: _Reader, index: MessageIndex, wish: Wish, now_s: float) -> CachedPage:
    """A page of a channel's history, read message by message until it is full."""
    channel = channel_number(reader, wish.key)
    if channel is None:
        return NOTHING
    version = index.version(channel)
    names = {channel: wish.key}
    found = live_messages(reader, index, _window(channel, wish), now_s, names)
    # It may be large, and holes may have been passed over: others are kept.
    page = page_of(found, wish.limit, wish.max_bytes, newest=wish.newest)
    return CachedPage(channel, version, page, lasts=False)


def read_pages(reader: _Reader, index: MessageIndex, wishes: Sequence[Wish], now_s: float) -> list[CachedPage | None]:
    """Several small pages, from a statement or two for all of them. None: messages are missing in between, so that it
    has to be read by itself."""
    numbers = channel_numbers(reader, list({wish.key for wish in wishes}))
    versions = {number: index.version(number) for number in numbers.values()}
    windows = {wish: _window(numbers[wish.key], wish) for wish in wishes if wish.key in numbers}
    in_memory = {wish: window for wish, window in windows.items() if index.part_of(*window)[0].ids}
    in_table = {wish: window for wish, window in windows.items() if wish not in in_memory}
    found = _found_by_id(reader, index, in_memory, now_s) | _found_in_table(reader, index, in_table, now_s)
    pages: dict[Wish, CachedPage | None] = {}
    for wish, (messages, large) in found.items():
        if messages is None:
            pages[wish] = None
            continue
        channel = windows[wish].channel
        lasts = not sum([message.expire for message in messages])
        page = page_of(completed(reader, messages, large), wish.limit, wish.max_bytes, newest=wish.newest)
        pages[wish] = CachedPage(channel, versions[channel], page, lasts)
    return [pages.get(wish, NOTHING) for wish in wishes]


def _found_by_id(reader: _Reader, index: MessageIndex, windows: _Windows, now_s: float) -> _Found:
    """The messages of windows whose ids are in memory, at least some of them. One more than wanted tells whether there
    are more."""
    if not windows:
        return {}
    wanted = [ids for ids, _ in ids_in(reader, index, list(windows.values()))]
    names = {window.channel: wish.key for wish, window in windows.items()}
    messages, large = small_messages(reader, list(chain.from_iterable(wanted)), now_s, names)
    if len(messages) == sum(map(len, wanted)):
        ends = list(accumulate(map(len, wanted)))
        return {
            wish: (messages[end - len(ids) : end], large) for wish, ids, end in zip(windows, wanted, ends, strict=True)
        }
    by_id = {message.message_id: message for message in messages}
    return {
        wish: ([by_id[id_] for id_ in ids] if by_id.keys() >= set(ids) else None, large)
        for wish, ids in zip(windows, wanted, strict=True)
    }


def _found_in_table(reader: _Reader, index: MessageIndex, windows: _Windows, now_s: float) -> _Found:
    """The messages of older windows."""
    if not windows:
        return {}
    lists, large = indexed_messages(reader, list(windows.values()), now_s, [wish.key for wish in windows])
    found = dict(zip(windows, lists, strict=True))
    short = {wish: window for wish, window in windows.items() if len(found[wish]) < window.limit}
    wanted = ids_in(reader, index, list(short.values()))
    holes = {wish for wish, (ids, _) in zip(short, wanted, strict=True) if len(ids) != len(found[wish])}
    return {
        wish: (None if wish in holes else messages[::-1] if wish.newest else messages, large)
        for wish, messages in found.items()
    }


def _window(channel: int, wish: Wish) -> Window:
    return Window(channel, wish.low, wish.high, wish.limit + 1, wish.newest)
