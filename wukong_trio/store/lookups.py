"""Messages of channels: the newest ones of many channels, and single ones by their names."""

import sqlite3
from collections.abc import Sequence
from typing import Final, NamedTuple

from ..model import ChannelKey, Message
from . import sql
from .base import SEARCHED_MESSAGES, Page, Wanted, bytes_of, cut
from .conversations import NewestWish
from .message_ids import Window, channel_numbers, ids_in, ids_of
from .message_index import MessageIndex
from .message_rows import live_messages, messages_by_id
from .rows import chunks, json_text, load_json, marks

_NAMES_IN_STATEMENT: Final = 256
_SEARCH_SLICE: Final = 4096
"""Messages that are gone through with one statement."""
_Reader = sqlite3.Connection


class NewestRead(NamedTuple):
    """The arguments of `ConversationStore.newest_messages`."""

    wishes: Sequence[NewestWish]
    max_bytes: int


def newest_weight(read: NewestRead) -> int:
    """What such a read may cost, as messages."""
    return sum([wish.count for wish in read.wishes])


def newest_of_many(
    reader: _Reader, index: MessageIndex, reads: Sequence[NewestRead], now_s: float
) -> list[list[list[Message]]]:
    """Several such reads."""
    return [newest_messages(reader, index, *read, now_s) for read in reads]


def newest_messages(
    reader: _Reader, index: MessageIndex, wishes: Sequence[NewestWish], max_bytes: int, now_s: float
) -> list[list[Message]]:
    """The newest messages of many channels, read together: a few statements for a thousand of them. See
    `ConversationStore.newest_messages`."""
    ids: dict[int, Sequence[int]] = {n: (wish.newest_id,) for n, wish in enumerate(wishes) if wish.newest_id}
    unknown = [n for n, wish in enumerate(wishes) if not wish.newest_id or wish.count > 1]
    windows = _windows(reader, wishes, unknown)
    found_ids = ids_in(reader, index, list(windows.values()))
    ids |= {n: own for n, (own, _) in zip(windows, found_ids, strict=True) if own}
    places = {id_: wishes[n].key for n, own in ids.items() for id_ in own}
    firsts = [own[0] for own in ids.values()]
    messages, too_many = cut(messages_by_id(reader, firsts, now_s, places=places), len(firsts), max_bytes)
    older = [message_id for own in ids.values() for message_id in own[1:]]
    if older and not too_many:
        left_bytes = max_bytes - bytes_of(messages)
        read = messages_by_id(reader, older, now_s, places=places)
        more, too_many = cut(read, len(older), left_bytes, at_least=0)
        messages += more
    by_id = {message.message_id: message for message in messages}
    lists = [
        # The newest that is still there may be older than what is wanted.
        [by_id[id_] for id_ in ids.get(n, ()) if id_ in by_id and by_id[id_].message_seq >= wish.low]
        for n, wish in enumerate(wishes)
    ]
    if not too_many:
        missing = [n for n, own in ids.items() if len(lists[n]) < len(own)]
        _complete(reader, index, lists, _windows(reader, wishes, missing), max_bytes - bytes_of(messages), now_s)
    return lists


def _windows(reader: _Reader, wishes: Sequence[NewestWish], numbers: Sequence[int]) -> dict[int, Window]:
    """The windows of some wishes, as far as their channels are known."""
    if not numbers:
        return {}
    channels = channel_numbers(reader, list({wishes[n].key for n in numbers}))
    return {
        n: Window(channels[wishes[n].key], wishes[n].low, sql.NO_BOUND, wishes[n].count, True)
        for n in numbers
        if wishes[n].key in channels
    }


def _complete(
    reader: _Reader,
    index: MessageIndex,
    lists: list[list[Message]],
    windows: dict[int, Window],
    left_bytes: int,
    now_s: float,
) -> None:
    """Reads lists once more in which messages are missing that have expired: with older ones, as far as there is
    room."""
    for n, window in windows.items():
        if left_bytes < 0:
            return
        room_bytes = left_bytes + bytes_of(lists[n])
        lists[n], _ = cut(live_messages(reader, index, window, now_s, None), window.limit, room_bytes)
        left_bytes = room_bytes - bytes_of(lists[n])


def find_messages(
    reader: _Reader, index: MessageIndex, channel: int, key: ChannelKey, wanted: Wanted, max_bytes: int, now_s: float
) -> Page:
    """Messages of a channel by their sequence numbers, ids and client_msg_nos, in this order."""
    by_seq = ids_of(reader, index, channel, wanted.message_seqs)
    in_channel = _those_in(reader, channel, wanted.message_ids)
    by_number = _ids_with_numbers(reader, index, channel, wanted.client_msg_nos, now_s, earliest=wanted.earliest)
    found = [
        *(by_seq[seq] for seq in wanted.message_seqs if seq in by_seq),
        *(message_id for message_id in wanted.message_ids if message_id in in_channel),
        *(by_number[number] for number in wanted.client_msg_nos if number in by_number),
    ]
    return Page(*cut(messages_by_id(reader, found, now_s, {channel: key}), len(found), max_bytes))


def _those_in(reader: _Reader, channel: int, message_ids: Sequence[int]) -> set[int]:
    """Those of some messages that belong to a channel."""
    found: set[int] = set()
    for chunk in chunks(message_ids, _NAMES_IN_STATEMENT):
        found.update(load_json(reader, sql.IN_CHANNEL, (json_text(chunk), channel)))
    return found


def _ids_with_numbers(
    reader: _Reader, index: MessageIndex, channel: int, client_msg_nos: Sequence[str], now_s: float, *, earliest: bool
) -> dict[str, int]:
    """Number -> id of the newest or the earliest message with it, of those that there are.

    An index of the numbers would cost every commit something; this goes backwards through the messages instead, without
    the GIL.
    """
    found: dict[str, int] = {}
    wanted, left, high = set(client_msg_nos), SEARCHED_MESSAGES, sql.NO_BOUND
    query = sql.WITH_NUMBERS.format(numbers=marks(len(wanted)))
    while left and (len(found) < len(wanted) or (earliest and wanted)):
        [(ids, end_seq)] = ids_in(reader, index, [Window(channel, 1, high, min(left, _SEARCH_SLICE), True)])
        if not ids:
            break
        for client_msg_no, message_id in load_json(reader, query, (json_text(ids), *wanted, now_s)):
            if earliest or client_msg_no not in found:
                found[client_msg_no] = message_id
        high = end_seq - 1
        left -= len(ids)
    return found
