"""What a run has shown: the shape of `--json`, and how the ticks of all processes become it."""

import os
import platform
import sys
import time

from msgspec import Struct, field

from .histogram import Histogram
from .identity import Identity
from .plan import Plan
from .verify import Faults
from .wire import Tick

BUSY_SHARE = 0.9
"""From this share of a core on, a load process may have been the limit."""
LATE_US = 5_000
"""A 99th percentile of lateness from which on a load process was too slow."""
PERCENTILES = (50.0, 90.0, 99.0, 99.9)


class Latency(Struct):
    """A distribution in microseconds; all zero if nothing was counted."""

    count: int = 0
    p50_us: int = 0
    p90_us: int = 0
    p99_us: int = 0
    p999_us: int = 0
    max_us: int = 0


def latency_of(histogram: Histogram) -> Latency:
    """The percentiles that are reported."""
    p50_us, p90_us, p99_us, p999_us = (histogram.percentile(percent) for percent in PERCENTILES)
    return Latency(histogram.total, p50_us, p90_us, p99_us, p999_us, histogram.highest)


class Moment(Struct):
    """One interval of the measurement, all processes together."""

    at_s: float
    """Its end, from the start of the measurement."""
    sent_per_s: float
    answered_per_s: float
    delivered_per_s: float
    answer: Latency
    delivery: Latency
    busy: list[float]
    """CPU share of each load process."""


class ServerSample(Struct):
    """The server at a moment, which may lie before the start of the measurement."""

    at_s: float
    cpu_share: float
    """Cores in use since the sample before."""
    rss_bytes: int


class ServerUse(Struct, kw_only=True):
    """What the run has cost the server."""

    pid: int
    cpu_s: float
    cpu_share: float
    """Cores in use, on average over the measurement."""
    cpu_us_per_answer: float
    cpu_us_per_delivery: float
    rss_before_bytes: int
    """Before the first connection."""
    rss_open_bytes: int
    """With all connections, before the measurement."""
    rss_after_bytes: int
    rss_bytes_per_connection: float
    written_bytes: int | None
    """To files during the measurement, None if it may not be seen."""
    samples: list[ServerSample]


class LoadUse(Struct, kw_only=True):
    """How hard the load generator had to work."""

    busy: list[float]
    """CPU share of each process, on average."""
    late: Latency
    """Open loop: how much later than due requests left."""
    limited: bool
    """The load generator was the limit, not the server."""
    remarks: list[str]


class Environment(Struct):
    """Where it ran."""

    date: str
    python: str
    kernel: str
    cpus: int


class Outcome(Struct, kw_only=True):
    """A run."""

    scenario: str
    command: str
    environment: Environment
    plan: Plan
    identity: Identity
    passed: bool
    """Nothing went wrong, and what the scenario is about did happen."""
    unproven: str
    """Why a run in which nothing went wrong shows nothing: what it is about did not happen. Else empty."""
    interrupted: bool
    faults: Faults
    problems: list[str]
    """Why it did not pass, in words."""
    seconds: float
    """What was measured, without the settling."""
    opened: int
    """Connections."""
    opened_per_s: float
    sent: int
    answered: int
    delivered: int
    answered_per_s: float
    delivered_per_s: float
    answer: Latency
    delivery: Latency
    answer_curve: list[tuple[float, int]]
    """The distribution: (percent, microseconds that so many do not exceed)."""
    delivery_curve: list[tuple[float, int]]
    server: ServerUse | None
    load: LoadUse
    unmade: int
    """Requests that were due but had no free connection until the end; the latencies are worse than shown."""
    slow_readers: int
    slow_closed: dict[str, int]
    moments: list[Moment]


def missing_event(plan: Plan, sent: int, slow_closed: dict[str, int]) -> str:
    """Why a run shows nothing although nothing went wrong; empty if it shows what it is about."""
    if plan.scenario != "idle" and not sent:
        return "nothing was due in this time: make it longer, or raise --rate"
    if plan.crowd.slow and not slow_closed:
        return (
            "no slow reader was closed, so it is not shown what one does to the others: they got too little in this "
            "time (raise --rate, --payload-bytes or --seconds), or the server lets its buffers grow"
        )
    return ""


