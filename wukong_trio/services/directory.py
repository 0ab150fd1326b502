"""The state of channels in memory: what every send needs to know, without asking the store each time.

Only the router's commit stage fills and uses the cache, one batch after another. What has to go leaves at the beginning
of the next batch: until then everything that was found stays found.
"""

from collections.abc import Collection, Iterable, Set

from ..model import ChannelFlags, ChannelKey, ChannelType, parties
from ..store.base import ChannelChange, ChannelRecord, MemberChange, MemberList, Store
from .temporary import TemporaryChannels

_NO_FLAGS = ChannelFlags()
_TEMPORARY = int(ChannelType.TEMPORARY)
_MEMBERS_PER_WEIGHT = 64
"""A channel counts as one towards the capacity, plus one for each so many uids on its lists."""
_SMALL_CHANGE = 1000
"""Uids that are added or removed in memory; after a larger change the channel is read again, in a thread."""


class Channel:
    """A channel as sends see it.

    Lists and members change in place: whoever lets other tasks run takes a copy of what he needs first.
    """

    __slots__ = (
        "_named",
        "_recorded",
        "allowed",
        "denied",
        "exists",
        "flags",
        "joined",
        "key",
        "members",
        "record_version",
        "subscribers",
        "version",
    )

    def __init__(self, record: ChannelRecord) -> None:
        self.key = record.key
        self._recorded = record.flags is not None
        self.exists = self._recorded or bool(record.subscribers)
        self.flags = record.flags or _NO_FLAGS
        self.subscribers: Set[str] = record.subscribers
        self.denied: Set[str] = record.denied
        self.allowed: Set[str] = record.allowed
        self.record_version = record.version
        """That of the record as it was read: if it has changed since, a store that counts takes no message by it."""
        self._named = named = parties(record.key)
        # A union copies, which takes milliseconds for a large group; and most groups have nobody by their id alone.
        self.members: Collection[str] = (
            record.subscribers.union(named) if record.subscribers and named else (record.subscribers or named)
        )
        """Everybody who receives what is sent here."""
        self.version = 0
        """Grows with each change of the members."""
        self.joined: dict[str, int] | None = None
        """Who has come in, and with which version, while somebody wants to know."""

    def with_subscribers(self, uids: frozenset[str]) -> "Channel":
        """A channel for sends with the same flags and lists, but with other members."""
        return Channel(
            ChannelRecord(
                key=self.key,
                flags=self.flags,
                subscribers=uids,
                denied=frozenset(self.denied),
                allowed=frozenset(self.allowed),
            )
        )

    @property
    def weight(self) -> int:
        return 1 + (len(self.subscribers) + len(self.denied) + len(self.allowed)) // _MEMBERS_PER_WEIGHT

    def apply(self, change: ChannelChange) -> None:
        """Does what the store has done to the record. The same changes once more, in their order, do no harm."""
        if change.flags is not None:
            self.flags = change.flags
        if change.create or change.flags is not None:
            self._recorded = True
        for members in change.members:
            self._change_list(members)
        self.exists = self._recorded or bool(self.subscribers)

    def _change_list(self, change: MemberChange) -> None:
        if change.list is MemberList.DENIED:
            self.denied = _changed(self.denied, change)
        elif change.list is MemberList.ALLOWED:
            self.allowed = _changed(self.allowed, change)
        else:
            self.version += 1
            if self.joined is not None:
                self.joined.update((uid, self.version) for uid in change.add if uid not in self.members)
            self.subscribers = subscribers = _changed(self.subscribers, change)
            if self._named:
                self.members = members = _changed(self.members, change)
                members.update(self._named)
            else:
                self.members = subscribers


def _changed(uids: Collection[str], change: MemberChange) -> set[str]:
    """The set itself, changed; a copy only where it is not a channel's own yet."""
    if change.reset:
        return set(change.add)
    own = uids if isinstance(uids, set) else set(uids)
    own.difference_update(change.remove)
    own.update(change.add)
    return own


