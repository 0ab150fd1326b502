"""Leads the load processes through a run, and watches the server meanwhile."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal, NamedTuple, Protocol

import trio

from . import procfs
from .crew import BenchError, Crew, open_crew
from .identity import Identity
from .outcome import Collection, Outcome, ServerSample, ServerUse, environment, judge_load, latency_of, missing_event
from .plan import Plan, PlanError
from .verify import Faults, Sent
from .wire import Done, Opening, Ready, Report, Settle, Start, Stop, Stopped, Tick

START_DELAY_S = 0.2
"""Until then, all processes have heard that they shall start."""
CALM_S = 0.5
"""Before the server's memory is read with all connections: what opening them has left behind goes away."""
SAMPLE_S = 0.25
_PROBLEMS_SHOWN = 5
_PATIENCE_S = 30.0


class Watcher(Protocol):
    """Shows how a run proceeds."""

    def opening(self, opened: int, wanted: int) -> None:
        """Connections are being opened."""

    def measuring(self, collection: Collection, seconds: float) -> None:
        """So many of the run's seconds have passed."""

    def settling(self) -> None:
        """Waiting for what is missing."""


class _Reading(NamedTuple):
    at_s: float
    usage: procfs.Usage


class _ServerWatch:
    """Reads the server's process now and then."""

    def __init__(self, pid: int | None) -> None:
        self.pid = pid
        self.readings: list[_Reading] = []
        self.read()
        if pid is not None and not self.readings:
            raise PlanError(f"--pid {pid}: there is no such process on this machine, or it may not be seen")

    def read(self) -> _Reading | None:
        """Reads it now."""
        usage = procfs.usage_of(self.pid) if self.pid is not None else None
        if usage is None:
            return None
        self.readings.append(_Reading(time.monotonic(), usage))
        return self.readings[-1]

    async def run(self) -> None:
        """Reads it until cancelled."""
        while True:
            await trio.sleep(SAMPLE_S)
            self.read()

    def samples(self, begin_s: float) -> list[ServerSample]:
        """What was read, by the time of the measurement."""
        samples: list[ServerSample] = []
        before = self.readings[:1]
        for after in self.readings[1:]:
            passed_s = after.at_s - before[0].at_s
            if passed_s < SAMPLE_S / 2:
                continue  # CPU time has steps of 10 ms, too coarse for this
            cpu_s = after.usage.cpu_s - before[0].usage.cpu_s
            samples.append(
                ServerSample(round(after.at_s - begin_s, 3), round(cpu_s / passed_s, 3), after.usage.rss_bytes)
            )
            before = [after]
        return samples


@contextmanager
def _patience(seconds: float) -> Iterator[None]:
    """Bounds what load processes bound themselves, in case one hangs."""
    try:
        with trio.fail_after(seconds + _PATIENCE_S):
            yield
    except trio.TooSlowError:
        raise BenchError("the load processes do not answer; is the machine overloaded?") from None


