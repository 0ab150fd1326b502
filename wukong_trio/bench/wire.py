"""What the coordinator and its load processes tell each other: lines of JSON on the standard streams."""

from typing import TypeAlias

import msgspec
from msgspec import Struct, field

from .histogram import Histogram
from .plan import Plan
from .verify import Faults, Sent


class Start(Struct, tag=True):
    """Begin to measure."""

    at_us: int
    """On the monotonic clock."""


class Stop(Struct, tag=True):
    """Stop measuring before the time is over."""


class Settle(Struct, tag=True):
    """All processes have stopped sending; wait for what is missing."""

    totals: dict[int, Sent]
    """Sender -> what it has sent."""


class Opening(Struct, tag=True):
    """How far the connections are."""

    open: int
    failed: int
    problem: str = ""
    """Why the first one failed."""


class Ready(Struct, tag=True):
    """All connections are open or have failed."""


class Tick(Struct, tag=True):
    """What happened since the last tick."""

    at_s: float = 0.0
    """The end of the interval, from the start of the measurement."""
    length_s: float = 0.0
    settling: bool = False
    """The time is over; only stragglers are counted, in the latencies and sums but not as throughput."""
    sent: int = 0
    answered: int = 0
    """Successfully."""
    delivered: int = 0
    answer_us: Histogram = field(default_factory=Histogram)
    """From the moment a request was due until its answer."""
    delivery_us: Histogram = field(default_factory=Histogram)
    """From the moment a message was due until a receiver had it."""
    late_us: Histogram = field(default_factory=Histogram)
    """How much later than due a request left this process: the load generator's own part of the latency."""
    busy: float = 0.0
    """CPU time of this process per second."""


class Stopped(Struct, tag=True):
    """This process sends no more."""

    sent: dict[int, Sent]


class Done(Struct, tag=True):
    """The last word of a process."""

    faults: Faults
    problems: list[str]
    """The first few, in words."""
    slow_closed: dict[str, int]
    """How the server ended connections that did not read: close code or "reset" -> how many."""
    unmade: int = 0
    """Requests that were due, but had no free connection until the end."""
    server_version: int = 0
    """Of the protocol, as the server names it; 0 = it does not."""


class Failed(Struct, tag=True):
    """The process cannot go on."""

    problem: str


Order: TypeAlias = Start | Stop | Settle
Report: TypeAlias = Opening | Ready | Tick | Stopped | Done | Failed

encode = msgspec.json.Encoder().encode
decode_plan = msgspec.json.Decoder(Plan).decode
decode_order = msgspec.json.Decoder(Order).decode
decode_report = msgspec.json.Decoder(Report).decode