class ChannelDirectory:
    """A bounded cache of `Channel`s in front of a store.

    Two generations take the place of an LRU list: what is used moves to the young one; when that is full it becomes the
    old one, and what was not used since is gone. A hit costs one dict look-up.
    """

    def __init__(self, store: Store, *, capacity: int = 50_000) -> None:
        self._store = store
        self._capacity = capacity
        self._young: dict[tuple[str, int], Channel] = {}
        self._old: dict[tuple[str, int], Channel] = {}
        self._young_weight = 0
        self._loading: dict[ChannelKey, list[ChannelChange]] = {}
        """What is being read, and what has changed of it meanwhile: the record may have been read before or after."""
        self._outdated: set[ChannelKey] = set()
        """What serves the present batch only."""
        self.generation = 1
        """Changes whenever a `Channel` has changed or may have left memory: those at hand must be got again."""
        self._temporary = TemporaryChannels()

    def get(self, key: tuple[str, int]) -> Channel | None:
        """The cached channel, None if it has to be warmed first."""
        channel = self._young.get(key)
        if channel is None:
            channel = self._old.get(key)
            if channel is not None:
                self._keep(channel)
        return channel

    def begin_batch(self) -> None:
        """Forgets what is outdated, and what was not used for long if there is too much. Only here channels leave
        memory, so that all of a batch can be held at the same time, however many and large they are."""
        if self._outdated:
            for key in self._outdated:
                channel = self._young.pop(key, None)
                if channel is not None:
                    self._young_weight -= channel.weight
                self._old.pop(key, None)
            self._outdated.clear()
            self.generation += 1
        if self._young_weight >= self._capacity:
            self._old, self._young, self._young_weight = self._young, {}, 0
            self.generation += 1

    def _keep(self, channel: Channel) -> None:
        self._young[channel.key] = channel
        self._young_weight += channel.weight

    async def warm(self, keys: Iterable[ChannelKey]) -> None:
        """Reads channels into the cache, all in one look-up. One call at a time.

        Raises:
            StoreError: the store could not be read.
        """
        self._loading = {key: [] for key in keys}
        try:
            for record in await self._store.load_channels(list(self._loading)):
                channel = Channel(record)
                for change in self._loading[record.key]:
                    channel.apply(change)
                self._keep(channel)
        finally:
            self._loading = {}

    def apply(self, change: ChannelChange) -> None:
        """The store has carried out a change. All changes of a channel have to come in the order of the store."""
        key = change.key
        if sum(len(members.add) + len(members.remove) for members in change.members) > _SMALL_CHANGE:
            self.invalidate(key)
            return
        self.generation += 1
        if key in self._outdated:
            return
        if key in self._loading:
            self._loading[key].append(change)
        channel = self._young.get(key)
        if channel is not None:
            self._young_weight -= channel.weight
            channel.apply(change)
            self._young_weight += channel.weight
        elif key in self._old:
            self._old[key].apply(change)

    def invalidate(self, key: ChannelKey) -> None:
        """A channel's record or lists are perhaps not what the store has: the next batch reads it again."""
        self.generation += 1
        if key in self._young or key in self._old or key in self._loading:
            self._outdated.add(key)

    def set_recipients(self, channel_id: str, uids: frozenset[str]) -> None:
        """Makes these the members of a temporary channel, until the server stops or they were not used for long."""
        self._temporary.set(channel_id, uids)
        self.generation += 1

    def with_recipients(self, channel: Channel) -> Channel:
        """The channel itself or, if its recipients were set, one like it with them as members."""
        uids = self._temporary.get(channel.key.channel_id) if channel.key.channel_type == _TEMPORARY else None
        return channel if uids is None else channel.with_subscribers(uids)

    def __len__(self) -> int:
        return len(self._young | self._old)
