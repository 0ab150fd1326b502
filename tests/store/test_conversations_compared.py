"""Conversations and missed commands: both stores say the same after whatever has happened, and a client that follows
the list of what has changed has all of it."""

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from random import Random

import pytest
from samples import in_slices

from wukong_trio import ChannelKey, Message, open_store
from wukong_trio.model import person_channel_id
from wukong_trio.services.conversations import ConversationService, ConversationView, unread_of
from wukong_trio.store.base import ChannelChange, MemberChange, MemberList, Store
from wukong_trio.store.conversations import (
    Conversation,
    ConversationChange,
    Conversations,
    ConversationState,
    NewestWish,
)
from wukong_trio.store.removals import Position, Slice

UIDS = ("ann", "bob", "c\0d", "it's", '"q"', "🦊", "")
NAMED = [uid for uid in UIDS if uid]
KEYS = (
    *(ChannelKey(person_channel_id(one, two), 1) for one in NAMED for two in NAMED if one <= two),
    *(ChannelKey(name, 2) for name in ("g", "g\0h", "日本@本", "ann")),
    ChannelKey("ann|shop", 3),
    ChannelKey("bob@🦊", 11),
    ChannelKey("bob", 10),
    ChannelKey("data", 7),
    ChannelKey("t", 8),
    ChannelKey("live", 9),
)
GROUPS = [key for key in KEYS if key.channel_type != 1]
DIRECT = (ChannelKey("111", 8), ChannelKey("2\0", 8))
STEPS = 130


def command(key: ChannelKey) -> ChannelKey:
    return ChannelKey(key.channel_id + "____cmd", key.channel_type)


