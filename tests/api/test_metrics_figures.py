"""What `GET /metrics` shows: each figure moves when it should."""

import time
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import trio
import trio.testing
from api_calls import Api, OpenServer, P
from common import person
from exchanges import connect, exchange
from scraping import HeldStore, scrape, send, serving, until, value

from wukong_trio import ReasonCode
from wukong_trio.counting import Histogram
from wukong_trio.delivery import deliver
from wukong_trio.protocol.wkproto import Send
from wukong_trio.testing import SocketClosed, open_raw_client, open_raw_packet_client


async def test_people(open_server: OpenServer) -> None:
    async with serving(open_server) as (server, api):
        async with (
            open_raw_client(server.endpoints.ws) as ann,
            open_raw_client(server.endpoints.ws) as anns_phone,
            open_raw_packet_client(server.endpoints.tcp) as anns_desktop,
            open_raw_packet_client(server.endpoints.ws) as bob,
        ):
            figures = await until(api, "wukong_waiting_connections", 4)
            assert figures("wukong_online_users") == 0
            await ann.connect("ann", deviceFlag=1)
            await anns_phone.connect("ann", deviceFlag=0)
            await anns_desktop.connect("ann", device_flag=2)
            await bob.connect("bob")
            figures = await scrape(api)
            assert figures("wukong_waiting_connections") == 0
            assert [figures("wukong_sessions", speech=speech) for speech in ("jsonrpc", "wkproto")] == [2, 2]
            assert figures("wukong_online_users") == figures("app_online_user_count_total") == 2
            assert figures("app_conn_count_total") == figures("app_online_device_count_total") == 4
            assert figures("wukong_connections_opened_total") == 4
            assert figures("wukong_connections_authenticated_total") == 4
            assert figures("app_conn_packet_count_total") == figures("app_connack_packet_count_total") == 4
        while server.statistics().sessions:  # noqa: ASYNC110 - nobody is told
            await trio.sleep(0.01)
        figures = await scrape(api)
        assert figures("wukong_sessions", speech="jsonrpc") == figures("wukong_online_users") == 0
        assert figures("wukong_connections_authenticated_total") == 4


async def test_who_does_not_get_in(open_server: OpenServer) -> None:
    async def authenticate(_info: object) -> bool:
        return False

    changes = {"limits": {"waiting_connections": 1}, "authenticate": authenticate}
    async with serving(open_server, **changes) as (server, api):
        async with open_raw_client(server.endpoints.ws) as ann:
            with pytest.raises(SocketClosed):
                async with open_raw_client(server.endpoints.ws):
                    pass
            assert "error" in await ann.call("connect", {"uid": "ann", "token": "x"})
            await ann.wait_closed()
        figures = await scrape(api)
        assert figures("wukong_connections_refused_total") == 1
        assert figures("wukong_connections_turned_away_total", reason="AuthFail") == 1
        assert figures("wukong_connections_authenticated_total") == 0
        assert figures("wukong_connections_closed_total", code="4002") == 1
        assert figures("app_conn_packet_count_total") == figures("app_connack_packet_count_total") == 1


