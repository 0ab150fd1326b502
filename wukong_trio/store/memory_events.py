"""Events of messages in memory."""

from collections.abc import Sequence

import trio
from msgspec.structs import replace

from ..model import SETTING_STREAM, ChannelKey, Message
from .event_store import EventStore, MessageName, StoredEvent


class MemoryEvents(EventStore):
    """Keeps them in a dict."""

    def __init__(self) -> None:
        self._events: dict[MessageName, dict[str, StoredEvent]] = {}

    async def save_event(self, event: StoredEvent) -> None:
        await trio.lowlevel.checkpoint_if_cancelled()
        self._events.setdefault(event.message, {})[event.event_key] = event
        await trio.lowlevel.cancel_shielded_checkpoint()

    def forget_events(self, message: Message) -> None:
        """A message was removed."""
        name = MessageName(ChannelKey(message.channel_id, message.channel_type), message.client_msg_no)
        events = self._events.get(name, {})
        for event in [*events.values()]:
            if message.setting & SETTING_STREAM and event.message_id in (0, message.message_id):
                del events[event.event_key]

    async def load_events(self, messages: Sequence[MessageName], *, max_bytes: int) -> list[StoredEvent]:
        await trio.lowlevel.checkpoint()
        loaded: list[StoredEvent] = []
        left_bytes = max_bytes
        for name in messages:
            for event in self._events.get(name, {}).values():
                fits = len(event.snapshot) <= left_bytes
                left_bytes -= len(event.snapshot) if fits else 0
                loaded.append(event if fits else replace(event, snapshot=b""))
        return loaded
