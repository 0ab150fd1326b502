"""Conversations: what every store promises of them."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest
from samples import GROUP, in_slices

from wukong_trio import ChannelKey, Message, open_store
from wukong_trio.model import moment_of, person_channel_id
from wukong_trio.services.conversations import ConversationService
from wukong_trio.store.base import ChannelChange, MemberChange, MemberList, Store
from wukong_trio.store.conversations import (
    Conversation,
    ConversationChange,
    ConversationState,
    NewestWish,
    PendingCommands,
)

GONE, SHOWN, HIDDEN = ConversationState.GONE, ConversationState.SHOWN, ConversationState.HIDDEN
PERSON = ChannelKey(person_channel_id("ann", "bob"), 1)
SUBSCRIBERS, DENIED = MemberList.SUBSCRIBERS, MemberList.DENIED


class Chat:
    """A store in which people write."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.last_id = 0

    async def send(self, from_uid: str, key: ChannelKey, count: int = 1, direct: Sequence[str] = ()) -> None:
        drafts = []
        for _ in range(count):
            self.last_id += 1
            drafts.append(
                Message(
                    message_id=self.last_id, message_seq=0, channel_id=key.channel_id, channel_type=key.channel_type,
                    from_uid=from_uid, client_msg_no="", timestamp=1, payload=b"x",
                )
            )  # fmt: skip
        await self.store.append_messages(drafts, direct={draft.message_id: direct for draft in drafts if direct})

    async def change_members(self, members: MemberList, key: ChannelKey = GROUP, **change: object) -> None:
        what = MemberChange(list=members, **change)  # type: ignore[arg-type]
        await self.store.change_channel(ChannelChange(key=key, members=[what]))

    async def join(self, *uids: str, key: ChannelKey = GROUP) -> None:
        await self.change_members(SUBSCRIBERS, key, add=uids)

    async def change(self, uid: str, key: ChannelKey, **change: int) -> bool:
        [known] = await self.store.change_conversations(
            [ConversationChange(uid=uid, key=key, **change)]  # type: ignore[arg-type]
        )
        return known

    async def of(self, uid: str, *, gone: bool = False) -> dict[ChannelKey, Conversation]:
        return {c.key: c for c in (await self.store.conversations(uid, gone=gone)).items}

    async def one(self, uid: str, key: ChannelKey = GROUP) -> tuple[int, int, int, int]:
        """read_to, deleted_to, sent_to, last_seq."""
        c = (await self.of(uid))[key]
        return c.read_to, c.deleted_to, c.sent_to, c.last_seq


@pytest.fixture
def chat(store: Store) -> Chat:
    return Chat(store)


async def test_nobody_has_conversations_in_an_empty_store(chat: Chat) -> None:
    found = await chat.store.conversations("ann", gone=True)
    assert (found.items, found.moment) == ([], 0)
    assert await chat.store.pending_commands("ann") == []


async def test_the_first_message_between_two_people_begins_a_conversation_for_both(chat: Chat) -> None:
    await chat.send("ann", PERSON, 3)
    [ann], [bob] = (await chat.of("ann")).values(), (await chat.of("bob")).values()
    assert (ann.key, ann.state, ann.read_to, ann.sent_to, ann.last_seq, ann.last_id) == (PERSON, SHOWN, 1, 3, 3, 3)
    assert (bob.key, bob.state, bob.read_to, bob.sent_to, bob.last_seq, bob.last_id) == (PERSON, SHOWN, 0, 0, 3, 3)
    assert ann.created_at == moment_of(1)
    await chat.send("bob", PERSON)
    assert await chat.one("bob", PERSON) == (0, 0, 4, 4)
    assert await chat.one("ann", PERSON) == (1, 0, 3, 4)


async def test_one_has_a_conversation_with_oneself(chat: Chat) -> None:
    key = ChannelKey("ann@ann", 1)
    await chat.send("ann", key, 2)
    assert await chat.one("ann", key) == (1, 0, 2, 2)


async def test_a_member_begins_at_the_end_of_a_group(chat: Chat) -> None:
    await chat.send("system", GROUP, 5)
    await chat.join("ann")
    assert await chat.one("ann") == (5, 0, 0, 5)
    await chat.send("system", GROUP)
    assert await chat.one("ann") == (5, 0, 0, 6)
    await chat.join("ann", "bob")
    assert await chat.one("ann") == (5, 0, 0, 6)
    assert await chat.one("bob") == (6, 0, 0, 6)


