"""A server on a store that others write to as well, and what these others do."""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from time import time
from typing import Any

import msgspec
import trio
import trio.testing

from wukong_trio import (
    ChannelKey,
    Config,
    DeviceLevel,
    Message,
    ReasonCode,
    SendCommand,
)
from wukong_trio.delivery.decide import Decider
from wukong_trio.delivery.dedup import SentMarks
from wukong_trio.delivery.deliver import Deliverer
from wukong_trio.delivery.flush import FlushList
from wukong_trio.delivery.ids import MessageIds
from wukong_trio.delivery.push import Delivery
from wukong_trio.delivery.registry import SessionRegistry
from wukong_trio.delivery.router import Router
from wukong_trio.delivery.submission import Submission
from wukong_trio.model import ChannelFlags, first_id_at
from wukong_trio.protocol.codes import Close
from wukong_trio.services.channels import ChannelService
from wukong_trio.services.directory import ChannelDirectory
from wukong_trio.services.users import SystemAccounts
from wukong_trio.store import MemoryStore
from wukong_trio.store.base import (
    ChannelChange,
    ChannelRecord,
    ChannelsChangedError,
    MemberChange,
    MemberList,
    RepeatedSendsError,
)

GROUP, OTHER = ChannelKey("g", 2), ChannelKey("h", 2)
Meanwhile = Callable[[], Awaitable[None]]


class SharedStore(MemoryStore):
    """Counts the versions of channels, and knows what other servers have stored."""

    def __init__(self) -> None:
        super().__init__()
        self._versions: dict[ChannelKey, int] = {}
        self.batches: list[list[str]] = []
        """The `client_msg_no`s of each append that was tried."""
        self.meanwhile: list[Meanwhile] = []
        """What happens elsewhere just before the next appends, one for each."""

    async def load_channels(self, keys: Sequence[ChannelKey]) -> list[ChannelRecord]:
        records = await super().load_channels(keys)
        return [msgspec.structs.replace(record, version=self._versions.get(record.key, 1)) for record in records]

    async def change_channel(self, change: ChannelChange) -> None:
        self._versions[change.key] = self._versions.get(change.key, 1) + 1
        await super().change_channel(change)

    async def append_messages(
        self,
        drafts: Sequence[Message],
        *,
        versions: Mapping[ChannelKey, int] = {},
        distinct: Collection[int] = (),
        direct: Mapping[int, Collection[str]] = {},
    ) -> Sequence[int]:
        assert {ChannelKey(draft.channel_id, draft.channel_type) for draft in drafts} == set(versions)
        assert not any(draft.message_seq for draft in drafts)
        self.batches.append([draft.client_msg_no for draft in drafts])
        if self.meanwhile:
            await self.meanwhile.pop(0)()
        changed = [key for key, version in versions.items() if version != self._versions.get(key, 1)]
        if changed:
            raise ChannelsChangedError(changed)
        known = {_said(message): message for message in self._messages.values()}
        originals = {
            draft.message_id: known[_said(draft)]
            for draft in drafts
            if _said(draft) in known and draft.message_id not in distinct
        }
        if originals:
            raise RepeatedSendsError(originals)
        return await super().append_messages(drafts, direct=direct)

    async def stored_elsewhere(self, *commands: SendCommand, seconds_ago: float = 1) -> None:
        """Another server stores messages; their ids are lower than ours."""
        before = first_id_at(time() - seconds_ago) + len(self._messages)
        drafts = [
            Message(
                message_id=before + n, message_seq=0, channel_id=c.channel_id, channel_type=c.channel_type,
                from_uid=c.from_uid, client_msg_no=c.client_msg_no, timestamp=1, payload=c.payload,
            )
            for n, c in enumerate(commands, start=1)
        ]  # fmt: skip
        newest, self._newest_id = self._newest_id, 0
        await super().append_messages(drafts)
        self._newest_id = newest

    @property
    def ids(self) -> list[int]:
        """Of all that is stored."""
        return sorted(self._messages)

    def stored(self, key: ChannelKey = GROUP) -> list[tuple[int, str]]:
        """The numbers of a channel and what was stored with them."""
        return [(message.message_seq, message.client_msg_no) for message in self._channels.get(key, [])]


