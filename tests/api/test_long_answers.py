"""Long answers share a budget: whoever does not read his own cannot make the server hold any number of them."""

from base64 import b64decode
from contextlib import AsyncExitStack
from typing import Any

import pytest
import trio
import trio.testing
from api_calls import Api, OpenServer
from exchanges import connect

from wukong_trio import SendCommand, Server
from wukong_trio.api import time_limits
from wukong_trio.api.answer_budget import BUDGET_BYTES, SMALL_BYTES, WORK_BYTES, AnswerBudget
from wukong_trio.model import ChannelKey
from wukong_trio.services.history import PAGE_BYTES, SHORT_BYTES, SHORT_MESSAGES, History
from wukong_trio.store.base import Page
from wukong_trio.store.memory import MemoryStore

SYNC = b'{"login_uid":"ann","channel_id":"%b","channel_type":2,"limit":10000}'
PAGE = 8 * 1024 * 1024
AT_ONCE = BUDGET_BYTES // WORK_BYTES


def sync(channel_id: bytes) -> bytes:
    body = SYNC % channel_id
    head = b"POST /channel/messagesync HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
    return head % len(body) + body


async def fill(server: Server) -> None:
    for _ in range(16):
        await server.send(SendCommand(from_uid="ann", channel_id="large", channel_type=2, payload=bytes(PAGE // 16)))


async def status(server: Server, channel_id: bytes) -> int:
    async with await connect(server) as stream:
        await stream.send_all(sync(channel_id))
        return int(bytes(await stream.receive_some()).split()[1])


async def test_answers_that_nobody_reads_are_bounded_together(
    open_server: OpenServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time_limits, "STALLED_S", 60.0)
    with trio.fail_after(30):
        async with open_server() as server:
            await fill(server)
            async with AsyncExitStack() as idle:
                for _ in range(BUDGET_BYTES // PAGE):
                    stream = await idle.enter_async_context(await connect(server))
                    await stream.send_all(sync(b"large"))
                    monkeypatch.setattr(time_limits, "ANSWER_ROOM_S", 0.5)
                    if b"503" in bytes(await stream.receive_some(12)):
                        break
                else:
                    raise AssertionError("nothing bounds them")
                assert await status(server, b"none") == 503
            monkeypatch.setattr(time_limits, "ANSWER_ROOM_S", 10.0)
            for _ in range(2 * AT_ONCE):
                # Where the others have gone, there is room again.
                assert await status(server, b"large") == 200


async def test_who_comes_too_many_waits_for_his_turn(open_server: OpenServer) -> None:
    with trio.fail_after(30):
        async with open_server() as server, Api(server) as api:
            await fill(server)
            done = []

            async def ask() -> None:
                done.append(len((await api.history("large", limit=10_000))["messages"]))

            async with trio.open_nursery() as nursery:
                for _ in range(4 * AT_ONCE):
                    nursery.start_soon(ask)
            assert done == [16] * 4 * AT_ONCE


async def test_short_pages_do_not_wait_for_long_answers(
    open_server: OpenServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time_limits, "STALLED_S", 60.0)
    monkeypatch.setattr(time_limits, "ANSWER_ROOM_S", 0.5)
    with trio.fail_after(30):
        async with open_server() as server, Api(server) as api, AsyncExitStack() as idle:
            await fill(server)
            await api.send("small")
            for _ in range(BUDGET_BYTES // PAGE):
                stream = await idle.enter_async_context(await connect(server))
                await stream.send_all(sync(b"large"))
                if b"503" in bytes(await stream.receive_some(12)):
                    break
            async with trio.open_nursery() as nursery:
                for _ in range(300):
                    nursery.start_soon(api.history, "small")
            assert len((await api.history("small", limit=SHORT_MESSAGES))["messages"]) == 1
            assert await status(server, b"small") == 503, "with a limit of 10,000 nobody knows"


@pytest.mark.parametrize(
    ("sizes", "short"),
    [
        ([SHORT_BYTES], True),
        ([SHORT_BYTES + 1], False),
        ([SHORT_BYTES - 10, 10], True),
        ([SHORT_BYTES - 10, 11], False),
        ([1] * (SHORT_MESSAGES + 1), True),
    ],
)
async def test_a_page_is_the_same_whether_it_is_short_or_long(
    open_server: OpenServer, monkeypatch: pytest.MonkeyPatch, sizes: list[int], short: bool
) -> None:
    longs = 0
    page_of = History.page

    async def page(self: History, key: ChannelKey, **options: Any) -> Page:
        nonlocal longs
        longs += options["max_bytes"] == PAGE_BYTES
        return await page_of(self, key, **options)

    monkeypatch.setattr(History, "page", page)
    async with open_server() as server, Api(server) as api:
        for size in sizes:
            await server.send(SendCommand(from_uid="ann", channel_id="g", channel_type=2, payload=bytes(size)))
        answer = await api.history("g", limit=SHORT_MESSAGES)
        found = [len(b64decode(record["payload"])) for record in answer["messages"]]
        assert found == sizes[-SHORT_MESSAGES:]
        assert answer["more"] == (len(sizes) > SHORT_MESSAGES)
        assert longs == (0 if short else 1)
        await api.history("g", limit=SHORT_MESSAGES + 1)
        assert longs == (1 if short else 2)


class CountingStore(MemoryStore):
    """Knows how many pages were read at the same time."""

    def __init__(self) -> None:
        super().__init__()
        self.now, self.most, self.go_on = 0, 0, trio.Event()

    async def messages_between(
        self, key: ChannelKey, low: int, high: int, limit: int, *, newest: bool, max_bytes: int
    ) -> Page:
        self.now += 1
        self.most = max(self.most, self.now)
        await self.go_on.wait()
        self.now -= 1
        return await super().messages_between(key, low, high, limit, newest=newest, max_bytes=max_bytes)


async def test_few_pages_are_read_at_a_time(open_server: OpenServer) -> None:
    store = CountingStore()
    with trio.fail_after(10):
        async with open_server(store=store) as server, trio.open_nursery() as nursery:
            for _ in range(3 * AT_ONCE):
                nursery.start_soon(status, server, b"none")
            while store.now < AT_ONCE:  # noqa: ASYNC110 - there is no event for it
                await trio.sleep(0.01)
            async with await connect(server) as stream:
                await stream.send_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
                assert await stream.receive_some()
            store.go_on.set()
    assert store.most == AT_ONCE


async def test_an_answer_that_is_there_already_counts_until_it_is_written() -> None:
    budget = AnswerBudget(WORK_BYTES)
    assert budget.hold(SMALL_BYTES) == 0
    assert await budget.begin()
    assert budget.settle(0) == 0
    assert budget.hold(SMALL_BYTES + 1) == SMALL_BYTES + 1
    with trio.move_on_after(0.05) as waiting:
        await budget.begin()
    assert waiting.cancelled_caught
    budget.give_back(SMALL_BYTES + 1)
    assert await budget.begin()


async def test_the_budget(autojump_clock: trio.abc.Clock) -> None:
    budget = AnswerBudget(2 * WORK_BYTES + SMALL_BYTES)
    assert await budget.begin()
    assert budget.settle(SMALL_BYTES) == 0
    assert await budget.begin()
    assert budget.settle(SMALL_BYTES + 1) == SMALL_BYTES + 1
    assert await budget.begin()
    start = trio.current_time()
    assert not await budget.begin()
    assert trio.current_time() - start == time_limits.ANSWER_ROOM_S
    async with trio.open_nursery() as nursery:
        nursery.start_soon(budget.begin)
        await trio.testing.wait_all_tasks_blocked()
        # Who was cancelled is not served, and takes nothing.
        nursery.cancel_scope.cancel()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(budget.begin)
        await trio.testing.wait_all_tasks_blocked()
        budget.give_back(SMALL_BYTES + 1)
    # Larger than what was counted for the work: the next ones wait for it.
    assert budget.settle(3 * WORK_BYTES) == 3 * WORK_BYTES
    assert not await budget.begin()
    budget.give_back(3 * WORK_BYTES)
    assert await budget.begin()
