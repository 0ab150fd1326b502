"""Finding messages by channel and sequence number, without paying for it at every insert.

Messages are appended to their table in the order of their ids. An index by channel would be written all over at every
commit, which costs more than the messages themselves, and the more the more channels are active. So the newest messages
are indexed in memory, and a large chunk of them at a time moves into the table `message_index`, sorted by channel:

    fresh    what was stored last, in memory
    frozen   a full chunk, in memory, on its way: every commit takes a slice of it along
    table    everything older

After a start, what the table does not hold yet is read from the messages again.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from itertools import islice
from threading import Lock
from typing import Final, NamedTuple

from . import sql
from .rows import insert_rows
from .sent_positions import SentPositions

CHUNK_MESSAGES: Final = 50_000
_SLICE_PER_MESSAGE: Final = 4
_SLICE_LEAST: Final = 64
_COLUMNS: Final = 3


class _Run:
    """Messages of one channel that follow each other."""

    __slots__ = ("first_seq", "ids")

    def __init__(self, first_seq: int, first_id: int) -> None:
        self.first_seq = first_seq
        self.ids = [first_id]

    @property
    def last_seq(self) -> int:
        return self.first_seq + len(self.ids) - 1

    def between(self, low: int, high: int, limit: int, *, newest: bool) -> tuple[int, list[int]]:
        """The newest or oldest messages from `low` to `high`, ascending: the first sequence number, and the ids."""
        start, stop = max(low - self.first_seq, 0), min(max(high + 1 - self.first_seq, 0), len(self.ids))
        if newest:
            start = max(start, stop - limit)
        else:
            stop = min(stop, start + limit)
        return self.first_seq + start, self.ids[start:stop]


class Found(NamedTuple):
    """Ids of messages of a channel that follow each other, in either direction."""

    ids: list[int]
    end_seq: int
    """The sequence number of the last one; means nothing if there is none."""


class MessageIndex:
    """The part in memory, and its way into the table.

    Channels are named by their numbers. Only the writer's thread changes it. Other threads may look things up at any
    time, before they ask the table: then nothing can slip through between the two. They see whole batches only.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Reads what the table does not hold yet."""
        self._lock = Lock()
        self._sent = SentPositions()
        self._fresh: dict[int, _Run] = {}
        self._fresh_count = 0
        self._frozen: dict[int, _Run] = {}
        self._rest: Iterator[tuple[int, int, int]] = iter(())
        """Entries of the frozen chunk that were not written yet."""
        self._slice: list[tuple[int, int, int]] = []
        """Entries written in the transaction under way; they are written again if it fails."""
        self._completes_chunk = False
        """The slice is the last of its chunk."""
        [self.frozen_id] = connection.execute("SELECT message_id FROM indexed").fetchone()
        """Of the newest message of the frozen chunk. The table holds none above it."""
        self.newest_id = self.frozen_id
        """Of all that is stored, in memory or not."""
        self._add(connection.execute(sql.UNINDEXED))
        self.chunks_moved = 0
        """How many chunks have gone from memory since the start."""

    def committed(self, entries: Iterable[tuple[int, int, int, str]]) -> None:
        """A transaction has succeeded: enters its messages (channel, message_seq, message_id, from_uid), in order."""
        with self._lock:
            self._add(entries)
            self._slice = []
            self._sent.committed()
            if self._completes_chunk:
                # In one step for those who look: who does not find a channel here any more sees that a chunk has moved.
                self._completes_chunk = False
                self._frozen = {}
                self._sent.thaw()
                self.chunks_moved += 1

    def _add(self, entries: Iterable[tuple[int, int, int, str]]) -> None:
        sent = self._sent.add
        for channel, message_seq, message_id, from_uid in entries:
            sent(channel, from_uid, message_seq)
            run = self._fresh.get(channel)
            if run is None:
                self._fresh[channel] = _Run(message_seq, message_id)
            else:
                run.ids.append(message_id)
            self._fresh_count += 1
            self.newest_id = message_id

    def write_slice(self, writer: sqlite3.Connection, new_messages: int) -> None:
        """Moves some entries into the table, as part of a transaction that stores so many messages."""
        if self._frozen or self._fresh_count >= CHUNK_MESSAGES:
            self.write_part(writer, new_messages * _SLICE_PER_MESSAGE + _SLICE_LEAST)

    def write_part(self, writer: sqlite3.Connection, size: int) -> None:
        """Moves so many entries into the table, as part of a transaction, also if there is no full chunk of them."""
        if not self._frozen:
            self._freeze()
        self._slice += islice(self._rest, max(size - len(self._slice), 0))
        self._completes_chunk = len(self._slice) < size
        # A server that was killed has perhaps written part of this chunk before.
        values = [value for entry in self._slice for value in entry]
        insert_rows(writer, "message_index", _COLUMNS, values, skip_known=True)
        self._sent.write_slice(writer, size)
        if self._completes_chunk:
            writer.execute("UPDATE indexed SET message_id = ?", (self.frozen_id,))

    def _freeze(self) -> None:
        with self._lock:
            self._frozen, self._fresh, self._fresh_count = self._fresh, {}, 0
            self._sent.freeze()
        self.frozen_id = self.newest_id
        self._rest = _sorted_entries(self._frozen)

    def version(self, channel: int) -> tuple[int, int]:
        """Has changed when `committed` returns after a message of this channel was stored. Waits for nobody."""
        run = self._fresh.get(channel) or self._frozen.get(channel)
        return (0 if run is None else run.last_seq), self.chunks_moved

    def last_seq(self, channel: int) -> int:
        """The highest sequence number of a channel, 0 if only the table can know."""
        with self._lock:
            for runs in (self._fresh, self._frozen):
                run = runs.get(channel)
                if run is not None:
                    return run.last_seq
        return 0

    def end_of(self, connection: sqlite3.Connection, channel: int) -> int:
        """The highest sequence number that a channel ever had, 0 if none; asks the table if need be."""
        return self.last_seq(channel) or int(connection.execute(sql.LAST_SEQ, (channel,)).fetchone()[0])

    def newest_of(self, channels: Iterable[int]) -> dict[int, tuple[int, int]]:
        """Sequence number and id of the newest message, of those channels of which not only the table can know."""
        found: dict[int, tuple[int, int]] = {}
        with self._lock:
            for channel in channels:
                run = self._fresh.get(channel) or self._frozen.get(channel)
                if run is not None:
                    found[channel] = run.last_seq, run.ids[-1]
        return found

    def sent_by(self, uid: str, channels: Iterable[int]) -> dict[int, int]:
        """A user's own newest messages in these channels, of those that the table does not know yet."""
        with self._lock:
            return self._sent.of(uid, channels)

    def part_of(
        self, channel: int, low: int, high: int, limit: int, newest: bool
    ) -> tuple[Found, tuple[int, int, int] | None]:
        """What is in memory of the newest, or the oldest, of a channel's messages from `low` to `high`.

        Returns:
            At most `limit` of them, descending if the newest are wanted; and what the table has to be asked for: low,
            high and limit of messages that are older. None: nothing.
        """
        ids: list[int] = []
        end_seq, first_seq = 0, high + 1
        with self._lock:
            for runs in (self._fresh, self._frozen) if newest else (self._frozen, self._fresh):
                run = runs.get(channel)
                if run is not None:
                    begin_seq, part = run.between(low, high, limit - len(ids), newest=newest)
                    if part:
                        ids += part[::-1] if newest else part
                        end_seq = begin_seq if newest else begin_seq + len(part) - 1
                    first_seq = min(first_seq, run.first_seq)
        left = limit - len(ids) if newest else limit
        return Found(ids, end_seq), (low, first_seq - 1, left) if low < first_seq and left else None


def _sorted_entries(runs: dict[int, _Run]) -> Iterator[tuple[int, int, int]]:
    for channel in sorted(runs):
        run = runs[channel]
        for message_seq, message_id in enumerate(run.ids, run.first_seq):
            yield channel, message_seq, message_id
