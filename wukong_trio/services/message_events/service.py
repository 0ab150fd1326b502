"""Appending events to messages, and reading them.

Whatever concerns one message happens one after the other, in the order of the calls. A stored event is pushed when it
is durable; a delta at once.
"""

import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import repeat
from typing import Final, NamedTuple

import msgspec
import trio
from msgspec import UNSET, Raw, Struct, UnsetType
from msgspec.structs import replace

from ...contract.events import EventResult
from ...contract.messages import MessageRecord
from ...errors import EventRefusedError, InvalidArgumentError
from ...model import (
    SETTING_STREAM,
    SYNC_ONCE,
    SYSTEM_UID,
    ChannelKey,
    Message,
    MessageEvent,
    SendCommand,
    SendResult,
    StreamStatus,
)
from ...store.base import Store
from ...store.event_store import MessageName, StoredEvent
from ...store.removals import has_expired
from ..addressing import stored_key
from ..arguments import check_id, check_number, known_key
from ..commands import check_command
from ..records import RecordEvents, record_of
from .command import (
    DELTA,
    MAIN_KEY,
    PUBLIC,
    CheckedEvent,
    EventCommand,
    check_event,
    check_pushed,
)
from .keys import EventKey, EventKeys
from .sessions import EventSession, EventSessions
from .summary import SummaryMode, summarise

DEFAULT_LIMIT: Final = 200
MAX_LIMIT: Final = 2000
PAGE_BYTES: Final = 8 * 1024 * 1024
"""Of snapshots in the records of one page; those of further messages are left out."""
PUSH_TIMEOUT_S: Final = 10.0
"""How long an event that is stored waits for a router that is busy."""
NO_CHANNEL: Final = "cannot be that of a channel of this user"
_UNLIMITED: Final = 2**62

Push = Callable[[ChannelKey, MessageEvent], Awaitable[None]]
"""Hands an event to everybody of a channel who is online, behind what was handed in before. If it is cancelled nobody
gets it."""


class EventData(Struct, frozen=True, omit_defaults=True):
    """What clients read in the data of an event."""

    client_msg_no: str
    channel_id: str
    channel_type: int
    from_uid: str
    message_id: int
    event_key: str
    msg_event_seq: int
    stream_status: StreamStatus
    visibility: str = ""
    payload: Raw | UnsetType = UNSET


class SyncedEvents(NamedTuple):
    """Part of the event keys of a message, in the order of their last stored events."""

    events: list[StoredEvent]
    more: bool


