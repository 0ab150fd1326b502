"""Who may connect: the tables of devices and of system accounts."""

import sqlite3
from collections.abc import Sequence
from typing import Final

from ..model import Device, DeviceLevel
from . import sql
from .base import Login
from .channel_rows import flags_of
from .rows import chunks, load_json, marks

_LOGINS_IN_STATEMENT: Final = 2000
_NO_LOGIN: Final = Login()


def load_logins(reader: sqlite3.Connection, keys: Sequence[tuple[str, int]]) -> list[Login]:
    """What is known of these (uid, device_flag), in the same order."""
    logins: dict[tuple[str, int], Login] = {}
    # One statement for many keys: each statement locks the database anew.
    for chunk in chunks(keys, _LOGINS_IN_STATEMENT):
        query = sql.LOAD_LOGINS.format(marks(len(chunk), "(?,?)"))
        for uid, flag, *row in load_json(reader, query, [value for key in chunk for value in key]):
            logins[uid, flag] = _login(uid, flag, *row)
    return [logins.get(key, _NO_LOGIN) for key in keys]


def _login(uid: str, device_flag: int, token: str | None, level: int, flags: int | None, registered: int) -> Login:
    device = None
    if token is not None:
        device = Device(uid=uid, device_flag=device_flag, token=token, level=DeviceLevel(level))
    return Login(device, flags_of(flags), bool(registered))


def put_device(writer: sqlite3.Connection, device: Device) -> None:
    """Inserts or replaces a device."""
    row = (device.uid, device.device_flag, device.token, int(device.level))
    writer.execute("INSERT OR REPLACE INTO device VALUES (?, ?, ?, ?)", row)


def clear_tokens(writer: sqlite3.Connection, uid: str, device_flags: Sequence[int]) -> None:
    """Empties the tokens of these devices."""
    for flag in device_flags:
        writer.execute("UPDATE device SET token = '' WHERE uid = ? AND device_flag = ?", (uid, flag))


def system_uids(reader: sqlite3.Connection) -> list[str]:
    """The system accounts, sorted."""
    return [uid for (uid,) in reader.execute("SELECT uid FROM system_uid ORDER BY uid")]


def change_system_uids(writer: sqlite3.Connection, add: Sequence[str], remove: Sequence[str]) -> None:
    """First `remove`, then `add`."""
    for uid in remove:
        writer.execute("DELETE FROM system_uid WHERE uid = ?", (uid,))
    for uid in add:
        writer.execute("INSERT OR IGNORE INTO system_uid VALUES (?)", (uid,))
