"""Scraping a server in tests, and reading what it says with Prometheus' own parser."""

import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import trio
from api_calls import Api, OpenServer
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from wukong_trio import Server
from wukong_trio.store.memory import MemoryStore


class Scrape:
    """What one answer says."""

    def __init__(self, text: str) -> None:
        self.families: dict[str, Metric] = {}
        for family in text_string_to_metric_families(text):
            name = f"{family.name}_total" if family.type == "counter" else family.name
            assert name not in self.families, f"{name} is there twice"
            self.families[name] = family

    def __call__(self, name: str, **labels: str) -> float:
        """A value; of a histogram, how many values it has; 0 if what the labels say has not happened."""
        family = self.families[name]
        wanted = f"{name}_count" if family.type == "histogram" else name
        found = [sample.value for sample in family.samples if (sample.name, sample.labels) == (wanted, labels)]
        return found[0] if found else 0


async def scrape(api: Api) -> Scrape:
    """The figures at the moment."""
    answer = await api.http.get("/metrics")
    assert answer.status_code == 200, answer.text
    return Scrape(answer.text)


async def until(api: Api, name: str, value: float = 1, **labels: str) -> Scrape:
    """Scrapes until a figure has reached a value."""
    while (figures := await scrape(api))(name, **labels) < value:  # noqa: ASYNC110 - nobody is told
        await trio.sleep(0.01)
    return figures


@asynccontextmanager
async def serving(open_server: OpenServer, **changes: Any) -> AsyncIterator[tuple[Server, Api]]:
    """A server and its API, for ten seconds at most."""
    with trio.fail_after(10):
        async with open_server(**changes) as server, Api(server) as api:
            yield server, api


def value(figures: Scrape, sample: str) -> float:
    """A sample without labels, by its own name."""
    [found] = [s.value for family in figures.families.values() for s in family.samples if s.name == sample]
    return float(found)


class HeldStore(MemoryStore):
    """Stores when it is allowed to, and says how large its files are when it can."""

    def __init__(self) -> None:
        super().__init__()
        self.may_store = trio.Event()
        self.asked, self.may_say = threading.Event(), threading.Event()
        self.may_say.set()

    async def append_messages(self, *arguments: Any, **terms: Any) -> Any:
        await self.may_store.wait()
        return await super().append_messages(*arguments, **terms)

    def size_bytes(self) -> Mapping[str, int]:
        self.asked.set()
        self.may_say.wait(5)
        return {"database": 7, "wal": 5}


def send(to: str, number: str, payload: object = None, **more: object) -> dict[str, object]:
    """The parameters of a `send`."""
    return {"clientMsgNo": number, "channelId": to, "channelType": 1, "payload": payload or {"a": 1}, **more}
