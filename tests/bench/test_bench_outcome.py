"""Whether the load generator was the limit, and what the intervals add up to."""

import pytest

from wukong_trio.bench.histogram import Histogram
from wukong_trio.bench.outcome import BUSY_SHARE, LATE_US, Collection, judge_load
from wukong_trio.bench.wire import Tick


def collected(busy: float, late_us: int = 0) -> Collection:
    late = Histogram()
    late.record(late_us)
    collection = Collection([[]])
    collection.add(0, Tick(at_s=1.0, length_s=1.0, busy=busy, late_us=late, answered=10))
    return collection


@pytest.mark.parametrize(
    ("busy", "late_us", "server_share", "limited"),
    [
        (BUSY_SHARE - 0.01, 0, None, False),
        (BUSY_SHARE, 0, None, True),
        (BUSY_SHARE, 0, 0.5, True),
        (BUSY_SHARE, 0, 0.99, False),
        (0.1, LATE_US, 0.99, False),
        (0.1, LATE_US + 10, 0.99, True),
    ],
)
def test_a_busy_or_late_load_generator_is_the_limit(
    busy: float, late_us: int, server_share: float | None, limited: bool
) -> None:
    load = judge_load(collected(busy, late_us), server_share, machine_idle=0.5)
    assert load.limited is limited
    assert any("load generator was" in remark for remark in load.remarks) is limited


def test_a_full_machine_is_mentioned() -> None:
    assert judge_load(collected(0.1), None, machine_idle=0.5).remarks == []
    assert "took time from each other" in judge_load(collected(0.1), None, machine_idle=0.01).remarks[0]


def test_stragglers_count_but_not_as_throughput() -> None:
    collection = collected(0.5)
    collection.add(0, Tick(settling=True, answered=3))
    assert collection.sums.answered == 13
    assert collection.measured_answers == 10
    assert collection.seconds == 1.0


def test_a_short_last_interval_is_no_moment() -> None:
    collection = collected(0.5)
    collection.add(0, Tick(at_s=1.01, length_s=0.01, answered=90))
    assert [moment.answered_per_s for moment in collection.moments()] == [10.0]