class MessageEvents:
    """The events of all messages. Everything raises StoreError if the store fails, and then nothing has changed."""

    def __init__(self, store: Store, push: Push, *, payload_limit_bytes: int) -> None:
        self._store = store
        self._push = push
        self._payload_limit_bytes = payload_limit_bytes
        self.message_limit_bytes = max(1024 * 1024, 2 * payload_limit_bytes)
        """What the keys of one message may gather."""
        self.sessions = EventSessions()

    # Appending

    async def append(self, command: EventCommand, *, as_given: MessageEvent | None = None) -> EventResult:
        """Appends an event. If cancelled, it was either not appended, or appended and pushed.

        Args:
            as_given: what is pushed instead of the event in its usual form.

        Raises:
            InvalidArgumentError: it cannot be appended to any message.
            EventRefusedError: it cannot be appended to this one; says why.
        """
        event = check_event(command, payload_limit_bytes=self._payload_limit_bytes)
        if as_given is not None:
            check_pushed(as_given, payload_limit_bytes=self._payload_limit_bytes)
        from_uid = self._sender(command.from_uid, command.client_msg_no)
        key_of_channel = _channel(from_uid or SYSTEM_UID, command.channel_id, command.channel_type)
        name = MessageName(key_of_channel, command.client_msg_no)
        async with self._turn(name) as session:
            keys = await self._keys(session)
            from_uid = from_uid or session.from_uid or SYSTEM_UID
            if event.kind == DELTA and not self.sessions.claim(session):
                raise EventRefusedError("message event channel mismatch")
            key = keys.repeated(event)
            if key is not None:
                return _result(event, key, from_uid, keys.last_seq if event.kind == DELTA else key.msg_event_seq)
            keys.check_room(event, self.message_limit_bytes)
            append = self._add_delta if event.kind == DELTA else self._store_event
            key = await append(event, session, keys, from_uid, as_given)
            return _result(event, key, from_uid, keys.last_seq)

    def _sender(self, from_uid: str, client_msg_no: str) -> str:
        """Whose view of the channel counts: the one who is named, or the sender of the message. Empty: unknown."""
        if from_uid.strip():
            return from_uid
        owner = self.sessions.owner(client_msg_no)
        return owner.from_uid if owner is not None else ""

    @asynccontextmanager
    async def _turn(self, name: MessageName) -> AsyncIterator[EventSession]:
        """The session of a message, for one task at a time."""
        session = self.sessions.begin(name)
        try:
            assert session.turn is not None
            async with session.turn:
                yield session
        finally:
            self.sessions.end(session, trio.current_time())

    async def _keys(self, session: EventSession) -> EventKeys:
        if session.keys is None:
            stored = await self._store.load_events([session.name], max_bytes=_UNLIMITED)
            session.keys = EventKeys(stored)
            if stored and not session.announced:
                last = max(stored, key=lambda event: event.msg_event_seq)
                session.from_uid, session.message_id = last.from_uid, last.message_id
        return session.keys

    async def _add_delta(
        self, event: CheckedEvent, session: EventSession, keys: EventKeys, from_uid: str, as_given: MessageEvent | None
    ) -> EventKey:
        message_id = event.command.message_id or session.message_id
        pushed = as_given or _pushed(event, from_uid, message_id, keys.last_seq, StreamStatus.OPEN, _occurred_at(event))
        await self._push(session.name.key, pushed)
        return keys.add_delta(event)

    async def _store_event(
        self, event: CheckedEvent, session: EventSession, keys: EventKeys, from_uid: str, as_given: MessageEvent | None
    ) -> EventKey:
        stored = keys.next_stored(
            event,
            session.name,
            from_uid=from_uid,
            message_id=event.command.message_id or session.message_id,
            occurred_at=_occurred_at(event),
        )
        await self._store.save_event(stored)
        key = keys.keep(stored)
        pushed = as_given or _pushed(
            event, from_uid, stored.message_id, stored.msg_event_seq, stored.status, stored.occurred_at
        )
        # It is durable: whoever is online hears of it, even if the caller is gone.
        with trio.move_on_after(PUSH_TIMEOUT_S, shield=True):
            await self._push(session.name.key, pushed)
        return key

    async def send(self, command: SendCommand, send: Callable[[SendCommand], Awaitable[SendResult]]) -> SendResult:
        """Sends a message. If a stream begins with it, no event goes ahead of it, and who has sent it is kept in mind.

        Args:
            send: sends it, and raises if it cannot be sent.
        """
        if not _begins_stream(command):
            return await send(command)
        check_command(command, payload_limit_bytes=self._payload_limit_bytes)
        number = command.client_msg_no or f"{uuid.uuid4().hex}0"
        key = stored_key(command.from_uid, command.channel_id, command.channel_type)
        if key is None:
            return await send(command)
        async with self._turn(MessageName(key, number)) as session:
            result = await send(replace(command, client_msg_no=number))
            self.sessions.claim(session)
            session.announced = True
            session.from_uid, session.message_id = command.from_uid, result.message_id
            return result

    async def push(self, from_uid: str, channel_id: str, channel_type: int, event: MessageEvent) -> None:
        """Pushes an event that belongs to no message, or says nothing about one: it is kept nowhere.

        Args:
            from_uid: in a person channel one of the two users.

        Raises:
            InvalidArgumentError: there can be no such channel, or the event is too large.
        """
        key = _channel(from_uid, channel_id, channel_type)
        check_pushed(event, payload_limit_bytes=self._payload_limit_bytes)
        await trio.lowlevel.checkpoint()
        await self._push(key, event)

    async def cancel_open(self, from_uid: str, channel_id: str, channel_type: int) -> None:
        """Ends with `stream.cancel` what is open in a channel, as far as that is in memory.

        Args:
            from_uid: who cancels it; in a person channel one of the two users.

        Raises:
            InvalidArgumentError: there can be no such channel.
        """
        for session in self.sessions.open_in(_channel(from_uid, channel_id, channel_type)):
            names = session.keys.open_names if session.keys is not None else []
            for name in names or [MAIN_KEY]:
                await self.append(
                    EventCommand(
                        channel_id=channel_id,
                        channel_type=channel_type,
                        client_msg_no=session.name.client_msg_no,
                        event_id=uuid.uuid4().hex,
                        event_type="stream.cancel",
                        event_key=name,
                        from_uid=from_uid,
                    )
                )

    # Reading

    async def read(
        self,
        channel_id: str,
        channel_type: int,
        client_msg_no: str,
        *,
        from_uid: str = "",
        event_key: str = "",
        after_seq: int = 0,
        limit: int = 0,
        include_private: bool = False,
    ) -> SyncedEvents:
        """The stored events of a message: of each key the last one.

        Args:
            from_uid: in a person channel the other user; by default as with `append`.
            event_key: only this one; empty: all.
            after_seq: only those with a higher `msg_event_seq`.
            limit: at most so many; 0: DEFAULT_LIMIT, and never more than MAX_LIMIT.
            include_private: also what is not public.

        Raises:
            InvalidArgumentError: there can be no such message, or the limit is negative.
        """
        check_number("limit", limit, 0)
        check_number("from_msg_event_seq", after_seq)
        for field, text in (("client_msg_no", client_msg_no), ("event_key", event_key), ("from_uid", from_uid)):
            check_id(field, text)
        limit = min(limit or DEFAULT_LIMIT, MAX_LIMIT)
        uid = self._sender(from_uid, client_msg_no) or SYSTEM_UID
        name = MessageName(_channel(uid, channel_id, channel_type), client_msg_no)
        stored = await self._store.load_events([name], max_bytes=_UNLIMITED)
        if await self._has_expired(name, {event.message_id for event in stored if event.message_id}):
            stored = []
        events = [
            event
            for event in sorted(stored, key=lambda event: event.msg_event_seq)
            if event.msg_event_seq > after_seq
            and event_key in ("", event.event_key)
            and (include_private or event.visibility in PUBLIC)
        ]
        return SyncedEvents(events[:limit], len(events) > limit)

    async def _has_expired(self, name: MessageName, message_ids: Collection[int]) -> bool:
        """Whether the message that events belong to is one that nobody reads any more, though they are still there."""
        if not message_ids:
            return False
        messages = await self._store.messages_by_id([*message_ids], expired=True)
        now_s = self._store.clock()
        return any(_name_of(message) == name and has_expired(message, now_s) for message in messages)

    async def records(
        self, messages: Sequence[Message], viewer: str = "", mode: SummaryMode = SummaryMode.FULL
    ) -> Iterator[MessageRecord]:
        """The records of messages, in their order, with what their events have brought so far. Costs a read of the
        store if there are messages with events among them that nothing happens to at the moment, otherwise nothing.

        Args:
            viewer: as with `record_of`.
        """
        names = dict.fromkeys([_name_of(message) for message in messages if message.setting & SETTING_STREAM])
        if not names:
            return map(record_of, messages, repeat(viewer))
        events = await self._summaries(names, mode)
        return (
            record_of(message, viewer, events.get(_name_of(message)) if message.setting & SETTING_STREAM else None)
            for message in messages
        )

    async def _summaries(self, names: Iterable[MessageName], mode: SummaryMode) -> dict[MessageName, RecordEvents]:
        self.sessions.prune(trio.current_time())
        summaries: dict[MessageName, RecordEvents] = {}
        missing: list[MessageName] = []
        left_bytes = PAGE_BYTES

        def add(name: MessageName, keys: EventKeys) -> None:
            nonlocal left_bytes
            summary, size_bytes = summarise(name.client_msg_no, keys, mode, left_bytes)
            left_bytes -= size_bytes
            if summary is not None:
                summaries[name] = summary

        for name in names:
            session = self.sessions.get(name)
            if session is not None and session.keys is not None:
                add(name, session.keys)
            else:
                missing.append(name)
        if missing:
            stored: dict[MessageName, list[StoredEvent]] = {}
            for event in await self._store.load_events(missing, max_bytes=left_bytes):
                stored.setdefault(event.message, []).append(event)
            for name, events in stored.items():
                add(name, EventKeys(events))
        return summaries


