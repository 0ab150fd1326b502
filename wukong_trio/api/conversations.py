"""`/conversation/*` and `/conversations/*` as version 2 has them: reading conversations, and marking them as read."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

from msgspec import Raw

from ..contract.conversations import (
    ByChannelsRequest,
    ChannelMessages,
    ChannelName,
    ConversationRecord,
    ConversationRef,
    ConversationsRequest,
    ListedConversation,
    MessagesRequest,
    UnreadRequest,
    UserRequest,
)
from ..contract.messages import MessageRecord
from ..services.arguments import EMPTY, NEGATIVE, NO_TYPE
from ..services.conversation_calls import MAX_CHANNELS, MAX_PAGE_SIZE, TOO_MANY
from ..services.conversations import ClientState, ConversationView
from ..services.history import SHORT_MESSAGES, are_short
from .bodies import as_list, encode_list, encode_short_list
from .context import ApiContext
from .guard import Head
from .table import STATUS_OK, ApiError, Query, Texts

KNOWN_BYTES: Final = 512 * 1024
"""Of `last_msg_seqs`."""
DEFAULT_PAGE_SIZE: Final = 100
_NO_CHANNEL: Final = "channel_id or channel_type cannot be empty"
READ_TEXTS: Final[Texts] = {("uid", EMPTY): "uid不能为空！"}
SOME_TEXTS: Final[Texts] = {
    ("uid", EMPTY): "uid cannot be empty",
    ("channels", TOO_MANY): f"more than {MAX_CHANNELS} channels are asked for; ask in several calls",
}


def _texts(uid: str) -> Texts:
    """The same rules, with the user's name as each call of the original spells it."""
    return {
        ("uid", EMPTY): f"{uid} cannot be empty",
        ("channel_id", EMPTY): _NO_CHANNEL,
        ("channel_type", NO_TYPE): _NO_CHANNEL,
        ("unread", NEGATIVE): "unread cannot be negative",
    }


CLEAR_TEXTS: Final = _texts("uid")
SET_TEXTS: Final = _texts("UID")
DELETE_TEXTS: Final = _texts("Uid")
ACTIVATE_TEXTS: Final = CLEAR_TEXTS


async def sync_conversations(context: ApiContext, request: ConversationsRequest, _query: Query) -> object:
    """The conversations of a user, the most recently active first, with their newest messages.

    With `version` above 0 only those with something after the read position; with `last_msg_seqs` only what is newer
    than what the client has. Without `msg_count` there are none.
    """
    size = request.page_size
    views = await context.conversations.sync(
        request.uid,
        request.msg_count,
        client=ClientState(
            incremental=request.version > 0,
            seqs=_known_seqs(request.last_msg_seqs),
            only_unread=request.only_unread == 1,
        ),
        exclude_channel_types=set(request.exclude_channel_types),
        page=max(request.page, 0),
        page_size=min(size, MAX_PAGE_SIZE) if size > 0 else DEFAULT_PAGE_SIZE,
    )
    return await _records(context, views)


async def _records(context: ApiContext, views: Sequence[ConversationView]) -> Raw:
    """Conversations as JSON; what there is to show of events is read for all of them together."""
    messages = [message for view in views for message in view.recents]
    records = await context.message_events.records(messages)
    if len(views) <= SHORT_MESSAGES and are_short(messages):
        return encode_short_list([_record(view, records) for view in views])
    return await encode_list(_record(view, records) for view in views)


def _known_seqs(text: str) -> dict[tuple[str, int], int]:
    """The sequence numbers in `id:type:seq|id:type:seq`; what is not of this form is ignored."""
    if len(text) > KNOWN_BYTES:
        raise ApiError(f"last_msg_seqs is longer than {KNOWN_BYTES} characters; ask page by page")
    parts = (part.split(":") for part in text.split("|"))
    return {
        (part[0], int(part[1])): int(part[2])
        for part in parts
        if len(part) == 3 and _is_number(part[1]) and _is_number(part[2])
    }


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 19


def _record(view: ConversationView, records: Iterator[MessageRecord]) -> ConversationRecord:
    """Args:
    records: of all messages, in order; its own are taken from it.
    """
    last = view.last
    timestamp = last.timestamp if last is not None else view.active_at // 1_000_000_000 if view.left_out else 0
    return ConversationRecord(
        view.channel_id,
        view.key.channel_type,
        view.unread,
        timestamp,
        last.message_seq if last is not None else 0,
        last.client_msg_no if last is not None else "",
        0,
        view.read_to,
        timestamp * 1_000_000_000,
        [*islice(records, len(view.recents))],
    )


async def sync_by_channels(context: ApiContext, request: ByChannelsRequest, _query: Query) -> object:
    """The conversations of these channels, in the order of the request, also where there is none."""
    if request.uid.strip() and not request.channels:
        raise ApiError("channels cannot be empty")
    channels = [(channel.channel_id, channel.channel_type) for channel in request.channels]
    return await _records(context, await context.conversations.of_channels(request.uid, channels, request.msg_count))


async def sync_channel_messages(context: ApiContext, request: MessagesRequest, _query: Query) -> object:
    """Messages of these channels from a message on: the newest descending, or the oldest ascending."""
    found = await context.conversations.messages_from(
        request.uid,
        [(channel.channel_id, channel.channel_type, channel.last_msg_seq) for channel in request.channels],
        request.msg_count,
        newest=request.order_by_last == 1,
    )
    records = await context.message_events.records([message for messages, _ in found for message in messages])
    return [
        ChannelMessages(
            channel.channel_id,
            channel.channel_type,
            as_list(await encode_list(islice(records, len(messages)))),
            sent_to,
        )
        for channel, (messages, sent_to) in zip(request.channels, found, strict=True)
    ]


async def list_channels(context: ApiContext, request: UserRequest, _query: Query) -> object:
    """The channels of a user's conversations by their stored ids, the most recently active first."""
    return await encode_list(ChannelName(*key) for key in await context.conversations.channels(request.uid))


async def list_latest(context: ApiContext, _head: Head, query: Query) -> object:
    """All conversations of a user with their last messages, the most recently active first."""
    views = await context.conversations.latest(query.get("uid", ""))
    records = await context.message_events.records([message for view in views for message in view.recents])
    return await encode_list(
        ListedConversation(view.channel_id, view.key.channel_type, view.unread, record.timestamp, record)
        for view, record in zip(views, records, strict=True)
    )


async def clear_unread(context: ApiContext, request: ConversationRef, _query: Query) -> object:
    """Marks everything in a conversation as read."""
    await context.conversations.clear_unread(request.uid, request.channel_id, request.channel_type)
    return STATUS_OK


async def set_unread(context: ApiContext, request: UnreadRequest, _query: Query) -> object:
    """Marks everything as read but so many messages. Messages that are read stay read."""
    await context.conversations.set_unread(request.uid, request.channel_id, request.channel_type, request.unread)
    return STATUS_OK


async def delete_conversation(context: ApiContext, request: ConversationRef, _query: Query) -> object:
    """Hides a conversation until its next message; what was said so far is not shown in it again."""
    await context.conversations.delete(request.uid, request.channel_id, request.channel_type)
    return STATUS_OK


async def activate_conversation(context: ApiContext, request: ConversationRef, _query: Query) -> object:
    """Shows a deleted conversation in `/conversation/list` without a new message."""
    await context.conversations.activate(request.uid, request.channel_id, request.channel_type)
    return STATUS_OK