async def test_messages(open_server: OpenServer) -> None:
    async with serving(open_server) as (server, api):
        async with open_raw_client(server.endpoints.ws) as ann, open_raw_packet_client(server.endpoints.tcp) as bob:
            await ann.connect("ann")
            await bob.connect("bob")
            assert "result" in await ann.call("send", send("bob", "m1"))
            assert "result" in await ann.call("send", send("bob", "m1"))  # a repetition
            assert "result" in await ann.call("send", send("bob", "m2", header={"noPersist": True}))
            assert "error" in await ann.call(
                "send", send("bob", "m3", topic="x" * 2000)
            )  # never gets to the router, and no reason code for it
            assert "error" in await ann.call("send", {"channelId": "bob"})  # the same
            assert "error" in await ann.call("send", {**send("nobody's", "m4"), "channelType": 2})
            for _ in range(2):
                await bob.receive_message()
            assert (await api.send("bob", 1, from_uid="ann"))["status"] == 200
            figures = await scrape(api)
            assert figures("wukong_unacknowledged_pushes") == 2
            await bob.acknowledge(await bob.receive_message())
            await bob.ping()
            assert (await ann.receive())["method"] == "message"  # what the back-end has sent in her name
            await ann.ping()
            wrong = Send(client_seq=1, channel_id="ann", channel_type=1, payload=b"\0" * 16, msg_key="x")
            assert (await bob.call(wrong)).reason_code == ReasonCode.MSG_KEY_ERROR
        figures = await scrape(api)
        assert figures("wukong_sends_accepted_total") == 3
        assert figures("wukong_sends_repeated_total") == 1
        assert figures("wukong_messages_stored_total") == 2
        refused = {
            s.labels["reason"]: s.value for s in figures.families["wukong_sends_refused_total"].samples if s.value
        }
        assert sum(refused.values()) == 4
        assert refused["MsgKeyError"] == 1
        assert refused["Unknown"] == 2
        assert figures("wukong_pushes_total") == figures("app_recv_packet_count_total") == 4  # one to ann's own
        # What never gets to the router is not among these.
        assert figures("wukong_received_messages_total") == 4
        assert figures("wukong_recvacks_total") == figures("app_recvack_packet_count_total") == 1
        assert figures("wukong_pings_total") == 2
        assert figures("app_ping_count_total") == figures("app_pong_count_total") == 2
        # That of the back-end is not a packet.
        assert figures("app_send_packet_count_total") == figures("app_sendack_packet_count_total") == 7


async def test_what_waits_in_the_router_and_how_long_it_takes(open_server: OpenServer) -> None:
    store = HeldStore()
    async with serving(open_server, store=store) as (server, api), trio.open_nursery() as nursery:
        for n in range(3):
            nursery.start_soon(server.send, person(to=f"user{n}"))
            await trio.testing.wait_all_tasks_blocked()
        figures = await scrape(api)
        assert figures("wukong_errands") == 3
        assert figures("wukong_inbox_batches") == 2
        assert figures("wukong_commit_duration_seconds") == 0
        store.may_store.set()
        figures = await until(api, "wukong_sends_accepted_total", 3)
        assert figures("wukong_errands") == figures("wukong_inbox_batches") == 0
        # The first one alone, the others together behind it.
        assert figures("wukong_commit_duration_seconds") == 2
        assert figures("wukong_commit_messages") == figures("wukong_answer_latency_seconds") == 2
        sizes = {s.labels["le"]: s.value for s in figures.families["wukong_commit_messages"].samples if s.labels}
        assert (sizes["1"], sizes["2"], sizes["4"]) == (1, 2, 2)
        assert value(figures, "wukong_commit_messages_sum") == 3
        waited_s, stored_s = (
            value(figures, f"wukong_{name}_seconds_sum") for name in ("answer_latency", "commit_duration")
        )
        assert 0 < stored_s <= waited_s, "an answer comes after the commit"


