"""Noticing that the files of an open database are not those in its directory any more, or have lost their ends.

SQLite goes on with what it has opened. If somebody has deleted, renamed, replaced or truncated one of the files,
whatever is written is gone with the next start, and nothing says so.
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from .files import WAL_KEPT_BYTES


class FileWatch:
    """Compares the paths of a database with what they were when it was opened. Blocks: use it in a thread."""

    def __init__(self, database: Path) -> None:
        """Remembers the files as they are now, in WAL mode and open.

        Raises:
            OSError: one of them is not there.
        """
        database = database.absolute()
        # SQLite puts its other files beside the real file.
        real = os.path.realpath(database)
        self._directories = tuple({str(database.parent), os.path.dirname(real)})
        self._file, self._log = str(database), f"{real}-wal"
        self._identities = {path: _identity(path) for path in (self._file, self._log, f"{real}-shm")}
        self.measure()
        self._shortened = ""
        self._undisturbed: list[tuple[int, int, int]] | None = self._state_of_directories()

    def problem(self) -> str:
        """What is wrong and what to do about it; empty while all is well.

        One system call while the directory stays as it is, two where the database is a symbolic link: creating,
        renaming and deleting files changes its time. Cutting them does not, and two changes within one tick of the
        kernel's clock may look like one, so ask `thorough_problem` as well, now and then.
        """
        try:
            if self._state_of_directories() == self._undisturbed:
                return ""
        except OSError:
            pass
        return self.thorough_problem()

    def thorough_problem(self) -> str:
        """The same, by looking at every file."""
        self._undisturbed = None
        try:
            undisturbed = self._state_of_directories()
            for path, identity in self._identities.items():
                if _identity(path) != identity:
                    return f"{path}: replaced by another file while in use; {_CURE}"
            # For good: its length alone would not bring back what was in it.
            self._shortened = self._shortened or self._shorter()
            if self._shortened:
                return f"{self._shortened}: has become shorter while in use; {_CURE_OF_SHORTER}"
        except FileNotFoundError as error:
            return f"{error.filename}: deleted or moved away while in use; {_CURE}"
        except OSError as error:
            return f"{error.filename}: {error.strerror}; nothing is stored until it can be reached again"
        self._undisturbed = undisturbed
        return ""

    def measure(self) -> None:
        """Takes the sizes as they are: to be called now and then, and when we have emptied the log.

        Raises:
            OSError: a file is not there.
        """
        self._file_bytes, self._log_bytes = os.stat(self._file).st_size, os.stat(self._log).st_size

    def size_bytes(self) -> dict[str, int]:
        """How large the files are, as far as they can be found."""
        sizes = {}
        for name, path in (("database", self._file), ("wal", self._log)):
            with suppress(OSError):
                sizes[name] = os.stat(path).st_size
        return sizes

    def _shorter(self) -> str:
        """The file that has lost its end.

        The database itself never shrinks, since nobody vacuums it. SQLite cuts the log when it starts it anew, to no
        less than WAL_KEPT_BYTES.
        """
        if os.stat(self._file).st_size < self._file_bytes:
            return self._file
        if os.stat(self._log).st_size < min(self._log_bytes, WAL_KEPT_BYTES):
            return self._log
        return ""

    def _state_of_directories(self) -> list[tuple[int, int, int]]:
        """Of two if the database is a symbolic link."""
        states = map(os.stat, self._directories)
        return [(found.st_dev, found.st_ino, found.st_mtime_ns) for found in states]


_CURE: Final = "nothing is stored until the same file is back in its place or the server was started anew"
_CURE_OF_SHORTER: Final = "nothing is stored until the server was started anew, perhaps from a backup"


def _identity(path: str) -> tuple[int, int]:
    found = os.stat(path)
    return found.st_dev, found.st_ino
