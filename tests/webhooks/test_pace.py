"""How much of a core requests get, on clocks that the test moves."""

import time
from collections.abc import Sequence

import pytest
import trio
from receiver import open_receiver
from scripted import Scene
from trio.testing import MockClock

from wukong_trio import Message, SendCommand
from wukong_trio.testing import open_test_server
from wukong_trio.webhooks import notify, webhooks
from wukong_trio.webhooks.pace import CREDIT_S, LONGEST_WAIT_S, MOST, WINDOW_S, Load, Pace, Stopwatch


class Clocks:
    """A server whose requests cost what the test says, beside other work."""

    def __init__(self, least: float = 0.05) -> None:
        self.now = self.process_s = self.thread_s = 0.0
        self.load = Load(lambda: self.now, lambda: self.process_s, lambda: self.thread_s)
        self.pace = Pace(self.load, least, lambda: self.now, lambda: self.thread_s)

    def idle(self, seconds: float) -> None:
        self.load.before_io_wait(seconds)
        self.now += seconds
        self.load.after_io_wait(seconds)

    def work(self, seconds: float, *, got: float = 1.0) -> None:
        """The event loop has something to do.

        Args:
            got: the share of a core that it gets for it.
        """
        self.now += seconds
        self.process_s += got * seconds
        self.thread_s += got * seconds

    def request(self, cost_s: float) -> None:
        with self.pace.working():
            self.work(cost_s)

    def share_of(
        self, others: float, seconds: float, *, got: float = 1.0, threads: float = 0.0, cost_s: float = 0.001
    ) -> float:
        """Requests one after another beside work of others; returns which share of the time they got.

        Args:
            others: the share of the time in which others have something to do; 1: always, as soon as a request is done.
            got: the share of a core that the server gets.
            threads: what other threads use while the loop waits.
        """
        end, spent, turn_s = self.now + seconds, 0.0, 0.002
        while self.now < end:
            if not self.pace.wait_s:
                self.request(cost_s)
                spent += cost_s
            self.work(turn_s * others, got=got)
            if others < 1:
                self.process_s += turn_s * (1 - others) * threads
                self.idle(turn_s * (1 - others))
        return spent / seconds


def test_an_idle_server_lets_requests_have_the_core() -> None:
    assert Clocks().share_of(0.0, 10, cost_s=0.02) > 0.8


def test_requests_get_what_is_left() -> None:
    assert Clocks().share_of(0.5, 10) == pytest.approx(0.4, abs=0.1)


def test_requests_have_a_small_share_of_a_core_that_is_always_busy() -> None:
    assert Clocks(0.05).share_of(1.0, 10) == pytest.approx(0.05, abs=0.01)


def test_a_server_that_gets_half_of_a_core_gives_half_of_the_share() -> None:
    assert Clocks(0.05).share_of(1.0, 10, got=0.5) == pytest.approx(0.025, abs=0.01)


def test_the_share_shrinks_when_others_begin_and_grows_when_they_end() -> None:
    clocks = Clocks(0.05)
    assert clocks.share_of(0.0, 1) > 0.2
    assert clocks.share_of(1.0, 1) < 0.15
    assert clocks.share_of(1.0, 1) == pytest.approx(0.05, abs=0.01)
    assert clocks.share_of(0.0, 1) > 0.2


def test_threads_count_as_load() -> None:
    # The loop waits for its writer, which uses the only core.
    assert Clocks(0.05).share_of(0.0, 10, threads=1.0) == pytest.approx(0.05, abs=0.01)


def test_however_expensive_a_request_was_the_next_one_comes() -> None:
    clocks = Clocks(0.001)
    clocks.share_of(1.0, 1)
    clocks.request(60)
    assert clocks.pace.wait_s == pytest.approx(LONGEST_WAIT_S)


