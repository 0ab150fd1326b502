"""`/user/*`."""

from typing import Literal

from msgspec import Struct

from .fields import Byte, Int64


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


class Online(Struct, frozen=True):
    """A device flag with which a user is online."""

    uid: str
    device_flag: int
    online: Literal[1]
