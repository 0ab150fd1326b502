"""The embedded store: one SQLite file in WAL mode.

All writes go through one connection in one thread at a time, a transaction per call; reads have connections of their
own.
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self, TypeVar

import msgspec
import trio

from ..errors import StoreError
from ..model import ChannelFlags, ChannelKey, Device, DeviceLevel, Message
from . import schema
from .base import ChannelChange, ChannelRecord, Login, MemberChange, MemberList, SentMark, Store
from .files import DatabaseFiles, Synchronous
from .message_index import MessageIndex
from .rows import insert_rows

T = TypeVar("T")

READERS = 2
_IN_STATEMENT = 4000
"""Values bound in one statement at most; SQLite takes 32766."""
_HEADS_CACHED = 200_000
_NO_LOGIN = Login()
_FLAG_BITS = {"large": 1, "ban": 2, "disband": 4, "send_ban": 8, "allow_stranger": 16}


_MESSAGE_COLUMNS = 12


class _Head:
    """The end of a channel, as the writer knows it."""

    __slots__ = ("last_seq", "number")

    def __init__(self, number: int, last_seq: int) -> None:
        self.number = number
        self.last_seq = last_seq


class SQLiteStore(Store):
    """Messages and all other state in one database file."""

    def __init__(self, files: DatabaseFiles) -> None:
        self._files = files
        self._writer = files.open_writer()
        self._writing = trio.CapacityLimiter(1)
        self._readers = [files.open_reader() for _ in range(READERS)]
        self._reading = trio.CapacityLimiter(READERS)
        self._index = MessageIndex(self._writer)
        self._heads: dict[tuple[str, int], _Head] = {}
        self._failure = ""

    @classmethod
    def open(cls, directory: Path, synchronous: Synchronous) -> Self:
        """The store in a directory. Blocks: call it in a thread.

        Raises:
            StoreOpenError: it cannot be used.
        """
        files = DatabaseFiles(directory, synchronous)
        try:
            return cls(files)
        except sqlite3.DatabaseError as error:
            files.release()
            raise files.damaged(error) from None

    # Running

    async def _write(self, work: Callable[[sqlite3.Connection], None]) -> None:
        await trio.to_thread.run_sync(self._transact, work, limiter=self._writing)

    def _transact(self, work: Callable[[sqlite3.Connection], None]) -> None:
        if len(self._heads) > _HEADS_CACHED:
            self._heads.clear()
        try:
            with self._transaction():
                work(self._writer)
        except BaseException as error:
            # Whatever went wrong, a value that SQLite does not take included: what was rolled back is not there.
            self._heads.clear()
            if not isinstance(error, sqlite3.Error):
                raise
            self._failure = f"{self._files.path}: {error}"
            raise StoreError(self._failure) from error
        self._failure = ""

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._writer.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._writer.execute("COMMIT")
        except BaseException:
            # SQLite has rolled back by itself after some errors, a full disk among them.
            if self._writer.in_transaction:
                with suppress(sqlite3.Error):
                    self._writer.execute("ROLLBACK")
            raise

    async def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        def run() -> T:
            connection = self._readers.pop()
            try:
                return work(connection)
            except sqlite3.Error as error:
                raise StoreError(f"{self._files.path}: {error}") from error
            finally:
                self._readers.append(connection)

        return await trio.to_thread.run_sync(run, limiter=self._reading, abandon_on_cancel=True)

    async def aclose(self) -> None:
        """Waits for running calls, brings the WAL into the database and closes it. Bound it."""
        async with self._writing:
            await trio.to_thread.run_sync(self._close, abandon_on_cancel=True)

    def _close(self) -> None:
        with suppress(sqlite3.Error):
            self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        for connection in (*self._readers, self._writer):
            connection.close()
        self._files.release()

    @property
    def failure(self) -> str:
        return self._failure

    # Messages

    async def append_messages(self, messages: Sequence[Message]) -> None:
        await trio.to_thread.run_sync(self._append, messages, limiter=self._writing)

    def _append(self, messages: Sequence[Message]) -> None:
        entries: list[tuple[int, int, int]] = []

        def write(writer: sqlite3.Connection) -> None:
            self._insert(writer, messages, entries)
            self._index.write_slice(writer, len(messages))

        self._transact(write)
        self._index.committed(entries)

    def _insert(
        self, writer: sqlite3.Connection, messages: Sequence[Message], entries: list[tuple[int, int, int]]
    ) -> None:
        values: list[Any] = []
        newest_id = self._index.newest_id
        for m in messages:
            head = self._head_of(m.channel_id, m.channel_type)
            if m.message_seq != head.last_seq + 1 or m.message_id <= newest_id:
                raise StoreError(f"message {m.message_id} does not follow what is stored in {m.channel_id}")
            head.last_seq = m.message_seq
            newest_id = m.message_id
            entries.append((head.number, m.message_seq, m.message_id))
            values += (
                m.message_id, head.number, m.message_seq, m.from_uid, m.client_msg_no,
                m.timestamp, m.flags, m.setting, m.expire, m.topic, m.stream_no, m.payload,
            )  # fmt: skip
        insert_rows(writer, "message", _MESSAGE_COLUMNS, values)

    def _head_of(self, channel_id: str, channel_type: int) -> _Head:
        """The head of a channel, which is entered into the table if it is new. Only for the writer's thread."""
        key = (channel_id, channel_type)
        head = self._heads.get(key)
        if head is None:
            self._writer.execute(
                "INSERT INTO channel (channel_id, channel_type) VALUES (?, ?) ON CONFLICT DO NOTHING", key
            )
            [number] = self._writer.execute(
                "SELECT number FROM channel WHERE channel_id = ? AND channel_type = ?", key
            ).fetchone()
            head = self._heads[key] = _Head(number, self._last_seq(self._writer, number))
        return head

    def _last_seq(self, connection: sqlite3.Connection, number: int) -> int:
        return self._index.last_seq(number) or int(connection.execute(schema.LAST_INDEXED, (number,)).fetchone()[0])

    async def last_message_id(self) -> int:
        def read(reader: sqlite3.Connection) -> int:
            return int(reader.execute("SELECT coalesce(max(message_id), 0) FROM message").fetchone()[0])

        return await self._read(read)

    async def recent_marks(self, since_message_id: int, limit: int) -> list[SentMark]:
        def read(reader: sqlite3.Connection) -> list[SentMark]:
            rows = reader.execute(schema.RECENT_MARKS, (since_message_id, limit)).fetchall()
            return [
                SentMark(ChannelKey(id_, type_), uid, no, message_id) for id_, type_, uid, no, message_id in rows[::-1]
            ]

        return await self._read(read)

    async def messages_by_id(self, message_ids: Sequence[int]) -> list[Message]:
        return await self._read(lambda reader: _messages(reader, list(dict.fromkeys(message_ids))))

    async def messages_between(
        self, key: ChannelKey, low: int, high: int, limit: int, *, newest: bool
    ) -> list[Message]:
        def read(reader: sqlite3.Connection) -> list[Message]:
            found = self._ids_between(reader, key, low, high, limit, newest)
            seqs = sorted(found)
            wanted = seqs[max(len(seqs) - limit, 0) :] if newest else seqs[:limit]
            return sorted(_messages(reader, [found[seq] for seq in wanted]), key=_seq_of)

        return await self._read(read)

    def _ids_between(
        self, reader: sqlite3.Connection, key: ChannelKey, low: int, high: int, limit: int, newest: bool
    ) -> dict[int, int]:
        """The ids of at least the wanted messages by their sequence numbers."""
        row = reader.execute("SELECT number FROM channel WHERE channel_id = ? AND channel_type = ?", key).fetchone()
        if row is None:
            return {}
        # First the part in memory, then the table: what moves in between is found twice, not missed.
        found = self._index.between(row[0], low, high, limit, newest=newest)
        query = schema.INDEXED_BETWEEN.format(order="DESC" if newest else "ASC")
        return found | dict(reader.execute(query, (row[0], low, high, limit)))

    # Channels

    async def load_channels(self, keys: Sequence[ChannelKey]) -> list[ChannelRecord]:
        return await self._read(lambda reader: self._load(reader, keys))

    def _load(self, reader: sqlite3.Connection, keys: Sequence[ChannelKey]) -> list[ChannelRecord]:
        found = self._load_heads(reader, keys)
        members: dict[int, dict[int, list[str]]] = {}
        for chunk in _chunks([number for number, _, _ in found.values()], _IN_STATEMENT):
            for number, name, uids in _load_json(reader, schema.LOAD_MEMBERS.format(_marks(len(chunk))), chunk):
                members.setdefault(number, {})[name] = uids
        records = []
        for place, key in enumerate(keys):
            number, flags, last_seq = found.get(place, (0, None, 0))
            lists = members.get(number, {})
            records.append(
                ChannelRecord(
                    key=key,
                    flags=_flags(flags),
                    subscribers=frozenset(lists.get(MemberList.SUBSCRIBERS.value, ())),
                    denied=frozenset(lists.get(MemberList.DENIED.value, ())),
                    allowed=frozenset(lists.get(MemberList.ALLOWED.value, ())),
                    last_seq=last_seq,
                )
            )
        return records

    def _load_heads(
        self, reader: sqlite3.Connection, keys: Sequence[ChannelKey]
    ) -> dict[int, tuple[int, int | None, int]]:
        """Number, flags and last sequence number of those channels that exist, by their place in `keys`."""
        found: dict[int, tuple[int, int | None, int]] = {}
        for chunk in _chunks(list(enumerate(keys)), _IN_STATEMENT // 3):
            query = schema.LOAD_CHANNELS.format(_marks(len(chunk), "(?,?,?)"))
            values = [value for place, key in chunk for value in (place, *key)]
            moved = -1
            # Once more if entries went from memory to the table in between: they may have been in neither.
            while moved != self._index.chunks_moved:
                moved = self._index.chunks_moved
                for place, number, flags, indexed in _load_json(reader, query, values):
                    found[place] = (number, flags, self._index.last_seq(number) or indexed)
        return found

    async def change_channel(self, change: ChannelChange) -> None:
        await self._write(lambda writer: self._change(writer, change))

    def _change(self, writer: sqlite3.Connection, change: ChannelChange) -> None:
        number = self._head_of(*change.key).number
        if change.flags is not None:
            writer.execute("UPDATE channel SET flags = ? WHERE number = ?", (_flag_bits(change.flags), number))
        elif change.create:
            writer.execute("UPDATE channel SET flags = 0 WHERE number = ? AND flags IS NULL", (number,))
        for members in change.members:
            _change_members(writer, number, members)

    # Users

    async def load_logins(self, keys: Sequence[tuple[str, int]]) -> list[Login]:
        def read(reader: sqlite3.Connection) -> list[Login]:
            logins: dict[tuple[str, int], Login] = {}
            # One statement for many keys: each statement locks the database anew.
            for chunk in _chunks(keys, _IN_STATEMENT // 2):
                query = schema.LOAD_LOGINS.format(_marks(len(chunk), "(?,?)"))
                for uid, flag, *row in _load_json(reader, query, [value for key in chunk for value in key]):
                    logins[uid, flag] = _login(uid, flag, *row)
            return [logins.get(key, _NO_LOGIN) for key in keys]

        return await self._read(read)

    async def put_device(self, device: Device) -> None:
        row = (device.uid, device.device_flag, device.token, int(device.level))

        def write(writer: sqlite3.Connection) -> None:
            writer.execute("INSERT OR REPLACE INTO device VALUES (?, ?, ?, ?)", row)

        await self._write(write)

    async def clear_tokens(self, uid: str, device_flags: Sequence[int]) -> None:
        def write(writer: sqlite3.Connection) -> None:
            for flag in device_flags:
                writer.execute("UPDATE device SET token = '' WHERE uid = ? AND device_flag = ?", (uid, flag))

        await self._write(write)

    async def system_uids(self) -> list[str]:
        def read(reader: sqlite3.Connection) -> list[str]:
            return [uid for (uid,) in reader.execute("SELECT uid FROM system_uid ORDER BY uid")]

        return await self._read(read)

    async def change_system_uids(self, *, add: Sequence[str] = (), remove: Sequence[str] = ()) -> None:
        def write(writer: sqlite3.Connection) -> None:
            for uid in remove:
                writer.execute("DELETE FROM system_uid WHERE uid = ?", (uid,))
            for uid in add:
                writer.execute("INSERT OR IGNORE INTO system_uid VALUES (?)", (uid,))

        await self._write(write)


def _change_members(writer: sqlite3.Connection, number: int, change: MemberChange) -> None:
    name = change.list.value
    if change.reset:
        writer.execute("DELETE FROM member WHERE channel = ? AND list = ?", (number, name))
    for chunk in _chunks(change.remove, _IN_STATEMENT):
        writer.execute(
            f"DELETE FROM member WHERE channel = ? AND list = ? AND uid IN ({_marks(len(chunk))})",
            (number, name, *chunk),
        )
    insert_rows(writer, "member", 3, [value for uid in change.add for value in (number, name, uid)], skip_known=True)


def _marks(count: int, mark: str = "?") -> str:
    return ",".join([mark] * count)


def _load_json(reader: sqlite3.Connection, query: str, values: Sequence[Any]) -> list[list[Any]]:
    """The rows of a query that returns them all in one JSON array."""
    rows: list[list[Any]] = msgspec.json.decode(reader.execute(query, values).fetchone()[0])
    return rows


def _chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _messages(reader: sqlite3.Connection, message_ids: Sequence[int]) -> list[Message]:
    """Messages by their ids, in no particular order."""
    found: list[Message] = []
    for chunk in _chunks(message_ids, _IN_STATEMENT):
        query = f"{schema.READ_MESSAGE} WHERE message_id IN ({_marks(len(chunk))})"
        found += map(_message, reader.execute(query, chunk))
    return found


def _seq_of(message: Message) -> int:
    return message.message_seq


def _login(uid: str, device_flag: int, token: str | None, level: int, flags: int | None, registered: int) -> Login:
    device = None
    if token is not None:
        device = Device(uid=uid, device_flag=device_flag, token=token, level=DeviceLevel(level))
    return Login(device, _flags(flags), bool(registered))


def _message(row: tuple[Any, ...]) -> Message:
    return Message(**dict(zip(schema.MESSAGE_FIELDS, row, strict=True)))


def _flag_bits(flags: ChannelFlags) -> int:
    return sum(bit for name, bit in _FLAG_BITS.items() if getattr(flags, name))


def _flags(bits: int | None) -> ChannelFlags | None:
    if bits is None:
        return None
    return ChannelFlags(**{name: bits & bit != 0 for name, bit in _FLAG_BITS.items()})