async def test_what_waits_in_lanes(open_server: OpenServer, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on, give_way = trio.Event(), deliver.Deliverer._give_way

    async def wait(self: deliver.Deliverer) -> None:
        await give_way(self)
        await go_on.wait()

    monkeypatch.setattr(deliver.Deliverer, "_give_way", wait)
    monkeypatch.setattr(deliver, "PUSHES_PER_TURN", 1)
    monkeypatch.setattr(deliver, "FEW", 0)
    async with serving(open_server) as (server, api), AsyncExitStack() as clients:
        for uid in ("ann", "bob"):
            client = await clients.enter_async_context(open_raw_client(server.endpoints.ws))
            await client.connect(uid)
        await api.ok("/channel", channel_id="room", channel_type=2, subscribers=["ann", "bob"])
        await api.send("room", payload=P)
        figures = await until(api, "wukong_lane_messages")
        assert figures("wukong_lane_bytes") == len(b'{"type":1}')
        go_on.set()
        while figures("wukong_lane_messages"):
            figures = await scrape(api)
        assert figures("wukong_lane_bytes") == 0
        assert figures("wukong_pushes_total") == 2
        assert figures("wukong_pushed_bytes_total") == 2 * len(b'{"type":1}')


async def test_events(open_server: OpenServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wukong_trio.delivery.events.EVENT_QUEUE", 2)
    told = trio.Event()

    async def on_event(event: object) -> None:
        await told.wait()

    async with serving(open_server, on_event=on_event) as (server, api):
        for n in range(5):
            await server.send(person(to=f"user{n}"))
        figures = await until(api, "wukong_events_dropped_total", 3)
        assert figures("wukong_events_waiting") == 2
        told.set()
        while figures("wukong_events_waiting"):
            figures = await scrape(api)
        assert figures("wukong_events_dropped_total") == 3


async def test_slow_kicked_and_idle_clients(open_server: OpenServer) -> None:
    limits = {"outbox_bytes": 200_000, "close_timeout_s": 0.1, "conn_idle_time_s": 1.5}
    async with serving(open_server, limits=limits) as (server, api):
        async with open_raw_client(server.endpoints.ws) as bob, open_raw_client(server.endpoints.ws) as deaf:
            await bob.connect("bob")
            await deaf.connect("deaf")
            assert server.kick("bob") == 1
            backlog = 0.0
            while (figures := await scrape(api))("wukong_connections_closed_total", code="4005") < 1:
                backlog = max(backlog, figures("wukong_outbox_backlog_bytes"))
                await server.send(person(b"A" * 500_000, to="deaf"))
            assert backlog > 0
            assert figures("wukong_outbox_backlog_bytes") == 0
            assert figures("wukong_slow_clients_total", reason="too_much") == 1
            assert figures("wukong_slow_clients_total", reason="stalled") == 0
            assert figures("wukong_connections_closed_total", code="4003") == 1
            assert figures("wukong_connections_closed_total", code="4004") == 0
        async with open_raw_client(server.endpoints.ws) as idle:
            await idle.connect("idle")
            await until(api, "wukong_connections_closed_total", code="4004")


async def test_a_client_that_takes_nothing_for_too_long(open_server: OpenServer) -> None:
    limits = {"write_timeout_s": 0.3, "close_timeout_s": 0.1}
    async with serving(open_server, limits=limits) as (server, api), open_raw_client(server.endpoints.ws) as deaf:
        await deaf.connect("deaf")
        for _ in range(12):
            await server.send(person(b"A" * 380_000, to="deaf"))
        figures = await until(api, "wukong_slow_clients_total", reason="stalled")
        assert figures("wukong_slow_clients_total", reason="too_much") == 0
        assert figures("wukong_connections_closed_total", code="4005") == 1


async def test_a_client_for_which_too_much_waits_that_is_its_own(
    open_server: OpenServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wukong_trio.gateway.piles.PILES_BYTES", 100_000)
    async with (
        serving(open_server, limits={"close_timeout_s": 0.1}) as (server, api),
        open_raw_packet_client(server.endpoints.tcp) as deaf,
    ):
        await deaf.connect("deaf")
        while not (figures := await scrape(api))("wukong_slow_clients_total", reason="piles"):
            await server.send(person(b"A" * 380_000, to="deaf"))
        assert figures("wukong_connections_closed_total", code="4005") == 1


async def test_repetitions(open_server: OpenServer) -> None:
    retry = {"interval_s": 0.1, "max_count": 2}
    async with (
        serving(open_server, message_retry=retry) as (server, api),
        open_raw_packet_client(server.endpoints.tcp) as bob,
    ):
        await bob.connect("bob")
        await server.send(person())
        figures = await until(api, "wukong_repeated_pushes_total", 2)
        assert figures("app_recv_packet_count_total") == 3
        assert figures("wukong_pushes_total") == 3


async def test_the_store_s_files(open_server: OpenServer, tmp_path: Path) -> None:
    async with serving(open_server, data_dir=tmp_path) as (server, api):
        before = await scrape(api)
        for name, label in (("wukong.db", "database"), ("wukong.db-wal", "wal")):
            assert before("wukong_store_bytes", file=label) == (tmp_path / name).stat().st_size
        await server.send(person(b"A" * 100_000))
        after = await scrape(api)
        assert after("wukong_store_bytes", file="wal") > before("wukong_store_bytes", file="wal")
    async with serving(open_server) as (_, api):
        assert (await scrape(api)).families["wukong_store_bytes"].samples == []


async def test_a_disk_that_hangs_hides_nothing_but_its_sizes(
    open_server: OpenServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wukong_trio.meter.SIZES_S", 0.1)
    store = HeldStore()
    async with serving(open_server, store=store) as (_, api):
        assert (await scrape(api))("wukong_store_bytes", file="wal") == 5
        store.may_say.clear()
        for _ in range(2):
            figures = await scrape(api)
            assert figures.families["wukong_store_bytes"].samples == []
            assert figures("wukong_online_users") == 0
        store.may_say.set()
        await until(api, "wukong_store_bytes", file="database")


async def test_lag_is_what_keeps_everybody_waiting(open_server: OpenServer) -> None:
    async with serving(open_server) as (_, api):
        assert (await scrape(api))("wukong_event_loop_lag_seconds") == 0
        before = await until(api, "wukong_event_loop_lag_seconds")
        time.sleep(0.35)  # noqa: ASYNC251 - that is the point
        await until(api, "wukong_event_loop_lag_seconds", before("wukong_event_loop_lag_seconds") + 1)
        lag_s = value(await scrape(api), "wukong_event_loop_lag_seconds_sum")
        assert lag_s > value(before, "wukong_event_loop_lag_seconds_sum") + 0.2


async def test_http_requests(open_server: OpenServer) -> None:
    async with serving(open_server, limits={"http_body_bytes": 1000}) as (server, api):
        await api.get("/healthz")
        await api.get("/healthz?x=1")
        await api.e400("/channel", raw=b"{")
        await api.http.get("/nope")
        await api.http.get("/nope2")
        await api.http.get("/user/systemuids", headers={"Origin": "http://evil.example"})
        assert (await api.http.post("/channel", content=b" " * 1001)).status_code == 413
        request = (
            b"POST /user/token HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n%b\r\n0\r\n\r\n"
        )
        [answer] = (await exchange(server, request % (b" " * 1001))).answers
        assert answer.status == 413
        figures = await scrape(api)
        for path, status, count in [
            ("/healthz", "200", 2),
            ("/channel", "400", 1),
            ("/channel", "413", 1),
            ("/user/token", "413", 1),
            ("/user/systemuids", "403", 1),
            ("other", "404", 2),
            ("/metrics", "200", 0),
        ]:
            assert figures("wukong_http_requests_total", path=path, status=status) == count, path
        assert (await scrape(api))("wukong_http_requests_total", path="/metrics", status="200") == 1


async def test_the_process(api: Api) -> None:
    before = await scrape(api)
    assert before("process_resident_memory_bytes") > 1_000_000
    async with await connect(api.server):
        assert (await until(api, "process_open_fds", before("process_open_fds") + 1))("process_max_fds") > 0
    await until(api, "process_cpu_seconds_total", before("process_cpu_seconds_total") + 0.01)


def test_bounds_belong_to_their_buckets() -> None:
    histogram = Histogram((1, 2))
    for number in (0, 1, 1.5, 2, 2.1):
        histogram.add(number)
    assert histogram.counts == [2, 2, 1]
    assert histogram.total == 6.6
    copied = histogram.copy()
    histogram.add(1)
    assert copied.counts == [2, 2, 1]
