"""msg.offline on a clock that jumps: bounds, no repetition, and groups of any size."""

import base64
import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from common import counted_turns
from scripted import URL, Scripted, easy_pace, message, statuses
from trio.testing import MockClock, wait_all_tasks_blocked

from wukong_trio import ChannelKey, DeviceLevel, ReasonCode, SendCommand
from wukong_trio.delivery.registry import SessionRegistry
from wukong_trio.delivery.routes import Route
from wukong_trio.delivery.submission import Submission
from wukong_trio.services.directory import Channel
from wukong_trio.store.base import ChannelRecord
from wukong_trio.webhooks import offline
from wukong_trio.webhooks.hook import Hook
from wukong_trio.webhooks.offline import FEW, SLICE, WORKERS, OfflineMessages
from wukong_trio.webhooks.pace import LONGEST_WAIT_S


class Session:
    device_flag = 0

    def __init__(self, uid: str, level: DeviceLevel) -> None:
        self.uid = self.device_id = uid
        self.session_id, self.level = id(self), level


class Scene:
    def __init__(self, **settings: Any) -> None:
        self.receiver, self.registry = Scripted(), SessionRegistry()
        self.hook = Hook("msg.offline", self.receiver, URL, "", easy_pace())
        settings = {"node_id": 7, "compress_of_count": 0} | settings
        self.offline = OfflineMessages(self.hook, self.registry, {"news"}, **settings)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.offline.run)
            yield
            nursery.cancel_scope.cancel()

    def online(self, uid: str, level: DeviceLevel = DeviceLevel.MASTER) -> None:
        self.registry.enter(Session(uid, level))  # type: ignore[arg-type]

    def delivered(self, number: int, *uids: str, kind: int = 2, payload: bytes = b"{}") -> None:
        """A message of ann is with everybody online."""
        channel = Channel(ChannelRecord(key=ChannelKey("g", kind), subscribers=frozenset(uids)))
        route = Route("ann", channel, channel, ReasonCode.SUCCESS)
        command = SendCommand(from_uid="ann", channel_id="g", channel_type=kind, payload=payload)
        sent = message(number, payload=payload, channel_type=kind)
        self.offline.delivered(Submission(None, command, route=route, message=sent))

    @property
    def told(self) -> list[int]:
        return [record["message_id"] for record in self.receiver.accepted]


async def test_a_refused_request_is_not_repeated(autojump_clock: MockClock) -> None:
    scene = Scene()
    scene.receiver.status = statuses(500)
    async with scene.running():
        scene.delivered(1, "bob")
        await trio.sleep(600)
        scene.delivered(2, "bob")
        await scene.offline.drain()
    assert scene.told == [2]
    assert scene.receiver.webhook_ids == ["offline-1", "offline-2"]