async def test_who_leaves_a_group_and_returns_begins_at_its_end_again(chat: Chat) -> None:
    await chat.join("ann", "bob")
    await chat.send("ann", GROUP, 3)
    await chat.change("ann", GROUP, read_to=2, deleted_to=1)
    await chat.change_members(SUBSCRIBERS, remove=["ann"])
    assert await chat.of("ann") == {}
    assert (await chat.of("ann", gone=True))[GROUP].state is GONE
    assert not await chat.change("ann", GROUP, read_to=3)
    await chat.send("bob", GROUP)
    await chat.join("ann")
    assert await chat.one("ann") == (4, 1, 3, 4)
    await chat.change_members(SUBSCRIBERS, reset=True, add=["bob"])
    assert await chat.of("ann") == {}
    assert await chat.one("bob") == (0, 0, 4, 4)


async def test_who_is_denied_has_no_conversation_until_he_is_let_in_again(chat: Chat) -> None:
    await chat.join("ann", "bob")
    await chat.send("bob", GROUP, 2)
    await chat.change_members(DENIED, add=["ann", "eve"])
    assert await chat.of("ann") == {}
    await chat.join("ann")
    assert await chat.of("ann") == {}
    await chat.change_members(DENIED, reset=True)
    assert await chat.one("ann") == (2, 0, 0, 2)
    assert await chat.of("eve") == {}
    assert await chat.one("bob") == (0, 0, 2, 2)


async def test_the_lists_of_a_user_leave_his_conversations_alone(chat: Chat) -> None:
    await chat.send("ann", PERSON)
    await chat.change_members(DENIED, ChannelKey("bob", 1), add=["ann"])
    await chat.change_members(DENIED, ChannelKey("bob", 1), reset=True)
    assert await chat.one("ann", PERSON) == (1, 0, 1, 1)
    assert list(await chat.of("bob")) == [PERSON]


@pytest.mark.parametrize("channel_type", [7, 8, 9])
async def test_channels_of_some_types_have_no_conversations(chat: Chat, channel_type: int) -> None:
    key = ChannelKey("d", channel_type)
    await chat.join("ann", key=key)
    await chat.send("ann", key, 2)
    await chat.change("ann", key, read_to=1, show=True)
    assert await chat.of("ann", gone=True) == {}


@pytest.mark.parametrize(
    ("key", "uids"),
    [
        (ChannelKey("ann|shop", 3), ["ann"]),
        (ChannelKey("ann", 10), ["ann"]),
        (ChannelKey("ann@bot", 11), ["ann", "bot"]),
    ],
)
async def test_whom_the_id_of_a_channel_names_has_a_conversation(chat: Chat, key: ChannelKey, uids: list[str]) -> None:
    await chat.send("ann", key)
    await chat.send("x", key)
    assert await chat.one("ann", key) == (1, 0, 1, 2)
    for uid in uids[1:]:
        assert await chat.one(uid, key) == (0, 0, 0, 2)
    await chat.join("ann", "staff", key=key)
    await chat.change_members(SUBSCRIBERS, key, remove=["ann", "staff"])
    assert list(await chat.of("ann")) == [key]
    assert await chat.of("staff") == {}


async def test_positions_are_only_raised(chat: Chat) -> None:
    await chat.send("ann", PERSON, 9)
    for read_to, expected in ((4, 4), (3, 4), (9, 9)):
        assert await chat.change("bob", PERSON, read_to=read_to)
        assert await chat.one("bob", PERSON) == (expected, 0, 0, 9)
    for deleted_to, expected in ((5, 5), (4, 5)):
        assert await chat.change("bob", PERSON, deleted_to=deleted_to)
        assert await chat.one("bob", PERSON) == (9, expected, 0, 9)


async def test_a_deleted_conversation_is_hidden_until_it_is_wanted(chat: Chat) -> None:
    await chat.send("ann", PERSON, 2)
    await chat.change("bob", PERSON, deleted_to=2)
    assert (await chat.of("bob"))[PERSON].state is HIDDEN
    await chat.change("bob", PERSON, read_to=2)
    assert (await chat.of("bob"))[PERSON].state is HIDDEN
    await chat.change("bob", PERSON, show=True)
    bob = (await chat.of("bob"))[PERSON]
    assert (bob.state, bob.deleted_to) == (SHOWN, 2)
    await chat.change("bob", PERSON, deleted_to=2)
    assert (await chat.of("bob"))[PERSON].state is SHOWN


async def test_a_conversation_may_begin_without_a_message(chat: Chat) -> None:
    assert not await chat.change("ann", PERSON, read_to=0)
    assert await chat.of("ann") == {}
    assert await chat.change("ann", PERSON, create=True)
    assert await chat.one("ann", PERSON) == (0, 0, 0, 0)
    assert await chat.of("bob") == {}
    await chat.send("ann", PERSON)
    assert await chat.one("bob", PERSON) == (0, 0, 0, 1)


