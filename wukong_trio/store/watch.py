"""Noticing that the files of an open database are not those in its directory any more.

SQLite goes on with what it has opened. If somebody has deleted, renamed or replaced one of the files, whatever is
written is gone with the next start, and nothing says so.
"""

import os
from pathlib import Path
from typing import Final

_COMPANIONS: Final = ("-wal", "-shm")


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
        self._identities = {path: _identity(path) for path in (str(database), *(real + end for end in _COMPANIONS))}
        self._undisturbed: list[tuple[int, int, int]] | None = self._state_of_directories()

    def problem(self) -> str:
        """What is wrong and what to do about it; empty while all is well.

        One system call while the directory stays as it is, two where the database is a symbolic link: creating,
        renaming and deleting files changes its time. Two changes within one tick of the kernel's clock may look like
        one, so ask `thorough_problem` as well, now and then.
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
        except FileNotFoundError as error:
            return f"{error.filename}: deleted or moved away while in use; {_CURE}"
        except OSError as error:
            return f"{error.filename}: {error.strerror}; nothing is stored until it can be reached again"
        self._undisturbed = undisturbed
        return ""

    def _state_of_directories(self) -> list[tuple[int, int, int]]:
        """Of two if the database is a symbolic link."""
        states = map(os.stat, self._directories)
        return [(found.st_dev, found.st_ino, found.st_mtime_ns) for found in states]


_CURE: Final = "nothing is stored until the same file is back in its place or the server was started anew"


def _identity(path: str) -> tuple[int, int]:
    found = os.stat(path)
    return found.st_dev, found.st_ino