async def test_what_waits_is_bounded(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(offline, "QUEUE", 20)
    scene = Scene()
    scene.receiver.before = trio.sleep_forever
    async with scene.running():
        for n in range(1, 24):
            scene.delivered(n, "bob")
        await wait_all_tasks_blocked()
        assert (scene.offline.dropped, len(scene.receiver.requests)) == (3, WORKERS)
        scene.receiver.before = trio.lowlevel.checkpoint
        await scene.offline.drain()
        scene.delivered(30, "bob")
        await scene.offline.drain()
    assert sorted(scene.told) == [*range(WORKERS + 1, 21), 30]
    assert caplog.text.count("too slow") == 1


async def test_what_waits_is_bounded_in_bytes(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offline, "QUEUE_BYTES", 100)
    scene = Scene()
    async with scene.running():
        for n, size in enumerate((60, 40, 1)):
            scene.delivered(n, "bob", payload=b"x" * size)
        assert scene.offline.dropped == 1
        await scene.offline.drain()
        # A single one may be larger.
        scene.delivered(5, "bob", payload=b"x" * 101)
        await scene.offline.drain()
    assert sorted(scene.told) == [0, 1, 5]


async def test_what_is_not_told_in_time_is_counted(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene()
    scene.receiver.before = trio.sleep_forever
    async with scene.running():
        for n in range(WORKERS + 2):
            scene.delivered(n, "bob")
        with trio.move_on_after(5):
            await scene.offline.drain()
    assert scene.offline.dropped == WORKERS + 2
    assert f"{WORKERS + 2} messages were not told in time" in caplog.text


async def test_agents_are_not_told_of(autojump_clock: MockClock) -> None:
    scene = Scene()
    async with scene.running():
        scene.delivered(1, "bob", kind=11)
        scene.delivered(2, "bob", kind=10)
        await scene.offline.drain()
    assert scene.told == [2]


@pytest.mark.parametrize("more", [FEW - 4, FEW - 3, SLICE * 3])
async def test_receivers_of_groups_of_any_size(autojump_clock: MockClock, more: int) -> None:
    scene = Scene()
    scene.online("master")
    scene.online("slave", DeviceLevel.SLAVE)
    others = [f"u{n}" for n in range(more)]
    async with scene.running():
        scene.delivered(1, "ann", "master", "slave", "news", *others)
        await scene.offline.drain()
    [record] = scene.receiver.accepted
    assert sorted(record["to_uids"]) == sorted(["slave", *others])
    assert record["source_id"] == 7


@pytest.mark.parametrize("count", [0, FEW + 1])
async def test_nobody_is_not_told_of(autojump_clock: MockClock, count: int) -> None:
    scene = Scene()
    uids = [f"u{n}" for n in range(count)]
    for uid in uids:
        scene.online(uid)
    async with scene.running():
        scene.delivered(1, "ann", "news", *uids)
        await scene.offline.drain()
    assert not scene.receiver.requests


async def test_a_large_group_lets_others_have_their_turns() -> None:
    scene = Scene()
    async with counted_turns() as turns, scene.running():
        before = turns.count
        scene.delivered(1, *(f"u{n}" for n in range(20 * SLICE)))
        await scene.offline.drain()
        assert turns.count - before >= 2 * 20
    assert len(scene.receiver.accepted[0]["to_uids"]) == 20 * SLICE


@pytest.mark.parametrize(("count", "compressed"), [(10_000, False), (10_001, True)])
async def test_long_lists_are_compressed(count: int, compressed: bool) -> None:
    scene = Scene(compress_of_count=10_000)
    uids = [f"user{n}" for n in range(count)]
    async with scene.running():
        scene.delivered(1, *uids)
        with trio.fail_after(10):
            await scene.offline.drain()
    [record] = scene.receiver.accepted
    assert ("compress" in record) is compressed
    if compressed:
        assert record["to_uids"] == []
        record["to_uids"] = json.loads(gzip.decompress(base64.b64decode(record["compress_to_uids"])))
    assert sorted(record["to_uids"]) == sorted(uids)


async def test_a_message_that_cannot_be_told_stops_no_other(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    scene = Scene()
    async with scene.running():
        scene.delivered(1, "bob")
        monkeypatch.setattr(offline, "record_of", lambda _: 1 / 0)
        await scene.offline.drain()
        monkeypatch.undo()
        scene.delivered(2, "bob")
        await scene.offline.drain()
    assert scene.told == [2]
    assert "a message was not told" in caplog.text


async def test_requests_are_made_at_their_pace(autojump_clock: MockClock) -> None:
    scene = Scene()
    pace = scene.hook.pace
    start = trio.current_time()
    async with scene.running():
        # One has cost so much that the next ones have to wait.
        pace.spent(100 * LONGEST_WAIT_S)
        for n in range(2 * WORKERS):
            scene.delivered(n, "bob")
        await trio.sleep(LONGEST_WAIT_S - 0.1)
        assert not scene.told
        await trio.sleep(0.2)
        assert len(scene.told) == 2 * WORKERS
        # Who stops does not wait.
        pace.spent(100 * LONGEST_WAIT_S)
        for n in range(2 * WORKERS):
            scene.delivered(n, "bob")
        await scene.offline.drain()
    assert trio.current_time() - start < LONGEST_WAIT_S + 1