class Collection(Struct):
    """What the processes have reported so far."""

    ticks: list[list[Tick]] = field(default_factory=list)
    """One list for each process."""
    sums: Tick = field(default_factory=Tick)
    measured_answers: int = 0
    measured_deliveries: int = 0

    def add(self, worker: int, tick: Tick) -> None:
        """Counts a tick."""
        self.sums.sent += tick.sent
        self.sums.answered += tick.answered
        self.sums.delivered += tick.delivered
        self.sums.answer_us.merge(tick.answer_us)
        self.sums.delivery_us.merge(tick.delivery_us)
        self.sums.late_us.merge(tick.late_us)
        if not tick.settling:
            self.ticks[worker].append(tick)
            self.measured_answers += tick.answered
            self.measured_deliveries += tick.delivered

    @property
    def seconds(self) -> float:
        """How long was measured."""
        return max((ticks[-1].at_s for ticks in self.ticks if ticks), default=0.0)

    def busy(self) -> list[float]:
        """The average CPU share of each process."""
        return [
            sum(tick.busy * tick.length_s for tick in ticks) / max(sum(tick.length_s for tick in ticks), 1e-9)
            for ticks in self.ticks
        ]

    def moments(self) -> list[Moment]:
        """The intervals. Those that are much shorter than the others, at the end, are left out."""
        usual_s = max((tick.length_s for ticks in self.ticks for tick in ticks), default=0.0)
        turns = max((len(ticks) for ticks in self.ticks), default=0)
        rows = [[ticks[turn] for ticks in self.ticks if turn < len(ticks)] for turn in range(turns)]
        return [_moment(row) for row in rows if max(tick.length_s for tick in row) > usual_s / 2]


def _moment(ticks: list[Tick]) -> Moment:
    answer_us, delivery_us = Histogram(), Histogram()
    for tick in ticks:
        answer_us.merge(tick.answer_us)
        delivery_us.merge(tick.delivery_us)
    return Moment(
        at_s=round(max(tick.at_s for tick in ticks), 3),
        sent_per_s=round(sum(tick.sent / tick.length_s for tick in ticks), 1),
        answered_per_s=round(sum(tick.answered / tick.length_s for tick in ticks), 1),
        delivered_per_s=round(sum(tick.delivered / tick.length_s for tick in ticks), 1),
        answer=latency_of(answer_us),
        delivery=latency_of(delivery_us),
        busy=[round(tick.busy, 3) for tick in ticks],
    )


def judge_load(collection: Collection, server_share: float | None, machine_idle: float) -> LoadUse:
    """Says whether the load generator was the limit.

    Args:
        server_share: cores that the server used; None = unknown.
        machine_idle: how much of the machine's CPU time had no work, from 0 to 1.
    """
    busy = [round(share, 3) for share in collection.busy()]
    late = latency_of(collection.sums.late_us)
    remarks = []
    full = sum(1 for share in busy if share >= BUSY_SHARE)
    limited = False
    if late.p99_us > LATE_US:
        limited = True
        remarks.append(
            f"the load generator was the limit: 1 % of the requests left {late.p99_us / 1000:.1f} ms late or later; "
            "add --processes or lower --rate"
        )
    if full:
        text = f"{full} of {len(busy)} load process(es) used {BUSY_SHARE:.0%} of a core or more"
        if server_share is None:
            limited = True
            remarks.append(f"the load generator was probably the limit: {text}; add --processes, or --pid to be sure")
        elif server_share < BUSY_SHARE:
            limited = True
            remarks.append(f"the load generator was the limit, the server had time: {text}; add --processes")
        elif not limited:
            remarks.append(f"{text}, and so did the server: more --processes may show a little more")
    if machine_idle < 0.05:
        remarks.append("no CPU of this machine was idle: server, load generator and others took time from each other")
    return LoadUse(busy=busy, late=late, limited=limited, remarks=remarks)


def environment() -> Environment:
    """Where this process runs, without names."""
    return Environment(
        date=time.strftime("%Y-%m-%d %H:%M:%S %Z"),
        python=f"{platform.python_implementation()} {platform.python_version()}",
        kernel=f"{platform.system()} {platform.release()}",
        cpus=len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1,
    )
