"""Timing small pieces of code."""

from collections.abc import Callable
from statistics import median
from timeit import Timer

REPEATS = 7
ROUND_S = 0.02
TRIAL_CALLS = 200


def show(name: str, work: Callable[[], object], *, per: int = 1) -> None:
    """Prints how long one call takes: the median of several rounds.

    Args:
        per: how many operations a call does.
    """
    timer = Timer(work)
    calls = max(1, round(TRIAL_CALLS * ROUND_S / timer.timeit(TRIAL_CALLS)))
    rounds_ns = [timer.timeit(calls) / calls / per * 1e9 for _ in range(REPEATS)]
    print(f"{name:<48}{median(rounds_ns):>10,.0f} ns")