class Run:
    """One run. `stop` may be called at any time and ends it early, with what was measured."""

    def __init__(self, plan: Plan, watcher: Watcher, *, identity: Identity, pid: int | None, command: str) -> None:
        """Raises:
        PlanError: there is no process `pid`.
        """
        self._plan = plan
        self._identity = identity
        self._watcher = watcher
        self._command = command
        self._server = _ServerWatch(pid)
        self._interrupted = False
        self._phase: Literal["opening", "measuring", "settling"] = "opening"
        self._stopping = trio.Event()
        self._sending = {member % plan.processes for member in range(plan.connections) if plan.crowd.is_sender(member)}
        """The processes that have senders which have not stopped."""
        self._collection = Collection([[] for _ in range(plan.processes)])
        self._opened = [0] * plan.processes
        self._failures = [Opening(0, 0)] * plan.processes
        self._opening_began_s = 0.0
        self._opening_s = 0.0
        self._totals: dict[int, Sent] = {}
        self._done: list[Done] = []

    def stop(self) -> None:
        """Ends the measurement now."""
        self._interrupted = True
        self._stopping.set()

    async def run(self) -> Outcome:
        """Carries it out.

        Raises:
            BenchError: connections could not be opened, or a load process has failed.
        """
        outcome = None
        async with open_crew(self._plan) as crew, trio.open_nursery() as nursery:
            nursery.start_soon(self._server.run)
            nursery.start_soon(self._obey_stop, crew, nursery.cancel_scope)
            before = self._server.read()
            await self._open(crew)
            await trio.sleep(CALM_S if before else 0)
            ready, machine = self._server.read(), procfs.machine_time()
            begin_s = time.monotonic() + START_DELAY_S
            await self._measure(crew, begin_s)
            after, idle = self._server.read(), procfs.machine_time().idle_share_since(machine)
            await self._settle(crew)
            outcome = self._outcome(before, ready, after, begin_s, idle)
            nursery.cancel_scope.cancel()
        if outcome is None:
            raise BenchError("interrupted before anything was measured")
        return outcome

    async def _obey_stop(self, crew: Crew, everything: trio.CancelScope) -> None:
        await self._stopping.wait()
        if self._phase == "opening":
            everything.cancel()
        elif self._phase == "measuring":
            await crew.tell(Stop())

    async def _until_all(self, crew: Crew, kind: type[Report], handle: Callable[[int, Report], None]) -> None:
        left = len(crew)
        while left:
            worker, report = await crew.hear()
            handle(worker, report)
            left -= isinstance(report, kind)

    async def _open(self, crew: Crew) -> None:
        await self._until_all(crew, Ready, self._on_opening)
        self._opening_s = time.monotonic() - self._opening_began_s
        failed = sum(failure.failed for failure in self._failures)
        if failed:
            why = next(failure.problem for failure in self._failures if failure.problem)
            raise BenchError(f"{failed} of {self._plan.connections} connections could not be opened; the first: {why}")

    def _on_opening(self, worker: int, report: Report) -> None:
        if isinstance(report, Opening):
            self._opening_began_s = self._opening_began_s or time.monotonic()
            self._opened[worker] = report.open
            self._failures[worker] = report
            self._watcher.opening(sum(self._opened), self._plan.connections)

    async def _measure(self, crew: Crew, begin_s: float) -> None:
        self._phase = "measuring"
        with _patience(START_DELAY_S + self._plan.seconds):
            await crew.tell(Start(int(begin_s * 1e6)))
            await self._until_all(crew, Stopped, self._on_measuring)

    def _on_measuring(self, worker: int, report: Report) -> None:
        if isinstance(report, Tick):
            self._collection.add(worker, report)
            self._watcher.measuring(self._collection, self._collection.seconds)
        elif isinstance(report, Stopped):
            self._totals |= report.sent
            if worker in self._sending:
                self._sending.remove(worker)
                if not self._sending:
                    self._stopping.set()  # the others would wait for nothing

    async def _settle(self, crew: Crew) -> None:
        self._phase = "settling"
        self._watcher.settling()
        with _patience(self._plan.settle_s):
            await crew.tell(Settle(self._totals))
            await self._until_all(crew, Done, self._on_settling)

    def _on_settling(self, worker: int, report: Report) -> None:
        if isinstance(report, Tick):
            self._collection.add(worker, report)
        elif isinstance(report, Done):
            self._done.append(report)

    def _outcome(
        self,
        before: _Reading | None,
        ready: _Reading | None,
        after: _Reading | None,
        begin_s: float,
        machine_idle: float,
    ) -> Outcome:
        plan, collection = self._plan, self._collection
        sums, seconds = collection.sums, max(collection.seconds, 1e-9)
        faults = Faults()
        slow_closed: dict[str, int] = {}
        for done in self._done:
            faults.add(done.faults)
            for why, count in done.slow_closed.items():
                slow_closed[why] = slow_closed.get(why, 0) + count
        described = faults.describe()
        self._identity.protocol = max(done.server_version for done in self._done)
        unproven = "" if described else missing_event(plan, sums.sent, slow_closed)
        details = [problem for done in self._done for problem in done.problems]
        server = self._server_use(before, ready, after, begin_s) if before and ready and after else None
        return Outcome(
            scenario=plan.scenario,
            command=self._command,
            environment=environment(),
            plan=plan,
            identity=self._identity,
            passed=not described and not unproven,
            unproven=unproven,
            interrupted=self._interrupted,
            faults=faults,
            problems=described + details[:_PROBLEMS_SHOWN] if described else [],
            seconds=round(collection.seconds, 3),
            opened=sum(self._opened),
            opened_per_s=round(sum(self._opened) / max(self._opening_s, 1e-9), 1),
            sent=sums.sent,
            answered=sums.answered,
            delivered=sums.delivered,
            answered_per_s=round(collection.measured_answers / seconds, 1),
            delivered_per_s=round(collection.measured_deliveries / seconds, 1),
            answer=latency_of(sums.answer_us),
            delivery=latency_of(sums.delivery_us),
            answer_curve=list(sums.answer_us.curve()),
            delivery_curve=list(sums.delivery_us.curve()),
            server=server,
            load=judge_load(collection, server.cpu_share if server else None, machine_idle),
            unmade=sum(done.unmade for done in self._done),
            slow_readers=plan.crowd.slow * plan.crowd.rooms,
            slow_closed=slow_closed,
            moments=collection.moments(),
        )

    def _server_use(self, before: _Reading, ready: _Reading, after: _Reading, begin_s: float) -> ServerUse:
        assert self._server.pid is not None
        cpu_s, collection = after.usage.cpu_s - ready.usage.cpu_s, self._collection
        opened, grown_bytes = sum(self._opened), ready.usage.rss_bytes - before.usage.rss_bytes
        return ServerUse(
            pid=self._server.pid,
            cpu_s=round(cpu_s, 2),
            cpu_share=round(cpu_s / max(after.at_s - begin_s, 1e-9), 3),
            cpu_us_per_answer=round(1e6 * cpu_s / max(collection.measured_answers, 1), 1),
            cpu_us_per_delivery=round(1e6 * cpu_s / max(collection.measured_deliveries, 1), 1),
            rss_before_bytes=before.usage.rss_bytes,
            rss_open_bytes=ready.usage.rss_bytes,
            rss_after_bytes=after.usage.rss_bytes,
            rss_bytes_per_connection=round(grown_bytes / opened, 1) if opened else 0.0,
            written_bytes=_difference(ready.usage.written_bytes, after.usage.written_bytes),
            samples=self._server.samples(begin_s),
        )


def _difference(before: int | None, after: int | None) -> int | None:
    return None if before is None or after is None else after - before
