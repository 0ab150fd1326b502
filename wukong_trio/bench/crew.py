"""The load processes: started together, spoken to in lines of JSON, gone when the block ends."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from subprocess import PIPE

import msgspec
import trio

from ..errors import WukongError
from .plan import Plan
from .wire import Failed, Order, Report, decode_report
from .wire import encode as encode_order

END_LIMIT_S = 5.0
_READ_BYTES = 1 << 20


class BenchError(WukongError):
    """The run could not be carried out. The text says why."""


class Crew:
    """Get one from `open_crew`."""

    def __init__(self, processes: list[trio.Process], reports: trio.MemoryReceiveChannel[tuple[int, Report]]) -> None:
        self._processes = processes
        self._reports = reports
        self._telling = trio.Lock()

    def __len__(self) -> int:
        return len(self._processes)

    async def tell(self, order: Order) -> None:
        """Tells all processes the same."""
        line = encode_order(order) + b"\n"
        async with self._telling, trio.open_nursery() as nursery:
            for process in self._processes:
                assert process.stdin is not None
                nursery.start_soon(process.stdin.send_all, line)

    async def hear(self) -> tuple[int, Report]:
        """The next report, and whose it is.

        Raises:
            BenchError: a process cannot go on, or is gone.
        """
        worker, report = await self._reports.receive()
        if isinstance(report, Failed):
            raise BenchError(report.problem)
        return worker, report


@asynccontextmanager
async def open_crew(plan: Plan) -> AsyncIterator[Crew]:
    """Starts the processes of a plan; they are gone when the block ends."""
    outbox, reports = trio.open_memory_channel[tuple[int, Report]](64)
    processes: list[trio.Process] = []
    try:
        async with trio.open_nursery() as nursery:
            for worker in range(plan.processes):
                process = await trio.lowlevel.open_process(
                    [sys.executable, "-m", "wukong_trio.bench.worker"], stdin=PIPE, stdout=PIPE
                )
                processes.append(process)
                assert process.stdin is not None
                await process.stdin.send_all(msgspec.json.encode(msgspec.structs.replace(plan, worker=worker)) + b"\n")
                nursery.start_soon(_read, process, worker, outbox)
            yield Crew(processes, reports)
            nursery.cancel_scope.cancel()
    finally:
        with trio.CancelScope(shield=True):
            await _dismiss(processes)


async def _read(process: trio.Process, worker: int, outbox: trio.MemorySendChannel[tuple[int, Report]]) -> None:
    assert process.stdout is not None
    rest: list[bytes] = []
    while data := bytes(await process.stdout.receive_some(_READ_BYTES)):
        head, mark, tail = data.rpartition(b"\n")
        if not mark:
            rest.append(data)
            continue
        lines = b"".join((*rest, head)).split(b"\n")
        rest = [tail]
        for line in lines:
            await outbox.send((worker, decode_report(line)))
    await outbox.send((worker, Failed(f"load process {worker} has ended unexpectedly")))


async def _dismiss(processes: list[trio.Process]) -> None:
    """Without their standard input they end; those that do not, are killed."""
    with trio.move_on_after(END_LIMIT_S):
        for process in processes:
            assert process.stdin is not None
            await process.stdin.aclose()
        for process in processes:
            await process.wait()
    for process in processes:
        if process.returncode is None:
            process.kill()
            await process.wait()
        assert process.stdout is not None
        await process.stdout.aclose()
