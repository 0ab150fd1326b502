"""`/plugins/wk.plugin.search/usersearch`."""

from typing import Any

from msgspec import Struct

from .fields import Byte, Int64


class SearchRequest(Struct):
    """Body of `/plugins/wk.plugin.search/usersearch`."""

    uid: str = ""
    payload: dict[str, Any] = {}
    payload_types: list[Int64] = []
    from_uid: str = ""
    channel_id: str = ""
    channel_type: Byte = 0
    topic: str = ""
    start_time: Int64 = 0
    end_time: Int64 = 0
    limit: Int64 = 0
    page: Int64 = 0
    highlights: list[str] = []


class FoundMessage(Struct, frozen=True):
    """A message that was found, as its reader sees it. Its payload is an object, with the words marked on request."""

    message_id: int
    message_idstr: str
    message_seq: int
    client_msg_no: str
    from_uid: str
    channel_id: str
    channel_type: int
    payload: dict[str, Any]
    topic: str
    timestamp: int


class SearchAnswer(Struct, frozen=True):
    """What was found, newest first."""

    total: int
    limit: int
    page: int
    messages: list[FoundMessage]
