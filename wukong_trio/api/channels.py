"""`/channel/*`: records, members, deny and allow lists."""

from typing import Final, Literal

from msgspec import Struct

from ..model import ChannelFlags, ChannelKey, ChannelType
from ..store.base import ChannelChange, MemberChange, MemberList
from .answers import Listed
from .bodies import encode_list
from .checks import channel_key, clean_uids, plain, required, within_limit
from .context import ApiContext
from .guard import Head
from .table import STATUS_OK, ApiError, Handler, Query
from .users import Byte

_NAMES: Final = {MemberList.DENIED: "deny list", MemberList.ALLOWED: "allow list"}
NO_PERSON_MEMBERS = "个人频道不支持添加订阅者！"


class ChannelRef(Struct):
    """Names a channel."""

    channel_id: str = ""
    channel_type: Byte = 0


class InfoRequest(ChannelRef):
    """Body of `/channel/info`: all five flags are overwritten."""

    large: int = 0
    ban: int = 0
    disband: int = 0
    send_ban: int = 0
    allow_stranger: int = 0

    @property
    def flags(self) -> ChannelFlags:
        """The flags; only 1 means true."""
        return ChannelFlags(
            large=self.large == 1,
            ban=self.ban == 1,
            disband=self.disband == 1,
            send_ban=self.send_ban == 1,
            allow_stranger=self.allow_stranger == 1,
        )


class ChannelRequest(InfoRequest):
    """Body of `/channel`."""

    reset: int = 0
    subscribers: list[str] = []


class SubscribersRequest(ChannelRef):
    """Body of `/channel/subscriber_add` and `/channel/subscriber_remove`."""

    reset: int = 0
    subscribers: list[str] = []
    temp_subscriber: int = 0


class AllowedQuery(Struct):
    """Parameters of `GET /channel/whitelist`."""

    channel_id: str = ""
    channel_type: int = 0


class ListRequest(ChannelRef):
    """Body of the calls on deny and allow lists."""

    uids: list[str] = []


class RecipientsRequest(Struct):
    """Body of `/tmpchannel/subscriber_set`."""

    channel_id: str = ""
    uids: list[str] = []


async def set_recipients(context: ApiContext, request: RecipientsRequest, _query: Query) -> object:
    """Says who receives what is sent to a temporary channel."""
    required(request.channel_id, "channel_id不能为空！")
    plain(request.channel_id, "频道ID不能包含特殊字符！")
    within_limit("channel_id", request.channel_id)
    uids = await clean_uids(request.uids)
    if not uids:
        raise ApiError("uids不能为空！")
    context.channels.set_recipients(request.channel_id, frozenset(uids))
    return STATUS_OK


async def put_channel(context: ApiContext, request: ChannelRequest, _query: Query) -> object:
    """Creates or replaces a channel, with members.

    Flags that are left out become 0.
    """
    key = _checked_key(request)
    plain(request.channel_id, "频道ID不能包含特殊字符！")
    subscribers = await clean_uids(request.subscribers)
    if key.channel_type == ChannelType.PERSON and request.subscribers:
        raise ApiError("不支持个人频道添加订阅者！")
    members = MemberChange(list=MemberList.SUBSCRIBERS, reset=request.reset == 1, add=subscribers)
    await context.channels.change(ChannelChange(key=key, flags=request.flags, members=[members]))
    return STATUS_OK


async def put_info(context: ApiContext, request: InfoRequest, _query: Query) -> object:
    """Creates or replaces the flags of a channel, or of a user.

    The record of a user has the uid and type 1: `ban` keeps him out, `send_ban` silences him.
    """
    await context.channels.change(ChannelChange(key=_checked_key(request), flags=request.flags))
    return STATUS_OK


def _checked_key(request: ChannelRef) -> ChannelKey:
    required(request.channel_id, "频道ID不能为空！")
    return channel_key(request.channel_id, request.channel_type)


async def delete_channel(context: ApiContext, request: ChannelRef, _query: Query) -> object:
    """Disbands a channel; its history stays."""
    if request.channel_type == ChannelType.PERSON:
        raise ApiError(NO_PERSON_MEMBERS)
    within_limit("channel_id", request.channel_id)
    await context.channels.disband(ChannelKey(request.channel_id, request.channel_type))
    return STATUS_OK


