"""msg.notify on a clock that jumps: order, repetition, bounds, and where the cursor stands."""

import logging
import time
from collections.abc import Sequence
from itertools import cycle, pairwise

import pytest
import trio
from scripted import Scene, message, statuses
from trio.testing import MockClock

from wukong_trio import Message, StoreError
from wukong_trio.model import SYNC_ONCE, first_id_at, moment_of
from wukong_trio.store import MemoryStore
from wukong_trio.webhooks import notify, untold
from wukong_trio.webhooks.hook import TOTAL_TIMEOUT_S
from wukong_trio.webhooks.untold import REQUEST_BYTES


async def test_messages_that_come_together_are_told_together_after_the_interval(autojump_clock: MockClock) -> None:
    scene = Scene()
    async with scene.running():
        start = trio.current_time()
        first = await scene.send(1)
        await trio.sleep(0.4)
        second = await scene.send(1)
        await trio.sleep(1)
        assert [[record["message_id"] for record in records] for records in scene.receiver.accepted] == [first + second]
        assert scene.receiver.times[0] - start == pytest.approx(0.5)


@pytest.mark.parametrize(("count", "at_once"), [(99, 0), (100, 1)])
async def test_a_full_push_does_not_wait(autojump_clock: MockClock, count: int, at_once: int) -> None:
    scene = Scene()
    async with scene.running():
        await scene.send(count)
        await trio.sleep(0.1)
        assert len(scene.receiver.requests) == at_once
        await trio.sleep(1)
        assert len(scene.receiver.told) == count


