"""`/channel/*`: records, members, deny and allow lists."""

from typing import Final, Literal

from ..contract.channels import (
    ChannelRef,
    ChannelRequest,
    InfoRequest,
    Listed,
    ListRequest,
    RecipientsRequest,
    SubscribersRequest,
)
from ..model import ChannelType
from ..services.arguments import EMPTY, NO_TYPE, PERSON, SPECIAL
from ..services.channel_calls import UidList
from .bodies import encode_list
from .checks import TYPE_TEXTS
from .context import ApiContext
from .guard import Head
from .table import STATUS_OK, ApiError, Handler, Query, Texts

ListName = Literal["blacklist", "whitelist"]
_NAMES: Final = {"blacklist": "deny list", "whitelist": "allow list"}

_TEXTS: Final[Texts] = {
    ("channel_id", EMPTY): "频道ID不能为空！",
    ("channel_id", SPECIAL): "频道ID不能包含特殊字符！",
    **TYPE_TEXTS,
}
RECORD_TEXTS: Final[Texts] = {**_TEXTS, ("channel_type", PERSON): "不支持个人频道添加订阅者！"}
MEMBER_TEXTS: Final[Texts] = {
    **_TEXTS,
    ("subscribers", EMPTY): "订阅者不能为空！",
    ("channel_type", PERSON): "个人频道不支持添加订阅者！",
}
LIST_TEXTS: Final[Texts] = {
    **_TEXTS,
    ("channel_id", EMPTY): "channel_id不能为空！",
    ("channel_type", NO_TYPE): "频道类型不能为0！",
    ("channel_type", PERSON): "个人频道不支持此操作！",
    ("uids", EMPTY): "uids不能为空！",
}


async def set_recipients(context: ApiContext, request: RecipientsRequest, _query: Query) -> object:
    """Says who receives what is sent to a temporary channel."""
    await context.channels.set_recipients(request.channel_id, request.uids)
    return STATUS_OK


async def put_channel(context: ApiContext, request: ChannelRequest, _query: Query) -> object:
    """Creates or replaces a channel, with members.

    Flags that are left out become 0.
    """
    await context.channels.put(
        request.channel_id,
        request.channel_type,
        request.flags,
        subscribers=request.subscribers,
        reset=request.reset == 1,
    )
    return STATUS_OK


async def put_info(context: ApiContext, request: InfoRequest, _query: Query) -> object:
    """Creates or replaces the flags of a channel, or of a user.

    The record of a user has the uid and type 1: `ban` keeps him out, `send_ban` silences him.
    """
    await context.channels.set_flags(request.channel_id, request.channel_type, request.flags)
    return STATUS_OK


async def delete_channel(context: ApiContext, request: ChannelRef, _query: Query) -> object:
    """Disbands a channel; its history stays."""
    await context.channels.disband(request.channel_id, request.channel_type)
    return STATUS_OK


async def add_subscribers(context: ApiContext, request: SubscribersRequest, _query: Query) -> object:
    """Adds members.

    The channel comes into being if there is none.
    """
    if request.temp_subscriber == 1:
        raise ApiError("新版本临时订阅者已不支持！")
    kind = request.channel_type or ChannelType.GROUP
    await context.channels.add_subscribers(request.channel_id, kind, request.subscribers, reset=request.reset == 1)
    return STATUS_OK


async def remove_subscribers(context: ApiContext, request: SubscribersRequest, _query: Query) -> object:
    """Removes members."""
    kind = request.channel_type or ChannelType.GROUP
    await context.channels.remove_subscribers(request.channel_id, kind, request.subscribers)
    return STATUS_OK


async def remove_all_subscribers(context: ApiContext, request: ChannelRef, _query: Query) -> object:
    """Removes all members."""
    await context.channels.remove_all_subscribers(request.channel_id, request.channel_type)
    return STATUS_OK


def _list(context: ApiContext, name: ListName) -> UidList:
    return context.channels.denied if name == "blacklist" else context.channels.allowed


def changes(name: ListName, kind: Literal["add", "remove"]) -> Handler[ListRequest]:
    """A handler that adds uids to a list, or removes them."""

    async def handler(context: ApiContext, request: ListRequest, _query: Query) -> object:
        uids = _list(context, name)
        change = uids.add if kind == "add" else uids.remove
        await change(request.channel_id, request.channel_type, request.uids)
        return STATUS_OK

    change = "Puts users on" if kind == "add" else "Takes users off"
    handler.__doc__ = f"{change} the {_NAMES[name]} of a channel."
    return handler


def sets(name: ListName) -> Handler[ListRequest]:
    """A handler that replaces a list."""

    async def handler(context: ApiContext, request: ListRequest, _query: Query) -> object:
        await _list(context, name).set(request.channel_id, request.channel_type, request.uids)
        return STATUS_OK

    handler.__doc__ = f"Replaces the {_NAMES[name]} of a channel, which need not exist."
    return handler


def clears(name: ListName) -> Handler[ChannelRef]:
    """A handler that empties a list."""

    async def handler(context: ApiContext, request: ChannelRef, _query: Query) -> object:
        await _list(context, name).clear(request.channel_id, request.channel_type)
        return STATUS_OK

    handler.__doc__ = f"Empties the {_NAMES[name]} of a channel."
    return handler


async def get_allowed(context: ApiContext, _head: Head, query: Query) -> object:
    """The allow list of a channel."""
    allowed = await context.channels.allowed.get(query.get("channel_id", ""), query.integer("channel_type"))
    return await encode_list(Listed(n, uid) for n, uid in enumerate(allowed, start=1))
