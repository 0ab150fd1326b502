"""`/conversation/*`, `/conversations/*`, `/message/sync` and `/message/syncack`."""

from msgspec import Struct

from .fields import Byte, Int64, Seq
from .messages import MessageRecord


class ConversationsRequest(Struct):
    """Body of `/conversation/sync`."""

    uid: str = ""
    msg_count: Int64 = 0
    version: Int64 = 0
    last_msg_seqs: str = ""
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
    messages: list[MessageRecord]
    user_last_msg_seq: int


class ListedConversation(Struct, frozen=True):
    """An entry of `GET /conversations`."""

    channel_id: str
    channel_type: int
    unread: int
    timestamp: int
    last_message: MessageRecord


class ConversationListRequest(Struct):
    """Body of `/conversation/list`."""

    uid: str = ""
    cursor: str = ""
    limit: Int64 = 0
    completed_coverage: Int64 = 0


class LastMessage(Struct, frozen=True):
    """The newest message of a conversation."""

    message_id: int
    message_idstr: str
    message_seq: int
    from_uid: str
    client_msg_no: str
    server_timestamp_ms: int
    payload: bytes


class ListItem(Struct, frozen=True):
    """A conversation with its position and its newest message."""

    channel_id: str
    channel_type: int
    active_at: int
    read_seq: int
    deleted_to_seq: int
    unread: int
    last_message: LastMessage | None


class Removed(Struct, frozen=True):
    """A conversation that is not in the list any more."""

    channel_id: str
    channel_type: int


class ConversationPage(Struct, frozen=True):
    """A page of conversations."""

    conversations: list[ListItem]
    deletes: list[Removed]
    unresolved: list[Removed]
    next_cursor: str
    done: bool
    coverage: int
    tombstones_retained_since: int
    reset_required: bool


class CommandsRequest(Struct):
    """Body of `/message/sync`."""

    uid: str = ""
    limit: Int64 = 0


class AckRequest(Struct):
    """Body of `/message/syncack`."""

    uid: str = ""
    last_message_seq: Seq = 0
