"""Figures about a running server: how distributions are counted, and what a figure looks like to those who show it.

Whoever works counts in plain integers, and knows nothing of who reads them.
"""

from bisect import bisect_left
from collections.abc import Sequence
from enum import Enum, auto
from typing import NamedTuple


class Histogram:
    """How often values fell into which range. A value counts in less than a microsecond, so count batches, not
    messages."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        """Args:
        bounds: the upper ends of the ranges, ascending; each belongs to its range. One more has all that is beyond.
        """
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        """Values in each range."""
        self.total = 0.0
        """The sum of all values."""

    def add(self, value: float) -> None:
        """Counts a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def copy(self) -> "Histogram":
        """The same, as it is now."""
        copied = Histogram(self.bounds)
        copied.counts = self.counts.copy()
        copied.total = self.total
        return copied


class Kind(Enum):
    """COUNTER: only grows, from 0 at the start. GAUGE: goes up and down. HISTOGRAM: a distribution since the start."""

    COUNTER = auto()
    GAUGE = auto()
    HISTOGRAM = auto()


class Figure(NamedTuple):
    """Something that is known about a server at a moment."""

    name: str
    kind: Kind
    meaning: str
    """For people, with the unit if there is one."""
    labels: tuple[str, ...]
    """What tells several values apart; empty if there is one."""
    values: Sequence[tuple[tuple[str, ...], "float | Histogram"]]
    """Each with what its labels say."""
