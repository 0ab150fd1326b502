"""The embedded store: one SQLite file in WAL mode.

All writes go through one connection in one thread at a time, a transaction per call; reads have connections of their
own.
"""

import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, Self, TypeVar

import trio

from ..errors import StoreError, StoreOpenError
from ..model import ChannelKey, ChannelType, Device, Message
from . import sql
from .base import ChannelChange, ChannelRecord, Login, MemberList, Page, SentMark, Store, Wanted
from .channel_rows import flag_bits, load_channels
from .conversation_rows import LIST_WEIGHT, ConversationRows
from .conversations import ConversationChange, Conversations, NewestWish, PendingCommands, first_state
from .event_rows import load_events, save_event
from .event_store import MessageName, StoredEvent
from .files import DatabaseFiles, Synchronous
from .gathered_changes import GatheredChanges
from .gathering import GatheredReads
from .login_rows import change_system_uids, clear_tokens, load_logins, put_device, system_uids
from .lookups import NewestRead, find_messages, newest_of_many, newest_weight
from .members import Step, change_members
from .membership_rows import channels_of, subscribed
from .message_ids import channel_number, last_seq
from .message_index import MessageIndex
from .message_rows import last_message_id, message_ids_after, messages_after, messages_by_id, recent_marks
from .message_writer import MessageWriter
from .page_cache import MAX_MESSAGES, CachedPage, PageCache, Wish
from .pages import MOST_TOGETHER, is_small, read_page, read_pages, weight
from .readers import ReaderPool
from .recent import RecentMessages
from .removal_rows import gone_between, remove_before, remove_expired, remove_surplus, settle
from .removals import Position, Slice
from .transactions import Transactions

T = TypeVar("T")

