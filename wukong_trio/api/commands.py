"""`/message/sync` and `/message/syncack`: commands that a user has missed."""

from typing import Final

from ..contract.conversations import AckRequest, CommandsRequest
from ..services.arguments import EMPTY, NEGATIVE
from ..services.records import command_record_of
from .bodies import encode_list
from .context import ApiContext
from .table import STATUS_OK, ApiError, Query, Texts

FETCH_TEXTS: Final[Texts] = {("uid", EMPTY): "用户uid不能为空！", ("limit", NEGATIVE): "limit不能为负数！"}
ACK_TEXTS: Final[Texts] = {("uid", EMPTY): "用户UID不能为空！"}


async def sync_commands(context: ApiContext, request: CommandsRequest, _query: Query) -> object:
    """The commands that a user has not acknowledged, oldest first within a channel.

    Asking again gives the same ones, until `/message/syncack` says that the user has them.
    """
    if not context.config.command_sync:
        return []
    return await encode_list(map(command_record_of, await context.commands.missed(request.uid, request.limit)))


async def acknowledge_commands(context: ApiContext, request: AckRequest, _query: Query) -> object:
    """The user has what `/message/sync` gave him last; the number only has to be there."""
    if not context.config.command_sync:
        return STATUS_OK
    if request.uid.strip() and request.last_message_seq == 0:
        raise ApiError("最后一次messageSeq不能为0！")
    await context.commands.acknowledge(request.uid)
    return STATUS_OK
