"""What is measured: each measure gives one figure, or one beside its peer's, per round."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import features
import reading
import scale
import stalls
import webhooks
from protocols import CLEAR, CLEAR_WS, PLAIN, SEALED, SEALED_WS, TLS, Way, accepting, idle_bytes, measured
from servers import Target, bench, ours, peer


class Result(NamedTuple):
    """One round. Without a peer the figure itself counts."""

    ours: float
    peer: float | None = None
    load_busy: float = 0.0
    """The share of its core that the busiest load process used; 0 where that is not measured."""


Run: TypeAlias = Callable[[float], Awaitable[Result]]
"""Measures for so many seconds."""


class Measure(NamedTuple):
    """A row of the table."""

    name: str
    what: str
    unit: str
    target: str
    run: Run


def _rates(
    other: Callable[[], AbstractAsyncContextManager[Target]],
    scenario: str,
    *options: str,
    other_options: tuple[str, ...] = (),
    complete: bool = True,
) -> Run:
    """Answers per second of our server and of another one, under the same load.

    Args:
        complete: the other one delivers what it acknowledges.
    """

    async def run(seconds: float) -> Result:
        load = (scenario, *options, "--seconds", str(seconds))
        async with other() as target:
            theirs = await bench(target, *load, *other_options, complete=complete)
        async with ours() as target:
            mine = await bench(target, *load)
        return Result(mine["answered_per_s"], theirs["answered_per_s"], max(_busy(mine), _busy(theirs)))

    return run


def _busy(measured: dict[str, Any]) -> float:
    return float(max(measured["load"]["busy"]))


def _send(in_flight: int, target: str, peer_name: str = "trio_websocket_echo") -> Measure:
    against = peer_name.removesuffix("_echo").replace("_", "-")
    name = f"send_x{in_flight}" + ("" if against == "trio-websocket" else f"_{against}")
    options = ("--connections", "100", "--in-flight", str(in_flight))
    # Echoes deliver nothing, so there is nothing to wait for.
    run = _rates(partial(peer, peer_name), "send", *options, other_options=("--settle", "0.2"), complete=False)
    return Measure(name, f"send, 100 × {in_flight}, against {against} echo", "/s", target, run)


def _group(name: str, target: str, *load: str) -> Measure:
    what = f"group of 1,000 online, {' '.join(load).removeprefix('--rate ') + ' messages/s' if load else 'saturated'}"
    return Measure(name, what, _CPU, target, _deliveries(_CPU, *load))


def _beyond(name: str, unit: str, target: str, *load: str) -> Measure:
    """More than the server can take: a message to 1,000 members 300 times a second."""
    what = f"group of 1,000 online, offered 300 messages/s, {'not acknowledged' if load else 'acknowledged'}"
    return Measure(name, what, unit, target, _deliveries(unit, "--rate", "300", "--settle", "30", *load))


_CPU = "µs CPU per delivery"
_PER_S = "deliveries/s"


def _deliveries(unit: str, *load: str) -> Run:
    async def run(seconds: float) -> Result:
        async with ours() as server:
            measured = await bench(server, "group", "--members", "1000", *load, "--seconds", str(seconds))
        figure = measured["delivered_per_s"] if unit == _PER_S else measured["server"]["cpu_us_per_delivery"]
        return Result(figure, load_busy=_busy(measured))

    return run


async def _idle(seconds: float) -> Result:
    async with ours() as server:
        measured = await bench(server, "idle", "--connections", "8000", "--seconds", str(seconds))
    return Result(measured["server"]["rss_bytes_per_connection"], load_busy=_busy(measured))


def _send_by(way: Way, in_flight: int, target: str) -> Measure:
    """The same as `_send`, by another way and against the usual one."""
    load = ("send", "--connections", "100", "--in-flight", str(in_flight))

    async def run(seconds: float) -> Result:
        usual = await measured(PLAIN, *load, "--seconds", str(seconds))
        mine = await measured(way, *load, "--seconds", str(seconds))
        return Result(mine["answered_per_s"], usual["answered_per_s"], max(_busy(mine), _busy(usual)))

    what = f"send, 100 × {in_flight}, {way.name}, against {PLAIN.name}"
    return Measure(f"send_x{in_flight}_{_short(way)}", what, "/s", target, run)


def _short(way: Way) -> str:
    """The end of a measure's name."""
    return "_".join((way.scheme, *(("sealed" if way.encryption else "clear",) if way.protocol == "wkproto" else ())))


