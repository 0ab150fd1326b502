"""What msg.notify takes from memory and what from the store, and that there is no difference to be seen."""

from sys import getrefcount

import pytest
import trio
from scripted import Scene, easy_pace, message
from trio.testing import MockClock

from wukong_trio import Message
from wukong_trio.store import MemoryStore
from wukong_trio.webhooks import untold
from wukong_trio.webhooks.pace import Load, Pace
from wukong_trio.webhooks.untold import REQUEST_BYTES, UntoldMessages


class Counted(MemoryStore):
    """Remembers what was read from it."""

    def __init__(self) -> None:
        super().__init__()
        self.read: list[int] = []

    async def messages_after(self, message_id: int, limit: int, *, max_bytes: int) -> list[Message]:
        messages = await super().messages_after(message_id, limit, max_bytes=max_bytes)
        self.read += [message.message_id for message in messages]
        return messages


async def test_messages_of_late_are_not_read_again(autojump_clock: MockClock) -> None:
    store = Counted()
    scene = Scene(store)
    await store.move_webhook_cursor(1)
    old = await scene.send(3)
    async with scene.running():
        await trio.sleep(5)
        new = await scene.send(250)
        await trio.sleep(5)
    assert scene.receiver.told == old + new
    assert store.read == old


@pytest.mark.parametrize(("limit", "value"), [("KEPT", 30), ("KEPT_BYTES", 60)])
@pytest.mark.parametrize(("sizes", "read"), [([30], 0), ([20, 10], 0), ([31], 31), ([20, 11], 31)])
async def test_only_so_many_are_kept(
    autojump_clock: MockClock,
    monkeypatch: pytest.MonkeyPatch,
    limit: str,
    value: int,
    sizes: list[int],
    read: int,
) -> None:
    monkeypatch.setattr(untold, limit, value)
    store = Counted()
    scene = Scene(store)
    async with scene.running():
        ids = [message_id for size in sizes for message_id in await scene.send(size)]
        await trio.sleep(5)
        assert scene.receiver.told == ids
        assert len(store.read) == read
        # Once nothing waits there is room again.
        ids += await scene.send(1)
        await trio.sleep(5)
    assert scene.receiver.told == ids
    assert len(store.read) == read


async def test_while_many_wait_each_is_told_once_and_in_order(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(untold, "KEPT", 40)
    monkeypatch.setattr(untold, "READ_AT_ONCE", 25)
    store = Counted()
    scene = Scene(store, count_per_push=10)

    async def slowly() -> None:
        # As fast as messages come, and then faster.
        await trio.sleep(0.1 if len(scene.receiver.requests) < 30 else 0.01)

    scene.receiver.before = slowly
    ids: list[int] = []
    async with scene.running():
        for n in range(60):
            ids += await scene.send(1 + n % 13)
            await trio.sleep(0.05)
        await trio.sleep(30)
        assert scene.notify.waiting == 0
    assert scene.receiver.told == ids
    assert 0 < len(store.read) < len(ids)


async def test_reading_is_paid_for() -> None:
    store = Counted()
    await store.append_messages([message(n) for n in range(1, 1001)])
    pace = Pace(Load(lambda: 0.0, lambda: 0.0, lambda: 0.0), 0.01, cpu_clock=lambda: 0.0)
    messages = UntoldMessages(store, pace, 1000)
    assert len(await messages.after(0, 100)) == 100
    assert pace.wait_s > 0.1


async def test_what_is_done_with_is_not_held() -> None:
    store = Counted()
    messages = UntoldMessages(store, easy_pace(), 0)
    stored = [message(n, payload=b"x" * (REQUEST_BYTES // 2)) for n in range(1, 6)]
    messages.stored(stored, 5)
    assert [found.message_id for found in await messages.after(0, 100)] == [1, 2]
    messages.forget(2)
    assert [found.message_id for found in await messages.after(2, 1)] == [3]
    messages.forget(5)
    assert await messages.after(5, 100) == []
    assert not store.read
    # Nothing counts any more.
    messages.stored([message(6, payload=b"x" * untold.KEPT_BYTES)], 1)
    assert [found.message_id for found in await messages.after(5, 100)] == [6]


async def test_what_is_too_much_is_not_held() -> None:
    messages = UntoldMessages(Counted(), easy_pace(), 0)
    held = message(1)
    references = getrefcount(held)
    messages.stored([held], 1)
    assert getrefcount(held) == references + 1
    messages.stored([message(2)], untold.KEPT + 1)
    assert getrefcount(held) == references