async def _subscribers(request: SubscribersRequest) -> tuple[ChannelKey, list[str]]:
    required(request.channel_id, "频道ID不能为空！")
    plain(request.channel_id, "频道ID不能包含特殊字符！")
    uids = await clean_uids(request.subscribers)
    if not uids:
        raise ApiError("订阅者不能为空！")
    if request.channel_type == ChannelType.PERSON:
        raise ApiError(NO_PERSON_MEMBERS)
    return channel_key(request.channel_id, request.channel_type or ChannelType.GROUP), uids


async def add_subscribers(context: ApiContext, request: SubscribersRequest, _query: Query) -> object:
    """Adds members.

    The channel comes into being if there is none.
    """
    key, uids = await _subscribers(request)
    if request.temp_subscriber == 1:
        raise ApiError("新版本临时订阅者已不支持！")
    await context.channels.add_subscribers(key, uids, reset=request.reset == 1)
    return STATUS_OK


async def remove_subscribers(context: ApiContext, request: SubscribersRequest, _query: Query) -> object:
    """Removes members."""
    key, uids = await _subscribers(request)
    await context.channels.change_list(key, MemberList.SUBSCRIBERS, remove=uids)
    return STATUS_OK


async def remove_all_subscribers(context: ApiContext, request: ChannelRef, _query: Query) -> object:
    """Removes all members."""
    key = _list_key(request)
    if key.channel_type == ChannelType.PERSON:
        raise ApiError("个人频道不支持此操作！")
    await context.channels.change_list(key, MemberList.SUBSCRIBERS, reset=True)
    return STATUS_OK


def _list_key(request: ChannelRef, *, plain_id: bool = False) -> ChannelKey:
    required(request.channel_id, "channel_id不能为空！")
    if plain_id:
        plain(request.channel_id, "频道ID不能包含特殊字符！")
    if request.channel_type == 0:
        raise ApiError("频道类型不能为0！")
    return channel_key(request.channel_id, request.channel_type)


def changes(members: MemberList, kind: Literal["add", "remove"]) -> Handler[ListRequest]:
    """A handler that adds uids to a list, or removes them."""

    async def handler(context: ApiContext, request: ListRequest, _query: Query) -> object:
        key, uids = await _list_uids(request, members)
        if kind == "add":
            await context.channels.change_list(key, members, add=uids)
        else:
            await context.channels.change_list(key, members, remove=uids)
        return STATUS_OK

    change = "Puts users on" if kind == "add" else "Takes users off"
    handler.__doc__ = f"{change} the {_NAMES[members]} of a channel."
    return handler


async def _list_uids(request: ListRequest, members: MemberList) -> tuple[ChannelKey, list[str]]:
    key = _list_key(request, plain_id=members is MemberList.ALLOWED)
    uids = await clean_uids(request.uids)
    if not uids:
        raise ApiError("uids不能为空！")
    return key, uids


def sets(members: MemberList) -> Handler[ListRequest]:
    """A handler that replaces a list."""

    async def handler(context: ApiContext, request: ListRequest, _query: Query) -> object:
        # The type is not checked: lists may be set for channels that will never exist.
        required(request.channel_id, "频道ID不能为空！")
        within_limit("channel_id", request.channel_id)
        key = ChannelKey(request.channel_id, request.channel_type)
        await context.channels.change_list(key, members, reset=True, add=await clean_uids(request.uids))
        return STATUS_OK

    handler.__doc__ = f"Replaces the {_NAMES[members]} of a channel, which need not exist."
    return handler


def clears(members: MemberList) -> Handler[ChannelRef]:
    """A handler that empties a list."""

    async def handler(context: ApiContext, request: ChannelRef, _query: Query) -> object:
        await context.channels.change_list(_list_key(request), members, reset=True)
        return STATUS_OK

    handler.__doc__ = f"Empties the {_NAMES[members]} of a channel."
    return handler


async def get_allowed(context: ApiContext, _head: Head, query: Query) -> object:
    """The allow list of a channel."""
    key = ChannelKey(query.get("channel_id", ""), query.integer("channel_type"))
    allowed = await context.channels.allowed(key)
    return await encode_list(Listed(n, uid) for n, uid in enumerate(allowed, start=1))
