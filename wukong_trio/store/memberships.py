"""To which channels a user belongs."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence

from ..model import ChannelKey


class Memberships(ABC):
    """The side of a store that starts from a user instead of a channel."""

    @abstractmethod
    async def channels_of(self, uid: str) -> Collection[ChannelKey]:
        """The channels that he has something of: conversations or only commands, see `ConversationStore`. In no
        particular order."""

    @abstractmethod
    async def subscribed(self, uid: str, keys: Sequence[ChannelKey]) -> set[ChannelKey]:
        """Those of some channels that he subscribes to and is not denied in."""
