"""The table of time limits, on a clock that jumps. pytest-trio takes the clock from the test's own arguments."""

import pytest
import trio
from trio.testing import MockClock

from wukong_trio.gateway.deadlines import CALLS_PER_TURN, RESOLUTION_S, DeadlineTable


class Watched:
    def __init__(self, *dues: float) -> None:
        self.slot: int | None = None
        self.dues = list(dues)
        self.calls: list[float] = []

    def check_deadlines(self, now: float) -> float | None:
        self.calls.append(now)
        return self.dues.pop(0) if self.dues else None


@pytest.fixture
def table(nursery: trio.Nursery) -> DeadlineTable:
    table = DeadlineTable()
    nursery.start_soon(table.run)
    return table


async def test_a_session_is_called_when_due_and_again_when_it_says_so(
    autojump_clock: MockClock, table: DeadlineTable
) -> None:
    start = trio.current_time()
    watched = Watched(start + 10)
    table.watch(watched, start + 3)
    await trio.sleep(60)
    assert len(watched.calls) == 2
    for called, due in zip(watched.calls, (3, 10), strict=True):
        assert due <= called - start <= due + 2 * RESOLUTION_S


async def test_an_earlier_deadline_wins_and_a_later_one_changes_nothing(
    autojump_clock: MockClock, table: DeadlineTable
) -> None:
    start = trio.current_time()
    watched = Watched()
    table.watch(watched, start + 100)
    table.watch(watched, start + 200)
    await trio.sleep(1)
    table.watch(watched, start + 5)
    await trio.sleep(300)
    assert len(watched.calls) == 1
    assert 5 <= watched.calls[0] - start <= 5 + 2 * RESOLUTION_S


async def test_a_forgotten_session_is_not_called(autojump_clock: MockClock, table: DeadlineTable) -> None:
    watched, other = Watched(), Watched()
    table.watch(watched, trio.current_time() + 1)
    table.watch(other, trio.current_time() + 1)
    table.forget(watched)
    table.forget(watched)
    await trio.sleep(5)
    assert watched.calls == []
    assert len(other.calls) == 1


async def test_many_sessions_give_others_turns_and_may_end_meanwhile(
    autojump_clock: MockClock, table: DeadlineTable
) -> None:
    begun = trio.Event()

    class First(Watched):
        def check_deadlines(self, now: float) -> float | None:
            begun.set()
            return super().check_deadlines(now)

    due = trio.current_time() + 1
    many = [First() for _ in range(4 * CALLS_PER_TURN)]
    for watched in many:
        table.watch(watched, due)
    await begun.wait()
    waiting = [watched for watched in many if not watched.calls]
    # Who runs first of those who are ready is left to chance.
    assert len(waiting) >= 2 * CALLS_PER_TURN
    table.forget(waiting[0])
    await trio.sleep(5)
    assert not waiting[0].calls
    assert all(len(watched.calls) == 1 for watched in many if watched is not waiting[0])
    assert not table._slots
