"""Where the sends of a user go, and whether he may: found out once, then looked up."""

from collections.abc import Container
from typing import Final, Protocol

from ..model import (
    NO_PERSIST,
    ONLINE_COMMAND_CHANNEL_ID,
    ChannelKey,
    ChannelType,
    ReasonCode,
    SendCommand,
    command_key,
)
from ..services.addressing import peer_of, stored_key
from ..services.directory import Channel, ChannelDirectory
from ..services.permission import CHANNEL_TYPES, check_send, check_state
from ..store.base import ChannelRecord
from .dedup import sender_mark

CLIENT: Final = 0
"""A client sends: all rules apply."""
BACKEND: Final = 1
"""A back-end sends: only a banned or disbanded channel refuses it."""
COMMAND: Final = 2
"""A back-end sends a command, which is stored apart and not even stopped by the channel's state."""
DIRECT: Final = 3
"""A back-end sends a command to users whom it names."""

_PERSON: Final = int(ChannelType.PERSON)
_CAPACITY: Final = 200_000


class Accounts(Container[str], Protocol):
    """The system accounts."""

    generation: int
    """Changes whenever they do."""


class Route:
    """What one sender's messages to one channel have in common."""

    __slots__ = ("channel", "reason", "sender_mark", "shown_to_others", "shown_to_sender", "target")

    def __init__(self, uid: str, channel: Channel, target: Channel, reason: ReasonCode) -> None:
        self.channel = channel
        """Whose members receive."""
        self.target = target
        """Where it is stored: the channel itself, or its command channel."""
        self.reason = reason
        """SUCCESS, or why nothing may be sent."""
        self.sender_mark = sender_mark(target.key, uid)
        channel_id, kind = channel.key
        self.shown_to_others = self.shown_to_sender = channel_id
        """The channel as its receivers know it. In a person channel each side sees the other one."""
        if kind == _PERSON:
            self.shown_to_others, self.shown_to_sender = uid, peer_of(uid, channel_id)
        elif kind == ChannelType.AGENT:
            # Both sides see it as its owner has addressed it.
            self.shown_to_others = self.shown_to_sender = channel_id.partition("@")[2]


class Routes:
    """The routes in use. All are forgotten whenever a channel or an account has changed: finding them is cheap."""

    def __init__(self, directory: ChannelDirectory, accounts: Accounts, *, whitelist_off_of_person: bool) -> None:
        self._directory = directory
        self._accounts = accounts
        self._whitelist_off = whitelist_off_of_person
        self._routes: dict[tuple[str, str, int, int], Route] = {}
        self._generation = (0, 0)

    def current(self) -> dict[tuple[str, str, int, int], Route]:
        """Routes that hold until the next await, by from_uid, channel_id, channel_type and rights."""
        if self.outdated or len(self._routes) > _CAPACITY:
            self._routes.clear()
            self._generation = (self._directory.generation, self._accounts.generation)
        return self._routes

    @property
    def outdated(self) -> bool:
        """Whether something has changed since `current` was asked."""
        return (self._directory.generation, self._accounts.generation) != self._generation

    def find(
        self, command: SendCommand, rights: int, missing: set[ChannelKey], recipients: frozenset[str] | None = None
    ) -> Route | ReasonCode | None:
        """The route of a send, which `current` will know from now on.

        Args:
            recipients: with DIRECT, who receives it. `current` does not know such a route.
            missing: takes what has to be warmed first; then the answer is None.

        Returns:
            A reason code if no such channel can exist.
        """
        if recipients is not None:
            return self._direct_route(command, recipients, missing)
        uid, channel_id, kind = command.from_uid, command.channel_id, command.channel_type
        if kind not in CHANNEL_TYPES:
            return ReasonCode.NOT_SUPPORT_CHANNEL_TYPE
        key = stored_key(uid, channel_id, kind)
        if key is None:
            return ReasonCode.CHANNEL_ID_ERROR
        stored = self._get(key, missing)
        target = self._get(command_key(key), missing) if rights == COMMAND else stored
        channel = self._directory.with_recipients(stored) if stored is not None else None
        reason = ReasonCode.SUCCESS
        if rights == CLIENT:
            sender = self._get(ChannelKey(uid, _PERSON), missing)
            receiver = (
                self._get(ChannelKey(peer_of(uid, key.channel_id), _PERSON), missing) if kind == _PERSON else None
            )
            if channel is None or sender is None or (receiver is None and kind == _PERSON):
                return None
            reason = check_send(
                uid,
                channel,
                sender,
                receiver,
                system_uids=self._accounts,
                whitelist_off_of_person=self._whitelist_off,
            )
        if channel is None or target is None:
            return None
        if rights == BACKEND:
            reason = check_state(kind, channel.flags)
        route = self._routes[uid, channel_id, kind, rights] = Route(uid, channel, target, reason)
        return route

    def _direct_route(self, command: SendCommand, recipients: frozenset[str], missing: set[ChannelKey]) -> Route | None:
        key = ChannelKey(command.channel_id, command.channel_type)
        target: Channel | None
        if command.flags & NO_PERSIST:
            target = Channel(ChannelRecord(key=ChannelKey(ONLINE_COMMAND_CHANNEL_ID, command.channel_type)))
        else:
            target = self._get(command_key(key), missing)
        if target is None:
            return None
        channel = Channel(ChannelRecord(key=key, subscribers=recipients))
        route = Route(command.from_uid, channel, target, ReasonCode.SUCCESS)
        route.shown_to_others = route.shown_to_sender = target.key.channel_id
        return route

    def _get(self, key: ChannelKey, missing: set[ChannelKey]) -> Channel | None:
        channel = self._directory.get(key)
        if channel is None:
            missing.add(key)
        return channel