def _said(message: Message) -> tuple[object, ...]:
    return message.channel_id, message.channel_type, message.from_uid, message.client_msg_no, message.payload


class Sent(Submission, eq=False, gc=False):
    """A client's send that remembers how it ended."""

    answers: list[tuple[ReasonCode, int]] = msgspec.field(default_factory=list)

    def finish(self) -> None:
        self.answers.append((self.reason, self.message.message_seq if self.message is not None else 0))


class Member:
    """A session that remembers what it got."""

    device_flag, level = 0, DeviceLevel.SLAVE

    def __init__(self, uid: str) -> None:
        self.uid = self.device_id = uid
        self.session_id = id(self)
        self.seqs: list[int] = []

    def deliver(self, delivery: Delivery) -> int:
        self.seqs += [push.message.message_seq for push in delivery.pushes]
        return 1

    def close(self, why: Close, notice: object = None) -> None:
        raise AssertionError


class Scene:
    """One of the servers. "ann" and "bob" are members of the groups, and bob is online."""

    def __init__(self, **config: Any) -> None:
        self.store, self.registry, self.bob = SharedStore(), SessionRegistry(), Member("bob")
        self.registry.enter(self.bob)
        self.directory = ChannelDirectory(self.store)
        self.service = ChannelService(self.store, self.directory, lambda *_args, **_kwargs: 0)
        self.hook: Callable[[SendCommand], Awaitable[SendCommand | ReasonCode | None]] | None = None
        self._config = Config(**config)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        config = self._config
        for key in (GROUP, OTHER):
            members = MemberChange(list=MemberList.SUBSCRIBERS, add=["ann", "bob"])
            await self.store.change_channel(ChannelChange(key=key, create=True, members=[members]))
        decider = Decider(
            self.store, self.directory, MessageIds(0), SentMarks(config.idempotency), config,
            system_accounts=SystemAccounts(self.store),
        )  # fmt: skip
        deliverer = Deliverer(self.registry, FlushList(), None)
        self.router = Router(self.store, decider, deliverer, payload_limit_bytes=1000, before_send=self.hook)
        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.router.run)
                yield
                nursery.cancel_scope.cancel()

    async def send(self, *submissions: Submission) -> list[tuple[ReasonCode, int]]:
        """Hands in a batch; returns reason and number of each answer."""
        await self.router.submit(list(submissions))
        await trio.testing.wait_all_tasks_blocked()
        return [answer for s in submissions if isinstance(s, Sent) for answer in s.answers]

    def change(self, **flags: bool) -> Meanwhile:
        """Another server changes the group."""

        async def change() -> None:
            await self.store.change_channel(ChannelChange(key=GROUP, flags=ChannelFlags(**flags)))

        return change

    def stored(self, *numbers: str) -> Meanwhile:
        """Another server stores sends of ann."""

        async def store() -> None:
            await self.store.stored_elsewhere(*(command(number) for number in numbers))

        return store


def command(number: str, *, key: ChannelKey = GROUP, from_uid: str = "ann", flags: int = 0) -> SendCommand:
    return SendCommand(
        from_uid=from_uid, channel_id=key.channel_id, channel_type=key.channel_type, payload=b"{}",
        client_msg_no=number, flags=flags,
    )  # fmt: skip


def send(number: str, sender: Member | None = None, **more: Any) -> Sent:
    return Sent(sender, command(number, **more))


async def nothing() -> None:
    pass


def ok(*seqs: int) -> list[tuple[ReasonCode, int]]:
    return [(ReasonCode.SUCCESS, seq) for seq in seqs]
