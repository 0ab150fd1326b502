"""Who is online: uid -> sessions, and the rules by which one device drives another away.

Everything here is synchronous: between a look-up and a change no other task runs.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Protocol

from ..model import DeviceLevel, ReasonCode
from ..protocol.answers import encode_disconnect
from ..protocol.codes import CLOSE_KICKED, CLOSE_REPLACED, Close
from .push import Push


class Receiver(Protocol):
    """A session as delivery sees it."""

    @property
    def uid(self) -> str: ...
    @property
    def device_flag(self) -> int: ...
    @property
    def device_id(self) -> str:
        """Empty: the client gave none, so it is nobody else's."""

    @property
    def level(self) -> DeviceLevel: ...
    def deliver(self, push: Push) -> None:
        """Takes a push for writing; never waits."""

    def close(self, close: Close, notice: bytes | None = None) -> None:
        """Ends the session after what waits was written, the notice last."""


class SessionRegistry:
    """All authenticated sessions of a server."""

    def __init__(self) -> None:
        self._sessions: dict[str, list[Receiver]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Receiver]:
        for sessions in list(self._sessions.values()):
            yield from list(sessions)

    @property
    def users(self) -> int:
        """How many uids are online."""
        return len(self._sessions)

    def sessions_of(self, uid: str) -> Sequence[Receiver]:
        """The sessions of a user, oldest first."""
        return self._sessions.get(uid, ())

    def online(self, uids: Collection[str]) -> Collection[str]:
        """Those of some uids that have sessions; may hold a few others when there are few."""
        return uids & self._sessions.keys() if isinstance(uids, (set, frozenset)) else uids

    def device_flags_of(self, uid: str) -> list[int]:
        """The device flags with which a user is online, each once."""
        return list(dict.fromkeys(session.device_flag for session in self.sessions_of(uid)))

    def enter(self, session: Receiver) -> list[tuple[Receiver, bool]]:
        """Makes a session visible, after removing those it drives away.

        Returns:
            The removed sessions, which the caller has to close, and whether each was kicked (True) or is replaced by
            the same device (False).
        """
        removed = []
        for old in list(self.sessions_of(session.uid)):
            same_device = session.device_id != "" and old.device_id == session.device_id
            if old.device_flag == session.device_flag and (same_device or session.level == DeviceLevel.MASTER):
                self.leave(old)
                removed.append((old, not same_device))
        self._sessions.setdefault(session.uid, []).append(session)
        self._count += 1
        return removed

    def leave(self, session: Receiver) -> None:
        """Removes a session; one that is not there does nothing."""
        sessions = self._sessions.get(session.uid)
        if sessions is None or session not in sessions:
            return
        sessions.remove(session)
        self._count -= 1
        if not sessions:
            del self._sessions[session.uid]

    def kick(
        self, uid: str, device_flags: Collection[int] | None = None, *, reason_code: ReasonCode, reason: str
    ) -> int:
        """Sends sessions of a user away for good: a `disconnect` notice, then close 4003.

        Args:
            device_flags: only these devices; None = all.

        Returns:
            How many sessions it hit.
        """
        hit = [s for s in self.sessions_of(uid) if device_flags is None or s.device_flag in device_flags]
        for session in hit:
            self.leave(session)
            session.close(CLOSE_KICKED, encode_disconnect(reason_code, reason))
        return len(hit)


def close_removed(removed: list[tuple[Receiver, bool]]) -> None:
    """Closes the sessions that a newcomer drove away."""
    for session, kicked in removed:
        if kicked:
            session.close(CLOSE_KICKED, encode_disconnect(ReasonCode.CONNECT_KICK, "login in other device"))
        else:
            session.close(CLOSE_REPLACED)
