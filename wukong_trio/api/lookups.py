"""Single messages of a channel, and its end: `/messages`, `/message`, `/message/byclientmsgno`,
`/channel/max_message_seq`, `/channel/last_message`.

Who is a member, and what is banned or disbanded, does not matter here.
"""

from typing import Final, Literal

from msgspec import Struct

from ..model import ChannelKey, ChannelType, Message
from ..services.records import Records
from ..store.base import Wanted
from .bodies import encode_list
from .checks import given, required, viewed_key
from .context import ApiContext
from .guard import Head
from .history import Seq
from .table import ApiError, Query
from .users import Byte, Int64

MAX_NAMED: Final = 10_000
"""Messages that one call may ask for."""


class FindRequest(Struct):
    """Body of `/messages`."""

    login_uid: str = ""
    channel_id: str = ""
    channel_type: Byte = 0
    message_seqs: list[Seq] = []
    message_ids: list[Int64] = []
    client_msg_nos: list[str] = []


class FindOneRequest(Struct):
    """Body of `/message`."""

    login_uid: str = ""
    channel_id: str = ""
    channel_type: Byte = 0
    message_id: Int64 = 0
    client_msg_no: str = ""


class FoundMessages(Struct, frozen=True):
    """Messages that were asked for; `more` is 1 if there are others that have no room in the answer."""

    start_message_seq: int
    end_message_seq: int
    more: int
    messages: Records


class NotFound(Struct, frozen=True):
    """There is no such message; the HTTP status is 200."""

    status: Literal[404] = 404


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


async def find_messages(context: ApiContext, request: FindRequest, _query: Query) -> object:
    """Messages by sequence numbers, ids and client numbers, in this order."""
    required(request.channel_id, "channel_id不能为空！")
    wanted = Wanted(
        message_seqs=request.message_seqs,
        message_ids=request.message_ids,
        client_msg_nos=[number for number in request.client_msg_nos if number],
    )
    if len(wanted.message_seqs) + len(wanted.message_ids) + len(wanted.client_msg_nos) > MAX_NAMED:
        raise ApiError(f"more than {MAX_NAMED} messages are asked for; ask in several calls")
    page = await context.history.find(viewed_key(request.login_uid, request.channel_id, request.channel_type), wanted)
    return FoundMessages(0, 0, int(page.more), await encode_list(await context.message_events.records(page.messages)))


async def find_message(context: ApiContext, request: FindOneRequest, _query: Query) -> object:
    """One message by its id or, if there is none, by its client number."""
    required(request.channel_id, "channel_id不能为空！")
    if request.channel_type == 0:
        raise ApiError("channel_type不能为0")
    if request.channel_type == ChannelType.PERSON:
        required(request.login_uid, "login_uid不能为空！")
    if request.message_id:
        wanted = Wanted(message_ids=[request.message_id])
    elif request.client_msg_no:
        wanted = Wanted(client_msg_nos=[request.client_msg_no])
    else:
        return NotFound()
    key = viewed_key(request.login_uid, request.channel_id, request.channel_type)
    return await _shown(context, await context.history.find_one(key, wanted))


async def find_by_number(context: ApiContext, _head: Head, query: Query) -> object:
    """The earliest message with a client number."""
    channel_id, channel_type = query.get("channel_id", ""), query.integer("channel_type")
    given(channel_id, "channel_id不能为空")
    if channel_type == 0:
        raise ApiError("channel_type不能为0")
    client_msg_no = query.get("client_msg_no", "")
    given(client_msg_no, "client_msg_no不能为空")
    key = _stored_or_viewed_key(query.get("login_uid", ""), channel_id, channel_type)
    return await _shown(
        context, await context.history.find_one(key, Wanted(client_msg_nos=[client_msg_no], earliest=True))
    )


async def get_max_seq(context: ApiContext, _head: Head, query: Query) -> object:
    """The sequence number of the last message of a channel."""
    channel_id = query.get("channel_id", "")
    return LastSeq(await context.history.last_seq(_asked_key(query, need_login="@" not in channel_id)))


async def get_last(context: ApiContext, _head: Head, query: Query) -> object:
    """The last message of a channel."""
    return await _shown(context, await context.history.last(_asked_key(query, need_login=True)))


def _asked_key(query: Query, *, need_login: bool) -> ChannelKey:
    channel_id, channel_type = query.get("channel_id", ""), query.integer("channel_type")
    login_uid = query.get("login_uid", "")
    given(channel_id, "channel_id不能为空")
    if channel_type == ChannelType.PERSON and need_login:
        given(login_uid, "login_uid不能为空")
    return _stored_or_viewed_key(login_uid, channel_id, channel_type)


def _stored_or_viewed_key(login_uid: str, channel_id: str, channel_type: int) -> ChannelKey:
    """A person channel by its stored id, or as one of its two users names it."""
    if channel_type == ChannelType.PERSON and (not login_uid or "@" in channel_id):
        return ChannelKey(channel_id, channel_type)
    return viewed_key(login_uid, channel_id, channel_type)


async def _shown(context: ApiContext, message: Message | None) -> object:
    return NotFound() if message is None else next(await context.message_events.records([message]))
