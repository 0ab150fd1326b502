"""Users, their devices and tokens, and the system accounts."""

from collections.abc import Collection, Sequence
from typing import Protocol

import trio

from ..model import SYSTEM_UID, ChannelFlags, ChannelKey, ChannelType, Device, DeviceLevel, ReasonCode
from ..store.base import Store

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


class UserService:
    """What back-ends do with users."""

    def __init__(self, store: Store, kick: Kick) -> None:
        self._store = store
        self._kick = kick

    async def set_token(self, device: Device) -> ReasonCode:
        """Stores the token of a device. A master device then drives away who is connected with its flag.

        Returns:
            SUCCESS, or BAN or DISBAND if the user's own record says so; then nothing was stored.

        Raises:
            StoreError: nothing was stored.
        """
        [record] = await self._store.load_channels([ChannelKey(device.uid, ChannelType.PERSON)])
        flags = record.flags or ChannelFlags()
        if flags.ban:
            return ReasonCode.BAN
        if flags.disband:
            return ReasonCode.DISBAND
        await self._store.put_device(device)
        if device.level is DeviceLevel.MASTER:
            self._kick(
                device.uid,
                (device.device_flag,),
                reason_code=ReasonCode.CONNECT_KICK,
                reason="账号在其他设备上登录",
            )
        return ReasonCode.SUCCESS

    async def quit(self, uid: str, device_flag: int) -> None:
        """Invalidates the token of a device and sends its sessions away; -1 = app, web and PC.

        Raises:
            StoreError: nothing was changed.
        """
        flags = ALL_FLAGS if device_flag == -1 else (device_flag,)
        await self._store.clear_tokens(uid, flags)
        self._kick(uid, flags, reason_code=ReasonCode.CONNECT_KICK, reason="device quit")
