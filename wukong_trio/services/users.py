"""Users, their devices and tokens, and the system accounts."""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final, Protocol

import trio

from ..errors import InvalidArgumentError, RefusedError
from ..model import SYSTEM_UID, ChannelFlags, ChannelKey, ChannelType, Device, DeviceLevel, ReasonCode
from ..store.base import Store
from .arguments import (
    SYSTEM,
    UIDS_AT_ONCE,
    check_given,
    check_id,
    check_number,
    check_plain,
    clean_uids,
    to_sequence,
)

ALL_DEVICES: Final = -1
ALL_FLAGS = (0, 1, 2)
"""The devices that a quit of "all devices" means: app, web and PC."""


class Kick(Protocol):
    """Sends sessions of a user away; implemented by the registry of sessions."""

    def __call__(
        self, uid: str, device_flags: Collection[int] | None = None, *, reason_code: ReasonCode, reason: str
    ) -> int: ...


class SystemAccounts:
    """The accounts that may write to everybody. Kept in memory, because every send asks."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._uids: set[str] = set()
        self.generation = 0
        """Changes whenever the accounts do."""
        self._changing = trio.Lock()
        """Memory has to hear of changes in the order in which the store makes them."""

    async def load(self) -> None:
        """Reads them from the store.

        Raises:
            StoreError: the store could not be read.
        """
        self._uids = set(await self._store.system_uids())

    def __contains__(self, uid: object) -> bool:
        return uid == SYSTEM_UID or uid in self._uids

    def listed(self) -> list[str]:
        """Those that somebody added, sorted; the built-in one is not among them."""
        return sorted(self._uids)

    async def change(self, *, add: Sequence[str] = (), remove: Sequence[str] = ()) -> None:
        """Adds and removes accounts, from the next message on.

        Raises:
            StoreError: nothing was changed.
        """
        async with self._changing:
            await self._store.change_system_uids(add=add, remove=remove)
            self._uids.difference_update(remove)
            self._uids.update(add)
            self.generation += 1


class Users:
    """Users: their tokens and devices, who is online, and the system accounts.

    Everything that changes something is durable when it returns, and holds for the next connection or message. A
    write that has begun is finished even if the call is cancelled.
    """

    def __init__(
        self, store: Store, accounts: SystemAccounts, kick: Kick, device_flags_of: Callable[[str], list[int]]
    ) -> None:
        self._store = store
        self._accounts = accounts
        self._kick = kick
        self._device_flags_of = device_flags_of

    async def set_token(
        self, uid: str, token: str, *, device_flag: int = 0, device_level: DeviceLevel = DeviceLevel.SLAVE
    ) -> None:
        """Stores the token with which a user may connect from a device: flag 0 app, 1 web, 2 PC.

        A master device is alone on its flag, so who is connected there is sent away.

        Raises:
            InvalidArgumentError: an argument is wrong; reserved for the system, too.
            RefusedError: the user is banned or disbanded; nothing was stored.
            StoreError: nothing was stored.
        """
        check_given("uid", uid)
        check_given("token", token)
        check_plain("uid", uid)
        check_id("uid", uid)
        check_number("device_flag", device_flag, 0, 255)
        check_number("device_level", device_level, DeviceLevel.SLAVE, DeviceLevel.MASTER)
        if uid == SYSTEM_UID:
            raise InvalidArgumentError("uid", SYSTEM)
        await self._check_state(uid)
        level = DeviceLevel(device_level)
        await self._store.put_device(Device(uid=uid, device_flag=int(device_flag), token=token, level=level))
        if level is DeviceLevel.MASTER:
            self._kick(
                uid,
                (int(device_flag),),
                reason_code=ReasonCode.CONNECT_KICK,
                reason="账号在其他设备上登录",
            )

    async def _check_state(self, uid: str) -> None:
        [record] = await self._store.load_channels([ChannelKey(uid, ChannelType.PERSON)])
        flags = record.flags or ChannelFlags()
        if flags.ban:
            raise RefusedError(f"the user {uid!r} is banned", ReasonCode.BAN)
        if flags.disband:
            raise RefusedError(f"the user {uid!r} is disbanded", ReasonCode.DISBAND)

    async def quit_device(self, uid: str, device_flag: int = ALL_DEVICES) -> None:
        """Makes the token of a device worthless and sends its sessions away. An unknown user is left alone.

        Args:
            device_flag: ALL_DEVICES (-1) means app, web and PC.

        Raises:
            InvalidArgumentError: an argument is wrong.
            StoreError: nothing was changed.
        """
        check_given("uid", uid)
        check_id("uid", uid)
        check_number("device_flag", device_flag)
        flags = ALL_FLAGS if device_flag == ALL_DEVICES else (int(device_flag),)
        await self._store.clear_tokens(uid, flags)
        self._kick(uid, flags, reason_code=ReasonCode.CONNECT_KICK, reason="device quit")

    async def online(self, uids: Iterable[str]) -> dict[str, list[int]]:
        """Who of these users is online, each with his device flags.

        Raises:
            InvalidArgumentError: `uids` is no list of texts.
        """
        listed = to_sequence("uids", uids)
        online: dict[str, list[int]] = {}
        for start in range(0, len(listed), UIDS_AT_ONCE):
            if start:
                await trio.lowlevel.checkpoint()
            for uid in listed[start : start + UIDS_AT_ONCE]:
                if type(uid) is not str:
                    check_id("uid", uid)
                if flags := self._device_flags_of(uid):
                    online[uid] = flags
        return online

    def system_uids(self) -> list[str]:
        """The system accounts that somebody added, sorted. They may write to everybody, and everybody to them."""
        return self._accounts.listed()

    async def add_system_uids(self, uids: Iterable[str]) -> None:
        """Makes users system accounts. Blank uids are skipped.

        Raises:
            InvalidArgumentError: a uid is wrong.
            StoreError: nothing was changed.
        """
        await self._accounts.change(add=await clean_uids("uids", uids))

    async def remove_system_uids(self, uids: Iterable[str]) -> None:
        """Makes system accounts plain users. Blank uids are skipped.

        Raises:
            InvalidArgumentError: a uid is wrong.
            StoreError: nothing was changed.
        """
        await self._accounts.change(remove=await clean_uids("uids", uids))
