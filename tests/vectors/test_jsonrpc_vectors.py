"""What WuKongIM 2.2.5 did over JSON-RPC, replayed exchange by exchange in the SDKs' form,
with each WebSocket engine, with and without TLS.

Where we differ on purpose, a rule of `jsonrpc_rules.py` takes the place of the recorded step.
"""

import json
import re
from collections import Counter
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
from common import ENGINES, OpenServer
from jsonrpc_rules import BAD_FRAMES, BEFORE, EVERYWHERE, OURS, Closed, Error, Nothing, adapt, adapt_http
from matching import Matcher

from wukong_trio import Server
from wukong_trio.api.endpoints import ENDPOINTS
from wukong_trio.testing import RawClient, SocketClosed, open_raw_client

ENTRIES = json.loads(Path(__file__).with_name("jsonrpc.json").read_text())
BUILT = {(endpoint.method, endpoint.path) for endpoint in ENDPOINTS}
PROFILES: dict[str, dict[str, Any]] = {
    "default": {"auth": {"auth_timeout_s": 0.5}},
    "guarded": {"auth": {"manager_token": "k", "token_auth": "on"}, "whitelist_off_of_person": False},
    "retry1s": {"message_retry": {"interval_s": 0.3}},
    "idle4s": {"limits": {"conn_idle_time_s": 0.8}},
}
CONNECTION = re.compile(r"<int conn id of (\S+)>")
QUIET_S = 0.03
AT_ONCE = 6
"""Exchanges that are played at the same time; most of their time they wait."""


def awaited_feature(entry: dict[str, Any]) -> str:
    """The feature that an exchange waits for, empty if it can be replayed."""
    if entry.get("profile") == "off":
        return "disableJSONRPC"
    for step in entry["exchange"]:
        if step["dir"] == ">" and "http" in step:
            request = step["http"]
            if (request["method"], request["path"]) not in BUILT:
                return str(request["path"])
    return ""


class Exchange:
    """One entry, played against a server of its own."""

    def __init__(self, entry: dict[str, Any], server: Server, http: httpx.AsyncClient, stack: AsyncExitStack) -> None:
        self._entry = entry
        self._ours = OURS.get(entry["name"], {})
        self._server = server
        self._http = http
        self._stack = stack
        self._matcher = Matcher()
        self._clients: dict[str, RawClient] = {}
        self._answer: httpx.Response | None = None
        self.problems: list[str] = []

    async def play(self) -> None:
        if self._entry["name"] in BAD_FRAMES:
            await self._play_bad_frame()
            return
        if self._entry["name"] in BEFORE:
            answer = await self._http.post("/message/event", json=BEFORE[self._entry["name"]])
            assert answer.status_code == 200
        for number, step in enumerate(self._entry["exchange"]):
            if "http" in step:
                await self._play_http(number, step)
            elif step["dir"] == ">":
                await self._send(step)
            else:
                await self._expect(number, step)

    async def _client(self, step: dict[str, Any]) -> RawClient:
        name = step["conn"]
        if name not in self._clients:
            path = step.get("opened", {}).get("path", "/")
            offers = "Sec-WebSocket-Protocol: foo\r\nSec-WebSocket-Extensions: permessage-deflate\r\n"
            client = open_raw_client(
                self._server.endpoints.ws + path, headers=offers if self._entry["name"] == "upgrade-offers" else ""
            )
            self._clients[name] = await self._stack.enter_async_context(client)
        return self._clients[name]

    async def _send(self, step: dict[str, Any]) -> None:
        client = await self._client(step)
        text = step["raw"] if "raw" in step else json.dumps(self._matcher.fill_in(step["message"]))
        # Some steps send to a connection that has ended.
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            if step.get("frame") == "binary":
                await client.send_binary(text.encode())
            elif "fragments" in step:
                third = len(text) // step["fragments"]
                await client.send_fragments(text[:third], text[third : 2 * third], text[2 * third :])
            else:
                await client.send_text(text)

    async def _play_http(self, number: int, step: dict[str, Any]) -> None:
        if step["dir"] == ">":
            request = step["http"]
            token = {"token": "k"} if self._entry.get("profile") == "guarded" else {}
            self._answer = await self._http.request(
                request["method"],
                request["path"],
                params=request.get("query"),
                json=await self._fill_in(request.get("body")),
                headers=token,
            )
            return
        assert self._answer is not None
        actual = {"status": self._answer.status_code, "body": self._answer.json()}
        self._report(number, self._matcher.differences(adapt_http(self._ours.get(number, step["http"])), actual))

    async def _fill_in(self, body: Any) -> Any:
        """A body with the ids that were learned, and those of connections."""
        if isinstance(body, dict) and (whole := CONNECTION.fullmatch(str(body.get("conn_id", "")))):
            listed = (await self._http.get("/connz", params={"uid": whole[1]})).json()["connections"]
            body = body | {"conn_id": listed[0]["id"] if listed else 1}
        return self._matcher.fill_in(body)

    async def _expect(self, number: int, step: dict[str, Any]) -> None:
        client = await self._client(step)
        if "opened" in step:
            head = client.head.lower()
            taken = [name for name in ("sec-websocket-protocol", "sec-websocket-extensions") if name in head]
            self._report(number, [f"the server took {name}" for name in taken])
        elif "ws_ping" in step:
            await client.send_ping(b"%d" % number)
            self._report(number, [] if await client.wait_pong() == b"%d" % number else ["another pong"])
        else:
            wanted = self._ours[number] if number in self._ours else adapt(step)
            for one in wanted if isinstance(wanted, list) else [wanted]:
                await self._expect_one(number, client, one)

    async def _expect_one(self, number: int, client: RawClient, wanted: Any) -> None:
        try:
            match wanted:
                case Nothing():
                    with trio.move_on_after(QUIET_S):
                        self._report(number, [f"{await client.receive()} instead of silence"])
                case Closed():
                    self._report(number, [f"{await client.receive()} instead of {wanted}"])
                case Error(code, id_):
                    answer = await client.receive()
                    expected = {"error": {"code": code, "message": "<str>"}} | ({} if id_ is ... else {"id": id_})
                    self._report(number, self._matcher.differences(expected, answer))
                case dict():
                    self._report(number, self._matcher.differences(wanted, await client.receive()))
        except SocketClosed as closed:
            if wanted != Closed(closed.code):
                self._report(number, [f"closed with {closed} instead of {wanted}"])

    def _report(self, number: int, lines: list[str]) -> None:
        self.problems += [f"{self._entry['name']} step {number}: {line}" for line in lines]

    async def _play_bad_frame(self) -> None:
        frames = [step for step in self._entry["exchange"] if step["dir"] == ">"]
        await self._send(frames[0])
        client = self._clients[frames[0]["conn"]]
        assert "result" in await client.receive()
        await self._send(frames[1])
        code = BAD_FRAMES[self._entry["name"]]
        if code is not None:
            self._report(2, self._bad_frame_differences(code, frames[1], await client.receive()))
        await client.ping()

    def _bad_frame_differences(self, code: int, step: dict[str, Any], answer: Any) -> list[str]:
        expected: Any = {"error": {"code": code, "message": "<str>"}} if code else {"result": {}}
        if code != -32007 and "message" in step:
            expected["id"] = step["message"]["id"]
        if step.get("raw", "").startswith("[{"):
            expected = [{"id": request["id"], "result": {}} for request in json.loads(step["raw"])]
        return self._matcher.differences(expected, answer)