def _idle_by(way: Way, target: str) -> Measure:
    async def run(seconds: float) -> Result:
        usual = await idle_bytes(PLAIN, 8000, seconds)
        return Result(await idle_bytes(way, 8000, seconds), usual)

    return Measure(
        f"idle_{_short(way)}", f"memory per idle connection, {way.name}, against {PLAIN.name}", "bytes", target, run
    )


async def _idle_tls(seconds: float) -> Result:
    return Result(await idle_bytes(TLS, 4000, seconds))


async def _idle_keys(seconds: float) -> Result:
    return Result(await idle_bytes(SEALED, 8000, seconds) - await idle_bytes(CLEAR, 8000, seconds))


async def _accept_tls(seconds: float) -> Result:
    mine, bare = await accepting(seconds)
    # The bare loop answers nothing, so attempts are what counts.
    costs = (1e6 * measured["server"]["cpu_s"] / measured["sent"] for measured in (mine, bare))
    return Result(*costs, max(_busy(mine), _busy(bare)))


async def _group_sealed(seconds: float) -> Result:
    load = ("group", "--members", "1000", "--rate", "40", "--seconds", str(seconds))
    run = await measured(SEALED, *load)
    return Result(run["server"]["cpu_us_per_delivery"], load_busy=_busy(run))


async def _latency(seconds: float) -> Result:
    async with ours() as server:
        measured = await bench(server, "send", "--connections", "100", "--rate", "2000", "--seconds", str(seconds))
    return Result(measured["answer"]["p99_us"] / 1000, load_busy=_busy(measured))


async def _stalled_rate(seconds: float) -> Result:
    beside, without = await scale.stalled(seconds)
    return Result(beside["answered_per_s"], without["answered_per_s"], max(_busy(beside), _busy(without)))


async def _stalled_p99(seconds: float) -> Result:
    beside, without = await scale.stalled(seconds)
    figures = (measured["answer"]["p99_us"] / 1000 for measured in (beside, without))
    return Result(*figures, load_busy=max(_busy(beside), _busy(without)))


def _webhooks(name: str, what: str, events: tuple[str, ...]) -> Measure:
    async def run(seconds: float) -> Result:
        load = ("send", "--connections", "100", "--in-flight", "8", "--seconds", str(seconds))
        off = await webhooks.without_receiver(*load)
        on = (await webhooks.with_receiver(events, *load)).measured
        return Result(on["answered_per_s"], off["answered_per_s"], max(_busy(on), _busy(off)))

    return Measure(name, f"send, 100 × 8, with {what}, against without", "/s", ">= 0.85", run)


async def _beside_http(seconds: float) -> Result:
    beside, without = await scale.beside_http(seconds)
    return Result(beside["answer"]["p99_us"] / 1000, without["answer"]["p99_us"] / 1000)


async def _start(_seconds: float) -> Result:
    return Result(await scale.start())


def _features(name: str, unit: str, target: str, *, search: bool) -> Measure:
    async def run(seconds: float) -> Result:
        load = ("send", "--connections", "100", "--in-flight", "8", "--seconds", str(seconds))
        off, on = await features.off(*load), await features.on(*load, search=search)
        busy = max(_busy(on), _busy(off))
        if unit == "/s":
            return Result(on["answered_per_s"], off["answered_per_s"], busy)
        return Result(on["server"]["cpu_us_per_answer"], off["server"]["cpu_us_per_answer"], busy)

    what = "conversations, metrics, webhooks" + (" and search" if search else "")
    return Measure(name, f"send, 100 × 8, with {what}, against all off", unit, target, run)


