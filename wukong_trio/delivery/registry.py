"""Who is online: uid -> sessions, and the rules by which one device drives another away.

Everything here is synchronous: between a look-up and a change no other task runs.
"""

from collections.abc import Collection, Iterator
from typing import NamedTuple, Protocol, TypeAlias

from ..model import DeviceLevel, ReasonCode
from ..protocol.codes import CLOSE_KICKED, CLOSE_REPLACED, Close
from ..services.traffic import Snapshot
from .event_push import EventRun
from .push import Delivery


class Notice(NamedTuple):
    """What a client is told before it is sent away for good."""

    reason_code: ReasonCode
    reason: str
    """For people; may be empty."""


class Load(NamedTuple):
    """What a session adds to the figures of all. Unlike a snapshot it asks nobody else, so it costs little."""

    speech: str
    unacknowledged: int
    """Pushes that wait for their recvack."""
    backlog_bytes: int
    """Refused by its socket, and waiting to be written."""
    received: int
    """Tally of the messages that its client has sent."""
    delivered: int
    """Tally of those that were pushed to it."""


class Receiver(Protocol):
    """A session as delivery sees it."""

    @property
    def session_id(self) -> int:
        """Nobody else's, in this process."""

    @property
    def uid(self) -> str: ...
    @property
    def device_flag(self) -> int: ...
    @property
    def device_id(self) -> str:
        """Empty: the client gave none, so it is nobody else's."""

    @property
    def level(self) -> DeviceLevel: ...
    def deliver(self, delivery: Delivery) -> int:
        """Takes a push, or several, for writing; never waits.

        Returns:
            How much work that was, in pushes whose bytes were there because others have got the same.
        """

    def inform(self, run: EventRun) -> int:
        """Takes events of messages for writing; never waits. Returns how much work that was, as `deliver` does."""

    def snapshot(self) -> Snapshot:
        """How its connection is doing."""

    def close(self, why: Close, notice: Notice | None = None) -> None:
        """Ends the session after what waits was written, the notice last."""

    def load(self) -> Load:
        """What it adds to the figures of all."""

    @property
    def ended(self) -> bool:
        """It is over, and what it has carried is counted as past."""


_Device: TypeAlias = str | int
"""Tells the sessions of one user and device flag apart: the device id, or the session id where there is none."""


def _device(session: Receiver) -> _Device:
    return session.device_id or session.session_id


class _Devices:
    """The sessions of a user who has several: device flag -> device -> session."""

    __slots__ = ("flags",)

    def __init__(self) -> None:
        self.flags: dict[int, dict[_Device, Receiver]] = {}

    def add(self, session: Receiver) -> None:
        self.flags.setdefault(session.device_flag, {})[_device(session)] = session

    def discard(self, session: Receiver) -> bool:
        """Removes a session; whether it was there."""
        devices = self.flags.get(session.device_flag, {})
        if devices.get(_device(session)) is not session:
            return False
        del devices[_device(session)]
        if not devices:
            del self.flags[session.device_flag]
        return True

    def __iter__(self) -> Iterator[Receiver]:
        return iter([session for devices in self.flags.values() for session in devices.values()])


class Expected:
    """A user who is about to enter. What happens to his sessions meanwhile concerns him too."""

    __slots__ = ("device_flag", "kicked", "uid")

    def __init__(self, uid: str, device_flag: int) -> None:
        self.uid = uid
        self.device_flag = device_flag
        self.kicked = False
        """His sessions were sent away since this was last set to False."""


