"""The files of a database: creating, checking and migrating them before the store uses them."""

import os
import sqlite3
from pathlib import Path
from typing import Literal

from ..errors import StoreOpenError
from . import schema
from .base import MAX_MESSAGE_ID
from .directory import DataDirectory

Synchronous = Literal["full", "normal"]

DATABASE = "wukong.db"
_CHECKED_BYTES = 32 * 1024 * 1024
"""Databases up to this size are checked whole at the start, which takes some tenths of a second."""
_WAL_PAGES = 4000
WAL_KEPT_BYTES = 32 * 1024 * 1024
"""SQLite cuts a longer log to this when it starts it anew."""
BUSY_TIMEOUT_S = 5.0


class DatabaseFiles:
    """A data directory that belongs to this process until `release`. Everything here blocks: call it in a thread."""

    def __init__(self, directory: Path, synchronous: Synchronous) -> None:
        """Creates the directory where needed, takes its lock and brings the database up to date.

        Raises:
            StoreOpenError: it cannot be used; the text names the file and the cure.
        """
        self.path = directory / DATABASE
        self.synchronous = synchronous
        self._directory = DataDirectory(directory)
        try:
            self._prepare()
        except BaseException:
            self._directory.release()
            raise

    def release(self) -> None:
        """Gives the directory up. The connections have to be closed before."""
        self._directory.release()

    def _prepare(self) -> None:
        try:
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            connection = self.open_writer()
            try:
                self._check_and_migrate(connection)
            finally:
                connection.close()
            self._directory.sync()
        except sqlite3.DatabaseError as error:
            raise self.damaged(error) from None
        except OSError as error:
            raise StoreOpenError(
                f"{self.path}: {error.strerror}; make it readable and writable for this user"
            ) from None

    def damaged(self, error: sqlite3.DatabaseError) -> StoreOpenError:
        """What to tell the operator about a database that cannot be read."""
        return StoreOpenError(
            f"{self.path}: {error}; the file is damaged or cannot be written: "
            "restore it from a backup, or move it away to start empty"
        )

    def _check_and_migrate(self, connection: sqlite3.Connection) -> None:
        [version] = connection.execute("PRAGMA user_version").fetchone()
        [application_id] = connection.execute("PRAGMA application_id").fetchone()
        [tables] = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if tables and application_id != schema.APPLICATION_ID:
            raise StoreOpenError(f"{self.path}: this is another program's database; name another data directory")
        if version > schema.VERSION:
            raise StoreOpenError(
                f"{self.path}: written by a newer version of wukong-trio (schema {version}, this one knows "
                f"{schema.VERSION}); update wukong-trio or restore an older backup"
            )
        if version < schema.VERSION:
            self._migrate(connection, version)
        [newest_id] = connection.execute("SELECT coalesce(max(message_id), 0) FROM message").fetchone()
        if newest_id > MAX_MESSAGE_ID:
            raise StoreOpenError(
                f"{self.path}: holds message ids above 2^53, which clients cannot read and all later ids would have to "
                "exceed; the clock was once beyond 2089. Restore a backup from before, or remove these messages as "
                "docs/operating.md says"
            )
        for table in schema.TABLES:
            connection.execute(f"SELECT * FROM {table} LIMIT 1").fetchone()
        if self.path.stat().st_size <= _CHECKED_BYTES:
            [verdict] = connection.execute("PRAGMA quick_check(1)").fetchone()
            if verdict != "ok":
                raise sqlite3.DatabaseError(verdict)

    @staticmethod
    def _migrate(connection: sqlite3.Connection, version: int) -> None:
        connection.execute("BEGIN IMMEDIATE")
        for step in schema.MIGRATIONS[version:]:
            for statement in step:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {schema.VERSION}")
        connection.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
        connection.execute("COMMIT")

    def open_writer(self) -> sqlite3.Connection:
        """A connection that may write."""
        connection = self._connect("rw")
        connection.execute("PRAGMA journal_mode = wal")
        connection.execute(f"PRAGMA synchronous = {self.synchronous}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_WAL_PAGES}")
        connection.execute(f"PRAGMA journal_size_limit = {WAL_KEPT_BYTES}")
        return connection

    def open_reader(self) -> sqlite3.Connection:
        """A connection that only reads."""
        connection = self._connect("ro")
        connection.execute("PRAGMA query_only = on")
        return connection

    def _connect(self, mode: str) -> sqlite3.Connection:
        return sqlite3.connect(
            f"{self.path.absolute().as_uri()}?mode={mode}",
            uri=True,
            timeout=BUSY_TIMEOUT_S,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
        )