def _scale(name: str, what: str, run: Callable[[], Awaitable[tuple[float, float]]]) -> Measure:
    async def measure(_seconds: float) -> Result:
        return Result(*await run())

    return Measure(name, what, "µs CPU per message", "<= 1.25", measure)


def _answers(name: str, what: str, target: str, run: Callable[[float], Awaitable[tuple[float, float]]]) -> Measure:
    async def measure(seconds: float) -> Result:
        return Result(*await run(seconds))

    return Measure(name, what, "/s", target, measure)


def _beside_route(name: str, what: str, target: str, run: Callable[[float], Awaitable[tuple[float, float]]]) -> Measure:
    return _answers(name, f"{what}, against GET /route, 32 connections", target, run)


def _deep(name: str, stored: int) -> Measure:
    what = f"pages of 50 at the end of a channel with {stored:,}, against newest pages of 1,000 channels"
    return _answers(name, what, ">= 0.9", partial(reading.deep, stored))


def _stall(name: str, what: str, run: Callable[[float], Awaitable[float]]) -> Measure:
    async def measure(seconds: float) -> Result:
        return Result(await run(seconds))

    return Measure(name, what, "ms", "<= 20", measure)


_reference = partial(ours, engine="reference")
_ENGINES = _rates(_reference, "send", "--connections", "100", "--in-flight", "8")
_PING = _rates(partial(peer, "picows_echo"), "ping", "--connections", "100", "--in-flight", "16")
_CONNECT = _rates(partial(peer, "trio_websocket_echo"), "connect")
_ROUTE = _rates(partial(peer, "quart_trio_route"), "http", "--connections", "32")
_POST = _rates(_reference, "http", "--path", "/message/send", "--connections", "32")

_ACCEPT_WHAT = "connect with TLS and authenticate, against a loop that only accepts with TLS"
_KEYS_WHAT = "of these, what an encrypted session holds for it"
_GROUP_SEALED_WHAT = f"group of 1,000 online, 40 messages/s, {SEALED.name}"

