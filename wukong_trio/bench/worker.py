"""A load process: `python -m wukong_trio.bench.worker`. Reads a plan and orders from stdin, reports on stdout.

One loop serves all sockets. When stdin ends, its parent is gone, and so is it.
"""

import gc
import os
import select
import signal
import sys
import time
from collections import deque
from typing import TypeVar

from .http_load import HttpLoad
from .plan import Plan
from .scenario import Scenario
from .storm import Storm
from .swarm import Swarm, now_us, raise_file_limit
from .traffic import Traffic
from .verify import Sent
from .wire import Done, Failed, Opening, Order, Ready, Report, Settle, Start, Stop, Stopped, decode_order, decode_plan
from .wire import encode as encode_report

OPENING_LIMIT_S = 15.0
"""How long opening may make no progress."""
_REPORT_OPENING_S = 0.2
_LOOK_S = 0.05
"""How often a settling process looks whether something is still missing."""


_Order = TypeVar("_Order", Start, Settle)


class ParentGoneError(Exception):
    """There is nobody to work for."""


class Orders:
    """What the coordinator says."""

    def __init__(self, swarm: Swarm) -> None:
        self._rest = b""
        self._waiting: deque[Order] = deque()
        swarm.add(0, self, select.EPOLLIN)

    def on_event(self, events: int) -> None:
        """Part of `Source`."""
        data = os.read(0, 1 << 16)
        if not data:
            raise ParentGoneError
        *lines, self._rest = (self._rest + data).split(b"\n")
        self._waiting.extend(decode_order(line) for line in lines)

    def next(self) -> Order | None:
        """The next order, if there is one."""
        return self._waiting.popleft() if self._waiting else None


class Worker:
    """Leads a scenario through its phases."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._swarm = Swarm()
        self._orders = Orders(self._swarm)
        self._scenario: Scenario
        match plan.scenario:
            case "connect":
                self._scenario = Storm(plan, self._swarm)
            case "http":
                self._scenario = HttpLoad(plan, self._swarm)
            case _:
                self._scenario = Traffic(plan, self._swarm)
        self._cpu_s = 0.0
        self._tick_began_us = 0

    def run(self) -> None:
        """Everything, from the first connection to the last word.

        Raises:
            ParentGoneError: the coordinator has ended.
        """
        self._open()
        gc.collect()
        gc.freeze()  # what exists now stays, so there is no need to look at it again
        start = self._wait_for(Start)
        if start is not None:
            self._measure(start.at_us)
        _report(Stopped(self._scenario.stop()))
        settle = self._wait_for(Settle)
        self._settle(settle.totals if settle else {})

    def _open(self) -> None:
        opener = self._scenario.opener
        report_us, progress, since_us = 0, 0, now_us()
        while not opener.finished:
            opener.work()
            now = now_us()
            if opener.open + opener.failed > progress:
                progress, since_us = opener.open + opener.failed, now
            if now - since_us > OPENING_LIMIT_S * 1e6:
                _report(Failed(_stuck(opener.open)))
                raise ParentGoneError
            if now >= report_us:
                self._report_opening()
                report_us = now + int(_REPORT_OPENING_S * 1e6)
            if not opener.finished:
                self._swarm.turn(report_us)
        self._report_opening()
        # Counting begins here and not with the own start: the other processes may start a little earlier.
        self._scenario.books.take_tick()
        _report(Ready())

    def _report_opening(self) -> None:
        opener, problems = self._scenario.opener, self._scenario.books.problems
        _report(Opening(opener.open, opener.failed, problems[0] if problems else ""))

    def _wait_for(self, kind: type[_Order]) -> _Order | None:
        while True:
            order = self._orders.next()
            if isinstance(order, kind):
                return order
            if isinstance(order, Stop) and kind is Start:
                return None
            if order is None:
                self._swarm.turn(now_us() + 1_000_000)

    def _measure(self, begin_us: int) -> None:
        while now_us() < begin_us:
            self._swarm.turn(begin_us)
        scenario, turn = self._scenario, self._swarm.turn
        self._cpu_s, self._tick_began_us = time.process_time(), now_us()
        scenario.begin(begin_us)
        tick_us = int(self._plan.tick_s * 1e6)
        end_us = begin_us + int(self._plan.seconds * 1e6)
        report_us = begin_us + tick_us
        while True:
            now = now_us()
            over = now >= end_us or scenario.exhausted
            if now >= report_us or over:
                self._report_tick(now, begin_us)
                report_us += tick_us
            if over or isinstance(self._orders.next(), Stop):
                return
            turn(min(scenario.work(now), report_us, end_us))

    def _report_tick(self, now: int, begin_us: int, *, settling: bool = False) -> None:
        cpu_s = time.process_time()
        length_s = max(now - self._tick_began_us, 1) / 1e6
        tick = self._scenario.books.take_tick()
        tick.at_s = (now - begin_us) / 1e6
        tick.length_s = length_s
        tick.busy = (cpu_s - self._cpu_s) / length_s
        tick.settling = settling
        self._cpu_s, self._tick_began_us = cpu_s, now
        _report(tick)

    def _settle(self, totals: dict[int, Sent]) -> None:
        scenario = self._scenario
        end_us = now_us() + int(self._plan.settle_s * 1e6)
        while now_us() < end_us and not scenario.settled(totals):
            look_us = now_us() + int(_LOOK_S * 1e6)
            while now_us() < look_us:
                self._swarm.turn(look_us)
        self._report_tick(now_us(), 0, settling=True)
        scenario.finish(totals)
        books = scenario.books
        _report(Done(books.faults, books.problems, books.slow_closed, books.unmade, books.server_version))


def _stuck(opened: int) -> str:
    return (
        f"no connection was opened for {OPENING_LIMIT_S:g} s, when each load process had about {opened:,}; is the "
        "server overloaded, or may it not open more files (ulimit -n)?"
    )


def _report(report: Report) -> None:
    data = encode_report(report) + b"\n"
    while data:
        data = data[os.write(1, data) :]


def main() -> None:
    """Serves one coordinator."""
    # An interrupt from the terminal reaches the whole group; the coordinator decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise_file_limit()
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            sys.exit(1)
        line += byte
    try:
        Worker(decode_plan(line)).run()
        while os.read(0, 1 << 16):
            pass
    except (ParentGoneError, BrokenPipeError):
        sys.exit(1)


if __name__ == "__main__":
    main()
