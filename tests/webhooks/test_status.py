"""user.onlinestatus on a clock that jumps: gathering, repetition, bounds."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count

import pytest
import trio
from scripted import URL, Scripted, easy_pace, statuses
from trio.testing import MockClock

from wukong_trio import DeviceLevel
from wukong_trio.delivery.registry import SessionRegistry
from wukong_trio.webhooks import status
from wukong_trio.webhooks.hook import Hook
from wukong_trio.webhooks.pace import LONGEST_WAIT_S
from wukong_trio.webhooks.status import ENTRIES, LONGEST_S, OnlineStatus


class Session:
    level = DeviceLevel.SLAVE
    numbers = count(1)

    def __init__(self, uid: str, device_flag: int = 0) -> None:
        self.uid, self.device_flag = uid, device_flag
        self.session_id = next(self.numbers)
        self.device_id = ""


class Scene:
    def __init__(self, retry_max_count: int = 0) -> None:
        self.receiver, self.registry = Scripted(), SessionRegistry()
        hook = Hook("user.onlinestatus", self.receiver, URL, "", easy_pace())
        self.status = OnlineStatus(hook, self.registry, retry_max_count=retry_max_count)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.status.run)
            yield
            nursery.cancel_scope.cancel()

    def came(self, uid: str, device_flag: int = 0) -> Session:
        session = Session(uid, device_flag)
        self.registry.enter(session)  # type: ignore[arg-type]
        self.status.changed(session, True)  # type: ignore[arg-type]
        return session

    def went(self, session: Session) -> None:
        self.registry.leave(session)  # type: ignore[arg-type]
        self.status.changed(session, False)  # type: ignore[arg-type]

    @property
    def entries(self) -> list[str]:
        return [entry for entries in self.receiver.accepted for entry in entries]


async def test_an_entry_counts_the_sessions_there_are_after_it(autojump_clock: MockClock) -> None:
    scene = Scene()
    async with scene.running():
        app, web, other_web = scene.came("ann"), scene.came("ann", 1), scene.came("ann", 1)
        for session in (web, app, other_web):
            scene.went(session)
        await trio.sleep(1)
    a, w, o = app.session_id, web.session_id, other_web.session_id
    assert scene.entries == [
        f"ann-0-1-{a}-1-1", f"ann-1-1-{w}-1-2", f"ann-1-1-{o}-2-3",
        f"ann-1-0-{w}-1-2", f"ann-0-0-{a}-0-1", f"ann-1-0-{o}-0-0",
    ]  # fmt: skip
    assert len(scene.receiver.requests) == 1


async def test_entries_are_told_when_no_more_come(autojump_clock: MockClock) -> None:
    scene = Scene()
    async with scene.running():
        scene.came("ann")
        await trio.sleep(0.1)
        scene.came("bob")
        await trio.sleep(0.15)
        assert not scene.receiver.requests
        await trio.sleep(0.3)
        assert [len(entries) for entries in scene.receiver.accepted] == [2]


async def test_entries_that_keep_coming_are_told_all_the_same(autojump_clock: MockClock) -> None:
    scene = Scene()
    async with scene.running():
        for n in range(100):
            scene.came(f"u{n}")
            await trio.sleep(0.1)
        assert len(scene.entries) > 100 - 2 * LONGEST_S / 0.1


@pytest.mark.parametrize(("number", "at_once"), [(ENTRIES - 1, []), (ENTRIES, [ENTRIES])])
async def test_many_entries_are_told_at_once(autojump_clock: MockClock, number: int, at_once: list[int]) -> None:
    scene = Scene()
    async with scene.running():
        for n in range(number):
            scene.came(f"u{n}")
        await trio.sleep(0.1)
        assert [len(entries) for entries in scene.receiver.accepted] == at_once
        await trio.sleep(1)
        assert len(scene.entries) == number


async def test_one_request_holds_so_many_entries(autojump_clock: MockClock) -> None:
    scene = Scene()
    async with scene.running():
        for n in range(2 * ENTRIES + 1):
            scene.came(f"u{n}")
        with trio.fail_after(0.1):
            await scene.status.drain()
    assert [len(entries) for entries in scene.receiver.accepted] == [ENTRIES, ENTRIES, 1]


@pytest.mark.parametrize(("setting", "attempts"), [(0, 5), (2, 2)])
async def test_entries_are_given_up_after_some_attempts(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, setting: int, attempts: int
) -> None:
    scene = Scene(setting)
    scene.receiver.status = statuses(*[500] * attempts)
    async with scene.running():
        scene.came("ann")
        await trio.sleep(1)
        scene.came("bob")
        await trio.sleep(120)
    assert len(scene.receiver.requests) == attempts + 1
    assert len(set(scene.receiver.webhook_ids)) == 2
    assert [entry.split("-")[0] for entry in scene.entries] == ["bob"]
    assert scene.status.dropped == 1
    assert "entries were given up" in caplog.text


async def test_the_order_is_kept_over_failures(autojump_clock: MockClock) -> None:
    scene = Scene()
    scene.receiver.status = statuses(500, 0, 500)
    async with scene.running():
        ann = scene.came("ann")
        await trio.sleep(0.5)
        scene.went(ann)
        await trio.sleep(120)
    assert [entry.split("-")[2] for entry in scene.entries] == ["1", "0"]


async def test_what_waits_is_bounded_and_the_newest_stay(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status, "MOST_WAITING", ENTRIES + 10)
    scene = Scene()
    for n in range(ENTRIES + 12):
        scene.came(f"u{n}")
    async with scene.running():
        await trio.sleep(1)
    assert scene.status.dropped == 2
    assert [entry.split("-")[0] for entry in scene.entries] == [f"u{n}" for n in range(2, ENTRIES + 12)]


async def test_requests_are_made_at_their_pace(autojump_clock: MockClock) -> None:
    scene = Scene()
    async with scene.running():
        scene.status.hook.pace.spent(100 * LONGEST_WAIT_S)
        scene.came("ann")
        await trio.sleep(LONGEST_WAIT_S - 0.1)
        assert not scene.entries
        await trio.sleep(1)
        assert len(scene.entries) == 1


async def test_a_stop_does_not_wait_for_a_receiver_that_fails(autojump_clock: MockClock) -> None:
    scene = Scene()
    scene.receiver.status = lambda: 500
    async with scene.running():
        scene.came("ann")
        with trio.fail_after(1):
            await scene.status.drain()
    assert len(scene.receiver.requests) == 1


@pytest.mark.parametrize(
    ("uid", "flag", "counts"),
    [
        ("ann", 0, (1, 3)),
        ("ann", 1, (2, 3)),
        ("ann", 2, (0, 3)),
        ("bob", 0, (1, 1)),
        ("bob", 1, (0, 1)),
        ("cat", 0, (0, 0)),
    ],
)
def test_counts(uid: str, flag: int, counts: tuple[int, int]) -> None:
    registry = SessionRegistry()
    for session in (Session("ann"), Session("ann", 1), Session("ann", 1), Session("bob")):
        registry.enter(session)  # type: ignore[arg-type]
    assert registry.counts_of(uid, flag) == counts
