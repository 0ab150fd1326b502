"""`/user/*`: tokens, devices, who is online, system accounts."""

from typing import Final

from ..contract.users import Online, QuitRequest, TokenRequest, UidsRequest
from ..errors import RefusedError
from ..model import DeviceLevel
from ..services.arguments import EMPTY, SPECIAL, SYSTEM
from .bodies import encode_list
from .context import ApiContext
from .guard import Head
from .table import STATUS_OK, Query, Texts

TEXTS: Final[Texts] = {
    ("uid", EMPTY): "uid不能为空！",
    ("uid", SPECIAL): "uid不能包含特殊字符！",
    ("uid", SYSTEM): "系统账号不允许更新token！",
    ("token", EMPTY): "token不能为空！",
}


async def set_token(context: ApiContext, request: TokenRequest, _query: Query) -> object:
    """Registers a user's device and its token.

    From then on the user needs the token to connect from this device flag. A master device is alone on its flag, so
    who is connected there is sent away.
    """
    level = DeviceLevel.MASTER if request.device_level == 1 else DeviceLevel.SLAVE
    try:
        await context.users.set_token(request.uid, request.token, device_flag=request.device_flag, device_level=level)
    except RefusedError as error:
        return {"status": error.reason_code}
    return STATUS_OK


async def quit_device(context: ApiContext, request: QuitRequest, _query: Query) -> object:
    """Invalidates tokens and sends the devices away.

    `device_flag` -1 means app, web and PC.
    """
    await context.users.quit_device(request.uid, request.device_flag)
    return STATUS_OK


async def online_status(context: ApiContext, uids: list[str], _query: Query) -> object:
    """Who of these users is online.

    One entry per device flag, nothing for those who are not online. An empty list of uids is answered with status 200.
    """
    if not uids:
        return STATUS_OK
    online = await context.users.online(uids)
    return await encode_list(Online(uid, flag, 1) for uid, flags in online.items() for flag in flags)


def get_system_uids(context: ApiContext, _head: Head, _query: Query) -> object:
    """The system accounts."""
    return context.users.system_uids()


async def add_system_uids(context: ApiContext, request: UidsRequest, _query: Query) -> object:
    """Makes users system accounts."""
    await context.users.add_system_uids(request.uids)
    return STATUS_OK


async def remove_system_uids(context: ApiContext, request: UidsRequest, _query: Query) -> object:
    """Makes system accounts plain users."""
    await context.users.remove_system_uids(request.uids)
    return STATUS_OK
