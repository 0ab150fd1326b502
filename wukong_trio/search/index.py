"""The index: which terms each message has, in an SQLite file of its own.

A term of FTS5 is the number of a channel, which member of the payload it is in, and the term of the text:

    1f:             every message of the channel
    1f:hello        in `content` of a payload
    1f.0c2bhello    in another member, by a hash of its path

Everything here blocks.
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from logging import getLogger
from pathlib import Path
from time import monotonic
from typing import Any, Final, Self
from zlib import crc32

import msgspec

from ..errors import ConfigError
from ..model import COMMAND_CHANNEL_SUFFIX, SYNC_ONCE, Message
from ..store.directory import remove_database
from ..store.rows import insert_rows, json_text, transaction
from . import schema
from .hits import MOST_TERMS, QUERY_TIMEOUT_S, Filters, Hit, Hits
from .payload import CONTENT, read_payload, texts_of, type_of
from .text import Words, terms_of

log = getLogger(__name__)

_NAMES_CACHED: Final = 50_000
_BUSY_TIMEOUT_S: Final = 5.0
_WAL_KEPT_BYTES: Final = 8 * 1024 * 1024
_CACHE_KIB: Final = 16 * 1024
_STEPS: Final = 100_000
"""Of SQLite's, between two looks at the clock."""
_DAMAGES: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT)


class IndexFailedError(Exception):
    """The file could not be read or written."""

    def __init__(self, path: Path | None, error: sqlite3.Error | OSError) -> None:
        super().__init__(f"{path or 'in memory'}: {error}")
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        self.damaged = code in _DAMAGES
        """It will not get better by itself."""
        self.foreign = code == sqlite3.SQLITE_ERROR
        """Nor would this, while it is opened: a table is missing."""


def check_fts5() -> None:
    """Finds out whether this Python can search at all.

    Raises:
        ConfigError: it cannot.
    """
    try:
        with closing(sqlite3.connect(":memory:")) as connection:
            for statement in schema.TABLES:
                connection.execute(statement)
    except sqlite3.Error as error:
        raise ConfigError(
            f"search.on = true: the SQLite of this Python, {sqlite3.sqlite_version}, cannot search ({error}); "
            "use one that has FTS5, or switch the search off"
        ) from None


