"""The one connection that writes: transactions, each into the file that everybody will find again, and how they went.

Everything here is for the writer's thread, except what says so.
"""

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import suppress
from logging import getLogger
from pathlib import Path
from typing import Final, TypeVar

from ..errors import StoreError
from .rows import transaction
from .wal import LogKeeper
from .watch import FileWatch

log = getLogger(__name__)

T = TypeVar("T")

_DATA_VERSION: Final = "PRAGMA data_version"
"""Changes when another connection has written."""
_SMALL_WRITE: Final = "UPDATE indexed SET message_id = message_id"


class _VanishedError(Exception):
    """The files are not where they belong."""


class Transactions:
    """Writes, and looks after the files. What somebody keeps in memory of the database he has to take back himself when
    a transaction fails."""

    def __init__(self, path: Path, writer: sqlite3.Connection) -> None:
        """
        Args:
            path: of the database.

        Raises:
            OSError: one of its files is not there.
        """
        self._path = path
        self._writer = writer
        self._data_version = writer.execute(_DATA_VERSION).fetchone()
        self._watch = FileWatch(path)
        self._log_keeper = LogKeeper(path)
        self._vanished = False
        self.failure = ""
        """Why the last write failed; empty while all is well. Any thread may look."""

    def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Does something in a transaction of its own.

        Raises:
            StoreError: nothing was changed, because of the database or its files.
        """
        try:
            self._check_files()
            with transaction(self._writer):
                result = work(self._writer)
        except (sqlite3.Error, _VanishedError) as error:
            self._note(str(error) if isinstance(error, _VanishedError) else f"{self._path}: {error}")
            raise StoreError(self.failure) from error
        self._note("")
        return result

    def tend(self) -> None:
        """Looks after the files: call it about once a second. Notices when they are gone, keeps the log short, and
        tries again after a failure."""
        if self._watch.thorough_problem() or self.failure:
            with suppress(StoreError):
                self.run(lambda writer: writer.execute(_SMALL_WRITE))
        else:
            self._log_keeper.tend(self._writer)
            with suppress(OSError):
                # What is not there is found missing before the next write.
                self._watch.measure()

    def size_bytes(self) -> Mapping[str, int]:
        """How large the files are, as far as they can be found. In any thread."""
        return self._watch.size_bytes()

    def _check_files(self) -> None:
        """Stops a write into a file that nobody will find again."""
        if problem := self._watch.problem():
            self._vanished = True
            raise _VanishedError(problem)
        if self._vanished:
            # Sequence numbers and the newest messages are in memory.
            if self._writer.execute(_DATA_VERSION).fetchone() != self._data_version:
                raise _VanishedError(f"{self._path}: another program has changed it meanwhile; restart the server")
            self._vanished = False

    def _note(self, failure: str) -> None:
        """Remembers how the last write went, and says so when that is news."""
        if failure and failure != self.failure:
            log.error("nothing can be stored: %s", failure)
        elif self.failure and not failure:
            log.warning("the store can be written again")
        self.failure = failure
