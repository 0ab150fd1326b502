"""Before a client has authenticated almost nothing is spent on it."""

import pytest
import trio
from common import until

from wukong_trio.testing import SocketClosed, open_raw_client, open_test_server

ENGINES = ["native", "reference"]
KIB = 1024


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("limit", ["waiting_connections", "waiting_per_address"])
async def test_so_many_may_wait_for_authentication_and_no_more(
    engine: str, limit: str, caplog: pytest.LogCaptureFixture
) -> None:
    with trio.fail_after(10):
        async with (
            open_test_server(engine=engine, limits={limit: 2}) as server,
            open_raw_client(server.endpoints.ws) as ann,
            open_raw_client(server.endpoints.ws),
        ):
            with pytest.raises(SocketClosed):
                async with open_raw_client(server.endpoints.ws):
                    pass
            assert server.statistics().connections_refused == 1
            assert "too many connections have not authenticated" in caplog.text
            # Who has authenticated does not count any more.
            await ann.connect("ann")
            async with open_raw_client(server.endpoints.ws) as bob:
                await bob.connect("bob")
                await bob.ping()


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_connection_that_is_gone_makes_room(engine: str) -> None:
    with trio.fail_after(10):
        async with open_test_server(engine=engine, limits={"waiting_per_address": 1}) as server:
            for n in range(3):
                async with open_raw_client(server.endpoints.ws) as ann:
                    await ann.connect("ann")
                    await until(lambda: server.statistics().sessions == 1)
                await until(lambda: server.statistics().sessions == 0)
                assert server.statistics().connections == n + 1


@pytest.mark.parametrize(("size", "accepted"), [(16 * KIB, True), (16 * KIB + 1, False)])
async def test_a_connect_holds_at_most_16_kib(size: int, accepted: bool) -> None:
    empty = '{"id":"c","method":"connect","params":{"uid":"ann","token":"t"}}'
    text = empty + " " * (size - len(empty))
    with trio.fail_after(10):
        async with open_test_server(engine="native") as server, open_raw_client(server.endpoints.ws) as ann:
            await ann.send_text(text)
            if accepted:
                assert "result" in await ann.receive()
                await ann.send({"id": "p", "method": "ping", "params": {"x": "y" * 20 * KIB}})
                assert (await ann.receive())["id"] == "p"
            else:
                assert (await ann.wait_closed()).code == 1009


async def test_the_reference_engine_bounds_what_comes_before_connect() -> None:
    with trio.fail_after(10):
        async with open_test_server(engine="reference") as server, open_raw_client(server.endpoints.ws) as ann:
            await ann.send_text('{"id":"c","method":"connect","params":{"uid":"ann","token":"' + "t" * 70 * KIB)
            assert (await ann.wait_closed()).code in (1006, 1009)