TEND_INTERVAL_S: Final = 1.0
_DURABILITY: Final[dict[Synchronous, str]] = {
    "full": "full (fsync before each answer)",
    "normal": "normal (a power cut may lose the last moments)",
}


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
            self._messages = MessageWriter(self._writer, self._index, conversations)
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
            self._transactions = Transactions(files.path, self._writer)
            opened.pop_all()
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
            await trio.to_thread.run_sync(self._transactions.tend, limiter=self._writing, abandon_on_cancel=True)

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
        self._messages.trim()
        try:
            result = self._transactions.run(work)
        except BaseException:
            # Whatever went wrong, a value that SQLite does not take included: what was rolled back is not there.
            self._messages.forget()
            self._conversations.rolled_back()
            raise
        self._conversations.committed()
        return result

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
        return self._transactions.size_bytes()

    @property
    def failure(self) -> str:
        return self._transactions.failure

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
        entries = self._transact(lambda _: self._messages.write(drafts, direct, self._silent_types))
        self._index.committed(entries)
        return [message_seq for _, message_seq, _, _ in entries]

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
        number = self._messages.known_number(wish.key)
        found = self._recent.page(number, wish) if number is not None and wish.limit <= MAX_MESSAGES else None
        if found is None:
            return None
        self._pages.put(wish, found)
        return found.page

    async def find_messages(self, key: ChannelKey, wanted: Wanted, *, max_bytes: int) -> Page:
        def read(reader: sqlite3.Connection) -> Page:
            channel = channel_number(reader, key)
            if channel is None:
                return Page([], False)
            return find_messages(reader, self._index, channel, key, wanted, max_bytes, self.clock())

        return await self._history.read(read)

    async def last_seq(self, key: ChannelKey) -> int:
        return await self._look_ups.read(lambda reader: last_seq(reader, self._index, key))

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
        writer, number = self._writer, self._messages.number_of(change.key)
        if change.flags is not None:
            writer.execute("UPDATE channel SET flags = ? WHERE number = ?", (flag_bits(change.flags), number))
        elif change.create:
            writer.execute("UPDATE channel SET flags = 0 WHERE number = ? AND flags IS NULL", (number,))
        for members in change.members:
            changed = partial(self._members_changed, number, change.key, members.list)
            for _ in change_members(writer, number, members, changed):
                yield False

    def _members_changed(
        self, number: int, key: ChannelKey, members: MemberList, step: Step, uids: Sequence[str]
    ) -> None:
        state, ends = first_state(key.channel_type, self._silent_types), self._messages.ends(key)
        self._conversations.members_changed(number, key, members, step, uids, state, ends)

    # Conversations

    async def conversations(self, uid: str, *, gone: bool = False) -> Conversations:
        return await self._lists.read((uid, gone))

    async def change_conversations(self, changes: Sequence[ConversationChange]) -> list[bool]:
        return await self._conversation_changes.change(changes)

    def _change_conversations(self, changes: Sequence[ConversationChange]) -> list[bool]:
        return self._transact(lambda writer: [self._change_conversation(writer, change) for change in changes])

    def _change_conversation(self, writer: sqlite3.Connection, change: ConversationChange) -> bool:
        number = self._messages.number_of(change.key) if change.create else channel_number(writer, change.key)
        if number is None:
            return False
        known = self._conversations.change(change, number)
        if change.commands_to and change.key.channel_type == ChannelType.TEMPORARY:
            _, last_command = self._messages.ends(change.key)
            if change.commands_to >= last_command:
                self._conversations.drop_direct(change.uid, number)
        return known

    async def pending_commands(self, uid: str) -> list[PendingCommands]:
        return await self._history.read(lambda reader: self._conversations.load_commands(reader, uid))

    async def newest_messages(self, wishes: Sequence[NewestWish], *, max_bytes: int) -> list[list[Message]]:
        found = None if self._closed else self._recent.newest(wishes, self._numbers(wishes), max_bytes)
        if found is not None:
            await trio.lowlevel.checkpoint_if_cancelled()
            return found
        return await self._newest.read(NewestRead(wishes, max_bytes))

    def _numbers(self, wishes: Sequence[NewestWish]) -> Iterator[int]:
        """The numbers of channels, 0 where one is not in memory."""
        return (self._messages.known_number(wish.key) or 0 for wish in wishes)

    async def channels_of(self, uid: str) -> list[ChannelKey]:
        return await self._history.read(lambda reader: channels_of(reader, uid))

    async def subscribed(self, uid: str, keys: Sequence[ChannelKey]) -> set[ChannelKey]:
        return await self._look_ups.read(lambda reader: subscribed(reader, uid, keys))

    # Users

    async def load_logins(self, keys: Sequence[tuple[str, int]]) -> list[Login]:
        return await self._logins.read(lambda reader: load_logins(reader, keys))

    async def put_device(self, device: Device) -> None:
        await self._write(lambda writer: put_device(writer, device))

    async def clear_tokens(self, uid: str, device_flags: Sequence[int]) -> None:
        await self._write(lambda writer: clear_tokens(writer, uid, device_flags))

    async def system_uids(self) -> list[str]:
        return await self._look_ups.read(system_uids)

    async def change_system_uids(self, *, add: Sequence[str] = (), remove: Sequence[str] = ()) -> None:
        await self._write(lambda writer: change_system_uids(writer, add, remove))

    # Events of messages

    async def save_event(self, event: StoredEvent) -> None:
        await self._write(lambda writer: save_event(writer, self._messages.number_of(event.message.key), event))

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
            self._recent.note_removal()
        return done

    # Webhooks

    async def webhook_cursor(self) -> int | None:
        def read(reader: sqlite3.Connection) -> int | None:
            row = reader.execute("SELECT message_id FROM webhook_cursor").fetchone()
            return None if row is None else int(row[0])

        return await self._look_ups.read(read)

    async def move_webhook_cursor(self, message_id: int) -> None:
        await self._write(lambda writer: writer.execute(sql.MOVE_WEBHOOK_CURSOR, (message_id,)))
