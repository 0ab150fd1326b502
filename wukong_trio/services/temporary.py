"""Who receives what is sent to temporary channels. Only in memory: gone with the server, the longest unused first."""

from collections import OrderedDict
from typing import Final

MAX_CHANNELS: Final = 500
MAX_RECIPIENTS: Final = 2_000_000
"""Of all channels together; the last one set has its recipients however many they are."""


class TemporaryChannels:
    """Recipients by channel id. An LRU cache."""

    def __init__(self) -> None:
        self._recipients: OrderedDict[str, frozenset[str]] = OrderedDict()
        self._count = 0
        """Of all recipients."""

    def set(self, channel_id: str, uids: frozenset[str]) -> None:
        """Makes these the recipients, instead of those that were there."""
        self._count += len(uids) - len(self._recipients.pop(channel_id, ()))
        self._recipients[channel_id] = uids
        while len(self._recipients) > MAX_CHANNELS or (self._count > MAX_RECIPIENTS and len(self._recipients) > 1):
            _, forgotten = self._recipients.popitem(last=False)
            self._count -= len(forgotten)

    def get(self, channel_id: str) -> frozenset[str] | None:
        """The recipients; None if there are none, or none any more."""
        if channel_id not in self._recipients:
            return None
        self._recipients.move_to_end(channel_id)
        return self._recipients[channel_id]
