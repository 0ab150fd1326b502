"""Changes of channels: records, members, deny and allow lists. What a call may ask for is in `channel_calls`."""

from collections.abc import Iterator, Sequence
from heapq import merge
from typing import Final

import trio

from ..model import ChannelFlags, ChannelKey, ChannelType, ReasonCode, person_channel_id
from ..store.base import ChannelChange, ChannelRecord, MemberList, Store
from ..store.conversations import ConversationChange
from .directory import ChannelDirectory
from .users import Kick

CONVERSATIONS_AT_ONCE: Final = 2048
"""That begin in one transaction."""
SORTED_AT_ONCE: Final = 8192
"""Uids, between two turns for others."""


class ChannelService:
    """Changes channels: durable first, then effective for the next message."""

    def __init__(self, store: Store, directory: ChannelDirectory, kick: Kick) -> None:
        self._store = store
        self._directory = directory
        self._kick = kick
        self._changing = trio.Lock()
        """The cache has to hear of changes in the order in which the store makes them."""

    async def change(self, change: ChannelChange) -> None:
        """Carries out a change; a user who was banned by it is sent away.

        Raises:
            StoreError: nothing was changed; of very many members perhaps some were, and the same call completes it.
        """
        async with self._changing:
            await self._carry_out(change)
        if change.key.channel_type == ChannelType.PERSON and change.flags is not None and change.flags.ban:
            self._kick(change.key.channel_id, reason_code=ReasonCode.BAN, reason="banned")
        for members in change.members:
            if members.list is MemberList.ALLOWED and change.key.channel_type == ChannelType.PERSON:
                await self._begin_conversations(change.key.channel_id, members.add)

    async def _carry_out(self, change: ChannelChange) -> None:
        try:
            await self._store.change_channel(change)
        except BaseException:
            # A write that has begun is finished, also if this is cancelled: nobody knows what the store has now.
            self._directory.invalidate(change.key)
            raise
        self._directory.apply(change)

    async def disband(self, key: ChannelKey) -> None:
        """Lets nobody send any more; members and messages stay. An unknown channel is left alone.

        Raises:
            StoreError: nothing was changed.
        """
        async with self._changing:
            # Read and written in one turn, or a ban that comes in between would be overwritten.
            [record] = await self._store.load_channels([key])
            if record.flags is None and not record.subscribers:
                return
            old = record.flags or ChannelFlags()
            flags = ChannelFlags(
                large=old.large, ban=old.ban, disband=True, send_ban=old.send_ban, allow_stranger=old.allow_stranger
            )
            await self._carry_out(ChannelChange(key=key, flags=flags))

    async def _begin_conversations(self, uid: str, others: Sequence[str]) -> None:
        """Those who may write to a user have a conversation with him."""
        for start in range(0, len(others), CONVERSATIONS_AT_ONCE):
            await self._store.change_conversations(
                [
                    ConversationChange(
                        uid=other, key=ChannelKey(person_channel_id(uid, other), ChannelType.PERSON), create=True
                    )
                    for other in others[start : start + CONVERSATIONS_AT_ONCE]
                ]
            )

    def set_recipients(self, channel_id: str, uids: frozenset[str]) -> None:
        """Says who receives what is sent to a temporary channel, in memory only."""
        self._directory.set_recipients(channel_id, uids)

    async def listed(self, key: ChannelKey, members: MemberList) -> Iterator[str]:
        """Who is on a list, sorted. A long one is sorted in pieces, while others get their turns.

        Raises:
            StoreError: the store could not be read.
        """
        [record] = await self._store.load_channels([key])
        uids = list(_on(record, members))
        runs = []
        for start in range(0, len(uids), SORTED_AT_ONCE):
            if start:
                await trio.lowlevel.checkpoint()
            runs.append(sorted(uids[start : start + SORTED_AT_ONCE]))
        return merge(*runs)


def _on(record: ChannelRecord, members: MemberList) -> frozenset[str]:
    if members is MemberList.SUBSCRIBERS:
        return record.subscribers
    return record.denied if members is MemberList.DENIED else record.allowed
