"""What webhooks cost: sends with a receiver beside sends without, in turn, and what he is told meanwhile.

python benchmarks/webhooks.py [--events msg.notify] [--rounds 7] [--seconds 3] [--in-flight 8 | --rate 20000]
"""

import argparse
import json
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from statistics import median
from typing import Any, NamedTuple
from urllib.request import urlopen

import trio
from servers import Target, bench, ours, peer

SAMPLE_S = 0.25
NAMES = ("msg.notify messages", "msg.offline requests")


class Run(NamedTuple):
    """One run of load, and what the receiver was told while it lasted."""

    measured: dict[str, Any]
    told_per_s: dict[str, float]
    """Messages of msg.notify and requests of msg.offline, at the median moment of the load."""
    untold: int
    """Messages that msg.notify had not told when the last one was answered."""


async def _counts(receiver: Target) -> dict[str, int]:
    def ask() -> dict[str, int]:
        with urlopen(receiver.http) as answer:
            counts: dict[str, int] = json.load(answer)
            return counts

    return await trio.to_thread.run_sync(ask)


async def with_receiver(events: Sequence[str], *load: str) -> Run:
    """Load on a server that tells a receiver of these events, or of all; the receiver shares the core of the load."""
    samples: list[tuple[float, dict[str, int]]] = []

    async def sample(receiver: Target) -> None:
        while True:
            samples.append((trio.current_time(), await _counts(receiver)))
            await trio.sleep(SAMPLE_S)

    async with peer("webhook_receiver", core=1) as receiver:
        settings = {"WK_WEBHOOK_HTTPADDR": f"{receiver.http}/hook", "WK_WEBHOOK_FOCUSEVENTS": ",".join(events)}
        async with ours(environ=settings) as server, trio.open_nursery() as nursery:
            nursery.start_soon(sample, receiver)
            measured = await bench(server, *load)
            told = (await _counts(receiver)).get(NAMES[0], 0)
            nursery.cancel_scope.cancel()
    return Run(measured, {name: _rate(samples, name) for name in NAMES}, measured["answered"] - told)


def _rate(samples: list[tuple[float, dict[str, int]]], name: str) -> float:
    """The median of the rates between two samples, of those between which something was told."""
    rates = []
    for (start, before), (end, after) in pairwise(samples):
        if told := after.get(name, 0) - before.get(name, 0):
            rates.append(told / (end - start))
    return median(rates) if rates else 0.0


async def without_receiver(*load: str) -> dict[str, Any]:
    """The same load on a server without webhooks."""
    async with ours() as server:
        return await bench(server, *load)


async def compare(events: Sequence[str], rounds: int, *load: str) -> None:
    """Alternating rounds, printed."""
    ratios, costs = [], []
    for _ in range(rounds):
        off = await without_receiver(*load)
        run = await with_receiver(events, *load)
        ratios.append(run.measured["answered_per_s"] / off["answered_per_s"])
        cpu_us = [measured["server"]["cpu_us_per_answer"] for measured in (off, run.measured)]
        costs.append(cpu_us[0] / cpu_us[1])
        p99_ms = [measured["answer"]["p99_us"] / 1000 for measured in (off, run.measured)]
        print(
            f"off {off['answered_per_s']:,.0f}/s {cpu_us[0]:.1f} µs p99 {p99_ms[0]:.1f} ms, "
            f"on {run.measured['answered_per_s']:,.0f}/s {cpu_us[1]:.1f} µs p99 {p99_ms[1]:.1f} ms: "
            f"{ratios[-1]:.2f}, by CPU {costs[-1]:.2f}; "
            + ", ".join(f"{name} {rate:,.0f}/s" for name, rate in run.told_per_s.items())
            + f", untold {run.untold:,}",
            flush=True,
        )
    print(f"median {median(ratios):.3f}, mean {sum(ratios) / rounds:.3f}; by CPU {median(costs):.3f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", nargs="*", default=[], help="which are told; all if none is named")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", default="3")
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--in-flight", default="8")
    group.add_argument("--rate", help="sends per second in all, instead of as many as are answered")
    options = parser.parse_args()
    kind = ("--rate", options.rate) if options.rate else ("--in-flight", options.in_flight)
    trio.run(
        partial(
            compare, options.events, options.rounds, "send", "--connections", "100", "--seconds", options.seconds, *kind
        )
    )
