"""The figures of `GET /metrics` altogether: what they are called, how many there are, and that counters only grow."""

import re
from pathlib import Path

import pytest
import trio
import yaml
from api_calls import Api, OpenServer
from scraping import Scrape, scrape, send, serving, until

from wukong_trio.delivery.registry import Load
from wukong_trio.gateway.session import Session
from wukong_trio.testing import open_raw_client, open_raw_packet_client

TEXT = (Path(__file__).parents[2] / "docs" / "operating.md").read_text()
SECTION = TEXT.partition("\n## Metrics\n")[2].partition("\n## ")[0]
DOCUMENTED = set(re.findall(r"`((?:wukong|app|process)_[a-z_]*[a-z])`", SECTION))


TYPES_OF_VERSION_2 = {"app_conn_count_total", "app_online_user_count_total", "app_online_device_count_total"}
"""They go up and down, and are called as there."""


async def test_every_figure_is_documented_and_no_other(api: Api) -> None:
    answer = await api.http.get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    shown = set(Scrape(answer.text).families)
    assert len(DOCUMENTED) > 40
    assert shown == DOCUMENTED


async def test_alerts_name_figures_that_there_are(open_server: OpenServer) -> None:
    """With the values of their labels: an alert on what does not exist never speaks."""
    blocks = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", SECTION, re.DOTALL)]
    [rules] = [group["rules"] for block in blocks if "groups" in block for group in block["groups"]]
    assert len(rules) == 5
    async with serving(open_server) as (_, api):
        shown = await series(api)
    selected = [found for rule in rules for found in re.findall(r"(wukong_\w+)(?:\{(\w+)=\"(\w+)\"\})?", rule["expr"])]
    assert len(selected) == 4
    for name, label, value in selected:
        assert any(name == known and (not label or (label, value) in labels) for known, labels in shown), name


async def test_names_are_as_those_of_prometheus_should_be(api: Api) -> None:
    """What `promtool check metrics` looks at."""
    answer = await api.http.get("/metrics")
    assert answer.text.count("# HELP") == answer.text.count("# TYPE") == len(DOCUMENTED)
    for name, family in Scrape(answer.text).families.items():
        assert re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name)
        assert family.documentation.endswith(".") or name.startswith("process_"), name
        assert family.type in ("counter", "gauge", "histogram"), name
        assert name.endswith("_total") is (family.type == "counter") or name in TYPES_OF_VERSION_2
        assert family.type == "histogram" or not name.endswith(("_count", "_sum", "_bucket"))
        assert not set(name.split("_")) & {"ms", "milliseconds", "kb", "kilobytes", "minutes", "counter", "gauge"}
        # A number is in the unit that its name says.
        for unit in ("seconds", "bytes"):
            assert unit not in name or name.removesuffix("_total").endswith(unit), name
        for sample in family.samples:
            assert ("le" in sample.labels) is sample.name.endswith("_bucket")
            assert family.type != "counter" or sample.value >= 0


async def test_labels_have_few_values(open_server: OpenServer) -> None:
    """Strangers, and those who have authenticated, cannot make new series."""
    async with serving(open_server) as (server, api):
        before = await series(api)
        for n in range(20):
            await api.http.get(f"/{n}")
            await api.http.request(f"M{n}", "/healthz")
            async with open_raw_client(server.endpoints.ws) as client:
                await client.connect(f"u{n}", deviceId=f"d{n}")
                await client.call("send", send(f"c{n}", f"m{n}", channelType=2))
                await client.send_bytes(b"\x88\x82" + bytes(4) + (3000 + n).to_bytes(2, "big"))
        new = await series(api) - before
        assert {name for name, _ in new} == {"wukong_http_requests_total"}
        assert len(new) <= 6


async def series(api: Api) -> set[tuple[str, tuple[tuple[str, str], ...]]]:
    """All names with their labels."""
    families = (await scrape(api)).families.values()
    return {(sample.name, tuple(sample.labels.items())) for family in families for sample in family.samples}


async def test_counters_do_not_go_down_when_sessions_end(open_server: OpenServer) -> None:
    async with serving(open_server) as (server, api):
        async with open_raw_client(server.endpoints.ws) as ann, open_raw_packet_client(server.endpoints.tcp) as bob:
            await ann.connect("ann")
            await bob.connect("bob")
            assert "result" in await ann.call("send", send("bob", "m1"))
            await bob.acknowledge(await bob.receive_message())
            await ann.ping()
            before = await until(api, "wukong_recvacks_total")
        while server.statistics().sessions:  # noqa: ASYNC110 - nobody is told
            await trio.sleep(0.01)
        after, seen = await scrape(api), 0
        for name, family in before.families.items():
            if family.type == "counter":
                for sample in family.samples:
                    seen += sample.value > 0
                    assert after(name, **sample.labels) >= sample.value, (name, sample.labels)
        assert seen > 20
        assert after("wukong_received_messages_total") == after("wukong_pushes_total") == 1
        assert after("app_conn_count_total") == after("wukong_sessions", speech="jsonrpc") == 0


async def test_who_is_sent_away_in_the_middle_of_a_scrape_counts_once(
    open_server: OpenServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = Session.load
    async with (
        serving(open_server) as (server, api),
        open_raw_client(server.endpoints.ws) as ann,
        open_raw_client(server.endpoints.ws) as zoe,
    ):
        await ann.connect("ann")
        await zoe.connect("zoe")
        assert "result" in await ann.call("send", send("bob", "m1"))

        def ann_goes(self: Session) -> Load:
            if self.uid == "zoe":
                server.kick("ann")
            return load(self)

        monkeypatch.setattr(Session, "load", ann_goes)
        figures = await scrape(api)
        assert figures("wukong_received_messages_total") == figures("app_send_packet_count_total") == 1
        assert figures("app_conn_count_total") == 1
