"""Events of messages, as far as they are kept: the latest state of each event key."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

from msgspec import Struct

from ..model import ChannelKey, StreamStatus


class MessageName(NamedTuple):
    """A message as its events name it. There need not be one."""

    key: ChannelKey
    client_msg_no: str


class StoredEvent(Struct, frozen=True, kw_only=True, gc=False):
    """The state of one event key, with the last event that was stored for it."""

    message: MessageName
    event_key: str
    msg_event_seq: int
    """Counts the stored events of the message, over all its keys, from 1 on."""
    event_id: str
    event_type: str
    visibility: str
    occurred_at: int
    """Milliseconds since 1970."""
    status: StreamStatus
    end_reason: int = 0
    error: str = ""
    snapshot: bytes = b""
    """What has been gathered under the key, as JSON; empty: nothing."""
    from_uid: str
    message_id: int
    headers: bytes = b""
    """What the back-end has added, as JSON; empty: nothing."""


class EventStore(ABC):
    """The part of a store that keeps them."""

    @abstractmethod
    async def save_event(self, event: StoredEvent) -> None:
        """Keeps an event instead of the one that its key had before.

        Raises:
            StoreError: it was not kept; the one before is still there.
        """

    @abstractmethod
    async def load_events(self, messages: Sequence[MessageName], *, max_bytes: int) -> list[StoredEvent]:
        """The states of all event keys of some messages, each message once, in no particular order.

        Snapshots are left empty where they would exceed `max_bytes` together; those of messages that come first have
        the first claim.
        """
