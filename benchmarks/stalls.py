"""How long one turn of the event loop takes: nothing else is served meanwhile.

A client cannot tell the server's turns from the delays of its own process, so an instrument inside a server measures
them. `python stalls.py SCENARIO ...` is that server: it runs `wukong-trio bench` against itself.
"""

import gc
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import trio
from servers import CORES, PINNED, on_core

from wukong_trio import Address, Config, Listeners, Server, open_server
from wukong_trio.process import GC_THRESHOLDS, SWITCH_INTERVAL_S

GROUP = ("group", "2000", "--members", "50000", "--online", "2000", "--rate", "5")
READY = ("ping", "8000", "--connections", "8000", "--in-flight", "1")


async def group(seconds: float) -> float:
    """The longest turn in milliseconds while a large group is written to."""
    return await _measure(*GROUP, "--seconds", str(seconds))


async def ready(seconds: float) -> float:
    """The longest turn in milliseconds while all of 8,000 clients ask at once."""
    return await _measure(*READY, "--seconds", str(seconds))


async def _measure(*arguments: str) -> float:
    run = await trio.run_process([sys.executable, __file__, *arguments], capture_stdout=True)
    return float(json.loads(run.stdout)["longest_turn_ms"])


class Turns(trio.abc.Instrument):
    """Measures every step of every task by the CPU time it took: other processes do not count."""

    def __init__(self) -> None:
        self.longest_s = 0.0
        self._begin_s = float("inf")

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._begin_s = time.thread_time()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        self.longest_s = max(self.longest_s, time.thread_time() - self._begin_s)


async def _when_all_are_there(server: Server, sessions: int, turns: Turns) -> None:
    while server.statistics().sessions < sessions:  # noqa: ASYNC110 - nobody is told
        await trio.sleep(0.05)
    trio.lowlevel.add_instrument(turns)


async def main(scenario: str, sessions: str, *options: str) -> None:
    """A server that is put under load and watches itself."""
    if PINNED:
        os.sched_setaffinity(0, {CORES[0]})
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    turns = Turns()
    any_port = Address("127.0.0.1", 0)
    with tempfile.TemporaryDirectory() as directory:
        config = Config(listeners=Listeners(http=any_port, tcp=None, ws=any_port), data_dir=Path(directory))
        async with open_server(config) as server, trio.open_nursery() as nursery:
            nursery.start_soon(_when_all_are_there, server, int(sessions), turns)
            place: dict[str, Any] = {"group": ("--route", server.endpoints.http)}
            target = place.get(scenario, ("--url", server.endpoints.ws))
            command = [sys.executable, "-m", "wukong_trio", "bench", scenario, *target, *options]
            await trio.run_process(on_core(1, command), capture_stdout=True)
            nursery.cancel_scope.cancel()
    print(json.dumps({"longest_turn_ms": round(turns.longest_s * 1000, 2)}))


if __name__ == "__main__":
    trio.run(main, *sys.argv[1:])
