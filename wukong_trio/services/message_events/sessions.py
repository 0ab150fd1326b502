"""The messages whose event keys are in memory: those that something happens to at the moment.

Bounded in number and in bytes, and nothing stays for longer than IDLE_S after its last use. Who goes first is whoever
was not used for longest; what was gathered from deltas and not stored yet goes with it.
"""

from collections.abc import Iterator
from typing import Final

import trio

from ...model import ChannelKey
from ...store.event_store import MessageName
from .keys import EventKeys

MAX_SESSIONS: Final = 50_000
MAX_BYTES: Final = 128 * 1024 * 1024
"""Of all sessions together."""
IDLE_S: Final = 600.0
SESSION_BYTES: Final = 512
"""As many bytes as a session counts, besides its keys."""


class EventSession:
    """A message whose events are under way."""

    __slots__ = ("announced", "counted_bytes", "from_uid", "keys", "last_used", "message_id", "name", "turn", "users")

    def __init__(self, name: MessageName) -> None:
        self.name = name
        self.from_uid = ""
        """The sender of the message, empty: unknown."""
        self.message_id = 0
        """0: unknown."""
        self.announced = False
        """Its message was sent as a stream."""
        self.keys: EventKeys | None = None
        """None: not read from the store yet."""
        self.last_used = 0.0
        self.counted_bytes = 0
        self.users = 0
        """Tasks that are at it; it does not leave memory before they are done."""
        self.turn: trio.Lock | None = None
        """Whose turn it is, if there are any."""

    @property
    def is_over(self) -> bool:
        """Nothing is known of it that the store does not say as well."""
        if self.keys is None or not self.keys.by_name:
            return not self.announced
        return not self.keys.open_names


class EventSessions:
    """An LRU cache."""

    def __init__(self) -> None:
        self._sessions: dict[MessageName, EventSession] = {}
        """The one that was used last is the last one."""
        self._owners: dict[str, EventSession] = {}
        """Those with deltas or an announced stream, by their client_msg_no. The first one counts."""
        self.size_bytes = 0

    def __len__(self) -> int:
        return len(self._sessions)

    def get(self, name: MessageName) -> EventSession | None:
        """The session of a message. That is no use of it."""
        return self._sessions.get(name)

    def owner(self, client_msg_no: str) -> EventSession | None:
        """The session to which deltas with this number belong, whatever the channel."""
        return self._owners.get(client_msg_no)

    def claim(self, session: EventSession) -> bool:
        """Makes deltas with this number belong to this session; False if they belong to another one."""
        return self._owners.setdefault(session.name.client_msg_no, session) is session

    def begin(self, name: MessageName) -> EventSession:
        """Uses a session, a new one if there is none. `end` has to follow."""
        session = self._sessions.pop(name, None) or EventSession(name)
        self._sessions[name] = session
        session.users += 1
        session.turn = session.turn or trio.Lock()
        return session

    def end(self, session: EventSession, now: float) -> None:
        """It is not used any more."""
        session.users -= 1
        session.last_used = now
        if not session.users:
            session.turn = None
            if session.is_over:
                self._forget(session)
                return
        size_bytes = SESSION_BYTES + (session.keys.size_bytes if session.keys is not None else 0)
        self.size_bytes += size_bytes - session.counted_bytes
        session.counted_bytes = size_bytes
        self.prune(now)

    def prune(self, now: float) -> None:
        """Forgets what was not used for long, and what is too much."""
        for session in list(self._oldest(now)):
            self._forget(session)

    def _oldest(self, now: float) -> Iterator[EventSession]:
        left, left_bytes = len(self._sessions), self.size_bytes
        for session in self._sessions.values():
            if session.last_used > now - IDLE_S and left <= MAX_SESSIONS and left_bytes <= MAX_BYTES:
                return
            if not session.users:
                left -= 1
                left_bytes -= session.counted_bytes
                yield session

    def _forget(self, session: EventSession) -> None:
        del self._sessions[session.name]
        self.size_bytes -= session.counted_bytes
        number = session.name.client_msg_no
        if self._owners.get(number) is session:
            del self._owners[number]

    def open_in(self, key: ChannelKey) -> list[EventSession]:
        """The sessions of a channel. Goes through all of them."""
        return [session for session in self._sessions.values() if session.name.key == key and not session.is_over]