class Pair:
    """A store of each kind, to which the same happens."""

    def __init__(self, seed: int, *, lasting: bool) -> None:
        """Args:
        lasting: no message expires, and none is removed.
        """
        self.random = Random(seed)
        self.lasting = lasting
        self.now_s = 1_700_000_000
        self.last_id = 0
        self.memory: Store
        self.sqlite: Store

    @property
    def stores(self) -> tuple[Store, Store]:
        return self.memory, self.sqlite

    async def act(self) -> None:
        """Lets something happen."""
        acts = (self.send, self.send, self.send, self.command, self.direct, self.members, self.members, self.read)
        await self.random.choice((*acts, self.read, self.delete, self.activate, self.acknowledge, self.later))()

    async def remove(self) -> None:
        """Removes some messages for good."""
        least = self.random.randrange(self.last_id + 2)
        kind = self.random.choice(("expired", "before", "surplus"))
        kept = self.random.choice((1, 3, 20))
        for store in self.stores:
            work: Callable[[Position], Awaitable[Slice]] = partial(store.remove_expired, limit=3, before_id=2**53)
            if kind == "before":
                work = partial(store.remove_before, limit=3, before_id=least // 2)
            elif kind == "surplus":
                work = partial(store.remove_surplus, limit=3, kept=kept, before_id=2**53)
            for slices in (work, store.settle, work):
                await in_slices(slices)

    async def append(self, key: ChannelKey, from_uid: str, count: int, direct: tuple[str, ...] = ()) -> None:
        expire = 0 if self.lasting else self.random.choice((0, 0, 0, 1, 20, 100))
        drafts = []
        for _ in range(count):
            self.last_id += self.random.choice((1, 1, 5000))
            drafts.append(
                Message(
                    message_id=self.last_id, message_seq=0, channel_id=key.channel_id, channel_type=key.channel_type,
                    from_uid=from_uid, client_msg_no=f"m{self.last_id}", timestamp=self.now_s, payload=b"x",
                    expire=expire,
                )
            )  # fmt: skip
        numbers = [
            await store.append_messages(drafts, direct={draft.message_id: direct for draft in drafts if direct})
            for store in self.stores
        ]
        assert numbers[0] == numbers[1]

    async def send(self) -> None:
        key = self.random.choice(KEYS)
        await self.append(key, self.random.choice(NAMED), self.random.choice((1, 1, 2, 5)))

    async def command(self) -> None:
        await self.append(command(self.random.choice(KEYS)), self.random.choice(NAMED), self.random.choice((1, 2)))

    async def direct(self) -> None:
        uids = tuple(self.random.sample(NAMED, 2))
        await self.append(command(self.random.choice(DIRECT)), self.random.choice(NAMED), 1, uids)

    async def members(self) -> None:
        members = self.random.choice((MemberList.SUBSCRIBERS, MemberList.SUBSCRIBERS, MemberList.DENIED))
        change = MemberChange(
            list=members,
            reset=self.random.random() < 0.2,
            remove=self.random.sample(NAMED, self.random.choice((0, 1, 2))),
            add=self.random.sample(NAMED, self.random.choice((0, 1, 3))),
        )
        key = self.random.choice(KEYS)
        for store in self.stores:
            await store.change_channel(ChannelChange(key=key, members=[change]))

    async def change(self, uid: str, key: ChannelKey, **change: int) -> None:
        asked = [ConversationChange(uid=uid, key=key, **change)]  # type: ignore[arg-type]
        one, other = [await store.change_conversations(asked) for store in self.stores]
        assert one == other

    async def read(self) -> None:
        uid, key = self.random.choice(NAMED), self.random.choice(KEYS)
        read_to = max(await self.memory.last_seq(key) - self.random.choice((0, 0, 1, 4)), 0)
        await self.change(uid, key, read_to=read_to, create=uid in key.channel_id and key.channel_type == 1)

    async def delete(self) -> None:
        uid, key = self.random.choice(NAMED), self.random.choice(KEYS)
        await self.change(uid, key, deleted_to=await self.memory.last_seq(key))

    async def activate(self) -> None:
        await self.change(self.random.choice(NAMED), self.random.choice(KEYS), show=True)

    async def acknowledge(self) -> None:
        uid = self.random.choice(NAMED)
        for pending in await self.memory.pending_commands(uid):
            await self.change(uid, pending.key, commands_to=self.random.randint(pending.commands_to, pending.last_seq))

    async def later(self) -> None:
        self.now_s += self.random.choice((1, 10, 50))

    async def compare(self, uid: str) -> None:
        """Both say the same of a user."""
        one, other = [await store.conversations(uid, gone=True) for store in self.stores]
        assert told(one) == told(other)
        assert told(await self.memory.conversations(uid)) == told(await self.sqlite.conversations(uid))
        commands = [{p.key: p for p in await store.pending_commands(uid)} for store in self.stores]
        assert commands[0] == commands[1]
        belongs = [sorted(await store.channels_of(uid)) for store in self.stores]
        assert belongs[0] == belongs[1]
        is_in = [await store.subscribed(uid, KEYS) for store in self.stores]
        assert is_in[0] == is_in[1]
        conversations = [c for c in one.items if c.state is not ConversationState.GONE]
        newest = {c.key: c.last_id for c in other.items}
        count = self.random.choice((1, 1, 3))
        wishes = [NewestWish(c.key, c.deleted_to + 1, count, 0) for c in conversations]
        known = [NewestWish(c.key, c.deleted_to + 1, count, newest[c.key]) for c in conversations if c.last_id]
        for wanted in (wishes, known):
            read = [ids_of(await store.newest_messages(wanted, max_bytes=10**6)) for store in self.stores]
            assert read[0] == read[1]
        for c in conversations:
            [messages] = await self.memory.newest_messages(
                [NewestWish(c.key, c.deleted_to + 1, 10**6)], max_bytes=10**6
            )
            read_to = max(c.read_to, c.deleted_to, c.sent_to)
            unread, _ = unread_of(uid, c, messages[0] if messages else None)
            assert unread == len([m for m in messages if m.message_seq > read_to])


def ids_of(found: list[list[Message]]) -> list[list[int]]:
    return [[message.message_id for message in messages] for messages in found]


def told(found: Conversations) -> dict[ChannelKey, object]:
    """What has to be the same in both stores; their moments need not be."""
    return {c.key: _told(c) for c in found.items}


def _told(c: Conversation) -> object:
    if c.state is ConversationState.GONE:
        return c.state
    # Whoever has come in after what he has sent has read to the end.
    sent_to = max(c.sent_to, c.read_to)
    return c.state, c.read_to, c.deleted_to, sent_to, c.last_seq, c.last_id, c.gone


class Follower:
    """A client that asks for what has changed, two conversations at a time."""

    service: ConversationService

    def __init__(self, uid: str) -> None:
        self.uid = uid
        self.known: dict[ChannelKey, ConversationView] = {}
        self.since = 0
        self.before: tuple[int, str, int] | None = None
        self.coverage = 0

    async def ask(self) -> None:
        """For one page."""
        page = await self.service.list_changes(
            self.uid, since=self.since, limit=2, before=self.before, coverage=self.coverage
        )
        assert not page.reset_required
        for name in page.deleted:
            self.known = {key: view for key, view in self.known.items() if (view.channel_id, key.channel_type) != name}
        self.known |= {view.key: view for view in page.views}
        self.before, self.coverage = page.next_before, page.coverage
        if self.before is None:
            self.since, self.coverage = page.coverage, 0

    async def ask_all(self) -> None:
        """For all pages."""
        await self.ask()
        while self.before is not None:
            await self.ask()

    async def check(self) -> None:
        """It knows what there is."""
        for _ in range(2):
            # What has moved to an earlier page in between comes with the next walk.
            await self.ask_all()
        everything = await self.service.list_changes(self.uid, since=0, limit=1000)
        assert self.known == {view.key: view for view in everything.views}


@pytest.mark.parametrize("lasting", [True, False], ids=["", "removals"])
@pytest.mark.parametrize("chunks", ["", "small_chunks"])
async def test_both_stores_say_the_same(
    tmp_path: Path, chunks: str, lasting: bool, request: pytest.FixtureRequest
) -> None:
    if chunks:
        request.getfixturevalue(chunks)
    pair = Pair(5, lasting=lasting)
    followers = [Follower(uid) for uid in ("ann", "c\0d") * 2] if lasting else []
    async with open_store(None) as pair.memory:
        for _ in range(3):
            async with open_store(tmp_path / "data") as pair.sqlite:
                for place, follower in enumerate(followers):
                    follower.service = ConversationService(pair.stores[place // 2], user_max=1000)
                for store in pair.stores:
                    store.clock = lambda: float(pair.now_s)
                for _ in range(STEPS):
                    await pair.act()
                    if not lasting and pair.random.random() < 0.02:
                        await pair.remove()
                    await pair.compare(pair.random.choice(NAMED))
                    if followers:
                        await pair.random.choice(followers).ask()
                for follower in followers:
                    await follower.check()
