"""Pages of channels' histories, and single messages of a channel."""

from msgspec import Struct

from .fields import Byte, Int64, Seq
from .messages import MessageRecord


class PageRequest(Struct):
    """Which part of which channel."""

    channel_id: str = ""
    channel_type: Byte = 0
    start_message_seq: Seq = 0
    end_message_seq: Seq = 0
    limit: Int64 = 0
    pull_mode: Int64 = 0
    event_summary_mode: str = ""


class SyncRequest(PageRequest):
    """Body of `/channel/messagesync`."""

    login_uid: str = ""


class SyncBatchRequest(Struct):
    """Body of `/channel/messagesyncbatch`."""

    login_uid: str = ""
    items: list[PageRequest] = []


class SyncAnswer(Struct, frozen=True):
    """A page of history."""

    start_message_seq: int
    end_message_seq: int
    pull_mode: int
    more: int
    messages: list[MessageRecord]


class SyncItem(Struct, frozen=True, omit_defaults=True):
    """The same as one of several."""

    channel_id: str
    channel_type: int
    start_message_seq: int
    end_message_seq: int
    more: int
    messages: list[MessageRecord]
    error: str = ""
    """Why there are no messages, if something went wrong with this item."""


class SyncItems(Struct, frozen=True):
    """A page of each channel, in the order of the request."""

    items: list[SyncItem]


class FindRequest(Struct):
    """Body of `/messages`."""

    channel_id: str = ""
    channel_type: Byte = 0
    message_seqs: list[Seq] = []
    message_ids: list[Int64] = []
    client_msg_nos: list[str] = []
    login_uid: str = ""


class FindOneRequest(Struct):
    """Body of `/message`."""

    channel_id: str = ""
    channel_type: Byte = 0
    message_id: Int64 = 0
    client_msg_no: str = ""
    login_uid: str = ""


class FoundMessages(Struct, frozen=True):
    """Messages that were asked for; `more` is 1 if there are others that have no room in the answer."""

    start_message_seq: int
    end_message_seq: int
    more: int
    messages: list[MessageRecord]


class LastSeq(Struct, frozen=True):
    """Where a channel ends."""

    message_seq: int


class ChannelQuery(Struct):
    """Parameters of `/channel/max_message_seq` and `/channel/last_message`."""

    channel_id: str
    channel_type: int = 0
    login_uid: str = ""


class NumberQuery(ChannelQuery):
    """Parameters of `/message/byclientmsgno`."""

    client_msg_no: str = ""
