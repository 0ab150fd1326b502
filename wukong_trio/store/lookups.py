"""Messages of channels: the newest ones of many channels, and single ones by their names."""

import sqlite3
from collections.abc import Sequence
from typing import Final

from ..model import ChannelKey, Message
from . import schema
from .base import SEARCHED_MESSAGES, Page, Wanted, cut
from .message_ids import Window, ids_in, ids_of, json_text
from .message_index import MessageIndex
from .message_rows import live_messages, messages_by_id
from .rows import chunks, load_json

_NAMES_IN_STATEMENT: Final = 256
_SEARCH_SLICE: Final = 4096
"""Messages that are gone through with one statement."""
_Reader = sqlite3.Connection


def newest_messages(
    reader: _Reader, index: MessageIndex, wishes: Sequence[tuple[int, int, int]], max_bytes: int, now_s: float
) -> list[list[Message]]:
    """The newest messages of many channels, read together: two or three statements for a thousand of them.

    Args:
        wishes: the number of a channel, the lowest `message_seq` wanted, and how many messages at most (from 1 on).
        max_bytes: of payload, all together. Wishes are served in their order; once it is used up, what is left of a
            list, its older messages, is left out, and all later lists are empty. The very first message counts
            whatever its size.

    Returns:
        Of each wish its messages, descending.
    """
    windows = [Window(number, low, schema.NO_BOUND, count, True) for number, low, count in wishes]
    found = [ids for ids, _ in ids_in(reader, index, windows)]
    wanted = [message_id for ids in found for message_id in ids]
    messages, too_many = cut(messages_by_id(reader, wanted, now_s), len(wanted), max_bytes)
    by_id = {message.message_id: message for message in messages}
    lists = [[by_id[message_id] for message_id in ids if message_id in by_id] for ids in found]
    if not too_many and len(messages) < len(wanted):
        left_bytes = max_bytes - sum([len(message.payload) for message in messages])
        for place, window in enumerate(windows):
            if len(lists[place]) < len(found[place]) and left_bytes >= 0:
                lists[place], left_bytes = _complete(reader, index, window, lists[place], left_bytes, now_s)
    return lists


def _complete(
    reader: _Reader, index: MessageIndex, window: Window, known: list[Message], left_bytes: int, now_s: float
) -> tuple[list[Message], int]:
    """A list in which messages were missing, with older ones as far as there is room, and the room left."""
    room_bytes = left_bytes + sum([len(message.payload) for message in known])
    messages, _ = cut(live_messages(reader, index, window, now_s, None), window.limit, room_bytes)
    return messages, room_bytes - sum([len(message.payload) for message in messages])


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
        found.update(load_json(reader, schema.IN_CHANNEL, (json_text(chunk), channel)))
    return found


def _ids_with_numbers(
    reader: _Reader, index: MessageIndex, channel: int, client_msg_nos: Sequence[str], now_s: float, *, earliest: bool
) -> dict[str, int]:
    """Number -> id of the newest or the earliest message with it, of those that there are.

    An index of the numbers would cost every commit something; this goes backwards through the messages instead, without
    the GIL.
    """
    found: dict[str, int] = {}
    wanted, left, high = set(client_msg_nos), SEARCHED_MESSAGES, schema.NO_BOUND
    encoded = json_text(client_msg_nos)
    while left and (len(found) < len(wanted) or (earliest and wanted)):
        [(ids, end_seq)] = ids_in(reader, index, [Window(channel, 1, high, min(left, _SEARCH_SLICE), True)])
        if not ids:
            break
        for client_msg_no, message_id in load_json(reader, schema.WITH_NUMBERS, (json_text(ids), encoded, now_s)):
            if earliest or client_msg_no not in found:
                found[client_msg_no] = message_id
        high = end_seq - 1
        left -= len(ids)
    return found
