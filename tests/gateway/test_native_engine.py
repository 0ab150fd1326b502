"""What only the native engine does: one reader for all, a task only for what a socket does not take."""

import os
from typing import Any

import pytest
import trio
import trio.testing

from wukong_trio import open_client
from wukong_trio.delivery.submission import Errand
from wukong_trio.gateway.session import Session
from wukong_trio.testing import open_raw_client, open_test_server


async def test_a_bug_that_one_client_finds_harms_nobody_else(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    receive = Session.receive

    def buggy(session: Session, message: bytes, errands: list[Errand]) -> None:
        if b"bug" in message:
            raise ZeroDivisionError
        receive(session, message, errands)

    monkeypatch.setattr(Session, "receive", buggy)
    with trio.fail_after(10):
        async with (
            open_test_server(engine="native") as server,
            open_raw_client(server.endpoints.ws) as ann,
            open_raw_client(server.endpoints.ws) as bob,
        ):
            await ann.connect("ann")
            await bob.connect("bob")
            await ann.send({"id": "bug", "method": "ping"})
            assert (await ann.wait_closed()).code == 1011
            await bob.ping()
    assert "ZeroDivisionError" in caplog.text


async def test_connections_have_no_tasks_of_their_own_for_messages() -> None:
    def tasks() -> int:
        return trio.lowlevel.current_statistics().tasks_living

    with trio.fail_after(10):
        async with open_test_server(engine="native", listeners=_only_websocket()) as server:
            await trio.testing.wait_all_tasks_blocked()
            before = tasks()
            async with open_raw_client(server.endpoints.ws) as ann, open_raw_client(server.endpoints.ws) as bob:
                await ann.connect("ann")
                await bob.connect("bob")
                for n in range(20):
                    params = {"clientMsgNo": str(n), "channelId": "bob", "channelType": 1, "payload": ""}
                    await ann.call("send", params)
                    await bob.receive()
                assert tasks() == before + 2


def _only_websocket() -> Any:
    from wukong_trio import Address, Listeners

    return Listeners(http=None, tcp=None, ws=Address("127.0.0.1", 0))


async def test_what_a_socket_does_not_take_is_written_later_and_in_order() -> None:
    payloads = [os.urandom(200_000) for _ in range(30)]
    with trio.fail_after(20):
        async with (
            open_test_server(engine="native") as server,
            open_raw_client(server.endpoints.ws) as slow,
            open_client(server.endpoints.ws, uid="ann") as ann,
        ):
            await slow.connect("slow")
            for payload in payloads:
                await ann.send("slow", payload)
            for n, payload in enumerate(payloads, start=1):
                params = (await slow.receive())["params"]
                assert params["messageSeq"] == n
                assert len(params["payload"]) == (len(payload) + 2) // 3 * 4
            await slow.ping()


async def test_a_client_that_stays_stalled_is_cut_off_in_time() -> None:
    limits = {"write_timeout_s": 0.3, "close_timeout_s": 0.3}
    with trio.fail_after(20):
        async with (
            open_test_server(engine="native", limits=limits) as server,
            open_raw_client(server.endpoints.ws) as deaf,
            open_client(server.endpoints.ws, uid="ann") as ann,
        ):
            await deaf.connect("deaf")
            payload = os.urandom(380_000)
            for _ in range(12):
                await ann.send("deaf", payload, no_persist=True)
            while server.statistics().sessions > 1:  # noqa: ASYNC110 - the server tells nobody when a session ends
                await trio.sleep(0.02)


async def test_thousands_of_half_open_connections_go_away_in_time() -> None:
    limits = {"handshake_timeout_s": 0.5}
    with trio.fail_after(30):
        async with open_test_server(engine="native", limits=limits) as server:
            port = int(server.endpoints.ws.rpartition(":")[2])
            await trio.testing.wait_all_tasks_blocked()
            before = trio.lowlevel.current_statistics().tasks_living
            streams = [await trio.open_tcp_stream("127.0.0.1", port) for _ in range(400)]
            async with open_raw_client(server.endpoints.ws) as ann:
                await ann.connect("ann")
                for stream in streams:
                    assert await stream.receive_some() == b""
                    await stream.aclose()
                await ann.ping()
            with trio.fail_after(5):
                while trio.lowlevel.current_statistics().tasks_living > before:  # noqa: ASYNC110 - the same
                    await trio.sleep(0.01)