async def play(entry: dict[str, Any], engine: str, open_engine: OpenServer) -> list[str]:
    """Plays an entry; returns what was wrong."""
    settings = PROFILES[entry.get("profile", "default")]
    problems: list[str] = []
    with trio.move_on_after(8) as deadline:
        async with (
            open_engine(engine, notification_profile="sdk", node_id=1, **settings) as server,
            AsyncExitStack() as stack,
        ):
            http = await stack.enter_async_context(httpx.AsyncClient(base_url=server.endpoints.http))
            exchange = Exchange(entry, server, http, stack)
            problems = exchange.problems
            await exchange.play()
    if deadline.cancelled_caught:
        problems.append(f"{entry['name']}: nothing came any more")
    return problems


@pytest.mark.parametrize("engine", ENGINES)
async def test_recorded_exchanges(engine: str, open_engine: OpenServer, replayed: list[str]) -> None:
    awaiting = Counter(feature for entry in ENTRIES if (feature := awaited_feature(entry)))
    built = [entry for entry in ENTRIES if not awaited_feature(entry)]
    if "TLS" in engine:
        # It asks for the addresses of a server without TLS.
        built = [entry for entry in built if entry["name"] != "devices-other-id"]
    problems: list[str] = []

    async def play_some(entries: list[dict[str, Any]]) -> None:
        for entry in entries:
            problems.extend(await play(entry, engine, open_engine))

    async with trio.open_nursery() as nursery:
        for first in range(AT_ONCE):
            nursery.start_soon(play_some, built[first::AT_ONCE])
    waiting = ", ".join(f"{count} {feature}" for feature, count in sorted(awaiting.items()))
    replayed.append(
        f"jsonrpc.json, {engine}: {len(built)} exchanges replayed, awaiting later features: {waiting or 'none'}"
    )
    assert not problems, "\n".join(problems)


def test_every_difference_is_decided() -> None:
    """An entry marked as different on purpose has a rule of its own, or differs only in what is the same everywhere."""
    for entry in ENTRIES:
        mark = entry.get("ours", "")
        if not mark or awaited_feature(entry) or entry["name"] in OURS | BAD_FRAMES:
            continue
        assert not EVERYWHERE.sub("", mark), (entry["name"], mark)
    assert {entry["name"] for entry in ENTRIES} >= OURS.keys() | BAD_FRAMES.keys()
