"""Starting, stopping and failing: a server ends when it should, says why, and leaves nothing behind."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import httpx
import pytest
import trio
from common import until

from wukong_trio import (
    Address,
    InternalError,
    Listeners,
    Message,
    SendCommand,
    Server,
    StoreError,
    open_client,
    serve,
)
from wukong_trio.config import Engine
from wukong_trio.delivery.router import Router
from wukong_trio.gateway.deadlines import DeadlineTable
from wukong_trio.gateway.native import NativeTransport
from wukong_trio.gateway.reader import SharedReader
from wukong_trio.services.auth import Authentication
from wukong_trio.store import MemoryStore
from wukong_trio.testing import config_for_tests, open_raw_client, open_test_server

ENGINES = ["native", "reference"]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("via_start", [True, False])
async def test_cancelling_a_server_that_starts_ends_it(engine: str, via_start: bool) -> None:
    started = False

    class Cancelling(trio.abc.Instrument):
        """Cancels after so many steps of tasks."""

        def __init__(self, steps: int, scope: trio.CancelScope) -> None:
            self.steps, self.scope = steps, scope

        def after_task_step(self, task: trio.lowlevel.Task) -> None:
            self.steps -= 1
            if self.steps == 0:
                self.scope.cancel()

    for steps in range(1, 40):
        with trio.fail_after(5), trio.CancelScope() as scope:
            instrument = Cancelling(steps, scope)
            trio.lowlevel.add_instrument(instrument)
            try:
                async with trio.open_nursery() as nursery:
                    if via_start:
                        await nursery.start(partial(serve, config_for_tests(engine=engine)))
                        started = True
                    else:
                        nursery.start_soon(serve, config_for_tests(engine=engine))
                    await trio.testing.wait_all_tasks_blocked()
                    scope.cancel()
            finally:
                trio.lowlevel.remove_instrument(instrument)
        assert scope.cancelled_caught
    assert started is via_start


PARTS: list[tuple[type[Any], str, str]] = [
    (Router, "run", "the router"),
    (DeadlineTable, "run", "the clock of sessions"),
    (Authentication, "run", "the look-ups of logins"),
    (SharedReader, "run", "the shared reader"),
]


async def _stray() -> None:
    """Raises a Cancelled that belongs to nobody any more."""
    stray: trio.Cancelled | None = None
    with trio.CancelScope() as scope:
        scope.cancel()
        try:
            await trio.sleep_forever()
        except trio.Cancelled as cancelled:
            stray = cancelled
            raise
    assert stray is not None
    raise stray


async def _stray_in_a_group() -> None:
    try:
        await _stray()
    except trio.Cancelled as stray:
        raise BaseExceptionGroup("of a nursery", [stray]) from None


async def _fail() -> None:
    raise ZeroDivisionError


async def _return() -> None:
    await trio.lowlevel.checkpoint()


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part[2] if isinstance(part, tuple) else "")
@pytest.mark.parametrize("end", [_stray, _stray_in_a_group, _fail, _return])
async def test_a_part_that_ends_by_itself_ends_the_server_with_its_cause(
    part: tuple[type[Any], str, str], end: Callable[[], Awaitable[None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, name, words = part
    go = trio.Event()

    async def run(self: object) -> None:
        await go.wait()
        await end()

    # `Authentication.run` is an attribute of each instance.
    if owner is Authentication:
        monkeypatch.setattr("wukong_trio.services.coalesce.Coalescer.run", run)
    else:
        monkeypatch.setattr(owner, name, run)
    expected: type[BaseException] = ZeroDivisionError if end is _fail else InternalError

    async def serve_until_it_ends() -> None:
        async with open_test_server():
            go.set()
            await trio.sleep_forever()

    with trio.fail_after(5), pytest.raises(expected) as caught:
        await serve_until_it_ends()
    if end is not _fail:
        assert words in str(caught.value)


@pytest.mark.parametrize("engine", ENGINES)
async def test_connections_that_have_nothing_under_way_do_not_delay_a_stop(engine: str) -> None:
    with trio.fail_after(20):
        async with open_test_server(engine=engine, drain_timeout_s=10) as server:
            port = int(server.endpoints.ws.rpartition(":")[2])
            async with (
                await trio.open_tcp_stream("127.0.0.1", port) as silent,
                await trio.open_tcp_stream("127.0.0.1", port) as half,
                open_raw_client(server.endpoints.ws) as greeting,
            ):
                await half.send_all(b"GET / HTTP/1.1\r\nHost: x\r\nUpg")
                start = trio.current_time()
                server.shutdown()
                assert await silent.receive_some() == b""
                assert await half.receive_some() == b""
                assert (await greeting.wait_closed()).code == 1001
                assert trio.current_time() - start < 3


@pytest.mark.parametrize("engine", ENGINES)
async def test_clients_are_told_of_a_stop_though_sends_cannot_be_answered(engine: str) -> None:
    class Stuck(MemoryStore):
        async def append_messages(self, drafts: Sequence[Message], **terms: Any) -> Sequence[int]:
            await trio.sleep_forever()

    with trio.fail_after(10):
        async with open_test_server(engine=engine, store=Stuck(), drain_timeout_s=0.6) as server:
            command = SendCommand(from_uid="x", channel_id="ann", channel_type=1, payload=b"{}")
            async with open_raw_client(server.endpoints.ws) as ann, trio.open_nursery() as nursery:
                await ann.connect("ann")
                nursery.start_soon(_expect, StoreError, server.send, command)
                await trio.testing.wait_all_tasks_blocked(0.01)
                server.shutdown()
                assert (await ann.wait_closed()).code == 1001


async def _expect(error: type[Exception], call: Callable[[Any], Awaitable[Any]], argument: object) -> None:
    with pytest.raises(error):
        await call(argument)


async def test_an_error_of_one_connection_ends_there(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    finish = NativeTransport.finish

    async def fail_after_closing(self: NativeTransport) -> None:
        await finish(self)
        raise ZeroDivisionError

    with trio.fail_after(10):
        async with open_test_server() as server, open_client(server.endpoints.ws, uid="bob") as bob:
            with monkeypatch.context() as patched:
                patched.setattr(NativeTransport, "finish", fail_after_closing)
                async with open_raw_client(server.endpoints.ws) as ann:
                    await ann.connect("ann")
                await until(lambda: server.statistics().sessions == 1)
                await trio.testing.wait_all_tasks_blocked()
            await bob.ping()
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_server_may_serve_its_api_alone(engine: str) -> None:
    listeners = Listeners(http=Address("127.0.0.1", 0), tcp=None, ws=None, wss=None)
    with trio.fail_after(10):
        async with (
            open_test_server(engine=engine, listeners=listeners) as server,
            httpx.AsyncClient(base_url=server.endpoints.http) as http,
        ):
            await trio.testing.wait_all_tasks_blocked()
            assert (await http.get("/healthz")).status_code == 200


async def test_a_server_that_is_shut_down_twice_stops_once() -> None:
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            server: Server = await nursery.start(partial(serve, config_for_tests()))
            server.shutdown()
            server.shutdown()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("http", [Address("127.0.0.1", 0), None])
async def test_a_server_without_listeners_for_clients_lasts_until_it_is_stopped(
    engine: Engine, http: Address | None
) -> None:
    listeners = Listeners(http=http, tcp=None, ws=None, wss=None)
    with trio.fail_after(10):
        async with open_test_server(engine=engine, listeners=listeners) as server:
            await trio.testing.wait_all_tasks_blocked()
            command = SendCommand(from_uid="robot", channel_id="bob", channel_type=1, payload=b"{}")
            assert (await server.send(command)).message_seq == 1
