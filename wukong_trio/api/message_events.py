"""`/message/event`, `/message/eventsync` and `/event`: what happens to a message after it was sent."""

import time
import uuid
from typing import Final

from msgspec import Raw
from msgspec.json import encode

from ..contract.events import (
    EventAnswer,
    EventPage,
    EventRecord,
    EventRequest,
    EventSyncAnswer,
    EventSyncRequest,
    PlainEventRequest,
)
from ..errors import InvalidCommandError, SendRefusedError
from ..model import SETTING_STREAM, SYSTEM_UID, MessageEvent, SendCommand
from ..services.arguments import EMPTY, NEGATIVE
from ..services.message_events import NO_CHANNEL, EventCommand
from ..store.event_store import StoredEvent
from .bodies import as_list, as_value, encode_list
from .checks import BAD_CHANNEL, TYPE_TEXTS, required
from .context import ApiContext
from .messages import why_refused
from .table import STATUS_OK, ApiError, Query, Texts

EVENT_TEXTS: Final[Texts] = {
    **{(name, EMPTY): f"{name}不能为空！" for name in ("channel_id", "client_msg_no", "event_id", "event_type")},
    ("channel_id", NO_CHANNEL): BAD_CHANNEL,
    **TYPE_TEXTS,
    ("limit", NEGATIVE): "limit不能为负数！",
}
_TEXT_START: Final = "___TextMessageStart"
_TEXT_TYPES: Final = {"___TextMessageContent": "stream.delta", "___TextMessageEnd": "stream.close"}


async def append_event(context: ApiContext, request: EventRequest, _query: Query) -> object:
    """Appends an event to a message.

    Everybody of the channel who is online gets it at once. `stream.delta` is kept in memory only; `stream.snapshot`,
    `stream.close`, `stream.error`, `stream.cancel`, `stream.finish` and types of your own are stored before that. The
    same `event_id` again changes nothing.
    """
    command = EventCommand(
        channel_id=request.channel_id,
        channel_type=request.channel_type,
        client_msg_no=request.client_msg_no,
        event_id=request.event_id,
        event_type=request.event_type,
        event_key=request.event_key,
        from_uid=request.from_uid,
        message_id=request.message_id,
        visibility=request.visibility,
        occurred_at=request.occurred_at,
        payload=bytes(request.payload),
        headers=request.headers,
    )
    return EventAnswer(await context.message_events.append(command))


async def sync_events(context: ApiContext, request: EventSyncRequest, _query: Query) -> object:
    """The stored events of a message: of each key the last one, with what the key had gathered by then."""
    required(request.channel_id, "channel_id不能为空！")
    required(request.client_msg_no, "client_msg_no不能为空！")
    synced = await context.message_events.read(
        request.channel_id,
        request.channel_type,
        request.client_msg_no,
        from_uid=request.from_uid,
        event_key=request.event_key,
        after_seq=request.from_msg_event_seq,
        limit=request.limit,
        include_private=request.include_private == 1,
    )
    events = synced.events
    return EventSyncAnswer(
        EventPage(
            client_msg_no=request.client_msg_no,
            from_msg_event_seq=request.from_msg_event_seq,
            next_msg_event_seq=events[-1].msg_event_seq if events else request.from_msg_event_seq,
            more=int(synced.more),
            events=as_list(await encode_list(map(_record, events))),
            filtered_by_event_key=request.event_key,
        )
    )


def _record(event: StoredEvent) -> EventRecord:
    return EventRecord(
        event.msg_event_seq,
        event.event_id,
        event.event_key,
        event.event_type,
        event.visibility,
        event.occurred_at,
        as_value(Raw(event.snapshot or encode(_state(event)))),
    )


def _state(event: StoredEvent) -> dict[str, object]:
    state: dict[str, object] = {"status": event.status, "end_reason": event.end_reason}
    return {**state, "error": event.error} if event.error else state


async def push_plain_event(context: ApiContext, request: PlainEventRequest, query: Query) -> object:
    """Pushes an event as it is to everybody of a channel who is online: an older form, without a store.

    `___TextMessageStart` sends a stream message with `data` as its payload before that, `___TextMessageContent` adds
    `data` to its text, and `___TextMessageEnd` closes it. With `force=1` a start cancels what is open in the channel.
    """
    given, force = request.event, query.integer("force") == 1
    required(request.channel_id, "channel_id不能为空！")
    required(given.type, "event_type不能为空！")
    event = MessageEvent(
        given.id or uuid.uuid4().hex,
        given.type,
        given.timestamp or int(time.time() * 1000),
        given.data.encode(),
    )
    if given.type == _TEXT_START:
        await _start_text(context, request, event, force=force)
    elif given.type in _TEXT_TYPES:
        await context.message_events.append(_text_event(request, event), as_given=event)
    else:
        await context.message_events.push(_from(request), request.channel_id, request.channel_type, event)
    return STATUS_OK


async def _start_text(context: ApiContext, request: PlainEventRequest, event: MessageEvent, *, force: bool) -> None:
    required(request.client_msg_no, "client_msg_no不能为空！")
    events = context.message_events
    if force:
        await events.cancel_open(_from(request), request.channel_id, request.channel_type)
    command = SendCommand(
        from_uid=_from(request),
        channel_id=request.channel_id,
        channel_type=request.channel_type,
        payload=event.data or b"{}",
        client_msg_no=request.client_msg_no,
        setting=SETTING_STREAM,
    )
    try:
        await events.send(command, context.sender.send)
    except (InvalidCommandError, SendRefusedError) as error:
        raise ApiError(why_refused(error)) from None
    await events.push(_from(request), request.channel_id, request.channel_type, event)


def _text_event(request: PlainEventRequest, event: MessageEvent) -> EventCommand:
    content = encode({"kind": "text", "delta": event.data.decode()})
    kind = _TEXT_TYPES[event.type]
    return EventCommand(
        channel_id=request.channel_id,
        channel_type=request.channel_type,
        client_msg_no=request.client_msg_no,
        event_id=event.event_id,
        event_type=kind,
        from_uid=request.from_uid,
        occurred_at=event.timestamp,
        payload=content if kind == "stream.delta" else b"",
    )


def _from(request: PlainEventRequest) -> str:
    return request.from_uid if request.from_uid.strip() else SYSTEM_UID
