"""What the index is asked, and what it answers."""

from collections.abc import Sequence
from typing import Final, TypeAlias

from msgspec import Struct

from ..model import ChannelKey

NO_END: Final = 2**63 - 1
MOST_TERMS: Final = 16
"""Of a query. What the others say is found out when the messages are read."""
QUERY_TIMEOUT_S: Final = 5.0

Hit: TypeAlias = tuple[int, int]
"""The number of an entry, and the id of its message."""


class Hits(Struct, frozen=True):
    """How many were found, and the newest of them, newest first."""

    index: object
    """Whose numbers these are."""
    total: int
    newest: list[Hit]


class Filters(Struct, frozen=True, kw_only=True):
    """Which messages are wanted, besides by words."""

    channels: Sequence[ChannelKey]
    sender: str = ""
    topic: str = ""
    types: Sequence[int] = ()
    start: int = 0
    """Seconds since 1970, inclusive; so is `end`."""
    end: int = NO_END

    @property
    def some(self) -> bool:
        """Whether anything is asked for besides the channels."""
        return bool(self.sender or self.topic or self.types or self.start > 0 or self.end < NO_END)
