"""`/message/sync` and `/message/syncack`: commands that a user has missed."""

from typing import Final

from msgspec import Struct

from ..services.records import command_record_of
from .bodies import encode_list
from .checks import required, within_limit
from .context import ApiContext
from .history import Seq
from .table import STATUS_OK, ApiError, Query
from .users import Int64

DEFAULT_LIMIT: Final = 200


class CommandsRequest(Struct):
    """Body of `/message/sync`."""

    uid: str = ""
    limit: Int64 = 0


class AckRequest(Struct):
    """Body of `/message/syncack`."""

    uid: str = ""
    last_message_seq: Seq = 0


async def sync_commands(context: ApiContext, request: CommandsRequest, _query: Query) -> object:
    """The commands that a user has not acknowledged, oldest first within a channel.

    Asking again gives the same ones, until `/message/syncack` says that the user has them.
    """
    if not context.config.command_sync:
        return []
    required(request.uid, "用户uid不能为空！")
    within_limit("uid", request.uid)
    if request.limit < 0:
        raise ApiError("limit不能为负数！")
    messages = await context.commands.fetch(request.uid, request.limit or DEFAULT_LIMIT)
    return await encode_list(map(command_record_of, messages))


async def acknowledge_commands(context: ApiContext, request: AckRequest, _query: Query) -> object:
    """The user has what `/message/sync` gave him last; the number only has to be there."""
    if context.config.command_sync:
        required(request.uid, "用户UID不能为空！")
        within_limit("uid", request.uid)
        if request.last_message_seq == 0:
            raise ApiError("最后一次messageSeq不能为0！")
        await context.commands.acknowledge(request.uid)
    return STATUS_OK