async def test_a_request_is_bounded_in_bytes_but_a_large_message_is_told(autojump_clock: MockClock) -> None:
    scene = Scene()
    async with scene.running():
        await scene.send(4, payload=b"x" * (REQUEST_BYTES // 2))
        await scene.send(1, payload=b"x" * (REQUEST_BYTES + 1))
        await trio.sleep(5)
    assert [len(records) for records in scene.receiver.accepted] == [2, 2, 1]


async def test_a_command_is_shown_in_the_channel_that_it_is_for(autojump_clock: MockClock) -> None:
    scene = Scene()
    async with scene.running():
        await scene.append(
            message(scene.first_id, channel_id="g____cmd", flags=SYNC_ONCE),
            message(scene.first_id + 1, channel_id="h____cmd"),
        )
        await trio.sleep(5)
    [records] = scene.receiver.accepted
    assert [record["channel_id"] for record in records] == ["g", "h____cmd"]


async def test_h115_a_refused_request_is_repeated_as_it_was(autojump_clock: MockClock) -> None:
    scene = Scene()
    scene.receiver.status = statuses(500, 302)
    async with scene.running():
        first = await scene.send(1)
        await trio.sleep(1)
        second = await scene.send(1)
        await trio.sleep(10)
    requests = scene.receiver.requests
    assert len(requests) == 4
    assert len({request.content for request in requests[:3]}) == 1
    assert len(set(scene.receiver.webhook_ids[:3])) == 1
    assert scene.receiver.webhook_ids[3] != scene.receiver.webhook_ids[2]
    assert scene.receiver.told == first + second


async def test_h115_with_a_count_a_message_is_given_up_and_later_ones_come(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    scene = Scene(retry_max_count=5)
    scene.receiver.status = statuses(*[500] * 5)
    async with scene.running():
        await scene.send(2)
        await trio.sleep(60)
        assert len(scene.receiver.requests) == 5
        later = await scene.send(1)
        await trio.sleep(60)
        assert scene.receiver.told == later
        assert (scene.notify.dropped, scene.notify.waiting) == (2, 0)
    assert await scene.store.webhook_cursor() == later[-1]
    assert "2 messages were given up" in caplog.text


async def test_waits_grow_to_half_a_minute_and_nothing_is_given_up(autojump_clock: MockClock) -> None:
    scene = Scene()
    scene.receiver.status = lambda: 500
    async with scene.running():
        ids = await scene.send(3)
        await trio.sleep(3600)
        later = await scene.send(200)
        times = scene.receiver.times
        assert [round(b - a) for a, b in pairwise(times)][:8] == [1, 2, 4, 8, 16, 30, 30, 30]
        scene.receiver.status = lambda: 200
        await trio.sleep(31)
        assert scene.receiver.told == ids + later
        assert scene.notify.dropped == 0


async def test_who_fails_half_of_the_time_gets_everything_in_order(autojump_clock: MockClock) -> None:
    scene, turn = Scene(), cycle([500, 200, 0, 200])
    scene.receiver.status = lambda: next(turn)
    async with scene.running():
        ids = [id_ for _ in range(10) for id_ in await scene.send(70)]
        await trio.sleep(600)
    assert scene.receiver.told == ids


async def test_who_hangs_is_given_half_a_minute(autojump_clock: MockClock) -> None:
    scene = Scene()
    scene.receiver.before = trio.sleep_forever
    async with scene.running():
        ids = await scene.send(1)
        await trio.sleep(TOTAL_TIMEOUT_S)
        scene.receiver.before = trio.lowlevel.checkpoint
        await trio.sleep(5)
    assert scene.receiver.times[1] - scene.receiver.times[0] == pytest.approx(TOTAL_TIMEOUT_S + 1)
    assert scene.receiver.told == ids


# --- the cursor


async def test_the_first_use_begins_at_the_newest_message(autojump_clock: MockClock) -> None:
    scene = Scene()
    await scene.send(5)
    async with scene.running():
        await trio.sleep(5)
        assert await scene.store.webhook_cursor() == await scene.store.last_message_id()
        ids = await scene.send(1)
        await trio.sleep(5)
    assert scene.receiver.told == ids


async def test_what_was_stored_while_webhooks_were_off_is_told(autojump_clock: MockClock) -> None:
    scene = Scene()
    async with scene.running():
        ids = await scene.send(1)
        await trio.sleep(5)
    del scene.notify
    ids += await scene.send(250)
    async with scene.running():
        await trio.sleep(0.1)
        assert scene.notify.waiting <= 250
        await trio.sleep(5)
        assert scene.notify.waiting == 0
    assert scene.receiver.told == ids


async def test_a_stop_leaves_the_rest_for_the_next_start(autojump_clock: MockClock) -> None:
    scene = Scene()
    scene.receiver.status = statuses(200, then=500)
    async with scene.running():
        ids = await scene.send(300)
        await trio.sleep(0.1)
        with trio.fail_after(1):
            await scene.notify.drain()
    assert scene.receiver.told == ids[:100]
    assert await scene.store.webhook_cursor() == ids[99]
    scene.receiver.status = lambda: 200
    async with scene.running():
        await trio.sleep(5)
    assert scene.receiver.told == ids


async def test_a_stop_tells_what_it_can(autojump_clock: MockClock) -> None:
    scene = Scene()
    async with scene.running():
        ids = await scene.send(250)
        with trio.fail_after(0.1):
            await scene.notify.drain()
        assert scene.receiver.told == ids
        with trio.fail_after(0.1):
            await scene.notify.drain()


async def test_a_cursor_that_cannot_be_saved_is_saved_later(autojump_clock: MockClock) -> None:
    class FullDisk(MemoryStore):
        full = True

        async def move_webhook_cursor(self, message_id: int) -> None:
            if self.full:
                raise StoreError("full")
            await super().move_webhook_cursor(message_id)

    store = FullDisk()
    scene = Scene(store)
    async with scene.running():
        ids = await scene.send(150)
        await trio.sleep(5)
        assert scene.receiver.told == ids
        assert await store.webhook_cursor() is None
        store.full = False
        await trio.sleep(1.1)
        assert await store.webhook_cursor() == ids[-1]


async def test_a_store_that_cannot_be_read_is_asked_again(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    class Unreadable(MemoryStore):
        failures = 3

        async def messages_after(self, message_id: int, limit: int, *, max_bytes: int) -> list[Message]:
            if self.failures:
                self.failures -= 1
                raise StoreError("gone")
            return await super().messages_after(message_id, limit, max_bytes=max_bytes)

    scene = Scene(Unreadable())
    await scene.store.move_webhook_cursor(1)
    ids = await scene.send(2)
    async with scene.running():
        await trio.sleep(60)
    assert scene.receiver.told == ids
    assert "cannot be read: gone" in caplog.text


async def test_messages_that_somebody_has_deleted_stop_nothing(autojump_clock: MockClock) -> None:
    scene = Scene()
    await scene.store.move_webhook_cursor(1)
    scene.newest_id = scene.first_id + 10
    async with scene.running():
        await trio.sleep(5)
        assert scene.notify.waiting == 0
        await scene.append(message(scene.first_id + 11))
        await trio.sleep(5)
    assert scene.receiver.told == [scene.first_id + 11]


@pytest.mark.parametrize("kept", [0, 10])
async def test_what_is_stored_while_nothing_is_found_is_told(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    class Late(MemoryStore):
        meanwhile = True

        async def messages_after(self, message_id: int, limit: int, *, max_bytes: int) -> list[Message]:
            found = await super().messages_after(message_id, limit, max_bytes=max_bytes)
            if self.meanwhile:
                self.meanwhile = False
                await scene.append(message(scene.first_id + 11))
            return found

    monkeypatch.setattr(untold, "KEPT", kept)
    scene = Scene(Late())
    await scene.store.move_webhook_cursor(1)
    scene.newest_id = scene.first_id + 10
    async with scene.running():
        await trio.sleep(5)
    assert scene.receiver.told == [scene.first_id + 11]


async def test_a_cursor_beyond_the_newest_message_hides_nothing(autojump_clock: MockClock) -> None:
    scene = Scene()
    await scene.store.move_webhook_cursor(2**53 - 1)
    async with scene.running():
        ids = await scene.send(1)
        await trio.sleep(5)
    assert scene.receiver.told == ids
    assert await scene.store.webhook_cursor() == ids[0]


# --- bounds


@pytest.mark.parametrize(("sent", "dropped"), [(150, 0), (151, 1), (420, 270)])
async def test_the_oldest_are_given_up_when_too_many_wait(
    autojump_clock: MockClock,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    sent: int,
    dropped: int,
) -> None:
    monkeypatch.setattr(notify, "IDS_AT_ONCE", 50)
    scene = Scene(max_waiting=150)
    scene.receiver.status = lambda: 500
    async with scene.running():
        ids = await scene.send(1) + await scene.send(sent - 1)
        await trio.sleep(3600)
        scene.receiver.status = lambda: 200
        await trio.sleep(60)
        assert scene.receiver.told == ids[dropped:]
        assert (scene.notify.dropped, scene.notify.waiting) == (dropped, 0)
    assert ("messages were given up" in caplog.text) is bool(dropped)


async def test_those_that_are_too_old_are_given_up(autojump_clock: MockClock) -> None:
    scene = Scene(max_age_s=3600)
    now, old = time.time(), []
    await scene.store.move_webhook_cursor(1)
    for age_s in (7200, 3630, 3570, 1):
        old.append(first_id_at(now - age_s))
        await scene.append(message(old[-1]))
    async with scene.running():
        await trio.sleep(5)
        assert scene.receiver.told == old[2:]
        assert (scene.notify.dropped, scene.notify.waiting) == (2, 0)
    assert await scene.store.webhook_cursor() == old[-1]


async def test_counting_what_was_left_takes_its_turns(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Asked(MemoryStore):
        limits: Sequence[int] = ()

        async def message_ids_after(self, message_id: int, limit: int) -> list[int]:
            self.limits = [*self.limits, limit]
            return await super().message_ids_after(message_id, limit)

    monkeypatch.setattr(notify, "IDS_AT_ONCE", 50)
    store = Asked()
    scene = Scene(store)
    await store.move_webhook_cursor(1)
    ids = await scene.send(120)
    scene.receiver.status = lambda: 500
    async with scene.running():
        await trio.sleep(5)
        assert scene.notify.waiting == 120
        assert list(store.limits) == [50, 50, 50]
        assert await scene.store.webhook_cursor() == 1
    scene.receiver.status = lambda: 200
    async with scene.running():
        await trio.sleep(5)
    assert scene.receiver.told == ids


async def test_failing_and_recovering_are_said_once(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    scene = Scene()
    scene.receiver.status = statuses(500, 500, 500)
    with caplog.at_level(logging.INFO):
        async with scene.running():
            await scene.send(1)
            await trio.sleep(60)
            assert (scene.notify.hook.requests, scene.notify.hook.failures) == (1, 3)
    assert [record.getMessage() for record in caplog.records] == [
        "webhook msg.notify: the receiver does not accept: the answer is 500",
        "webhook msg.notify: the receiver accepts again",
    ]


async def test_how_old_the_oldest_is(autojump_clock: MockClock) -> None:
    scene = Scene(count_per_push=1)
    await scene.store.move_webhook_cursor(1)
    ids = await scene.send(1)
    scene.receiver.status = lambda: 500

    def oldest() -> float:
        """The moment to which the oldest belongs."""
        now_s = time.time() + 1000
        return now_s - scene.notify.oldest_s(now_s)

    def none_waits() -> bool:
        return scene.notify.oldest_s(time.time() + 1000) == 0

    async with scene.running():
        await trio.sleep(5)
        assert oldest() == pytest.approx((moment_of(ids[0]) / 1e9), abs=0.001)
        scene.first_id = first_id_at(time.time() + 100)
        later = await scene.send(2)
        await trio.sleep(5)
        assert oldest() == pytest.approx((moment_of(ids[0]) / 1e9), abs=0.001), "another one says nothing of the oldest"
        scene.receiver.status = statuses(200, then=500)
        await trio.sleep(60)
        assert scene.receiver.told == ids
        assert oldest() == pytest.approx((moment_of(later[0]) / 1e9), abs=0.001)
        scene.receiver.status = lambda: 200
        await trio.sleep(60)
        assert scene.receiver.told == ids + later
        assert none_waits()
        scene.receiver.status = lambda: 500
        scene.first_id = first_id_at(time.time() + 200)
        last = await scene.send(1)
        assert oldest() == pytest.approx((moment_of(last[0]) / 1e9), abs=0.001), "known before it was read"


async def test_how_old_the_oldest_is_from_before_the_start(autojump_clock: MockClock) -> None:
    scene = Scene()
    await scene.store.move_webhook_cursor(1)
    ids = await scene.send(2)
    async with scene.running():
        await trio.sleep(0.1)
        assert not scene.receiver.requests
        assert scene.notify.oldest_s((moment_of(ids[0]) / 1e9) + 50) == pytest.approx(50, abs=0.001)


def test_ids_and_moments() -> None:
    for moment in (1_577_836_801.0, 1_700_000_000.123, 3_000_000_000.5):
        assert moment_of(first_id_at(moment)) / 1e9 == pytest.approx(moment, abs=0.001)
        assert moment_of(first_id_at(moment) + 4095) / 1e9 == pytest.approx(moment, abs=0.001)
