"""Copying the database of a running server, and putting such a copy in place.

A copy is made from one read transaction: it is the state of the moment at which it began, however much is written
meanwhile, and it never has to start over. For as long as it takes, the server's write-ahead log grows. Everything here
blocks.
"""

import os
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Final

from msgspec import Struct

from ..errors import StoreError, StoreOpenError
from . import schema
from .directory import SEARCH_INDEX, DataDirectory, remove_database, remove_logs, sync_directory
from .files import BUSY_TIMEOUT_S, DATABASE

_STEP_PAGES: Final = 128
_BYTES_PER_S: Final = 64 * 1024 * 1024
"""The pace: what the server writes comes first on the disk."""
_SYNC_STEPS: Final = 64
"""What is written is synced bit by bit: one large sync at the end would hold up those of the server."""


class Copy(Struct, frozen=True):
    """What was copied."""

    size_bytes: int
    messages: int
    last_message_id: int


def back_up(data_dir: Path, target: Path, *, overwrite: bool) -> Copy:
    """Copies the database of a data directory, in use or not, to one file, and checks the copy.

    Every message that was acknowledged before the call is in it. Nothing is left at `target` if it fails.

    Raises:
        StoreError: there is no database, `target` exists and `overwrite` is false, or the copy could not be made.
    """
    source = data_dir / DATABASE
    if not source.is_file():
        raise StoreOpenError(f"{source}: there is no database; name the data directory of the server")
    return _copied(source, target, overwrite)


def restore(backup: Path, data_dir: Path, *, overwrite: bool) -> Copy:
    """Makes a backup the database of a data directory, which no server may be using.

    Raises:
        StoreError: a server uses the directory, it has a database and `overwrite` is false, the backup is not sound, or
            the copy could not be made. What was in the directory is still there.
    """
    if not backup.is_file():
        raise StoreOpenError(f"{backup}: there is no such file; name one that `wukong-trio backup` has written")
    directory = DataDirectory(data_dir)
    try:
        copy = _copied(backup, data_dir / DATABASE, overwrite)
        _remove_index(data_dir / SEARCH_INDEX)
        return copy
    finally:
        directory.release()


def _remove_index(index: Path) -> None:
    """Removes the index of the messages that were there before."""
    try:
        remove_database(index)
    except OSError as error:
        raise StoreError(f"{error.filename}: {error.strerror}; remove it before the server starts") from None


def _copied(source: Path, target: Path, overwrite: bool) -> Copy:
    _check_target(source, target, overwrite)
    try:
        with _part_of(target) as (descriptor, part):
            _copy_pages(source, part, descriptor)
            copy = _checked(part, source)
            _check_target(source, target, overwrite)
            _put_in_place(part, target)
    except sqlite3.Error as error:
        raise StoreError(f"{source}: {error}; the copy was not made") from None
    except OSError as error:
        raise StoreError(f"{error.filename or target}: {error.strerror}; the copy was not made") from None
    return copy


def _check_target(source: Path, target: Path, overwrite: bool) -> None:
    if target.is_dir():
        raise StoreOpenError(f"{target}: this is a directory; name a file")
    if target.exists() and target.samefile(source):
        raise StoreOpenError(f"{target}: this is what shall be copied; name another file")
    if target.exists() and not overwrite:
        raise StoreOpenError(f"{target}: exists already; name another place, or say --overwrite to replace it")


@contextmanager
def _part_of(target: Path) -> Iterator[tuple[int, Path]]:
    """A new file beside the target, which is gone afterwards unless it was renamed."""
    descriptor, name = tempfile.mkstemp(prefix=f"{target.name}.", suffix=".part", dir=target.absolute().parent)
    try:
        yield descriptor, Path(name)
    finally:
        os.close(descriptor)
        Path(name).unlink(missing_ok=True)


def _copy_pages(source: Path, part: Path, descriptor: int) -> None:
    with closing(_opened(source, "ro")) as original, closing(_opened(part, "rw")) as copy:
        copy.execute("PRAGMA synchronous = off")
        original.execute("BEGIN")
        original.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        [page_bytes] = original.execute("PRAGMA page_size").fetchone()
        pace = _Pace(_STEP_PAGES * page_bytes / _BYTES_PER_S)
        steps = count(1)

        def rest(_status: int, _remaining: int, _total: int) -> None:
            if next(steps) % _SYNC_STEPS == 0:
                os.fsync(descriptor)
            pace.wait()

        original.backup(copy, pages=_STEP_PAGES, progress=rest)
        # One file, that can be read where nothing can be written.
        copy.execute("PRAGMA journal_mode = delete")
        copy.close()
        os.fsync(descriptor)


class _Pace:
    """Lets each step begin no earlier than a time after the one before."""

    def __init__(self, step_s: float) -> None:
        self._step_s = step_s
        self._next_s = time.monotonic() + step_s

    def wait(self) -> None:
        now_s = time.monotonic()
        time.sleep(max(self._next_s - now_s, 0))
        self._next_s = max(self._next_s, now_s) + self._step_s


def _checked(part: Path, source: Path) -> Copy:
    with closing(_opened(part, "ro")) as connection:
        [verdict] = connection.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise StoreOpenError(f"{source}: the copy is damaged ({verdict}), and the original perhaps too")
        [application_id] = connection.execute("PRAGMA application_id").fetchone()
        [version] = connection.execute("PRAGMA user_version").fetchone()
        if application_id != schema.APPLICATION_ID or version > schema.VERSION:
            raise StoreOpenError(f"{source}: not a database of this version of wukong-trio, nor of an older one")
        messages, last_id = connection.execute("SELECT count(*), coalesce(max(message_id), 0) FROM message").fetchone()
    return Copy(part.stat().st_size, messages, last_id)


def _put_in_place(part: Path, target: Path) -> None:
    if target.exists():
        # What is in the log of the old one would damage the new one, and is part of the old one until then.
        with suppress(sqlite3.Error), closing(_opened(target, "rw")) as connection:
            [busy, _, _] = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if busy:
                raise StoreOpenError(f"{target}: another program is reading it; end that one and try again")
    remove_logs(Path(os.path.realpath(target)))
    os.replace(part, target)
    sync_directory(target.absolute().parent)


def _opened(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}", uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None
    )
