"""Figures and verdicts in words, the same in the terminal and in the report."""

from typing import Literal

from .identity import UNKNOWN
from .outcome import Latency, Outcome
from .plan import Plan

REQUESTS = {
    "send": "acknowledgements",
    "group": "acknowledgements",
    "mixed": "acknowledgements",
    "connect": "connections",
    "ping": "pings",
    "http": "answers",
    "idle": "answers",
}
"""Scenario -> what its successful requests are."""


_ONE = {"connect": "connection", "ping": "ping", "http": "answer", "idle": "answer"} | dict.fromkeys(
    ("send", "group", "mixed"), "message"
)


def title(outcome: Outcome) -> str:
    """What was run, in a line."""
    plan = outcome.plan
    crowd = plan.crowd
    match plan.scenario:
        case "group":
            who = f"a group of {plan.members:,}, {crowd.room_size:,} online, {crowd.senders} sending"
        case "mixed":
            idle = crowd.members - crowd.rooms * crowd.room_size
            who = f"{plan.connections:,} connections, {idle:,} idle, {crowd.rooms} groups of {crowd.room_size}"
        case "connect":
            who = f"{plan.connections:,} at once"
        case "http":
            who = f"{plan.http_path}, {plan.connections:,} connections"
        case _:
            who = f"{plan.connections:,} connections"
    who += _spoken(plan)
    if plan.scenario == "idle":
        how = ""
    elif plan.rate_per_s is not None:
        how = f", open loop of {plan.rate_per_s:,g}/s"
    elif plan.scenario in ("connect", "http"):
        how = ", closed loop"
    else:
        how = f", closed loop of {plan.in_flight} in flight"
    return f"{plan.scenario}: {who}{how}, {outcome.seconds:.1f} s"


def _spoken(plan: Plan) -> str:
    """Which protocol over what, unless it is the usual one."""
    scheme = plan.target.scheme
    if plan.protocol == "wkproto":
        return f", WKProto {'' if plan.encryption else 'not '}encrypted over {scheme}"
    return "" if scheme in ("ws", "http") else f", JSON-RPC over {scheme}"


def verdict(outcome: Outcome) -> str:
    """Whether it passed."""
    if outcome.passed:
        return "passed, but interrupted" if outcome.interrupted else "passed"
    return "NOTHING SHOWN" if outcome.unproven else "FAILED"


def mood(outcome: Outcome) -> Literal["good", "warn", "bad"]:
    """The same as a colour: only what was shown is good."""
    return "good" if outcome.passed else "warn" if outcome.unproven else "bad"


COLUMNS = ("count", "per s", "p50 ms", "p90 ms", "p99 ms", "p99.9 ms", "max ms")


def rows(outcome: Outcome) -> list[tuple[str, ...]]:
    """What happened how often and how fast: a name, then what `COLUMNS` names. Empty if nothing was sent."""
    if not outcome.sent:
        return []
    kinds = [(REQUESTS[outcome.scenario], outcome.answered, outcome.answered_per_s, outcome.answer)]
    if outcome.plan.crowd.receivers_of_each > 0:
        kinds.append(("deliveries", outcome.delivered, outcome.delivered_per_s, outcome.delivery))
    return [(name, f"{count:,}", f"{rate:,.0f}", *_percentiles(latency)) for name, count, rate, latency in kinds]


def findings(outcome: Outcome) -> list[str]:
    """What was checked and what it gave."""
    if not outcome.passed:
        return outcome.problems or [outcome.unproven]
    plan = outcome.plan
    lines = []
    if plan.scenario == "idle":
        lines.append(f"all {outcome.opened:,} connections stayed up and answered at the end")
    elif plan.scenario == "connect":
        lines.append(f"all {outcome.sent:,} attempts were authenticated")
    elif plan.scenario in ("ping", "http"):
        lines.append(f"all {outcome.sent:,} requests were answered, each once")
    else:
        lines.append(
            f"all {outcome.sent:,} messages were acknowledged and all {outcome.delivered:,} deliveries arrived: "
            "none lost, none twice, all in order"
        )
    if outcome.slow_readers:
        closed = ", ".join(f"{count} ({why})" for why, count in sorted(outcome.slow_closed.items())) or "none"
        lines.append(f"of {outcome.slow_readers} slow readers the server closed: {closed}")
    return lines


def server_line(outcome: Outcome) -> str:
    """What it cost the server; empty if the process is not known."""
    server = outcome.server
    if server is None:
        return ""
    cost = []
    if outcome.answered:
        cost.append(f"{server.cpu_us_per_answer:,.1f} µs per {_ONE[outcome.scenario]}")
    if outcome.delivered:
        cost.append(f"{server.cpu_us_per_delivery:,.1f} µs per delivery")
    cpu = f"CPU {server.cpu_share:.1%} of a core" + (f" = {', '.join(cost)}" if cost else "")
    memory = f"memory {megabytes(server.rss_before_bytes)} → {megabytes(server.rss_after_bytes)}"
    if outcome.scenario == "idle":
        memory += f", {server.rss_bytes_per_connection / 1024:,.1f} KiB per connection"
    written = "" if server.written_bytes is None else f"; {megabytes(server.written_bytes)} written to disk"
    return f"{cpu}; {memory}{written}"


def identity_line(outcome: Outcome) -> str:
    """What is known of the server, and what is not."""
    known = outcome.identity
    software = f"software {known.software}" if known.software == UNKNOWN else known.software
    protocol = known.protocol or UNKNOWN
    return (
        f"{software}, version {known.version}, protocol {protocol}, engine {known.engine}, "
        f"durability {known.durability}"
    )


def leftovers(outcome: Outcome) -> str:
    """What stays with the server, and how to tell it from everything else; empty if nothing does."""
    prefix = outcome.plan.prefix
    match outcome.scenario:
        case "connect" | "idle" | "ping":
            return ""
        case "http" if outcome.plan.bodies_file:
            return f"what the requests in {outcome.plan.bodies_file} have made"
        case "http" if outcome.plan.http_path != "/message/send":
            return ""
        case "group" | "mixed":
            return f"groups, members and messages; every id begins with {prefix}"
    return f"messages and their channels; every id begins with {prefix}"


def load_line(outcome: Outcome) -> str:
    """How hard the load generator had to work."""
    load = outcome.load
    line = f"{len(load.busy)} {'process' if len(load.busy) == 1 else 'processes'}, busy " + ", ".join(
        f"{share:.0%}" for share in load.busy
    )
    if load.late.count:
        line += f"; 99 % of the requests left at most {milliseconds(load.late.p99_us)} ms late"
    return line


def megabytes(size: float) -> str:
    """A size in MiB."""
    return f"{size / 2**20:,.1f} MiB"


def milliseconds(value_us: int) -> str:
    """A time with three significant digits or so."""
    value = value_us / 1000
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def _percentiles(latency: Latency) -> list[str]:
    """A distribution in milliseconds."""
    values = (latency.p50_us, latency.p90_us, latency.p99_us, latency.p999_us, latency.max_us)
    return [milliseconds(value) for value in values]


def remarks(outcome: Outcome) -> list[str]:
    """What the reader of the figures should know."""
    lines = list(outcome.load.remarks)
    if outcome.unmade:
        lines.append(
            f"{outcome.unmade:,} requests were due but never made, because no connection was free: the latencies are "
            "worse than shown; lower --rate or add --connections"
        )
    return lines
