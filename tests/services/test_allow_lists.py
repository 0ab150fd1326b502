"""What back-ends do with channels."""

from common import counted_turns

from wukong_trio.model import ChannelKey, ChannelType
from wukong_trio.services.channels import SORTED_AT_ONCE, ChannelService
from wukong_trio.services.directory import ChannelDirectory
from wukong_trio.store.base import ChannelChange, MemberChange, MemberList
from wukong_trio.store.memory import MemoryStore

G = ChannelKey("g", ChannelType.GROUP)


async def test_a_long_allow_list_is_sorted_while_others_get_their_turns() -> None:
    uids = [f"user-{n:06}" for n in range(10 * SORTED_AT_ONCE)]
    store = MemoryStore()
    await store.change_channel(ChannelChange(key=G, members=[MemberChange(list=MemberList.ALLOWED, add=uids)]))
    service = ChannelService(store, ChannelDirectory(store), lambda *_args, **_kwargs: 0)
    async with counted_turns() as turns:
        assert list(await service.listed(G, MemberList.ALLOWED)) == uids
    assert turns.count >= 9
