"""`GET /metrics`: who may see it, and what it costs others. What it shows is in test_metrics_figures.py."""

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from api_calls import Api, OpenServer
from common import counted_turns, person
from scraping import scrape, serving, until

from wukong_trio import SendCommand, Server
from wukong_trio.api.prometheus import Exposition
from wukong_trio.delivery.registry import Load, SessionRegistry
from wukong_trio.meter import USERS_PER_TURN, Meter
from wukong_trio.model import DeviceLevel
from wukong_trio.testing import open_raw_client

# Who may see it


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"token": "k"}, 200),
        ({"Authorization": "Bearer k"}, 200),
        ({"Authorization": "bearer  k"}, 200),
        ({"token": "wrong", "Authorization": "Bearer k"}, 200),
        ({"token": "k", "Authorization": "Bearer wrong"}, 200),
        ({}, 401),
        ({"token": "wrong"}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Authorization": "Bearer kk"}, 401),
        ({"Authorization": "Bearer"}, 401),
        ({"Authorization": "Basic k"}, 401),
        ({"Authorization": "k"}, 401),
    ],
)
async def test_with_a_manager_token(open_server: OpenServer, headers: dict[str, str], status: int) -> None:
    async with serving(open_server, auth={"manager_token": "k"}) as (_, api):
        answer = await api.http.get("/metrics", headers=headers)
        assert answer.status_code == status
        assert ("wukong_sessions" in answer.text) is (status == 200)


async def test_bearer_is_for_metrics_only(open_server: OpenServer) -> None:
    async with serving(open_server, auth={"manager_token": "k"}) as (_, api):
        for path in ("/user/systemuids", "/metrics/", "/nope"):
            assert (await api.http.get(path, headers={"Authorization": "Bearer k"})).status_code == 401


async def test_without_a_manager_token_it_is_open_to_programs_and_closed_to_pages(api: Api) -> None:
    for headers in ({}, {"token": "x"}, {"Authorization": "Bearer x"}):
        assert (await api.http.get("/metrics", headers=headers)).status_code == 200
    assert (await api.http.get("/metrics", headers={"Origin": "http://evil.example"})).status_code == 403
    assert (await api.http.get("/metrics", headers={"Host": "evil.example"})).status_code == 403
    assert (await api.http.post("/metrics")).status_code == 404


# What it costs others


async def test_two_servers_in_one_process_do_not_mix(open_server: OpenServer) -> None:
    async with serving(open_server) as (one, of_one), serving(open_server) as (_, of_two):
        await scrape(of_two)
        for n in range(3):
            await one.send(person(to=f"user{n}"))
        first, second = await scrape(of_one), await scrape(of_two)
        assert [first("wukong_messages_stored_total"), second("wukong_messages_stored_total")] == [3, 0]
        served = [figures("wukong_http_requests_total", path="/metrics", status="200") for figures in (first, second)]
        assert served == [0, 1]


async def test_many_scrapes_at_once_under_load(open_server: OpenServer) -> None:
    async with serving(open_server) as (server, api), trio.open_nursery() as nursery:
        members = [f"u{n}" for n in range(12)]
        for uid in members:
            await nursery.start(read_all, server, uid)
        await api.ok("/channel", channel_id="room", channel_type=2, subscribers=members)
        seen: list[float] = []
        async with trio.open_nursery() as busy:
            for n in range(200):
                busy.start_soon(server.send, to_room(n))

            async def look() -> None:
                for _ in range(5):
                    figures = await scrape(api)
                    seen.append(figures("wukong_sends_accepted_total"))
                    assert figures("wukong_sessions", speech="jsonrpc") == len(members)

            for _ in range(5):
                busy.start_soon(look)
        figures = await until(api, "wukong_deliveries_total", 200 * len(members))
        assert len(seen) == 25
        assert figures("wukong_messages_stored_total") == 200
        nursery.cancel_scope.cancel()


def to_room(number: int) -> SendCommand:
    return SendCommand(from_uid="robot", channel_id="room", channel_type=2, payload=b"%d" % number)


async def read_all(server: Server, uid: str, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
    """A member who takes everything."""
    async with open_raw_client(server.endpoints.ws) as client:
        await client.connect(uid)
        task_status.started()
        while True:
            await client.receive()


class Asked:
    """A session that notes in which turn it was asked."""

    device_flag, device_id, level = 0, "", DeviceLevel.SLAVE

    def __init__(self, number: int, ask: Any) -> None:
        self.session_id, self.uid, self.load = number, f"u{number}", ask


async def test_others_have_their_turns_while_everybody_is_asked() -> None:
    """However many there are, no more than a slice of them is asked in one turn."""
    async with counted_turns() as turns:
        asked_in: list[int] = []

        def load() -> Load:
            asked_in.append(turns.count)
            return Load("wkproto", 2, 3)

        registry = SessionRegistry()
        for n in range(5 * USERS_PER_TURN):
            registry.enter(Asked(n, load))  # type: ignore[arg-type]
        parts: dict[str, Any] = dict.fromkeys(["router", "gateway", "events", "store", "lag"])
        crowd = await Meter(registry=registry, **parts)._ask_everybody()
        # Whether the counting task or this one comes first in a turn is left to chance.
        assert max(asked_in.count(turn) for turn in set(asked_in)) <= 2 * USERS_PER_TURN
        everybody = 5 * USERS_PER_TURN
        assert (crowd.sessions["wkproto"], crowd.users["wkproto"], crowd.sessions["jsonrpc"]) == (
            everybody,
            everybody,
            0,
        )
        assert (crowd.unacknowledged, crowd.backlog_bytes) == (2 * everybody, 3 * everybody)


async def test_who_leaves_while_everybody_is_asked_does_no_harm() -> None:
    registry, last = SessionRegistry(), 2 * USERS_PER_TURN - 1

    def load() -> Load:
        registry.leave(sessions[last])  # type: ignore[arg-type]
        registry.enter(Asked(last + 1, load))  # type: ignore[arg-type]
        return Load("jsonrpc", 0, 0)

    sessions = [Asked(n, load) for n in range(last + 1)]
    for session in sessions:
        registry.enter(session)  # type: ignore[arg-type]
    parts: dict[str, Any] = dict.fromkeys(["router", "gateway", "events", "store", "lag"])
    assert (await Meter(registry=registry, **parts)._ask_everybody()).sessions["jsonrpc"] == last


async def test_the_text_is_made_in_a_thread_one_at_a_time(
    open_server: OpenServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    render, threads, go_on = Exposition.render, list[int](), threading.Event()

    def held(self: Exposition, figures: Any) -> bytes:
        threads.append(threading.get_ident())
        go_on.wait(5)
        return render(self, figures)

    monkeypatch.setattr(Exposition, "render", held)
    async with serving(open_server) as (_, api):
        async with trio.open_nursery() as nursery:
            for _ in range(8):
                nursery.start_soon(scrape, api)
            while not threads:  # noqa: ASYNC110 - nobody is told
                await trio.sleep(0.01)
            await trio.testing.wait_all_tasks_blocked(0.05)
            assert len(threads) == 1
            go_on.set()
        assert len(threads) == 8
    assert threading.get_ident() not in threads


def test_the_library_is_imported_when_it_is_needed() -> None:
    """Not by whoever imports the server, or serves HTTP with it."""
    program = "import sys, wukong_trio.lifecycle; sys.exit('prometheus_client' in sys.modules)"
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", program], cwd=root, check=False).returncode == 0
