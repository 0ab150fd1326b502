"""What back-ends and programs do with channels, and what they may not."""

from collections.abc import Iterable
from itertools import islice

import trio

from ..errors import InvalidArgumentError
from ..model import ChannelFlags, ChannelKey, ChannelType
from ..store.base import ChannelChange, MemberChange, MemberList
from .arguments import (
    EMPTY,
    PERSON,
    UIDS_AT_ONCE,
    any_key,
    check_id,
    check_not_blank,
    check_number,
    check_plain,
    clean_uids,
    known_key,
    to_sequence,
    wrong_type,
)
from .channels import ChannelService


class Channels:
    """Channels: their records, members, deny and allow lists.

    The record and the lists of (uid, person) are those of a user. Everything that changes something is durable when
    it returns, and holds for the next message; what is changed twice in the same way is changed once. A write that
    has begun is finished even if the call is cancelled. Only a change of many thousand members may be carried out in
    part when StoreError is raised; the same call completes it. Blank uids are skipped.
    """

    def __init__(self, service: ChannelService) -> None:
        self._service = service
        self.denied = UidList(service, MemberList.DENIED)
        """The deny lists: who may not send; for a person, who may not write to him."""
        self.allowed = UidList(service, MemberList.ALLOWED)
        """The allow lists: who alone may send, or write to a person; with nobody on it there is no such rule."""

    async def put(
        self,
        channel_id: str,
        channel_type: int,
        flags: ChannelFlags | None = None,
        *,
        subscribers: Iterable[str] = (),
        reset: bool = False,
    ) -> None:
        """Creates a channel or replaces its flags, and adds members.

        Args:
            flags: all of them; by default all are off.
            reset: the old members are removed first.

        Raises:
            InvalidArgumentError: an argument is wrong, or a person would get members.
            StoreError: nothing was changed.
        """
        check_not_blank("channel_id", channel_id)
        key = known_key(channel_id, channel_type)
        check_plain("channel_id", channel_id)
        listed = to_sequence("subscribers", subscribers)
        uids = await clean_uids("subscribers", listed)
        if listed:
            _check_has_members(key)
        members = MemberChange(list=MemberList.SUBSCRIBERS, reset=reset, add=uids)
        await self._service.change(ChannelChange(key=key, flags=_checked(flags or ChannelFlags()), members=[members]))

    async def set_flags(self, channel_id: str, channel_type: int, flags: ChannelFlags) -> None:
        """Creates a channel or replaces its flags. For (uid, person) they are a user's: `ban` sends him away and
        keeps him out, `send_ban` silences him.

        Raises:
            InvalidArgumentError: an argument is wrong.
            StoreError: nothing was changed.
        """
        check_not_blank("channel_id", channel_id)
        key = known_key(channel_id, channel_type)
        await self._service.change(ChannelChange(key=key, flags=_checked(flags)))

    async def disband(self, channel_id: str, channel_type: int) -> None:
        """Lets nobody send any more. Members and history stay; an unknown channel is left alone.

        Raises:
            InvalidArgumentError: an argument is wrong, or this is a person.
            StoreError: nothing was changed.
        """
        key = any_key(channel_id, channel_type)
        _check_has_members(key)
        await self._service.disband(key)

    async def add_subscribers(
        self, channel_id: str, channel_type: int, subscribers: Iterable[str], *, reset: bool = False
    ) -> None:
        """Adds members; the channel comes into being if there is none.

        Args:
            reset: the old members are removed first.

        Raises:
            InvalidArgumentError: an argument is wrong, nobody is named, or this is a person.
            StoreError: nothing was changed.
        """
        key, uids = await _members(channel_id, channel_type, subscribers)
        members = MemberChange(list=MemberList.SUBSCRIBERS, reset=reset, add=uids)
        await self._service.change(ChannelChange(key=key, create=True, members=[members]))

    async def remove_subscribers(self, channel_id: str, channel_type: int, subscribers: Iterable[str]) -> None:
        """Removes members.

        Raises:
            InvalidArgumentError: an argument is wrong, nobody is named, or this is a person.
            StoreError: nothing was changed.
        """
        key, uids = await _members(channel_id, channel_type, subscribers)
        await _change(self._service, key, MemberChange(list=MemberList.SUBSCRIBERS, remove=uids))

    async def remove_all_subscribers(self, channel_id: str, channel_type: int) -> None:
        """Removes all members.

        Raises:
            InvalidArgumentError: an argument is wrong, or this is a person.
            StoreError: nothing was changed.
        """
        check_not_blank("channel_id", channel_id)
        key = known_key(channel_id, channel_type)
        _check_has_members(key)
        await _change(self._service, key, MemberChange(list=MemberList.SUBSCRIBERS, reset=True))

    async def subscribers(self, channel_id: str, channel_type: int) -> list[str]:
        """The members, sorted; nobody of a channel that there is not.

        Raises:
            InvalidArgumentError: an argument has the wrong type.
            StoreError: the store could not be read.
        """
        return await _listed(self._service, channel_id, channel_type, MemberList.SUBSCRIBERS)

    async def set_recipients(self, channel_id: str, uids: Iterable[str]) -> None:
        """Says who receives what is sent to the temporary channel (type 8) of this id. In memory only: a restart
        forgets it, and so do hundreds of other channels.

        Raises:
            InvalidArgumentError: an argument is wrong, or nobody is named.
        """
        check_not_blank("channel_id", channel_id)
        check_plain("channel_id", channel_id)
        check_id("channel_id", channel_id)
        self._service.set_recipients(channel_id, frozenset(await _some_uids("uids", uids)))


