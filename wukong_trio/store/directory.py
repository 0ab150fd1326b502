"""The data directory: created so that it lasts, and used by one process at a time."""

import fcntl
import os
from pathlib import Path
from typing import Final

from ..errors import StoreOpenError

SEARCH_INDEX: Final = "search.db"
"""Beside the database: made of its messages, and made again where there is none."""


def remove_database(path: Path) -> None:
    """Removes a database that nobody uses, with all its files; the database itself last."""
    remove_logs(path)
    path.unlink(missing_ok=True)


def remove_logs(path: Path) -> None:
    """Removes what SQLite has put beside a database that nobody uses."""
    for end in ("-wal", "-shm", "-journal"):
        Path(f"{path}{end}").unlink(missing_ok=True)


class DataDirectory:
    """A directory that belongs to this process until `release`. Everything here blocks: call it in a thread.

    The lock is on the directory itself. So it goes where the directory goes when somebody renames it, no file of it can
    be deleted, and a new directory in its place is another one.
    """

    def __init__(self, path: Path) -> None:
        """Creates the directory where needed, and takes its lock.

        Raises:
            StoreOpenError: it cannot be created, or another process uses it.
        """
        self.path = path
        try:
            _create(path)
            self._descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise StoreOpenError(
                f"dataDir = '{path}': {error.strerror}; name a directory that this user may write to"
            ) from None
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._descriptor)
            raise StoreOpenError(
                f"dataDir = '{path}': another server is using it; stop that one or name another directory"
            ) from None
        except OSError as error:
            os.close(self._descriptor)
            raise StoreOpenError(
                f"dataDir = '{path}': cannot be locked ({error.strerror}); name a directory on a local disk"
            ) from None

    def sync(self) -> None:
        """Makes durable which files there are."""
        os.fsync(self._descriptor)

    def release(self) -> None:
        """Gives the directory up. The database has to be closed before."""
        os.close(self._descriptor)


def _create(path: Path) -> None:
    """Creates a directory and its missing parents, and makes each of them durable."""
    missing = [place for place in (path, *path.parents) if not place.exists()]
    for place in reversed(missing):
        place.mkdir(mode=0o700 if place == path else 0o777, exist_ok=True)
        sync_directory(place.parent)
    if not path.is_dir():
        path.mkdir()  # says what is in its place


def sync_directory(path: Path) -> None:
    """Makes durable which entries a directory has."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
