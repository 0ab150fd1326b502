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
from common import person
from scraping import scrape, serving, until

from wukong_trio import SendCommand, Server
from wukong_trio.api.prometheus import Exposition
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


async def test_h131_names_of_the_original_are_there(api: Api) -> None:
    answer = await api.http.get("/metrics")
    assert answer.status_code == 200
    assert "\napp_conn_count_total 0.0\n" in answer.text


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
        figures = await until(api, "wukong_pushes_total", 200 * len(members))
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