class UidList:
    """One of the lists of uids that hang on channels."""

    def __init__(self, service: ChannelService, members: MemberList) -> None:
        self._service = service
        self._members = members

    async def add(self, channel_id: str, channel_type: int, uids: Iterable[str]) -> None:
        """Puts users on the list of a channel, which need not exist.

        Raises:
            InvalidArgumentError: an argument is wrong, or nobody is named.
            StoreError: nothing was changed.
        """
        key, added = await self._key_and_uids(channel_id, channel_type, uids)
        await _change(self._service, key, MemberChange(list=self._members, add=added))

    async def remove(self, channel_id: str, channel_type: int, uids: Iterable[str]) -> None:
        """Takes users off the list of a channel.

        Raises:
            InvalidArgumentError: an argument is wrong, or nobody is named.
            StoreError: nothing was changed.
        """
        key, removed = await self._key_and_uids(channel_id, channel_type, uids)
        await _change(self._service, key, MemberChange(list=self._members, remove=removed))

    async def set(self, channel_id: str, channel_type: int, uids: Iterable[str]) -> None:
        """Replaces the list of a channel, which need not exist; not even its type has to.

        Raises:
            InvalidArgumentError: an argument is wrong.
            StoreError: nothing was changed.
        """
        check_not_blank("channel_id", channel_id)
        key = any_key(channel_id, channel_type)
        added = await clean_uids("uids", uids)
        await _change(self._service, key, MemberChange(list=self._members, reset=True, add=added))

    async def clear(self, channel_id: str, channel_type: int) -> None:
        """Empties the list of a channel.

        Raises:
            InvalidArgumentError: an argument is wrong.
            StoreError: nothing was changed.
        """
        check_not_blank("channel_id", channel_id)
        key = known_key(channel_id, channel_type)
        await _change(self._service, key, MemberChange(list=self._members, reset=True))

    async def get(self, channel_id: str, channel_type: int) -> list[str]:
        """Who is on the list of a channel, sorted; nobody if there is none.

        Raises:
            InvalidArgumentError: an argument has the wrong type.
            StoreError: the store could not be read.
        """
        return await _listed(self._service, channel_id, channel_type, self._members)

    async def _key_and_uids(
        self, channel_id: str, channel_type: int, uids: Iterable[str]
    ) -> tuple[ChannelKey, list[str]]:
        check_not_blank("channel_id", channel_id)
        if self._members is MemberList.ALLOWED:
            check_plain("channel_id", channel_id)
        key = known_key(channel_id, channel_type)
        return key, await _some_uids("uids", uids)


async def _change(service: ChannelService, key: ChannelKey, members: MemberChange) -> None:
    await service.change(ChannelChange(key=key, members=[members]))


async def _listed(service: ChannelService, channel_id: str, channel_type: int, members: MemberList) -> list[str]:
    """An id that no channel can have is no error: there is nobody on its lists."""
    if problem := wrong_type(channel_id, str):
        raise InvalidArgumentError("channel_id", problem)
    check_number("channel_type", channel_type, 0)
    found = await service.listed(ChannelKey(channel_id, int(channel_type)), members)
    uids: list[str] = []
    while some := list(islice(found, UIDS_AT_ONCE)):
        uids += some
        if len(some) == UIDS_AT_ONCE:
            await trio.lowlevel.checkpoint()
    return uids


async def _members(channel_id: str, channel_type: int, subscribers: Iterable[str]) -> tuple[ChannelKey, list[str]]:
    check_not_blank("channel_id", channel_id)
    check_plain("channel_id", channel_id)
    uids = await _some_uids("subscribers", subscribers)
    key = known_key(channel_id, channel_type)
    _check_has_members(key)
    return key, uids


async def _some_uids(field: str, uids: Iterable[str]) -> list[str]:
    cleaned = await clean_uids(field, uids)
    if not cleaned:
        raise InvalidArgumentError(field, EMPTY)
    return cleaned


def _checked(flags: ChannelFlags) -> ChannelFlags:
    if problem := wrong_type(flags, ChannelFlags):
        raise InvalidArgumentError("flags", problem)
    return flags


def _check_has_members(key: ChannelKey) -> None:
    if key.channel_type == ChannelType.PERSON:
        raise InvalidArgumentError("channel_type", PERSON)