async def test_moments_go_on_with_each_commit(chat: Chat) -> None:
    async def changed(uid: str, key: ChannelKey = PERSON) -> int:
        return (await chat.of(uid, gone=True))[key].changed_at

    await chat.send("ann", PERSON)
    moments = [(await chat.store.conversations("eve")).moment]
    assert moments == [moment_of(1)]
    assert await chat.change("bob", PERSON, read_to=1)
    assert moments[-1] < await changed("bob")
    assert await changed("ann") <= moments[0]
    moments.append((await chat.store.conversations("bob")).moment)
    assert moments[-1] >= await changed("bob")
    assert await chat.change("bob", PERSON, read_to=1)
    assert await changed("bob") <= moments[-1]
    await chat.join("bob")
    assert await changed("bob", GROUP) > moments[-1]
    moments.append((await chat.store.conversations("bob")).moment)
    await chat.change_members(SUBSCRIBERS, remove=["bob"])
    assert await changed("bob", GROUP) > moments[-1]
    moments.append((await chat.store.conversations("bob")).moment)
    await chat.send("ann", PERSON)
    assert moment_of((await chat.of("bob"))[PERSON].last_id) > moments[-1]


async def test_a_message_is_later_than_what_was_read_before_however_much_has_changed(chat: Chat) -> None:
    await chat.send("ann", GROUP)
    for n in range(300):
        await chat.join(f"u{n}")
    moment = (await chat.store.conversations("u299")).moment
    await chat.send("ann", GROUP)
    [conversation] = (await chat.store.conversations("u299")).items
    assert moment_of(conversation.last_id) > moment


async def test_positions_and_order_survive_the_way_into_the_table(chat: Chat) -> None:
    for n in range(30):
        await chat.send(("ann", "bob")[n % 2], PERSON)
        await chat.send("eve", ChannelKey(person_channel_id("eve", f"u{n % 3}"), 1))
    assert await chat.one("ann", PERSON) == (1, 0, 29, 30)
    assert await chat.one("bob", PERSON) == (0, 0, 30, 30)
    assert sorted(c.last_id for c in (await chat.of("eve")).values()) == [56, 58, 60]
    assert {(c.sent_to, c.last_seq) for c in (await chat.of("eve")).values()} == {(10, 10)}


# Commands


def commands(key: ChannelKey) -> ChannelKey:
    return ChannelKey(key.channel_id + "____cmd", key.channel_type)


async def test_commands_wait_for_members_from_when_they_joined(chat: Chat) -> None:
    await chat.join("ann", "bob")
    await chat.send("system", commands(GROUP), 2)
    await chat.join("late")
    for uid in ("ann", "bob"):
        assert await chat.store.pending_commands(uid) == [PendingCommands(*GROUP, 0, 2, 1)]
    assert await chat.store.pending_commands("late") == []
    await chat.send("system", commands(GROUP))
    assert await chat.store.pending_commands("late") == [PendingCommands(*GROUP, 2, 3, 3)]
    assert await chat.one("ann") == (0, 0, 0, 0)
    assert await chat.change("ann", GROUP, commands_to=2)
    assert await chat.change("ann", GROUP, commands_to=1)
    assert await chat.store.pending_commands("ann") == [PendingCommands(*GROUP, 2, 3, 3)]
    await chat.change("ann", GROUP, commands_to=3)
    assert await chat.store.pending_commands("ann") == []


async def test_commands_are_dropped_by_leaving(chat: Chat) -> None:
    await chat.join("ann")
    await chat.send("system", commands(GROUP), 2)
    await chat.change_members(SUBSCRIBERS, remove=["ann"])
    assert await chat.store.pending_commands("ann") == []
    await chat.join("ann")
    await chat.send("system", commands(GROUP))
    assert await chat.store.pending_commands("ann") == [PendingCommands(*GROUP, 2, 3, 3)]


async def test_the_sender_of_the_first_command_need_not_fetch_it(chat: Chat) -> None:
    await chat.join("ann", "bob")
    for key in (GROUP, PERSON):
        await chat.send("ann", commands(key))
        assert key in [pending.key for pending in await chat.store.pending_commands("bob")]
        assert await chat.store.pending_commands("ann") == []
    await chat.send("ann", commands(GROUP))
    assert await chat.store.pending_commands("ann") == [PendingCommands(*GROUP, 1, 2, 3)]


