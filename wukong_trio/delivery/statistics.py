"""What the router counts."""

from collections import Counter
from dataclasses import dataclass, field

from msgspec import Struct

from ..counting import Histogram
from ..model import ReasonCode

BATCH_BOUNDS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)
DURATION_BOUNDS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


def _durations() -> Histogram:
    return Histogram(DURATION_BOUNDS_S)


@dataclass(slots=True)
class RouterStatistics:
    """Counters since the start. Not a Struct, whose fields take three times as long to set."""

    accepted: int = 0
    refusals: Counter[ReasonCode] = field(default_factory=Counter)
    repeated: int = 0
    stored: int = 0
    commits: int = 0
    delivered: int = 0
    batch_messages: Histogram = field(default_factory=lambda: Histogram(BATCH_BOUNDS))
    """Messages of each commit."""
    commit_s: Histogram = field(default_factory=_durations)
    """How long the store took for each."""
    answer_s: Histogram = field(default_factory=_durations)
    """From handing in to the answer, of one send of a batch: the one that came first, and so has waited longest."""

    @property
    def refused(self) -> int:
        return sum(self.refusals.values())


class Queues(Struct, frozen=True):
    """What waits inside the router."""

    inbox_batches: int
    """Handed in and not taken up."""
    errands: int
    """Under way: handed in, and not done with."""
    lane_messages: int
    """That not everybody of their large channels has got."""
    lane_bytes: int
    """Their payloads."""
