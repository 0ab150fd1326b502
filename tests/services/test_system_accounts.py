"""System accounts in memory stay true to the store."""

from collections.abc import Sequence

import trio
from trio.testing import wait_all_tasks_blocked

from wukong_trio.services.users import SystemAccounts
from wukong_trio.store import MemoryStore


class LateStore(MemoryStore):
    """The answers to additions take their time."""

    def __init__(self) -> None:
        super().__init__()
        self.may_answer = trio.Event()

    async def change_system_uids(self, *, add: Sequence[str] = (), remove: Sequence[str] = ()) -> None:
        await super().change_system_uids(add=add, remove=remove)
        if add:
            await self.may_answer.wait()


async def test_changes_are_known_in_the_order_in_which_the_store_made_them() -> None:
    store = LateStore()
    accounts = SystemAccounts(store)
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: accounts.change(add=["ann"]))
            await wait_all_tasks_blocked()
            nursery.start_soon(lambda: accounts.change(remove=["ann"]))
            await wait_all_tasks_blocked()
            store.may_answer.set()
        assert accounts.listed() == await store.system_uids() == []
        assert "ann" not in accounts
