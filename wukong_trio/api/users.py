"""`/user/*`: tokens, devices, who is online, system accounts."""

from typing import Annotated

import trio
from msgspec import Meta, Struct

from ..model import SYSTEM_UID, Device, DeviceLevel, ReasonCode
from .answers import Online
from .bodies import SLICE_ITEMS, encode_list
from .checks import clean_uids, given, plain, within_limit
from .context import ApiContext
from .guard import Head
from .table import STATUS_OK, ApiError, Query

Byte = Annotated[int, Meta(ge=0, le=255)]
Int64 = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]


class TokenRequest(Struct):
    """Body of `/user/token`."""

    uid: str = ""
    token: str = ""
    device_flag: Byte = 0
    device_level: Byte = 0


class QuitRequest(Struct):
    """Body of `/user/device_quit`."""

    uid: str = ""
    device_flag: Int64 = 0


class UidsRequest(Struct):
    """Body of the calls on system accounts."""

    uids: list[str] = []


async def set_token(context: ApiContext, request: TokenRequest, _query: Query) -> object:
    """Registers a user's device and its token.

    From then on the user needs the token to connect from this device flag. A master device is alone on its flag, so
    who is connected there is sent away.
    """
    given(request.uid, "uid不能为空！")
    given(request.token, "token不能为空！")
    plain(request.uid, "uid不能包含特殊字符！")
    within_limit("uid", request.uid)
    if request.uid == SYSTEM_UID:
        raise ApiError("系统账号不允许更新token！")
    device = Device(
        uid=request.uid,
        device_flag=request.device_flag,
        token=request.token,
        level=DeviceLevel.MASTER if request.device_level == 1 else DeviceLevel.SLAVE,
    )
    reason = await context.users.set_token(device)
    return STATUS_OK if reason is ReasonCode.SUCCESS else {"status": int(reason)}


async def quit_device(context: ApiContext, request: QuitRequest, _query: Query) -> object:
    """Invalidates tokens and sends the devices away.

    `device_flag` -1 means app, web and PC.
    """
    given(request.uid, "uid不能为空！")
    within_limit("uid", request.uid)
    await context.users.quit(request.uid, request.device_flag)
    return STATUS_OK


async def online_status(context: ApiContext, uids: list[str], _query: Query) -> object:
    """Who of these users is online.

    One entry per device flag, nothing for those who are not online. An empty list of uids is answered with status 200.
    """
    if not uids:
        return STATUS_OK
    online: dict[str, list[int]] = {}
    for start in range(0, len(uids), SLICE_ITEMS):
        if start:
            await trio.lowlevel.checkpoint()
        online |= {uid: flags for uid in uids[start : start + SLICE_ITEMS] if (flags := context.device_flags_of(uid))}
    return await encode_list(Online(uid, flag, 1) for uid, flags in online.items() for flag in flags)


def get_system_uids(context: ApiContext, _head: Head, _query: Query) -> object:
    """The system accounts."""
    return context.system_accounts.listed()


async def add_system_uids(context: ApiContext, request: UidsRequest, _query: Query) -> object:
    """Makes users system accounts."""
    await context.system_accounts.change(add=await clean_uids(request.uids))
    return STATUS_OK


async def remove_system_uids(context: ApiContext, request: UidsRequest, _query: Query) -> object:
    """Makes system accounts plain users."""
    await context.system_accounts.change(remove=await clean_uids(request.uids))
    return STATUS_OK
