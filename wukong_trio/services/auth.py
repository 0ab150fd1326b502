"""Who may connect: reserved names, tokens, bans."""

import re
from collections.abc import Awaitable, Callable
from hmac import compare_digest
from logging import getLogger

from msgspec import Struct

from ..config import Auth
from ..model import (
    RESERVED_UID_PREFIX,
    SPECIAL_CHARACTERS,
    SYSTEM_DEVICE_ID,
    VISITOR_UID_SUFFIX,
    Device,
    DeviceLevel,
    ReasonCode,
    fits,
)
from ..store.base import Store
from .addressing import MAX_ID_BYTES
from .coalesce import Coalescer
from .hooks import call_hook

log = getLogger(__name__)

MAX_TOKEN_BYTES = 4096
_CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f]")


class ConnectInfo(Struct, frozen=True, kw_only=True):
    """Somebody who wants to connect: the input of the `authenticate` hook."""

    uid: str
    token: str
    """What the client showed, up to 4096 bytes; never in the `repr`."""
    device_id: str
    """Empty if the client gave none."""
    device_flag: int
    """0 app, 1 web, 2 PC; others up to 255."""
    remote_address: str
    """Host and port of the other end of the socket."""

    def __repr__(self) -> str:
        return f"ConnectInfo(uid={self.uid!r}, device_flag={self.device_flag}, remote_address={self.remote_address!r})"


class InvalidConnectError(Exception):
    """Nobody can be called that; says what would be right."""


def check_connect(*, uid: str, token: str, device_id: str, device_flag: int, remote_address: str) -> ConnectInfo:
    """The rules for what a client says of itself, whatever it speaks.

    Raises:
        InvalidConnectError: it breaks one.
    """
    if not uid.strip() or not SPECIAL_CHARACTERS.isdisjoint(uid) or _CONTROL_CHARACTER.search(uid):
        raise InvalidConnectError("uid is blank or holds @, #, & or control characters")
    if not fits(uid, MAX_ID_BYTES) or not fits(device_id, MAX_ID_BYTES):
        raise InvalidConnectError(f"uid or deviceId is longer than {MAX_ID_BYTES} bytes")
    if not fits(token, MAX_TOKEN_BYTES):
        raise InvalidConnectError(f"token is longer than {MAX_TOKEN_BYTES} bytes")
    if not 0 <= device_flag <= 255:
        raise InvalidConnectError("deviceFlag is a number from 0 to 255")
    return ConnectInfo(
        uid=uid,
        token=token,
        device_id="" if device_id == SYSTEM_DEVICE_ID else device_id,
        device_flag=device_flag,
        remote_address=remote_address,
    )


Authenticator = Callable[[ConnectInfo], Awaitable[bool]]
"""Decides instead of the stored tokens who may connect. Reserved uids and bans are checked all the same. If it raises,
or takes too long, the client is refused as by a server in trouble, and may come again."""


class Verdict(Struct, frozen=True):
    """`reason` is SUCCESS or why not; `level` is the device's."""

    reason: ReasonCode
    level: DeviceLevel = DeviceLevel.SLAVE


class Authentication:
    """Checks a connecting client against the store, or asks the hook."""

    def __init__(self, store: Store, config: Auth, hook: Authenticator | None, *, hook_timeout_s: float) -> None:
        self._config = config
        self._hook = hook
        self._hook_timeout_s = hook_timeout_s
        self._logins = Coalescer(store.load_logins)
        self.run = self._logins.run
        """One task of the server's nursery."""

    async def check(self, info: ConnectInfo) -> Verdict:
        """Whether this client may connect, and at which device level.

        Raises:
            StoreError: the store could not be read.
        """
        if info.uid == self._config.manager_uid:
            wanted = self._config.manager_token
            return Verdict(ReasonCode.SUCCESS if wanted and _same(info.token, wanted) else ReasonCode.AUTH_FAIL)
        if info.uid.startswith(RESERVED_UID_PREFIX):
            return Verdict(ReasonCode.AUTH_FAIL)
        login = await self._logins.get((info.uid, info.device_flag))
        device = login.device if self._config.token_auth != "off" else None
        reason = await self._judge(info, device, registered=login.registered)
        if reason is not ReasonCode.SUCCESS:
            return Verdict(reason)
        if login.flags is not None and login.flags.ban:
            return Verdict(ReasonCode.BAN)
        return Verdict(ReasonCode.SUCCESS, device.level if device is not None else DeviceLevel.SLAVE)

    async def _judge(self, info: ConnectInfo, device: Device | None, *, registered: bool) -> ReasonCode:
        if self._hook is not None:
            return await self._ask(self._hook, info)
        may_connect = self._has_token(info, device, registered=registered)
        return ReasonCode.SUCCESS if may_connect else ReasonCode.AUTH_FAIL

    def _has_token(self, info: ConnectInfo, device: Device | None, *, registered: bool) -> bool:
        if self._config.token_auth == "off" or info.uid.endswith(VISITOR_UID_SUFFIX):
            return True
        if self._config.token_auth == "auto" and not registered:
            return True
        stored = device.token if device is not None else ""
        return stored != "" and _same(info.token, stored)

    async def _ask(self, hook: Authenticator, info: ConnectInfo) -> ReasonCode:
        try:
            may_connect = await call_hook(hook, info, timeout_s=self._hook_timeout_s)
        except Exception:
            log.exception("the authenticate hook failed; %r was refused", info)
            return ReasonCode.SYSTEM_ERROR  # which says nothing about the client
        return ReasonCode.SUCCESS if may_connect else ReasonCode.AUTH_FAIL


def _same(given: str, wanted: str) -> bool:
    return compare_digest(given.encode(), wanted.encode())
