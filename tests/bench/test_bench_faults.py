"""A run against a server that loses, doubles or mixes up messages fails, and says why."""

import sys

import msgspec
import pytest
import trio
from faulty_server import open_faulty_server

from wukong_trio.bench.coordinator import Run
from wukong_trio.bench.crew import BenchError
from wukong_trio.bench.identity import Identity
from wukong_trio.bench.outcome import Collection, Outcome
from wukong_trio.bench.plan import SCHEMES, Crowd, Plan, Protocol, read_target


class Unwatched:
    """Shows nothing; stops the run once something was measured, if wanted."""

    def __init__(self) -> None:
        self.run: Run | None = None

    def opening(self, opened: int, wanted: int) -> None:
        pass

    def measuring(self, collection: Collection, seconds: float) -> None:
        if self.run is not None:
            self.run.stop()

    def settling(self) -> None:
        pass


PROTOCOLS: tuple[Protocol, ...] = ("jsonrpc", "wkproto")


def pairs(url: str, *, protocol: Protocol = "jsonrpc", messages: int | None = 20, seconds: float = 5.0) -> Plan:
    return Plan(
        scenario="send",
        target=read_target(url, *SCHEMES[protocol], allow_remote=False),
        protocol=protocol,
        connections=2,
        crowd=Crowd(2, rooms=1, room_size=2, senders=2),
        prefix="u-",
        seconds=seconds,
        messages=messages,
        settle_s=0.2,
        tick_s=0.1,
    )


async def outcome_of(plan: Plan) -> Outcome:
    with trio.fail_after(20):
        return await Run(plan, Unwatched(), identity=Identity(), pid=None, command="").run()


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_without_faults_it_passes(protocol: Protocol) -> None:
    async with open_faulty_server("", protocol) as url:
        outcome = await outcome_of(pairs(url, protocol=protocol))
    assert outcome.passed
    assert (outcome.sent, outcome.answered, outcome.delivered) == (20, 20, 20)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("fault", ["undelivered", "doubled", "out_of_order", "answered_twice"])
async def test_faults_are_found(fault: str, protocol: Protocol) -> None:
    async with open_faulty_server(fault, protocol) as url:
        outcome = await outcome_of(pairs(url, protocol=protocol))
    assert not outcome.passed
    assert getattr(outcome.faults, fault) == 2
    assert outcome.problems


@pytest.mark.parametrize(
    ("fault", "words"),
    [("msg_key", "its msg_key is wrong"), ("ciphertext", "whole blocks"), ("payload", "another client_msg_no")],
)
async def test_what_is_not_what_was_encrypted_is_found_in_the_sample(fault: str, words: str) -> None:
    async with open_faulty_server(fault, "wkproto") as url:
        outcome = await outcome_of(pairs(url, protocol="wkproto", messages=80))
    # Of the 40 that each of the two receives: the 1st, the 17th and the 33rd.
    assert outcome.faults.foreign == 2 * 3
    assert words in " ".join(outcome.problems)


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_missing_answer_is_found(protocol: Protocol) -> None:
    async with open_faulty_server("unanswered", protocol) as url:
        outcome = await outcome_of(pairs(url, protocol=protocol, seconds=0.3))
    assert outcome.faults.unanswered == 2


@pytest.mark.parametrize(("protocol", "why"), [("jsonrpc", "4000"), ("wkproto", "reset")])
async def test_a_connection_that_ends_is_found(protocol: Protocol, why: str) -> None:
    async with open_faulty_server("close", protocol) as url:
        outcome = await outcome_of(pairs(url, protocol=protocol, seconds=0.3))
    assert outcome.faults.broken == 2
    assert any(f"ended: {why}" in problem for problem in outcome.problems)


async def test_a_stopped_run_gives_what_was_measured() -> None:
    watcher = Unwatched()
    with trio.fail_after(20):
        async with open_faulty_server("") as url:
            plan = pairs(url, messages=None, seconds=3600)
            watcher.run = Run(plan, watcher, identity=Identity(), pid=None, command="")
            outcome = await watcher.run.run()
    assert outcome.passed
    assert outcome.interrupted
    assert outcome.sent == outcome.answered == outcome.delivered > 0


async def test_a_load_process_ends_with_its_parent() -> None:
    command = [sys.executable, "-m", "wukong_trio.bench.worker"]
    async with open_faulty_server("") as url:
        line = msgspec.json.encode(pairs(url)) + b"\n"
        with trio.fail_after(20):
            process = await trio.run_process(command, stdin=line, capture_stdout=True, check=False)
    assert process.returncode == 1


async def test_without_a_server_there_is_no_outcome() -> None:
    with pytest.RaisesGroup(pytest.RaisesExc(BenchError, match="refused"), flatten_subgroups=True):
        await outcome_of(pairs("ws://127.0.0.1:1"))