def test_time_in_which_nothing_was_asked_for_counts_only_so_far() -> None:
    clocks = Clocks(0.05)
    clocks.work(3600)
    begun = 0
    while not clocks.pace.wait_s:
        clocks.request(0.0005)
        begun += 1
    assert begun == pytest.approx(CREDIT_S * 0.05 / 0.0005, abs=2)


def test_who_stops_waits_for_nothing() -> None:
    clocks = Clocks(0.05)
    clocks.work(1)
    clocks.request(1)
    assert clocks.pace.wait_s
    clocks.pace.hurry = True
    assert not clocks.pace.wait_s


def test_a_watch_counts_while_it_runs() -> None:
    now = 0.0
    watch = Stopwatch(lambda: now)
    now = 1.0
    watch.stop()
    now = 5.0
    watch.stop()
    assert watch.elapsed_s == 1
    watch.start()
    now = 7.0
    watch.stop()
    assert watch.elapsed_s == 3


async def test_a_request_waits_for_its_turn(autojump_clock: MockClock) -> None:
    scene = Scene()
    async with scene.running():
        scene.notify.hook.pace.spent(100 * LONGEST_WAIT_S)
        ids = await scene.send(100)
        await trio.sleep(LONGEST_WAIT_S - 0.1)
        assert not scene.receiver.requests
        await trio.sleep(0.2)
    assert scene.receiver.told == ids


async def test_encoding_is_paid_for(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    scene, cpu_s, encode = Scene(), 0.0, notify._encoded

    def slowly(messages: Sequence[Message]) -> bytes:
        nonlocal cpu_s
        cpu_s += 100 * LONGEST_WAIT_S
        return encode(messages)

    monkeypatch.setattr(notify, "_encoded", slowly)
    scene.pace = Pace(Load(lambda: 0.0, lambda: 0.0, lambda: 0.0), 1.0, cpu_clock=lambda: cpu_s)
    async with scene.running():
        await scene.send(200)
        await trio.sleep(10)
    assert scene.receiver.times[1] - scene.receiver.times[0] == pytest.approx(LONGEST_WAIT_S)


async def test_the_loop_is_measured_while_webhooks_run(monkeypatch: pytest.MonkeyPatch) -> None:
    loads: list[Load] = []

    def load() -> Load:
        loads.append(Load())
        return loads[-1]

    monkeypatch.setattr(webhooks, "Load", load)
    async with open_receiver() as receiver, open_test_server(webhook={"http_addr": receiver.url}):
        [measured] = loads
        start, busy = measured.clock(), measured.busy_s
        await trio.sleep(0.2)
        assert measured.busy_s - busy < 0.75 * (measured.clock() - start)
        start, busy = measured.clock(), measured.busy_s
        time.sleep(0.2)  # noqa: ASYNC251
        assert measured.busy_s - busy > 0.95 * (measured.clock() - start)
    # Not any more.
    measured._idle_s = 0
    await trio.sleep(0.01)
    assert measured._idle_s == 0


@pytest.mark.parametrize("events", [("msg.notify",), ("msg.offline",)])
async def test_a_server_that_is_always_busy_tells_within_seconds(events: tuple[str, ...]) -> None:
    done = False

    async def keep_busy() -> None:
        while not done:
            time.sleep(0.002)  # noqa: ASYNC251
            await trio.lowlevel.checkpoint()

    async with open_receiver() as receiver:
        settings = {"http_addr": receiver.url, "focus_events": events, "push_interval_s": 0.05}
        async with open_test_server(webhook=settings) as server, trio.open_nursery() as nursery:
            nursery.start_soon(keep_busy)
            await trio.sleep(2 * WINDOW_S)
            for n in range(3):
                await server.send(SendCommand(from_uid="ann", channel_id="bob", channel_type=1, payload=b"%d" % n))
                await receiver.until(lambda n=n: len(receiver.requests) > n, LONGEST_WAIT_S + 4)
            done = True


def test_the_small_shares_together_are_no_tenth_of_a_core() -> None:
    assert sum(webhooks.LEAST_SHARES.values()) <= 0.1
    assert MOST < 1
