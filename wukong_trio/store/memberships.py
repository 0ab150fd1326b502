"""To which channels a user belongs."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence

from ..model import ChannelKey


class Memberships(ABC):
    """The side of a store that starts from a user instead of a channel."""

    @abstractmethod
    async def channels_of(self, uid: str) -> Collection[ChannelKey]:
        """All channels that may be his: those with a record, a member or a message that he subscribes to, or that have
        his uid in their id, before or after an `@`, before a `|`, or as a whole. In no particular order."""

    @abstractmethod
    async def subscribed(self, uid: str, keys: Sequence[ChannelKey]) -> set[ChannelKey]:
        """Those of some channels that he subscribes to and is not denied in."""


def may_name(channel_id: str, uid: str) -> bool:
    """Whether a channel may belong to a user by its id alone."""
    return channel_id == uid or channel_id.startswith((f"{uid}@", f"{uid}|")) or channel_id.endswith(f"@{uid}")
