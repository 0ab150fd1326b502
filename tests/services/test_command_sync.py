"""Missed commands: very many acknowledgements hold nobody up."""

from collections.abc import Sequence

import trio
from trio.testing import MockClock

from wukong_trio import ChannelKey, Message
from wukong_trio.services.command_sync import AT_ONCE, RECEIPTS_INTERVAL_S, CommandSync
from wukong_trio.store import MemoryStore
from wukong_trio.store.base import ChannelChange, MemberChange, MemberList
from wukong_trio.store.conversations import ConversationChange

MANY = 2 * AT_ONCE + 1


class NotingStore(MemoryStore):
    """Notes how many changes it is asked for at once."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    async def change_conversations(self, changes: Sequence[ConversationChange]) -> list[bool]:
        self.sizes.append(len(changes))
        return await super().change_conversations(changes)


def command(message_id: int, channel_id: str) -> Message:
    return Message(
        message_id=message_id, message_seq=0, channel_id=channel_id + "____cmd", channel_type=2, from_uid="system",
        client_msg_no="", timestamp=1, payload=b"{}",
    )  # fmt: skip


async def join(store: MemoryStore, channel_id: str, uids: Sequence[str]) -> None:
    members = MemberChange(list=MemberList.SUBSCRIBERS, add=uids)
    await store.change_channel(ChannelChange(key=ChannelKey(channel_id, 2), members=[members]))


async def test_receipts_of_a_large_group_are_written_piece_by_piece(autojump_clock: MockClock) -> None:
    store, uids = NotingStore(), [f"u{n}" for n in range(MANY)]
    sync = CommandSync(store)
    await join(store, "g", uids)
    await store.append_messages([command(1, "g")])
    [pushed] = await sync.fetch("u0", 10)
    for uid in uids:
        sync.received(uid, pushed)
    with trio.move_on_after(2 * RECEIPTS_INTERVAL_S):
        await sync.run()
    assert store.sizes == [AT_ONCE, AT_ONCE, 1]
    assert [pending for uid in uids for pending in await store.pending_commands(uid)] == []


async def test_commands_of_many_channels_are_acknowledged_piece_by_piece() -> None:
    store = NotingStore()
    sync = CommandSync(store)
    for n in range(MANY):
        await join(store, f"g{n}", ["ann"])
        await store.append_messages([command(n + 1, f"g{n}")])
    assert len(await sync.fetch("ann", MANY)) == MANY
    await sync.acknowledge("ann")
    assert store.sizes == [AT_ONCE, AT_ONCE, 1]
    assert await sync.fetch("ann", MANY) == []