class Index:
    """An open index. One thread may write while another one reads; in memory they have to take turns."""

    def __init__(self, path: Path | None) -> None:
        """Opens it; makes it where there is none, or one that is of no use.

        Args:
            path: of the file; None: in memory.

        Raises:
            IndexFailedError: it cannot be used.
        """
        self.path = path
        self._numbers: dict[str, int] = {}
        """Of names."""
        with self._failures():
            if path is not None:
                _make_file(path)
            self._writer = self._connect("rw")
            try:
                self._prepare()
                self._reader = self._writer if path is None else self._connect("ro")
            except BaseException:
                self._writer.close()
                raise
        self._reader.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        self._give_up_at = 0.0
        self._reader.set_progress_handler(lambda: monotonic() > self._give_up_at > 0, _STEPS)

    @classmethod
    def open(cls, path: Path | None, *, anew: bool) -> Self:
        """Opens it. One that is damaged is removed first, and so is any one if `anew`.

        Raises:
            IndexFailedError: it cannot be used.
        """
        try:
            if anew and path is not None:
                remove(path)
            return cls(path)
        except IndexFailedError as error:
            if path is None or not (error.damaged or error.foreign):
                raise
            log.error("search: %s; the index is made again from the messages", error)
            remove(path)
            return cls(path)

    def _connect(self, mode: str) -> sqlite3.Connection:
        name = f"{self.path.absolute().as_uri()}?mode={mode}" if self.path is not None else "file::memory:"
        return sqlite3.connect(
            name,
            uri=True,
            timeout=_BUSY_TIMEOUT_S,
            isolation_level=None,
            check_same_thread=False,
        )

    def _prepare(self) -> None:
        writer = self._writer
        writer.execute("PRAGMA journal_mode = wal")
        # What is lost in a power cut is put in again: the progress is part of each transaction.
        writer.execute("PRAGMA synchronous = normal")
        writer.execute(f"PRAGMA journal_size_limit = {_WAL_KEPT_BYTES}")
        [application_id] = writer.execute("PRAGMA application_id").fetchone()
        [version] = writer.execute("PRAGMA user_version").fetchone()
        if (application_id, version) != (schema.APPLICATION_ID, schema.VERSION):
            self._make_tables()
        self._read_progress()
        for statement in schema.CHECKS:
            writer.execute(statement).fetchone()

    def _make_tables(self) -> None:
        with transaction(self._writer):
            [tables] = self._writer.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            if tables:
                raise _unknown()
            for statement in schema.TABLES:
                self._writer.execute(statement)
            self._writer.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
            self._writer.execute(f"PRAGMA user_version = {schema.VERSION}")

    def _read_progress(self) -> None:
        self._numbers.clear()
        self.message_id, self.indexed = self._writer.execute(schema.PROGRESS).fetchone()
        [self._last] = self._writer.execute(schema.LAST_ENTRY).fetchone()
        [self.gone] = self._writer.execute(schema.GONE).fetchone()

    def interrupt(self) -> None:
        """Makes a search that is under way fail. Any thread may call it."""
        self._reader.interrupt()

    def close(self) -> None:
        """Closes it. Nobody may be using it."""
        with suppress(sqlite3.Error):
            self._reader.close()
        with suppress(sqlite3.Error):
            self._writer.close()

    def move(self, path: Path) -> None:
        """Closes it and puts its file in the place of another index that nobody uses.

        Raises:
            IndexFailedError: what is in that place is of no use any more.
        """
        assert self.path is not None
        self.close()
        with self._failures():
            remove(path)
            os.replace(self.path, path)

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise IndexFailedError(self.path, error) from error

    # Writing

    def add(self, messages: Sequence[Message], message_id: int) -> None:
        """Puts messages in, those that can be searched, and remembers up to which id all are in. All or nothing.

        Raises:
            IndexFailedError: nothing was put in.
        """
        with self._failures():
            try:
                with transaction(self._writer):
                    self._add(messages, message_id)
            except BaseException:
                self._read_progress()
                raise
        self.message_id = message_id

    def _add(self, messages: Sequence[Message], message_id: int) -> None:
        entries: list[Any] = []
        terms: list[Any] = []
        number = self._last
        for message in messages:
            members = None if _is_command(message) else read_payload(message.payload)
            if members is None:
                continue
            channel = self._number(channel_name(message.channel_id, message.channel_type))
            sender, topic = self._number(_sender_name(message.from_uid)), self._number(_topic_name(message.topic))
            try:
                found = " ".join(_terms(f"{channel:x}", texts_of(members)))
            except Exception:
                # A fault of ours, which shall not stop everything.
                log.exception("search: message %d cannot be indexed", message.message_id)
                continue
            number += 1
            entries += (number, message.message_id, channel, sender, topic, message.timestamp, type_of(members))
            terms += (number, found)
        insert_rows(self._writer, "entry", schema.ENTRY_COLUMNS, entries)
        insert_rows(self._writer, schema.ADD_TERMS, 2, terms)
        self._writer.execute(schema.SET_PROGRESS, (message_id, number - self._last))
        self.indexed += number - self._last
        self._last = number

    def _number(self, name: str) -> int:
        number = self._numbers.get(name)
        if number is None:
            if len(self._numbers) >= _NAMES_CACHED:
                self._numbers.clear()
            self._writer.execute(schema.ADD_NAME, (name,))
            [number] = self._writer.execute(schema.NUMBER, (name,)).fetchone()
            self._numbers[name] = number
        return number

    def forget(self, numbers: Sequence[int]) -> None:
        """Takes messages out that do not exist any more.

        Raises:
            IndexFailedError: nothing has changed.
        """
        with self._failures():
            with transaction(self._writer):
                for statement in schema.FORGET:
                    self._writer.execute(statement, (json_text(numbers),))
            [self.gone] = self._writer.execute(schema.GONE).fetchone()

    def entries_after(self, number: int, limit: int) -> list[Hit]:
        """The next entries above a number; only for the thread that writes.

        Raises:
            IndexFailedError: it could not be read.
        """
        with self._failures():
            [entries] = self._writer.execute(schema.ENTRIES, (number, limit)).fetchone()
        return msgspec.json.decode(entries, type=list[Hit])

    # Reading

    def find(self, filters: Filters, words: Mapping[str, Words], limit: int) -> Hits:
        """The messages that have all the terms of some words, each in the member with this path.

        Raises:
            IndexFailedError: it could not be read, or not in time.
        """
        given = {
            "channels": json_text([channel_name(*key) for key in filters.channels]),
            "query": _query(words),
            "sender": _sender_name(filters.sender) if filters.sender else None,
            "topic": _topic_name(filters.topic) if filters.topic else None,
            "types": json_text(filters.types) if filters.types else None,
            "start": filters.start,
            "end": filters.end,
            "limit": limit,
        }
        self._give_up_at = monotonic() + QUERY_TIMEOUT_S
        try:
            with self._failures():
                query = schema.FIND_FILTERED if filters.some else schema.FIND
                total, newest = self._reader.execute(query, given).fetchone()
        finally:
            self._give_up_at = 0.0
        return Hits(self, total, msgspec.json.decode(newest, type=list[Hit]))


def _make_file(path: Path) -> None:
    if not path.exists():
        remove(path)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


def remove(path: Path) -> None:
    """Removes an index that nobody uses, with all its files.

    Raises:
        IndexFailedError: it cannot be removed.
    """
    try:
        remove_database(path)
    except OSError as error:
        raise IndexFailedError(path, error) from error


def _unknown() -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError("the index is not of this version")
    error.sqlite_errorcode = sqlite3.SQLITE_NOTADB
    return error


def _is_command(message: Message) -> bool:
    return bool(message.flags & SYNC_ONCE) or message.channel_id.endswith(COMMAND_CHANNEL_SUFFIX)


def channel_name(channel_id: str, channel_type: int) -> str:
    """How a channel is called in the index: without NUL, at which SQLite ends a text in JSON."""
    if "\0" in channel_id or "\1" in channel_id:
        channel_id = channel_id.replace("\1", "\1\1").replace("\0", "\1:")
    return f"{channel_type}:{channel_id}"


def _sender_name(uid: str) -> str:
    return f"u:{uid}"


def _topic_name(topic: str) -> str:
    return f"t:{topic}"


def _terms(channel: str, texts: Iterable[tuple[str, str]]) -> Iterator[str]:
    yield f"{channel}:"
    for path, text in texts:
        place = channel + _place(path)
        for term in terms_of(text):
            yield place + term


def _place(path: str) -> str:
    """Where a text is, after its channel and before a term: of the same length for all but `content`."""
    return ":" if path == CONTENT else f".{crc32(path.encode()) & 0xFFFF:04x}"


def _query(words: Mapping[str, Words]) -> str:
    """What FTS5 is asked, with a `#` for the channel, which no term has."""
    terms = [
        f'"#{_place(path)}{term.text}"{" *" if term.open else ""}'
        for path, wanted in words.items()
        for term in wanted.terms()
    ]
    return " AND ".join(terms[:MOST_TERMS]) or '"#:"'
