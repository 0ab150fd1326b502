"""Pages of channels' histories."""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Final

from ..model import Message
from .base import Page, first_of
from .message_ids import Window, channel_numbers, ids_in
from .message_index import MessageIndex
from .message_rows import completed, indexed_messages, messages_by_id, small_messages
from .page_cache import MAX_BYTES, MAX_MESSAGES, CachedPage, Wish

MOST_TOGETHER: Final = 4096
"""What pages that are read together may weigh: a few milliseconds."""
_Reader = sqlite3.Connection
_Windows = Mapping[Wish, Window]


def is_small(wish: Wish) -> bool:
    """Whether a page is read together with others. None of them should have to wait for a large one."""
    return wish.limit <= MAX_MESSAGES and wish.max_bytes <= MAX_BYTES


def weight(wish: Wish) -> int:
    """What a page may cost at most, as messages; a KiB counts as one."""
    return wish.limit + wish.max_bytes // 1024


def read_page(reader: _Reader, index: MessageIndex, wish: Wish) -> CachedPage | None:
    """A page of a channel's history, read message by message until it is full; None if the channel is unknown."""
    channel = channel_numbers(reader, [wish.key]).get(wish.key)
    if channel is None:
        return None
    version = index.version(channel)
    return CachedPage(channel, version, _large_page(reader, index, wish, _window(channel, wish)))


def read_pages(reader: _Reader, index: MessageIndex, wishes: Sequence[Wish]) -> list[CachedPage | None]:
    """Several small pages, from a statement or two for all of them."""
    numbers = channel_numbers(reader, list({wish.key for wish in wishes}))
    versions = {number: index.version(number) for number in numbers.values()}
    windows = {wish: _window(numbers[wish.key], wish) for wish in wishes if wish.key in numbers}
    in_memory = {wish: window for wish, window in windows.items() if index.part_of(*window)[0].ids}
    in_table = {wish: window for wish, window in windows.items() if wish not in in_memory}
    pages = _pages_by_id(reader, index, in_memory) | _pages_in_table(reader, index, in_table)
    return [
        CachedPage(windows[wish].channel, versions[windows[wish].channel], pages[wish]) if wish in pages else None
        for wish in wishes
    ]


def _pages_by_id(reader: _Reader, index: MessageIndex, windows: _Windows) -> dict[Wish, Page]:
    """Pages whose ids are in memory, at least some of them."""
    if not windows:
        return {}
    found = [ids for ids, _ in ids_in(reader, index, list(windows.values()))]
    wanted = [ids[: wish.limit] for ids, wish in zip(found, windows, strict=True)]
    names = {window.channel: wish.key for wish, window in windows.items()}
    messages, large = small_messages(reader, list(chain.from_iterable(wanted)), names)
    complete = len(messages) == sum(map(len, wanted))
    by_id = {} if complete else {message.message_id: message for message in messages}
    pages: dict[Wish, Page] = {}
    begin = 0
    for wish, ids, own_ids in zip(windows, found, wanted, strict=True):
        end = begin + len(own_ids)
        own = messages[begin:end] if complete else [by_id[id_] for id_ in own_ids if id_ in by_id]
        pages[wish] = _page(wish, completed(reader, own, large), len(ids))
        begin = end
    return pages


def _pages_in_table(reader: _Reader, index: MessageIndex, windows: _Windows) -> dict[Wish, Page]:
    """Pages of older messages."""
    if not windows:
        return {}
    pages: dict[Wish, Page] = {}
    found, large = indexed_messages(reader, list(windows.values()), [wish.key for wish in windows])
    for (wish, window), messages in zip(windows.items(), found, strict=True):
        own = messages[::-1] if wish.newest else messages
        if own and len(own) <= wish.limit and own[-1].message_seq != (wish.low if wish.newest else wish.high):
            # There is more if the sequence numbers have a gap.
            pages[wish] = _large_page(reader, index, wish, window)
        else:
            pages[wish] = _page(wish, completed(reader, own[: wish.limit], large), len(own))
    return pages


def _large_page(reader: _Reader, index: MessageIndex, wish: Wish, window: Window) -> Page:
    [(ids, _)] = ids_in(reader, index, [window])
    return _page(wish, messages_by_id(reader, ids[: wish.limit], {window.channel: wish.key}), len(ids))


def _window(channel: int, wish: Wish) -> Window:
    # One more tells whether there are more.
    return Window(channel, wish.low, wish.high, wish.limit + 1, wish.newest)


def _page(wish: Wish, found: Iterable[Message], all_there_are: int) -> Page:
    messages = first_of(found, wish.limit, wish.max_bytes)
    return Page(messages[::-1] if wish.newest else messages, len(messages) < all_there_are)
