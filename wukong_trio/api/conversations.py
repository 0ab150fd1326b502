"""`/conversation/*` and `/conversations/*` as version 2 has them: reading conversations, and marking them as read."""

from typing import Final, TypeVar

from msgspec import Struct

from ..model import ChannelKey
from ..services.conversations import ConversationView, Since
from ..services.records import MessageRecord, Records, record_of
from .bodies import encode_list
from .checks import given, required, viewed_key, within_limit
from .context import ApiContext
from .guard import Head
from .history import Seq
from .table import STATUS_OK, ApiError, Query
from .users import Byte, Int64

N = TypeVar("N")

MAX_CHANNELS: Final = 1000
"""In one call."""
KNOWN_BYTES: Final = 512 * 1024
"""Of `last_msg_seqs`."""
MAX_PAGE_SIZE: Final = 500
DEFAULT_PAGE_SIZE: Final = 100


class ConversationsRequest(Struct):
    """Body of `/conversation/sync`."""

    uid: str = ""
    version: Int64 = 0
    last_msg_seqs: str = ""
    msg_count: Int64 = 0
    only_unread: Int64 = 0
    exclude_channel_types: list[Int64] = []
    page: Int64 = 0
    page_size: Int64 = 0


class UserRequest(Struct):
    """Body of `/conversation/channels`."""

    uid: str = ""


class ConversationRef(Struct):
    """A user's conversation: body of the calls that change one."""

    uid: str = ""
    channel_id: str = ""
    channel_type: Byte = 0


class UnreadRequest(ConversationRef):
    """Body of `/conversations/setUnread`."""

    unread: Int64 = 0


class NamedChannel(Struct):
    """A channel as its user knows it."""

    channel_id: str = ""
    channel_type: Byte = 0


class ByChannelsRequest(Struct):
    """Body of `/conversation/syncByChannels`."""

    uid: str = ""
    channels: list[NamedChannel] = []
    msg_count: Int64 = 0


class StoredChannel(NamedChannel):
    """A channel by its stored id, and from which message on."""

    last_msg_seq: Seq = 0


class MessagesRequest(Struct):
    """Body of `/conversation/syncMessages`."""

    uid: str = ""
    channels: list[StoredChannel] = []
    msg_count: Int64 = 0
    order_by_last: Int64 = 0


class ConversationRecord(Struct, frozen=True, gc=False):
    """A conversation and its newest messages, the newest first."""

    channel_id: str
    channel_type: int
    unread: int
    timestamp: int
    last_msg_seq: int
    last_client_msg_no: str
    offset_msg_seq: int
    readed_to_msg_seq: int
    version: int
    recents: list[MessageRecord]


class ChannelName(Struct, frozen=True):
    """A channel by its stored id."""

    channel_id: str
    channel_type: int


class ChannelMessages(Struct, frozen=True):
    """Messages of a channel, and the last that the user himself has sent."""

    channel_id: str
    channel_type: int
    messages: Records
    user_last_msg_seq: int


class ListedConversation(Struct, frozen=True):
    """An entry of `GET /conversations`."""

    channel_id: str
    channel_type: int
    unread: int
    timestamp: int
    last_message: MessageRecord


async def sync_conversations(context: ApiContext, request: ConversationsRequest, _query: Query) -> object:
    """The conversations of a user, the most recently active first, with their newest messages.

    With `version` above 0 only those with something after the read position; with `last_msg_seqs` only what is newer
    than what the client has. Without `msg_count` there are none.
    """
    _check_user(request.uid, "uid不能为空！")
    size = request.page_size
    views = await context.conversations.sync(
        request.uid,
        request.msg_count,
        Since(
            anything=request.version > 0,
            seqs=_known_seqs(request.last_msg_seqs),
            only_unread=request.only_unread == 1,
        ),
        excluded_types=set(request.exclude_channel_types),
        page=max(request.page, 0),
        page_size=min(size, MAX_PAGE_SIZE) if size > 0 else DEFAULT_PAGE_SIZE,
    )
    return await encode_list(map(_record, views))


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