def may_have_events(messages: Iterable[Message]) -> bool:
    """Whether records of these messages may change."""
    return any(message.setting & SETTING_STREAM for message in messages)


def _begins_stream(command: SendCommand) -> bool:
    setting, flags = command.setting, command.flags
    return (
        isinstance(setting, int) and setting & SETTING_STREAM != 0 and isinstance(flags, int) and not flags & SYNC_ONCE
    )


def _name_of(message: Message) -> MessageName:
    return MessageName(ChannelKey(message.channel_id, message.channel_type), message.client_msg_no)


def _channel(from_uid: str, channel_id: str, channel_type: int) -> ChannelKey:
    check_id("from_uid", from_uid)
    known_key(channel_id, channel_type)
    key = stored_key(from_uid, channel_id, channel_type)
    if key is None:
        raise InvalidArgumentError("channel_id", NO_CHANNEL)
    return key


def _occurred_at(event: CheckedEvent) -> int:
    return event.command.occurred_at or int(time.time() * 1000)


def _pushed(
    event: CheckedEvent, from_uid: str, message_id: int, msg_event_seq: int, status: StreamStatus, occurred_at: int
) -> MessageEvent:
    command = event.command
    data = EventData(
        client_msg_no=command.client_msg_no,
        channel_id=command.channel_id,
        channel_type=command.channel_type,
        from_uid=from_uid,
        message_id=message_id,
        event_key=event.event_key,
        msg_event_seq=msg_event_seq,
        stream_status=status,
        visibility=command.visibility,
        payload=Raw(event.payload.text) if event.payload.text else UNSET,
    )
    return MessageEvent(command.event_id, command.event_type, occurred_at, msgspec.json.encode(data))


def _result(event: CheckedEvent, key: EventKey, from_uid: str, msg_event_seq: int) -> EventResult:
    command = event.command
    return EventResult(
        client_msg_no=command.client_msg_no,
        event_key=event.event_key,
        event_id=command.event_id,
        msg_event_seq=msg_event_seq,
        stream_status=key.status,
        channel_id=command.channel_id,
        channel_type=command.channel_type,
        from_uid=from_uid,
    )
