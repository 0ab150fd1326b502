"""To which channels a user belongs, read from the database."""

import sqlite3
from collections.abc import Sequence

from ..model import ChannelKey
from . import sql
from .rows import chunks, load_json, marks

_IN_STATEMENT = 1000


def channels_of(reader: sqlite3.Connection, uid: str) -> list[ChannelKey]:
    """The channels that he has something of."""
    return [ChannelKey(*key) for key in load_json(reader, sql.CHANNELS_OF, (uid,))]


def subscribed(reader: sqlite3.Connection, uid: str, keys: Sequence[ChannelKey]) -> set[ChannelKey]:
    """Those of some channels that he subscribes to and is not denied in."""
    found: set[ChannelKey] = set()
    for chunk in chunks(keys, _IN_STATEMENT):
        query = sql.SUBSCRIBED.format(marks(len(chunk), "(?,?)"))
        values = [uid, *(value for key in chunk for value in key)]
        found.update(ChannelKey(*key) for key in load_json(reader, query, values))
    return found