async def test_commands_between_two_people_are_no_conversation(chat: Chat) -> None:
    await chat.send("ann", commands(PERSON))
    assert await chat.of("ann") == await chat.of("bob") == {}
    assert await chat.change("bob", PERSON, commands_to=1)
    await chat.send("ann", commands(PERSON))
    await chat.send("ann", PERSON)
    assert await chat.one("bob", PERSON) == (0, 0, 0, 1)
    assert await chat.store.pending_commands("bob") == [PendingCommands(*PERSON, 1, 2, 2)]


async def test_commands_to_named_users(chat: Chat) -> None:
    key = ChannelKey("123", 8)
    await chat.send("system", commands(key), direct=["ann", "bob"])
    await chat.send("system", commands(key), direct=["ann", "bob"])
    for uid in ("ann", "bob"):
        assert await chat.store.pending_commands(uid) == [PendingCommands(*key, 0, 2, 1)]
        assert await chat.of(uid, gone=True) == {}
    await chat.change("ann", key, commands_to=1)
    assert await chat.store.pending_commands("ann") == [PendingCommands(*key, 1, 2, 2)]
    await chat.change("ann", key, commands_to=2)
    assert await chat.store.pending_commands("ann") == []
    await chat.send("ann", commands(key), direct=["ann", "bob"])
    assert await chat.store.pending_commands("ann") == []
    assert await chat.store.pending_commands("bob") == [PendingCommands(*key, 0, 3, 1)]


async def test_members_of_a_temporary_channel_keep_their_place_among_its_commands(chat: Chat) -> None:
    key = ChannelKey("t", 8)
    await chat.join("ann", key=key)
    await chat.send("system", commands(key))
    await chat.change("ann", key, commands_to=1)
    await chat.send("system", commands(key))
    assert await chat.store.pending_commands("ann") == [PendingCommands(*key, 1, 2, 2)]


# The newest messages


async def test_the_newest_messages_of_several_channels(chat: Chat) -> None:
    await chat.send("ann", GROUP, 5)
    await chat.send("ann", PERSON, 3)
    await chat.send("ann", ChannelKey("h", 2))
    wishes = [
        NewestWish(PERSON, 0, 2), NewestWish(ChannelKey("none", 2), 0, 2), NewestWish(GROUP, 4, 9),
        NewestWish(GROUP, 6, 9), NewestWish(ChannelKey("h", 2), 1, 1),
    ]  # fmt: skip
    found = await chat.store.newest_messages(wishes, max_bytes=100)
    assert [[m.message_seq for m in messages] for messages in found] == [[3, 2], [], [5, 4], [], [1]]
    assert {m.channel_id for m in found[0]} == {PERSON.channel_id}
    for max_bytes, expected in (
        (4, [[3, 2], [], [5], [], [1]]),
        (2, [[3], [], [5], [], []]),
        (0, [[3], [], [], [], []]),
    ):
        few = await chat.store.newest_messages(wishes, max_bytes=max_bytes)
        assert [[m.message_seq for m in messages] for messages in few] == expected
    known = [NewestWish(PERSON, 0, 1, 8), NewestWish(GROUP, 4, 1, 5), NewestWish(GROUP, 4, 2, 5)]
    found = await chat.store.newest_messages(known, max_bytes=100)
    assert [[m.message_seq for m in messages] for messages in found] == [[3], [5], [5, 4]]
    assert [m.channel_id for m in found[0]] == [PERSON.channel_id]
    assert await chat.store.newest_messages([], max_bytes=9) == []


# SQLite


async def test_all_of_it_is_there_after_a_restart(tmp_path: Path, small_chunks: None) -> None:
    async with open_store(tmp_path / "data") as store:
        chat = Chat(store)
        await chat.join("ann", "bob")
        for _ in range(20):
            await chat.send("ann", GROUP)
        await chat.send("bob", PERSON, 2)
        await chat.change("ann", PERSON, deleted_to=1)
        before = [await store.conversations(uid) for uid in ("ann", "bob")]
    async with open_store(tmp_path / "data") as store:
        assert [await store.conversations(uid) for uid in ("ann", "bob")] == before


async def test_a_change_of_very_many_members_reaches_everybodys_conversations(tmp_path: Path) -> None:
    uids = [f"u{n:05}" for n in range(20_000)]
    async with open_store(tmp_path / "data") as store:
        chat = Chat(store)
        await chat.send("system", GROUP, 2)
        await chat.join(*uids)
        for uid in (uids[0], uids[10_000], uids[-1]):
            assert await chat.one(uid) == (2, 0, 0, 2)
        await chat.change_members(SUBSCRIBERS, reset=True, add=uids[:10])
        assert list(await chat.of(uids[9])) == [GROUP]
        assert await chat.of(uids[10]) == await chat.of(uids[-1]) == {}