MEASURES: tuple[Measure, ...] = (
    _send(1, ">= 1.5"),
    _send(8, ">= 2.5"),
    _send(64, ">= 3.5"),
    _send(8, "", "websockets_echo"),
    _send(8, "", "picows_echo"),
    Measure("engines", "send, 100 × 8, native against reference engine", "/s", "", _ENGINES),
    Measure("ping", "ping, 100 × 16, against picows + uvloop echo", "/s", ">= 1.2", _PING),
    _group("group", "<= 13"),
    _group("group_slow", "<= 24", "--rate", "5"),
    _group("group_40", "<= 16", "--rate", "40"),
    _beyond("beyond", _PER_S, ">= 220000"),
    _beyond("beyond_cpu", _CPU, "<= 5"),
    _beyond("beyond_noack", _PER_S, ">= 280000", "--no-recvack"),
    _beyond("beyond_noack_cpu", _CPU, "<= 3.5", "--no-recvack"),
    Measure("idle", "memory per idle authenticated connection, 8,000", "bytes", "<= 3277", _idle),
    Measure("connect", "connect, authenticate, close, against trio-websocket answering", "/s", ">= 3.5", _CONNECT),
    Measure("route", "GET /route, 32 connections, against Quart-Trio on Hypercorn", "/s", ">= 25", _ROUTE),
    Measure("post", "POST /message/send, durable, 32 connections, against reference", "/s", ">= 6", _POST),
    _beside_route("send", "POST /message/send, durable", ">= 0.2", reading.send_one),
    _beside_route("sendbatch", "POST /message/sendbatch to 20", ">= 0.06", partial(reading.send_to_many, 100)),
    _beside_route(
        "sendbatch_new", "the same, to 20 who were never written to", "", partial(reading.send_to_many, 20_000)
    ),
    _beside_route("pages", "newest pages of 50 messages, 1,000 channels", ">= 0.17", reading.newest),
    _deep("pages_60k", 60_000),
    _deep("pages_1m", 1_000_000),
    _beside_route("pages_old", "pages of 50 anywhere among 60,000", "", partial(reading.old, 60_000)),
    _beside_route("pages_older", "pages of 50 anywhere among 1,000,000", "", partial(reading.old, 1_000_000)),
    _beside_route("conversations_50", "50 conversations of a user", ">= 0.06", partial(reading.conversations, 50, 100)),
    _beside_route(
        "conversations_900", "900 conversations of a user", ">= 0.003", partial(reading.conversations, 900, 20)
    ),
    Measure("latency", "acknowledgement p99, open loop of 2,000 sends/s", "ms", "<= 10", _latency),
    Measure("latency_http", "the same beside GET /route, 32 connections, against without", "ms", "<= 2", _beside_http),
    _scale("channels", "10,000 active channels against 100", scale.channels),
    _scale("stored", "1,000,000 stored messages against 10,000", scale.stored),
    _scale("sessions", "5,000 idle sessions against 100", scale.sessions),
    _send_by(TLS, 1, ">= 0.6"),
    _send_by(TLS, 8, ">= 0.5"),
    _send_by(CLEAR, 8, ">= 1.15"),
    _send_by(CLEAR, 64, ">= 1.15"),
    _send_by(SEALED, 8, ">= 0.5"),
    _send_by(SEALED, 64, ">= 0.5"),
    _send_by(CLEAR_WS, 8, ""),
    _send_by(SEALED_WS, 8, ""),
    Measure("group_40_sealed", _GROUP_SEALED_WHAT, _CPU, "", _group_sealed),
    Measure("accept_tls", _ACCEPT_WHAT, "µs CPU per connection", "<= 1.4", _accept_tls),
    Measure("idle_wss", f"memory per idle connection, {TLS.name}, 4,000", "bytes", "<= 18432", _idle_tls),
    _idle_by(CLEAR, "<= 1.0"),
    _idle_by(SEALED, ""),
    Measure("idle_keys", _KEYS_WHAT, "bytes", "", _idle_keys),
    Measure("stalled", "100 busy clients beside a stalled reader, against without", "/s", ">= 0.9", _stalled_rate),
    Measure("stalled_p99", "their acknowledgement p99, likewise", "ms", "<= 1.1", _stalled_p99),
    _webhooks("webhooks", "webhooks of all events", ()),
    _webhooks("webhooks_notify", "webhooks of msg.notify", ("msg.notify",)),
    _features("features", "/s", ">= 0.85", search=False),
    _features("features_cpu", "µs CPU per send", "<= 1.18", search=False),
    _features("features_search", "/s", ">= 0.75", search=True),
    _features("features_search_cpu", "µs CPU per send", "<= 1.33", search=True),
    Measure("start", "start with 1,000,000 stored messages, until it listens", "s", "<= 2", _start),
    _stall("stall_group", "longest turn: group of 50,000, 2,000 online, written to", stalls.group),
    _stall("stall_ready", "longest turn: 8,000 sockets ready at once", stalls.ready),
)


LOAD_LIMIT = 0.95
"""From this share of its core on, a load process may have been slower than the server."""


def load_remark(results: list[Result]) -> str:
    """A warning if the load process was at its limit in any round; empty if it was not."""
    busy = max(result.load_busy for result in results)
    return f"load was at its limit, {busy:.0%} of its core" if busy >= LOAD_LIMIT else ""


def reading(result: Result) -> float:
    """What is held against the target."""
    return result.ours if result.peer is None else result.ours / result.peer


def meets(measure: Measure, value: Any) -> str:
    """Whether a reading meets the target: yes, no, or nothing if there is none."""
    if not measure.target:
        return ""
    sign, bound = measure.target.split()
    return "yes" if (value >= float(bound) if sign == ">=" else value <= float(bound)) else "no"