def _record(view: ConversationView) -> ConversationRecord:
    last = view.last
    timestamp = last.timestamp if last is not None else 0
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
        [record_of(message) for message in view.recents],
    )


async def sync_by_channels(context: ApiContext, request: ByChannelsRequest, _query: Query) -> object:
    """The conversations of these channels, in the order of the request, also where there is none."""
    _check_user(request.uid, "uid cannot be empty")
    if not request.channels:
        raise ApiError("channels cannot be empty")
    keys = [viewed_key(request.uid, c.channel_id, c.channel_type) for c in _bounded(request.channels)]
    views = await context.conversations.of_channels(request.uid, keys, request.msg_count)
    return await encode_list(map(_record, views))


async def sync_channel_messages(context: ApiContext, request: MessagesRequest, _query: Query) -> object:
    """Messages of these channels from a message on: the newest descending, or the oldest ascending."""
    within_limit("uid", request.uid)
    channels = _bounded(request.channels)
    within_limit("channel_id", *(channel.channel_id for channel in channels))
    keys = [ChannelKey(channel.channel_id, channel.channel_type) for channel in channels]
    found = await context.conversations.messages_from(
        request.uid,
        [(key, channel.last_msg_seq) for key, channel in zip(keys, channels, strict=True)],
        request.msg_count,
        newest=request.order_by_last == 1,
    )
    return [
        ChannelMessages(*key, await encode_list(map(record_of, messages)), sent_to)
        for key, (messages, sent_to) in zip(keys, found, strict=True)
    ]


def _bounded(channels: list[N]) -> list[N]:
    if len(channels) > MAX_CHANNELS:
        raise ApiError(f"more than {MAX_CHANNELS} channels are asked for; ask in several calls")
    return channels


def _check_user(uid: str, message: str) -> None:
    required(uid, message)
    within_limit("uid", uid)


async def list_channels(context: ApiContext, request: UserRequest, _query: Query) -> object:
    """The channels of a user's conversations by their stored ids, the most recently active first."""
    _check_user(request.uid, "uid不能为空！")
    return await encode_list(ChannelName(*key) for key in await context.conversations.channels(request.uid))


async def list_latest(context: ApiContext, _head: Head, query: Query) -> object:
    """All conversations of a user with their last messages, the most recently active first."""
    uid = query.get("uid", "")
    _check_user(uid, "uid不能为空！")
    views = await context.conversations.latest(uid)
    return await encode_list(
        ListedConversation(
            view.channel_id, view.key.channel_type, view.unread, view.last.timestamp, record_of(view.last)
        )
        for view in views
        if view.last is not None
    )


async def clear_unread(context: ApiContext, request: ConversationRef, _query: Query) -> object:
    """Marks everything in a conversation as read."""
    await context.conversations.mark_read(request.uid, _ref(request, "uid cannot be empty"))
    return STATUS_OK


async def set_unread(context: ApiContext, request: UnreadRequest, _query: Query) -> object:
    """Marks everything as read but so many messages. Messages that are read stay read."""
    key = _ref(request, "UID cannot be empty")
    if request.unread < 0:
        raise ApiError("unread cannot be negative")
    await context.conversations.mark_read(request.uid, key, leave_unread=request.unread)
    return STATUS_OK


async def delete_conversation(context: ApiContext, request: ConversationRef, _query: Query) -> object:
    """Hides a conversation until its next message; what was said so far is not shown in it again."""
    await context.conversations.delete(request.uid, _ref(request, "Uid cannot be empty"))
    return STATUS_OK


async def activate_conversation(context: ApiContext, request: ConversationRef, _query: Query) -> object:
    """Shows a deleted conversation in `/conversation/list` without a new message."""
    await context.conversations.activate(request.uid, _ref(request, "uid cannot be empty"))
    return STATUS_OK


def _ref(request: ConversationRef, no_user: str) -> ChannelKey:
    given(request.uid.strip(), no_user)
    if not request.channel_id.strip() or request.channel_type == 0:
        raise ApiError("channel_id or channel_type cannot be empty")
    return viewed_key(request.uid, request.channel_id, request.channel_type)
