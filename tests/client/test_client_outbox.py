"""Frames that wait to be written: many callers cost what their number costs, and none is forgotten."""

import pytest
import trio
import trio.testing

from wukong_trio.client import outbox
from wukong_trio.client.outbox import Outbox


class Steps(trio.abc.Instrument):
    """Counts how often any task runs."""

    def __init__(self) -> None:
        self.count = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.count += 1


async def write_all(box: Outbox, frames: int) -> None:
    for _ in range(frames):
        frame = await box.take()
        await trio.lowlevel.checkpoint()
        box.written(frame)


async def test_callers_who_wait_are_not_all_woken_for_each_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "REQUEST_BYTES", 1000)
    callers = 500
    box, steps = Outbox(), Steps()
    trio.lowlevel.add_instrument(steps)
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            for _ in range(callers):
                nursery.start_soon(box.put, lambda: b"x" * 100)
            nursery.start_soon(write_all, box, callers)
    trio.lowlevel.remove_instrument(steps)
    assert steps.count < 10 * callers


async def test_who_gives_up_waiting_takes_nobodys_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "REQUEST_BYTES", 0)
    box = Outbox()
    await box.put(lambda: b"first")
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            impatient = trio.CancelScope()

            async def give_up() -> None:
                with impatient:
                    await box.put(lambda: b"second")

            nursery.start_soon(give_up)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(box.put, lambda: b"third")
            await trio.testing.wait_all_tasks_blocked()
            impatient.cancel()
            await trio.testing.wait_all_tasks_blocked()
            box.written(await box.take())
        assert await box.take() == b"third"


async def test_what_is_drained_is_written() -> None:
    box = Outbox()
    await box.put(lambda: b"frame")
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(box.drain)
            await trio.testing.wait_all_tasks_blocked()
            box.written(await box.take())


async def test_what_cannot_be_made_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "REQUEST_BYTES", 0)
    box = Outbox()
    await box.put(lambda: b"first")

    def fail() -> bytes:
        raise KeyError

    async def fail_to_put() -> None:
        with pytest.raises(KeyError):
            await box.put(fail)

    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fail_to_put)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(box.put, lambda: b"second")
            await trio.testing.wait_all_tasks_blocked()
            box.written(await box.take())
        assert await box.take() == b"second"


async def test_what_is_too_late_is_not_made() -> None:
    box = Outbox()
    box.close()
    await box.put(lambda: pytest.fail("made"))