class SessionRegistry:
    """All authenticated sessions of a server.

    Most users have one session, which is kept without anything around it. Whatever the number of a user's sessions,
    entering and leaving cost the same.
    """

    def __init__(self) -> None:
        self._users: dict[str, Receiver | _Devices] = {}
        self._count = 0
        self._expected: dict[str, list[Expected]] = {}

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Receiver]:
        return iter([session for uid in self._users for session in self.sessions_of(uid)])

    @property
    def users(self) -> int:
        """How many uids are online."""
        return len(self._users)

    def sessions_of(self, uid: str) -> Collection[Receiver]:
        """The sessions of a user. The answer does not change with them."""
        found = self._users.get(uid)
        if found is None:
            return ()
        return tuple(found) if isinstance(found, _Devices) else (found,)

    def online(self, uids: Collection[str]) -> list[str]:
        """Those of some uids that have sessions. Costs what the smaller side costs."""
        users = self._users
        if len(uids) <= len(users):
            return [uid for uid in uids if uid in users]
        return [uid for uid in users if uid in uids]

    def device_flags_of(self, uid: str) -> list[int]:
        """The device flags with which a user is online, each once."""
        return list(dict.fromkeys(session.device_flag for session in self.sessions_of(uid)))

    def has_master(self, uid: str) -> bool:
        """Whether a user is online with a master device."""
        found = self._users.get(uid)
        if isinstance(found, _Devices):
            return any(session.level == DeviceLevel.MASTER for session in found)
        return found is not None and found.level == DeviceLevel.MASTER

    def counts_of(self, uid: str, device_flag: int) -> tuple[int, int]:
        """How many sessions a user has with a device flag, and how many in all."""
        found = self._users.get(uid)
        if isinstance(found, _Devices):
            return len(found.flags.get(device_flag, ())), sum(map(len, found.flags.values()))
        return (0, 0) if found is None else (int(found.device_flag == device_flag), 1)

    def enter(self, session: Receiver) -> list[tuple[Receiver, bool]]:
        """Makes a session visible, after removing those it drives away.

        Returns:
            The removed sessions, which the caller has to close, and whether each was kicked (True) or is replaced by
            the same device (False).
        """
        if session.uid not in self._users:
            self._users[session.uid] = session
            self._count += 1
            return []
        removed = self._driven_away_by(session)
        for old, _ in removed:
            self.leave(old)
        found = self._users.get(session.uid)
        if found is None:
            self._users[session.uid] = session
        elif isinstance(found, _Devices):
            found.add(session)
        else:
            devices = self._users[session.uid] = _Devices()
            devices.add(found)
            devices.add(session)
        self._count += 1
        return removed

    def _driven_away_by(self, session: Receiver) -> list[tuple[Receiver, bool]]:
        found = self._users.get(session.uid)
        if found is None:
            return []
        if isinstance(found, _Devices):
            same_flag = found.flags.get(session.device_flag, {})
        else:
            same_flag = {_device(found): found} if found.device_flag == session.device_flag else {}
        if session.level == DeviceLevel.MASTER:
            return [(old, device != session.device_id) for device, old in same_flag.items()]
        replaced = same_flag.get(_device(session))
        return [(replaced, False)] if replaced is not None else []

    def leave(self, session: Receiver) -> None:
        """Removes a session; one that is not there does nothing."""
        found = self._users.get(session.uid)
        if isinstance(found, _Devices):
            if not found.discard(session):
                return
            if not found.flags:
                del self._users[session.uid]
        elif found is session:
            del self._users[session.uid]
        else:
            return
        self._count -= 1

    def expect(self, uid: str, device_flag: int) -> Expected:
        """Notes who is being authenticated, until `forget`: a kick between the look-up and `enter` must not be lost."""
        expected = Expected(uid, device_flag)
        self._expected.setdefault(uid, []).append(expected)
        return expected

    def forget(self, expected: Expected) -> None:
        """He has entered, or will not."""
        same_uid = self._expected[expected.uid]
        same_uid.remove(expected)
        if not same_uid:
            del self._expected[expected.uid]

    def uids(self) -> list[str]:
        """Everybody online. Copies."""
        return list(self._users)

    def dismiss(self, uid: str, session_id: int, notice: Notice | None) -> bool:
        """Sends one session away, with a notice or without; whether it was there."""
        for session in self.sessions_of(uid):
            if session.session_id == session_id:
                self.leave(session)
                session.close(CLOSE_KICKED, notice)
                return True
        return False

    def kick(
        self, uid: str, device_flags: Collection[int] | None = None, *, reason_code: ReasonCode, reason: str
    ) -> int:
        """Sends sessions of a user away for good: a `disconnect` notice, then close 4003.

        Args:
            device_flags: only these devices; None = all.

        Returns:
            How many sessions it hit.
        """
        for expected in self._expected.get(uid, ()):
            if device_flags is None or expected.device_flag in device_flags:
                expected.kicked = True
        hit = [s for s in self.sessions_of(uid) if device_flags is None or s.device_flag in device_flags]
        for session in hit:
            self.leave(session)
            # Needs no flush: a connection that closes writes what waits itself, the notice last.
            session.close(CLOSE_KICKED, Notice(reason_code, reason))
        return len(hit)


def close_removed(removed: list[tuple[Receiver, bool]]) -> None:
    """Closes the sessions that a newcomer drove away."""
    for session, kicked in removed:
        if kicked:
            session.close(CLOSE_KICKED, Notice(ReasonCode.CONNECT_KICK, "login in other device"))
        else:
            session.close(CLOSE_REPLACED)
