"""The service of events over a store that counts, fails and waits as it is told."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import trio

from wukong_trio import ChannelKey, Message, MessageEvent, StoreError
from wukong_trio.contract.events import EventResult
from wukong_trio.errors import EventRefusedError, InvalidArgumentError
from wukong_trio.model import SETTING_STREAM
from wukong_trio.services.message_events import (
    EventCommand,
    MessageEvents,
    SummaryMode,
)
from wukong_trio.services.records import MessageRecord
from wukong_trio.store.event_store import StoredEvent
from wukong_trio.store.memory import MemoryStore

GROUP = ChannelKey("g", 2)
LIMIT = 100_000


class CountingStore(MemoryStore):
    """Counts what is asked of it, and fails or waits when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[int] = []
        self.saves = 0
        self.fails = False
        self.gate: trio.Event | None = None

    async def load_events(self, messages: Any, *, max_bytes: int) -> list[StoredEvent]:
        self.loads.append(len(messages))
        if self.fails:
            raise StoreError("no disk")
        if self.gate is not None:
            await self.gate.wait()
        return await super().load_events(messages, max_bytes=max_bytes)

    async def save_event(self, event: StoredEvent) -> None:
        self.saves += 1
        if self.fails:
            raise StoreError("no disk")
        # What has begun is finished.
        with trio.CancelScope(shield=True):
            if self.gate is not None:
                await self.gate.wait()
            await super().save_event(event)


class Scene:
    """The service over a store in memory."""

    def __init__(self) -> None:
        self.store = CountingStore()
        self.pushed: list[tuple[ChannelKey, MessageEvent]] = []
        self.gate: trio.Event | None = None
        self.events = MessageEvents(self.store, self._push, payload_limit_bytes=LIMIT)

    async def _push(self, key: ChannelKey, event: MessageEvent) -> None:
        if self.gate is not None:
            await self.gate.wait()
        self.pushed.append((key, event))

    def restart(self) -> None:
        self.events = MessageEvents(self.store, self._push, payload_limit_bytes=LIMIT)

    async def add(
        self, event_id: str, kind: str = "stream.delta", text: str | None = None, **fields: Any
    ) -> EventResult:
        payload = b"" if text is None else json.dumps({"kind": "text", "delta": text}).encode()
        command = EventCommand(
            **{
                "channel_id": "g",
                "channel_type": 2,
                "client_msg_no": "s1",
                "event_id": event_id,
                "event_type": kind,
                "payload": payload,
                **fields,
            }
        )
        return await self.events.append(command)

    @property
    def told(self) -> list[str]:
        """The ids of the events that were pushed."""
        return [event.event_id for _, event in self.pushed]

    async def record(self, mode: SummaryMode = SummaryMode.FULL, number: str = "s1") -> MessageRecord:
        [record] = await self.events.records([stream(number)], mode=mode)
        return record


def stream(number: str = "s1", setting: int = SETTING_STREAM) -> Message:
    return Message(
        message_id=1,
        message_seq=1,
        channel_id="g",
        channel_type=2,
        from_uid="bot",
        client_msg_no=number,
        timestamp=1,
        payload=b"{}",
        setting=setting,
    )


async def refused(call: Callable[[], Any], text: str) -> None:
    with pytest.raises((EventRefusedError, InvalidArgumentError), match=text):
        await call()
