"""Latencies in logarithmic buckets: any range, three significant digits, cheap to record, merge and send."""

from collections.abc import Iterator
from math import log10
from typing import Final

from msgspec import Struct, field

_DIGITS: Final = 11
"""Values below 2**11 have a bucket each; above, a bucket is 1/1024 of its value or narrower."""
_HALF: Final = 1 << (_DIGITS - 1)
_STEPS: Final = 25


def bucket_of(value: int) -> int:
    """The bucket of a value >= 0."""
    shift = value.bit_length() - _DIGITS
    return value if shift <= 0 else shift * _HALF + (value >> shift)


def top_of(bucket: int) -> int:
    """The largest value of a bucket."""
    shift = max(0, bucket // _HALF - 1)
    return ((bucket - shift * _HALF + 1) << shift) - 1


class Histogram(Struct):
    """How often each value was seen. Values are integers >= 0, here microseconds; smaller ones count as 0."""

    counts: dict[int, int] = field(default_factory=dict)
    """Bucket -> how many values."""
    highest: int = 0

    def record(self, value: int) -> None:
        """Counts one value."""
        if value > self.highest:
            self.highest = value
        shift = value.bit_length() - _DIGITS
        bucket = shift * _HALF + (value >> shift) if shift > 0 else max(value, 0)
        self.counts[bucket] = self.counts.get(bucket, 0) + 1

    def merge(self, other: "Histogram") -> None:
        """Adds what another one has counted."""
        self.highest = max(self.highest, other.highest)
        for bucket, count in other.counts.items():
            self.counts[bucket] = self.counts.get(bucket, 0) + count

    @property
    def total(self) -> int:
        """How many values there are."""
        return sum(self.counts.values())

    def percentile(self, percent: float) -> int:
        """The smallest value that `percent` of the values do not exceed, within 0.1 %; 0 if there are no values."""
        wanted = self.total * percent / 100
        seen = 0
        for bucket in sorted(self.counts):
            seen += self.counts[bucket]
            if seen >= wanted:
                return min(top_of(bucket), self.highest)
        return 0

    def curve(self) -> Iterator[tuple[float, int]]:
        """The distribution: pairs of (percent, the value that so many do not exceed), rising.

        Between a percentage and the one that leaves a tenth of the rest lie `_STEPS` pairs.
        """
        total, seen, step = self.total, 0, 0
        for bucket in sorted(self.counts):
            seen += self.counts[bucket]
            if total - seen <= total * 10 ** (-step / _STEPS):
                yield 100 * seen / total, min(top_of(bucket), self.highest)
                step = int(_STEPS * log10(total / (total - seen))) + 1 if seen < total else step
