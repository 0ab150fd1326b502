"""What `/metrics` says of webhooks, by event."""

from typing import Any

import httpx
import trio
from prometheus_client.parser import text_string_to_metric_families
from receiver import Receiver, hang, open_receiver, statuses

from wukong_trio import SendCommand, Server
from wukong_trio.testing import open_raw_client, open_test_server

MESSAGE = SendCommand(from_uid="ann", channel_id="bob", channel_type=1, payload=b"{}")
EVENTS = ("msg.notify", "msg.offline", "user.onlinestatus")


async def scrape(server: Server) -> dict[tuple[str, str], float]:
    """The figures on webhooks, by name and event; without an event if there is none."""
    async with httpx.AsyncClient(base_url=server.endpoints.http) as http:
        text = (await http.get("/metrics")).text
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {(s.name, s.labels.get("event", "")): s.value for s in samples if s.name.startswith("wukong_webhook_")}


async def until(server: Server, name: str, event: str, value: float) -> dict[tuple[str, str], float]:
    """Scrapes until a figure has reached a value."""
    while (figures := await scrape(server))[name, event] < value:  # noqa: ASYNC110 - nobody is told
        await trio.sleep(0.01)
    return figures


def hooked(receiver: Receiver, **settings: Any) -> dict[str, Any]:
    return {"webhook": {"http_addr": receiver.url, "push_interval_s": 0.05, **settings}}


async def test_what_was_told() -> None:
    with trio.fail_after(10):
        async with open_receiver() as receiver, open_test_server(**hooked(receiver)) as server:
            figures = await scrape(server)
            for what in ("requests_total", "failures_total", "dropped_total", "waiting"):
                assert [figures[f"wukong_webhook_{what}", event] for event in EVENTS] == [0, 0, 0]
            await server.send(MESSAGE)
            for event in ("msg.notify", "msg.offline"):
                figures = await until(server, "wukong_webhook_requests_total", event, 1)
                assert figures["wukong_webhook_waiting", event] == 0
            assert figures["wukong_webhook_requests_total", "user.onlinestatus"] == 0
            assert figures["wukong_webhook_oldest_seconds", ""] == 0


async def test_what_waits_and_for_how_long() -> None:
    with trio.fail_after(10):
        async with (
            open_receiver() as receiver,
            open_test_server(drain_timeout_s=0.2, **hooked(receiver, count_per_push=1)) as server,
        ):
            receiver.answer = hang
            async with open_raw_client(server.endpoints.ws) as cid:
                await cid.connect("cid")
            figures = await until(server, "wukong_webhook_waiting", "user.onlinestatus", 2)
            for _ in range(3):
                await server.send(MESSAGE)
            figures = await until(server, "wukong_webhook_waiting", "msg.offline", 3)
            assert figures["wukong_webhook_waiting", "msg.notify"] == 3
            first = (await until(server, "wukong_webhook_oldest_seconds", "", 0.2))["wukong_webhook_oldest_seconds", ""]
            await server.send(MESSAGE)
            assert (await scrape(server))["wukong_webhook_oldest_seconds", ""] >= first, "it is about the oldest"


async def test_what_failed_and_what_was_given_up() -> None:
    with trio.fail_after(10):
        async with (
            open_receiver() as receiver,
            open_test_server(**hooked(receiver, retry_max_count=1, focus_events=("msg.notify",))) as server,
        ):
            receiver.answer = statuses(500)
            await server.send(MESSAGE)
            figures = await until(server, "wukong_webhook_dropped_total", "msg.notify", 1)
            assert figures["wukong_webhook_failures_total", "msg.notify"] == 1
            assert ("wukong_webhook_failures_total", "msg.offline") not in figures, "nobody wants these"
            await server.send(MESSAGE)
            await until(server, "wukong_webhook_requests_total", "msg.notify", 1)
