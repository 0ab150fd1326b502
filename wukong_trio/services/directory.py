"""The state of channels in memory: what every send needs to know, without asking the store each time.

Only the router's commit stage fills and uses the cache, and it does so between two commits. That makes
`Channel.last_seq` safe: a channel that was evicted or invalidated is read again when no message of it is under way.
"""

from collections.abc import Collection, Iterable

from ..model import ChannelFlags, ChannelKey
from ..store.base import ChannelRecord, Store
from .addressing import parties

_NO_FLAGS = ChannelFlags()
_MEMBERS_PER_WEIGHT = 64
"""A channel counts as one towards the capacity, plus one for each so many uids on its lists."""


class Channel:
    """A channel as sends see it. `last_seq` runs ahead of the store while a commit is on its way."""

    __slots__ = ("allowed", "denied", "exists", "flags", "key", "last_seq", "members", "subscribers")

    def __init__(self, record: ChannelRecord) -> None:
        self.key = record.key
        self.exists = record.flags is not None or bool(record.subscribers)
        self.flags = record.flags or _NO_FLAGS
        self.subscribers = record.subscribers
        self.denied = record.denied
        self.allowed = record.allowed
        self.last_seq = record.last_seq
        named = parties(record.key)
        # A union copies, which takes milliseconds for a large group; and most groups have nobody by their id alone.
        self.members: Collection[str] = (
            record.subscribers.union(named) if record.subscribers and named else (record.subscribers or named)
        )
        """Everybody who receives what is sent here."""

    @property
    def weight(self) -> int:
        return 1 + (len(self.subscribers) + len(self.denied) + len(self.allowed)) // _MEMBERS_PER_WEIGHT


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
        self._changed_while_loading: set[ChannelKey] | None = None
        self.generation = 1
        """Changes whenever a `Channel` may have gone out of date or out of memory: those at hand must be got again."""

    def get(self, key: tuple[str, int]) -> Channel | None:
        """The cached channel, None if it has to be warmed first."""
        channel = self._young.get(key)
        if channel is None:
            channel = self._old.get(key)
            if channel is not None:
                self._keep(channel)
        return channel

    def trim(self) -> None:
        """Forgets what was not used for long, if there is too much. Only here channels leave memory by themselves, so
        that all channels of a batch can be held at the same time, however many and large they are."""
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
        missing = list(keys)
        try:
            while missing:
                changed = self._changed_while_loading = set()
                for record in await self._store.load_channels(missing):
                    if record.key not in changed:
                        self._keep(Channel(record))
                missing = [key for key in missing if key in changed]
        finally:
            self._changed_while_loading = None

    def invalidate(self, key: ChannelKey) -> None:
        """Forgets a channel whose record, lists or sequence are not what the store has."""
        self.generation += 1
        channel = self._young.pop(key, None)
        if channel is not None:
            self._young_weight -= channel.weight
        self._old.pop(key, None)
        if self._changed_while_loading is not None:
            self._changed_while_loading.add(key)

    def __len__(self) -> int:
        return len(self._young | self._old)
