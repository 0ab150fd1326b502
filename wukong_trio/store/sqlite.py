"""The embedded store: one SQLite file in WAL mode.

All writes go through one connection in one thread at a time, a transaction per call; reads have connections of their
own.
"""

import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from logging import getLogger
from pathlib import Path
from typing import Any, Final, Self, TypeVar

import trio

from ..errors import StoreError, StoreOpenError
from ..model import COMMAND_CHANNEL_SUFFIX, ChannelKey, ChannelType, Device, DeviceLevel, Message
from . import schema
from .base import MAX_MESSAGE_ID, ChannelChange, ChannelRecord, Login, MemberList, Page, SentMark, Store, Wanted
from .channel_rows import flag_bits, flags_of, load_channels
from .conversation_rows import LIST_WEIGHT, ConversationRows
from .conversations import ConversationChange, Conversations, NewestWish, PendingCommands, first_state
from .event_rows import load_events, save_event
from .event_store import MessageName, StoredEvent
from .files import DatabaseFiles, Synchronous
from .gathered_changes import GatheredChanges
from .gathering import GatheredReads
from .lookups import NewestRead, find_messages, newest_of_many, newest_weight
from .members import Step, change_members
from .membership_rows import channels_of, subscribed
from .message_ids import channel_numbers
from .message_index import MessageIndex
from .message_rows import last_message_id, message_ids_after, messages_after, messages_by_id, recent_marks
from .page_cache import MAX_MESSAGES, CachedPage, PageCache, Wish
from .pages import MOST_TOGETHER, is_small, read_page, read_pages, weight
from .readers import ReaderPool
from .recent import RecentMessages
from .removal_rows import gone_between, remove_before, remove_expired, remove_surplus, settle
from .removals import Position, Slice
from .rows import chunks, insert_rows, load_json, marks
from .wal import LogKeeper
from .watch import FileWatch

log = getLogger(__name__)

T = TypeVar("T")

TEND_INTERVAL_S: Final = 1.0
_LOGINS_IN_STATEMENT: Final = 2000
_HEADS_CACHED: Final = 200_000
_NO_LOGIN: Final = Login()
_MESSAGE_COLUMNS: Final = 12
_EXPIRY_COLUMNS: Final = 4
_DATA_VERSION: Final = "PRAGMA data_version"
"""Changes when another connection has written."""
_DURABILITY: Final[dict[Synchronous, str]] = {
    "full": "full (fsync before each answer)",
    "normal": "normal (a power cut may lose the last moments)",
}
_SMALL_WRITE: Final = "UPDATE indexed SET message_id = message_id"


_Entry = tuple[int, int, int, str]
"""Channel, message_seq, message_id, from_uid."""


class _Head:
    """The end of a channel, as the writer knows it."""

    __slots__ = ("last_seq", "number")

    def __init__(self, number: int, last_seq: int) -> None:
        self.number = number
        self.last_seq = last_seq


class _VanishedError(Exception):
    """The files are not where they belong."""


