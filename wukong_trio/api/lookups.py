"""Single messages of a channel, and its end: `/messages`, `/message`, `/message/byclientmsgno`,
`/channel/max_message_seq`, `/channel/last_message`.

Who is a member, and what is banned or disbanded, does not matter here.
"""

from typing import Final

from ..contract.answers import NotFound
from ..contract.history import FindOneRequest, FindRequest, FoundMessages, LastSeq
from ..model import ChannelType, Message
from ..services.channel_history import MAX_NAMED, TOO_MANY
from .bodies import as_list, encode_list
from .checks import given, required
from .context import ApiContext
from .guard import Head
from .table import ApiError, Query, Texts

FIND_TEXTS: Final[Texts] = {
    ("messages", TOO_MANY): f"more than {MAX_NAMED} messages are asked for; ask in several calls"
}


async def find_messages(context: ApiContext, request: FindRequest, _query: Query) -> object:
    """Messages by sequence numbers, ids and client numbers, in this order."""
    required(request.channel_id, "channel_id不能为空！")
    page = await context.history.find(
        request.channel_id,
        request.channel_type,
        login_uid=request.login_uid,
        message_seqs=request.message_seqs,
        message_ids=request.message_ids,
        client_msg_nos=request.client_msg_nos,
    )
    records = await context.message_events.records(page.messages)
    return FoundMessages(0, 0, int(page.more), as_list(await encode_list(records)))


async def find_message(context: ApiContext, request: FindOneRequest, _query: Query) -> object:
    """One message by its id or, if there is none, by its client number."""
    required(request.channel_id, "channel_id不能为空！")
    if request.channel_type == 0:
        raise ApiError("channel_type不能为0")
    if request.channel_type == ChannelType.PERSON:
        required(request.login_uid, "login_uid不能为空！")
    found = await context.history.find_one(
        request.channel_id,
        request.channel_type,
        login_uid=request.login_uid,
        message_id=request.message_id,
        client_msg_no=request.client_msg_no,
    )
    return await _shown(context, found)


async def find_by_number(context: ApiContext, _head: Head, query: Query) -> object:
    """The earliest message with a client number."""
    channel_id, channel_type = query.get("channel_id", ""), query.integer("channel_type")
    given(channel_id, "channel_id不能为空")
    if channel_type == 0:
        raise ApiError("channel_type不能为0")
    client_msg_no = query.get("client_msg_no", "")
    given(client_msg_no, "client_msg_no不能为空")
    found = await context.history.find_one(
        channel_id, channel_type, login_uid=_viewer(query), client_msg_no=client_msg_no, earliest=True
    )
    return await _shown(context, found)


async def get_max_seq(context: ApiContext, _head: Head, query: Query) -> object:
    """The sequence number of the last message of a channel."""
    channel_id, channel_type = _asked(query, need_login="@" not in query.get("channel_id", ""))
    return LastSeq(await context.history.last_seq(channel_id, channel_type, login_uid=_viewer(query)))


async def get_last(context: ApiContext, _head: Head, query: Query) -> object:
    """The last message of a channel."""
    channel_id, channel_type = _asked(query, need_login=True)
    return await _shown(context, await context.history.last(channel_id, channel_type, login_uid=_viewer(query)))


def _asked(query: Query, *, need_login: bool) -> tuple[str, int]:
    channel_id, channel_type = query.get("channel_id", ""), query.integer("channel_type")
    given(channel_id, "channel_id不能为空")
    if channel_type == ChannelType.PERSON and need_login:
        given(query.get("login_uid", ""), "login_uid不能为空")
    return channel_id, channel_type


def _viewer(query: Query) -> str:
    """Who asks; nobody if a person channel is named by its stored id."""
    return "" if "@" in query.get("channel_id", "") else query.get("login_uid", "")


async def _shown(context: ApiContext, message: Message | None) -> object:
    return NotFound() if message is None else next(await context.message_events.records([message]))