# Messages that leave


async def test_what_has_expired_is_not_there_and_counts_for_nothing(chat: Chat) -> None:
    chat.store.clock = lambda: 1000
    for n, expire in enumerate((0, 50, 0, 60, 0, 40), start=1):
        draft = Message(
            message_id=n, message_seq=0, channel_id=PERSON.channel_id, channel_type=1, from_uid="ann",
            client_msg_no="", timestamp=1000, payload=b"x", expire=expire,
        )  # fmt: skip
        await chat.store.append_messages([draft])
    chat.last_id = 6

    async def state() -> tuple[int, int, int, list[int]]:
        bob = (await chat.of("bob"))[PERSON]
        wishes = [NewestWish(PERSON, 1, 9), NewestWish(PERSON, 1, 1, bob.last_id)]
        newest, [last] = await chat.store.newest_messages(wishes, max_bytes=99)
        assert last == newest[0]
        return bob.last_seq, bob.last_id, bob.gone, [m.message_seq for m in newest]

    assert await state() == (6, 6, 0, [6, 5, 4, 3, 2, 1])
    chat.store.clock = lambda: 1040
    assert await state() == (6, 6, 1, [5, 4, 3, 2, 1])
    chat.store.clock = lambda: 1060
    assert await state() == (6, 6, 3, [5, 3, 1])
    await chat.change("bob", PERSON, read_to=2)
    assert await state() == (6, 6, 2, [5, 3, 1])
    await clean(chat.store)
    last_seq, _, gone, seqs = await state()
    assert (last_seq, gone, seqs) == (6, 2, [5, 3, 1])
    await chat.send("ann", ChannelKey("other", 2), 9)
    await chat.send("bob", PERSON)
    assert (await chat.of("bob"))[PERSON].gone == 0
    assert (await chat.of("ann"))[PERSON].last_seq == 7


async def test_what_was_removed_for_good_counts_for_nothing(chat: Chat) -> None:
    await chat.send("ann", PERSON, 6)
    await chat.send("ann", GROUP)
    await remove_before(chat.store, 5)
    bob = (await chat.of("bob"))[PERSON]
    assert (bob.last_seq, bob.read_to, bob.gone) == (6, 0, 4)
    await remove_before(chat.store, 7)
    bob = (await chat.of("bob"))[PERSON]
    assert (bob.last_seq, bob.gone) == (6, 6)
    assert await chat.store.newest_messages([NewestWish(PERSON, 1, 9, bob.last_id)], max_bytes=9) == [[]]
    await chat.send("ann", PERSON)
    bob = (await chat.of("bob"))[PERSON]
    assert (bob.last_seq, bob.gone) == (7, 6)


async def test_what_was_deleted_is_not_shown_again_when_the_newer_is_gone(chat: Chat) -> None:
    await chat.send("ann", PERSON, 2)
    draft = Message(
        message_id=3, message_seq=0, channel_id=PERSON.channel_id, channel_type=1, from_uid="ann",
        client_msg_no="", timestamp=1, payload=b"x", expire=1,
    )  # fmt: skip
    await chat.store.append_messages([draft])
    await chat.change("bob", PERSON, deleted_to=2)
    await clean(chat.store)
    bob = (await chat.of("bob"))[PERSON]
    assert (bob.last_seq, bob.last_id) == (3, 2)
    assert await chat.store.newest_messages([NewestWish(PERSON, 3, 1, bob.last_id)], max_bytes=9) == [[]]


async def test_a_message_of_ones_own_that_is_gone_leaves_nothing_unread(chat: Chat) -> None:
    await chat.send("bob", PERSON)
    draft = Message(
        message_id=2, message_seq=0, channel_id=PERSON.channel_id, channel_type=1, from_uid="ann",
        client_msg_no="", timestamp=1, payload=b"x", expire=1,
    )  # fmt: skip
    await chat.store.append_messages([draft])
    conversations = ConversationService(chat.store, user_max=9)
    for _ in range(2):
        [view] = await conversations.latest("ann")
        assert (view.unread, view.read_to, [message.message_seq for message in view.recents]) == (0, 1, [1])
        await clean(chat.store)


async def clean(store: Store) -> None:
    """Removes what has expired."""
    await in_slices(store.settle)
    await in_slices(partial(store.remove_expired, limit=2, before_id=2**53))


async def remove_before(store: Store, message_id: int) -> None:
    await in_slices(store.settle)
    await in_slices(partial(store.remove_before, limit=2, before_id=message_id))
