"""Keeping the write-ahead log short while somebody always reads.

SQLite starts the log anew when nobody reads from it at the moment of a commit. Beside continuous readers that moment
may never come, and the log grows without end.
"""

import os
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Final

from .files import BUSY_TIMEOUT_S

WAL_BYTES: Final = 32 * 1024 * 1024
"""Beyond this the log is emptied as soon as readers allow. Without readers it stays at half of it."""
PATIENCE_S: Final = 0.1
"""How long writes wait for readers to finish: ours are shorter. One from outside may not be."""
MOST_ROUNDS_SKIPPED: Final = 7


class LogKeeper:
    """Empties the log of a database when it has become too large."""

    def __init__(self, database: Path) -> None:
        self._log = os.path.realpath(database) + "-wal"
        self._pause = 0
        self._skip = 0

    def tend(self, writer: sqlite3.Connection) -> None:
        """One look at it; call it about once a second, between two writes. When a reader holds the log up, the next
        attempts come more and more seldom."""
        with suppress(OSError, sqlite3.Error):
            if os.stat(self._log).st_size <= WAL_BYTES:
                self._pause = self._skip = 0
            elif self._skip:
                self._skip -= 1
            elif self._empty(writer):
                self._pause = 0
            else:
                self._pause = self._skip = min(2 * self._pause + 1, MOST_ROUNDS_SKIPPED)

    @staticmethod
    def _empty(writer: sqlite3.Connection) -> bool:
        writer.execute(f"PRAGMA busy_timeout = {int(PATIENCE_S * 1000)}")
        try:
            [busy, _, _] = writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            return not busy
        finally:
            writer.execute(f"PRAGMA busy_timeout = {int(BUSY_TIMEOUT_S * 1000)}")