class SQLiteStore(Store):
    """Messages and all other state in one database file."""

    def __init__(self, files: DatabaseFiles) -> None:
        self._files = files
        self._writing = trio.CapacityLimiter(1)
        self._conversation_changes = GatheredChanges(self._writing, self._change_conversations)
        self._changing = trio.Lock()
        with ExitStack() as opened:
            self._writer = opened.enter_context(closing(files.open_writer()))
            # Who connects never waits for a large channel, and neither of them for history.
            self._logins, self._look_ups, self._history, small_pages, talks = self._pools = tuple(
                opened.enter_context(closing(ReaderPool(files, size))) for size in (1, 2, 2, 1, 2)
            )
            self._index = index = MessageIndex(self._writer)
            self._small_pages: GatheredReads[Wish, CachedPage | None] = GatheredReads(
                small_pages,
                lambda reader, wishes: read_pages(reader, index, wishes, self.clock()),
                weight,
                MOST_TOGETHER,
            )
            self._pages = PageCache(index)
            self._recent = RecentMessages(index)
            self._conversations = conversations = ConversationRows(self._writer, self._index)
            self._lists: GatheredReads[tuple[str, bool], Conversations] = GatheredReads(
                talks,
                lambda reader, wishes: conversations.load_many(reader, wishes, self.clock()),
                lambda _: LIST_WEIGHT,
                MOST_TOGETHER,
            )
            self._newest: GatheredReads[NewestRead, list[list[Message]]] = GatheredReads(
                talks,
                lambda reader, reads: newest_of_many(reader, index, reads, self.clock()),
                newest_weight,
                MOST_TOGETHER,
            )
            self._data_version = self._writer.execute(_DATA_VERSION).fetchone()
            self._watch = FileWatch(files.path)
            opened.pop_all()
        self._log_keeper = LogKeeper(files.path)
        self._heads: dict[tuple[str, int], _Head] = {}
        self._failure = ""
        self._vanished = False
        self._closed = False

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
        except OSError as error:
            files.release()
            raise StoreOpenError(f"{error.filename}: {error.strerror}; start the server again") from None

    async def run(self) -> None:
        """Looks after the files until cancelled: notices when they are gone, keeps the log short, and tries again after
        a failure. `open_store` does that."""
        while True:
            await trio.sleep(TEND_INTERVAL_S)
            await trio.to_thread.run_sync(self._tend, limiter=self._writing, abandon_on_cancel=True)

    def _tend(self) -> None:
        if self._watch.thorough_problem() or self._failure:
            with suppress(StoreError):
                self._transact(lambda writer: writer.execute(_SMALL_WRITE))
        else:
            self._log_keeper.tend(self._writer)
            self._measure()

    # Running

    async def _write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return await self._in_turn(self._transact, work)

    async def _in_turn(self, write: Callable[..., T], *args: Any) -> T:
        """Calls something in the writer's thread, after all that was asked for before."""
        self._conversation_changes.close()
        return await trio.to_thread.run_sync(write, *args, limiter=self._writing)

    def _transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        if self._closed:
            raise StoreError(f"{self._files.path}: the store is closed")
        if len(self._heads) > _HEADS_CACHED:
            self._heads.clear()
        try:
            self._check_files()
            with self._transaction():
                result = work(self._writer)
        except BaseException as error:
            # Whatever went wrong, a value that SQLite does not take included: what was rolled back is not there.
            self._heads.clear()
            self._conversations.rolled_back()
            if not isinstance(error, sqlite3.Error | _VanishedError):
                raise
            self._note(str(error) if isinstance(error, _VanishedError) else f"{self._files.path}: {error}")
            raise StoreError(self._failure) from error
        self._conversations.committed()
        if self._failure:
            self._note("")
        return result

    def _measure(self) -> None:
        with suppress(OSError):
            # What is not there is found missing before the next write.
            self._watch.measure()

    def _check_files(self) -> None:
        """Stops a write into a file that nobody will find again."""
        if problem := self._watch.problem():
            self._vanished = True
            raise _VanishedError(problem)
        if self._vanished:
            # Sequence numbers and the newest messages are in memory.
            if self._writer.execute(_DATA_VERSION).fetchone() != self._data_version:
                raise _VanishedError(
                    f"{self._files.path}: another program has changed it meanwhile; restart the server"
                )
            self._vanished = False

    def _note(self, failure: str) -> None:
        """Remembers how the last write went, and says so when that is news."""
        if failure and failure != self._failure:
            log.error("nothing can be stored: %s", failure)
        elif self._failure and not failure:
            log.warning("the store can be written again")
        self._failure = failure

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

    async def aclose(self) -> None:
        """Waits for running writes, interrupts reads, brings the WAL into the database and closes it. Bound it.

        Later calls raise StoreError. Closing it again does nothing.
        """
        async with self._changing, self._writing:
            if self._closed:
                return
            self._closed = True
            for pool in self._pools:
                await pool.idle()
            await trio.to_thread.run_sync(self._close, abandon_on_cancel=True)

    def _close(self) -> None:
        for pool in self._pools:
            pool.close()
        with suppress(sqlite3.Error):
            self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._writer.close()
        self._files.release()

    @property
    def directory(self) -> Path:
        return self._files.path.parent

    @property
    def durability(self) -> str:
        return _DURABILITY[self._files.synchronous]

    def size_bytes(self) -> Mapping[str, int]:
        return self._watch.size_bytes()

    @property
    def failure(self) -> str:
        return self._failure

    # Messages

    async def append_messages(
        self,
        drafts: Sequence[Message],
        *,
        versions: Mapping[ChannelKey, int] = {},
        distinct: Collection[int] = (),
        direct: Mapping[int, Collection[str]] = {},
    ) -> Sequence[int]:
        numbers = await self._in_turn(self._append, drafts, direct)
        self._recent.add(drafts)
        return numbers

    def _append(self, drafts: Sequence[Message], direct: Mapping[int, Collection[str]]) -> list[int]:
        entries: list[_Entry] = []

        def write(writer: sqlite3.Connection) -> None:
            self._insert(writer, drafts, entries)
            for (_, message_seq, message_id, from_uid), draft in zip(entries, drafts, strict=True):
                if not direct:
                    break
                if (uids := direct.get(message_id)) is not None:
                    number = self._head_of(*_plain_key(draft)).number
                    self._conversations.direct_command(number, uids, from_uid, message_seq, message_id)
            self._conversations.write_begun()
            self._index.write_slice(writer, len(drafts))

        self._transact(write)
        self._index.committed(entries)
        return [message_seq for _, message_seq, _, _ in entries]

    def _insert(self, writer: sqlite3.Connection, drafts: Sequence[Message], entries: list[_Entry]) -> None:
        values: list[Any] = []
        expiring: list[int] = []
        newest_id = self._index.newest_id
        for m in drafts:
            if m.message_id <= newest_id:
                raise StoreError(f"message {m.message_id} is not newer than message {newest_id}")
            newest_id = m.message_id
            head = self._head_of(m.channel_id, m.channel_type)
            head.last_seq = message_seq = head.last_seq + 1
            entries.append((head.number, message_seq, newest_id, m.from_uid))
            if message_seq == 1:
                self._begin(head, m)
            values += (
                newest_id, head.number, message_seq, m.from_uid, m.client_msg_no,
                m.timestamp, m.flags, m.setting, m.expire, m.topic, m.stream_no, m.payload,
            )  # fmt: skip
            if m.expire:
                expiring += (head.number, message_seq, newest_id, m.timestamp + m.expire)
        if newest_id > MAX_MESSAGE_ID:
            raise StoreError("the clock is beyond 2089: message ids exceed 2^53; set it right and restart the server")
        insert_rows(writer, "message", _MESSAGE_COLUMNS, values)
        insert_rows(writer, "expiry", _EXPIRY_COLUMNS, expiring)

    def _begin(self, head: _Head, first: Message) -> None:
        """A channel, or its commands, begin with this message."""
        if first.channel_id.endswith(COMMAND_CHANNEL_SUFFIX):
            plain = _plain_key(first)
            self._conversations.first_command(self._head_of(*plain).number, plain, first.from_uid, first.message_id)
        else:
            key = ChannelKey(first.channel_id, first.channel_type)
            state = first_state(key.channel_type, self._silent_types)
            self._conversations.first_message(head.number, key, first.from_uid, first.message_id, state)

    def _head_of(self, channel_id: str, channel_type: int) -> _Head:
        """The head of a channel, which is entered into the table if it is new. Only for the writer's thread."""
        key = (channel_id, channel_type)
        head = self._heads.get(key)
        if head is None:
            self._writer.execute(
                "INSERT INTO channel (channel_id, channel_type) VALUES (?, ?) ON CONFLICT DO NOTHING", key
            )
            [number] = self._writer.execute(schema.CHANNEL_NUMBER, key).fetchone()
            head = self._heads[key] = _Head(number, self._last_seq(self._writer, number))
        return head

    def _last_seq(self, connection: sqlite3.Connection, number: int) -> int:
        return self._index.last_seq(number) or int(connection.execute(schema.LAST_SEQ, (number,)).fetchone()[0])

    async def last_message_id(self) -> int:
        return await self._look_ups.read(last_message_id)

    async def recent_marks(self, since_message_id: int, limit: int) -> list[SentMark]:
        return await self._look_ups.read(lambda reader: recent_marks(reader, since_message_id, limit))

    async def messages_by_id(self, message_ids: Sequence[int], *, expired: bool = False) -> list[Message]:
        ids = list(dict.fromkeys(message_ids))
        return await self._look_ups.read(
            lambda reader: list(messages_by_id(reader, ids, 0 if expired else self.clock()))
        )

    async def messages_after(self, message_id: int, limit: int, *, max_bytes: int) -> list[Message]:
        return await self._history.read(lambda reader: messages_after(reader, message_id, limit, max_bytes))

    async def message_ids_after(self, message_id: int, limit: int) -> list[int]:
        return await self._history.read(lambda reader: message_ids_after(reader, message_id, limit))

    async def messages_between(
        self, key: ChannelKey, low: int, high: int, limit: int, *, newest: bool, max_bytes: int
    ) -> Page:
        wish = Wish(key, low, high, limit, newest, max_bytes)
        page = None if self._closed else self._pages.get(wish) or self._recent_page(wish)
        if page is not None:
            await trio.lowlevel.checkpoint_if_cancelled()
            return page
        cleared = self._pages.cleared
        cached = await self._small_pages.read(wish) if is_small(wish) else None
        if cached is None:
            cached = await self._history.read(lambda reader: read_page(reader, self._index, wish, self.clock()))
        if cleared == self._pages.cleared:
            self._pages.put(wish, cached)
        return cached.page

    def _recent_page(self, wish: Wish) -> Page | None:
        head = self._heads.get(wish.key)
        return self._recent.page(head.number, wish) if head is not None and wish.limit <= MAX_MESSAGES else None

    async def find_messages(self, key: ChannelKey, wanted: Wanted, *, max_bytes: int) -> Page:
        def read(reader: sqlite3.Connection) -> Page:
            channel = channel_numbers(reader, [key]).get(key)
            if channel is None:
                return Page([], False)
            return find_messages(reader, self._index, channel, key, wanted, max_bytes, self.clock())

        return await self._history.read(read)

    async def last_seq(self, key: ChannelKey) -> int:
        def read(reader: sqlite3.Connection) -> int:
            row = reader.execute(schema.CHANNEL_NUMBER, key).fetchone()
            return 0 if row is None else self._last_seq(reader, row[0])

        return await self._look_ups.read(read)

    # Channels

    async def load_channels(self, keys: Sequence[ChannelKey]) -> list[ChannelRecord]:
        return await self._look_ups.read(lambda reader: load_channels(reader, self._index, keys))

    async def change_channel(self, change: ChannelChange) -> None:
        async with self._changing:
            parts = self._change(change)
            # What has begun is finished. Between two parts other writes get their turn.
            with trio.CancelScope(shield=True):
                while not await self._write(lambda _: next(parts, True)):
                    pass

    def _change(self, change: ChannelChange) -> Iterator[bool]:
        """Carries out a change in the writer's thread; yields False wherever its transaction may end."""
        writer, number = self._writer, self._head_of(*change.key).number
        if change.flags is not None:
            writer.execute("UPDATE channel SET flags = ? WHERE number = ?", (flag_bits(change.flags), number))
        elif change.create:
            writer.execute("UPDATE channel SET flags = 0 WHERE number = ? AND flags IS NULL", (number,))
        for members in change.members:

            def changed(step: Step, uids: Sequence[str], members: MemberList = members.list) -> None:
                if step != "look":
                    state, ends = first_state(change.key.channel_type, self._silent_types), self._ends(change.key)
                    self._conversations.members_changed(number, change.key, members, step, uids, state, ends)

            for _ in change_members(writer, number, members, changed):
                yield False

    def _ends(self, key: ChannelKey) -> tuple[int, int]:
        """The newest message of a channel, and of its commands. Only for the writer's thread."""
        commands = (key.channel_id + COMMAND_CHANNEL_SUFFIX, key.channel_type)
        row = self._writer.execute(schema.CHANNEL_NUMBER, commands).fetchone()
        last_command = 0 if row is None else self._last_seq(self._writer, row[0])
        return self._head_of(*key).last_seq, last_command

    # Conversations

    async def conversations(self, uid: str, *, gone: bool = False) -> Conversations:
        return await self._lists.read((uid, gone))

    async def change_conversations(self, changes: Sequence[ConversationChange]) -> list[bool]:
        return await self._conversation_changes.change(changes)

    def _change_conversations(self, changes: Sequence[ConversationChange]) -> list[bool]:
        return self._transact(lambda writer: [self._change_conversation(writer, change) for change in changes])

    def _change_conversation(self, writer: sqlite3.Connection, change: ConversationChange) -> bool:
        if change.create:
            number = self._head_of(*change.key).number
        elif (row := writer.execute(schema.CHANNEL_NUMBER, change.key).fetchone()) is not None:
            [number] = row
        else:
            return False
        known = self._conversations.change(change, number)
        if change.commands_to and change.key.channel_type == ChannelType.TEMPORARY:
            _, last_command = self._ends(change.key)
            if change.commands_to >= last_command:
                self._conversations.drop_direct(change.uid, number)
        return known

    async def pending_commands(self, uid: str) -> list[PendingCommands]:
        return await self._history.read(lambda reader: self._conversations.load_commands(reader, uid))

    async def newest_messages(self, wishes: Sequence[NewestWish], *, max_bytes: int) -> list[list[Message]]:
        return await self._newest.read(NewestRead(wishes, max_bytes))

    async def channels_of(self, uid: str) -> list[ChannelKey]:
        return await self._history.read(lambda reader: channels_of(reader, uid))

    async def subscribed(self, uid: str, keys: Sequence[ChannelKey]) -> set[ChannelKey]:
        return await self._look_ups.read(lambda reader: subscribed(reader, uid, keys))

    # Users

    async def load_logins(self, keys: Sequence[tuple[str, int]]) -> list[Login]:
        def read(reader: sqlite3.Connection) -> list[Login]:
            logins: dict[tuple[str, int], Login] = {}
            # One statement for many keys: each statement locks the database anew.
            for chunk in chunks(keys, _LOGINS_IN_STATEMENT):
                query = schema.LOAD_LOGINS.format(marks(len(chunk), "(?,?)"))
                for uid, flag, *row in load_json(reader, query, [value for key in chunk for value in key]):
                    logins[uid, flag] = _login(uid, flag, *row)
            return [logins.get(key, _NO_LOGIN) for key in keys]

        return await self._logins.read(read)

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

        return await self._look_ups.read(read)

    async def change_system_uids(self, *, add: Sequence[str] = (), remove: Sequence[str] = ()) -> None:
        def write(writer: sqlite3.Connection) -> None:
            for uid in remove:
                writer.execute("DELETE FROM system_uid WHERE uid = ?", (uid,))
            for uid in add:
                writer.execute("INSERT OR IGNORE INTO system_uid VALUES (?)", (uid,))

        await self._write(write)

    # Events of messages

    async def save_event(self, event: StoredEvent) -> None:
        await self._write(lambda writer: save_event(writer, self._head_of(*event.message.key).number, event))

    async def load_events(self, messages: Sequence[MessageName], *, max_bytes: int) -> list[StoredEvent]:
        return await self._history.read(lambda reader: load_events(reader, messages, max_bytes))

    # Removing messages

    async def gone_between(self, key: ChannelKey, low: int, high: int) -> int:
        return await self._look_ups.read(lambda reader: gone_between(reader, key, low, high, self.clock()))

    async def settle(self, position: Position) -> Slice:
        return await self._in_turn(self._settle, position)

    def _settle(self, position: Position) -> Slice:
        done = self._transact(lambda writer: settle(writer, self._index, position))
        self._index.committed(())
        return done

    async def remove_expired(self, position: Position, limit: int, *, before_id: int) -> Slice:
        now_s = self.clock()
        return await self._remove(lambda writer: remove_expired(writer, position, limit, before_id, now_s))

    async def remove_before(self, position: Position, limit: int, *, before_id: int) -> Slice:
        return await self._remove(lambda writer: remove_before(writer, position, limit, before_id))

    async def remove_surplus(self, position: Position, limit: int, *, kept: int, before_id: int) -> Slice:
        return await self._remove(lambda writer: remove_surplus(writer, self._index, position, limit, kept, before_id))

    async def _remove(self, work: Callable[[sqlite3.Connection], Slice]) -> Slice:
        done = await self._write(work)
        if done.removed:
            self._pages.clear()
        return done

    # Webhooks

    async def webhook_cursor(self) -> int | None:
        def read(reader: sqlite3.Connection) -> int | None:
            row = reader.execute("SELECT message_id FROM webhook_cursor").fetchone()
            return None if row is None else int(row[0])

        return await self._look_ups.read(read)

    async def move_webhook_cursor(self, message_id: int) -> None:
        await self._write(lambda writer: writer.execute(schema.MOVE_WEBHOOK_CURSOR, (message_id,)))


def _plain_key(command: Message) -> ChannelKey:
    """The channel of a message of its command channel."""
    return ChannelKey(command.channel_id.removesuffix(COMMAND_CHANNEL_SUFFIX), command.channel_type)


def _login(uid: str, device_flag: int, token: str | None, level: int, flags: int | None, registered: int) -> Login:
    device = None
    if token is not None:
        device = Device(uid=uid, device_flag=device_flag, token=token, level=DeviceLevel(level))
    return Login(device, flags_of(flags), bool(registered))
