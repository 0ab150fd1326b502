"""What WuKongIM 2.2.5 did over JSON-RPC, replayed exchange by exchange in the SDKs' form.

Where we differ on purpose, a rule takes the place of the recorded step: what holds everywhere is in `adapt`, the rest
in OURS, by entry and step.
"""

import json
from base64 import b64encode
from collections import Counter
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
from matching import Matcher

from wukong_trio import Server
from wukong_trio.api.endpoints import ENDPOINTS
from wukong_trio.testing import RawClient, SocketClosed, open_raw_client, open_test_server

ENTRIES = json.loads(Path(__file__).with_name("jsonrpc.json").read_text())
BUILT = {(endpoint.method, endpoint.path) for endpoint in ENDPOINTS}
PROFILES: dict[str, dict[str, Any]] = {
    "default": {"auth": {"auth_timeout_s": 0.5}},
    "guarded": {"auth": {"manager_token": "k", "token_auth": "on"}, "whitelist_off_of_person": False},
    "retry1s": {"message_retry": {"interval_s": 0.3}},
    "idle4s": {"limits": {"conn_idle_time_s": 0.8}},
}
QUIET_S = 0.03


class Error:
    """Expects an error with one of these codes."""

    def __init__(self, *codes: int) -> None:
        self.codes = codes


class Closed:
    """Expects the end, with one of these codes, perhaps after an error."""

    def __init__(self, *codes: int) -> None:
        self.codes = codes


class Nothing:
    """Expects no frame."""


BAD_FRAMES: dict[str, int | None] = {
    "bad-payload-object": 0,
    "bad-payload-not-base64": -32007,
    "bad-payload-number": -32007,
    "bad-type-string": -32002,
    "bad-type-float": -32002,
    "bad-header-string": -32002,
    "bad-header-int": 0,
    "bad-setting-int": 0,
    "bad-no-params": -32002,
    "bad-array-params": -32002,
    "bad-no-id": -32007,
    "bad-unknown": -32601,
    "bad-unknown-notification": None,
    "bad-subscribe": -32601,
    "bad-unsubscribe": -32601,
    "bad-malformed": -32007,
    "bad-only-id": -32007,
    "bad-response": None,
    "bad-request-and-result": 0,
    "bad-id-number": 0,
    "bad-id-null": None,
    "bad-id-empty": 0,
    "bad-ping-no-id": None,
    "bad-ping-params-string": 0,
    "bad-recvack-id": 0,
    "bad-recvack-number": None,
    "bad-recvack-bad": None,
    "bad-recvack-no-params": None,
    "bad-array": 0,
    "bad-empty-array": -32007,
    "bad-text": -32007,
    "bad-method-case": -32601,
    "bad-jsonrpc-1": -32007,
}
"""Frames that spoil the recorded server's connection for good. Ours answers with this error code, 0 = a result, None =
nothing, and serves the connection on."""
FORMAT, PARAMETERS, REFUSED = Error(-32007), Error(-32002), Error(-32001)
CONNECTED = {"result": {"reasonCode": 1}}
OURS: dict[str, dict[int, Any]] = {
    "connect-case": {1: FORMAT, 2: Closed(4002)},
    "connect-no-token": {1: PARAMETERS, 2: Closed(4002)},
    "connect-snake-case": {1: PARAMETERS, 2: Closed(4002)},
    "connect-system-uid": {1: REFUSED, 2: Closed(4002)},
    "connect-two-in-one": {1: FORMAT, 2: Closed(4002)},
    "connect-fragments": {1: {"id": "c", **CONNECTED}},
    "connect-id-number": {1: {"id": 17, **CONNECTED}},
    "connect-empty-id": {1: {"id": "", **CONNECTED}},
    "connect-twice": {3: PARAMETERS},
    "device-quit-unregistered": {4: {"method": "disconnect", "params": {"reasonCode": 12}}, 6: Closed(4003)},
    "devices-no-id": {6: {"id": "p", "result": {}}, 12: {"method": "recv"}},
    "one-in-two": {3: FORMAT, 5: FORMAT},
    "two-in-one": {3: FORMAT, 4: Nothing()},
    # allow_stranger is enforced, so the second send arrives.
    "person-allow-list": {
        13: {"result": {"messageSeq": 1}},
        17: {"result": {"messageSeq": 2}},
        18: [{"params": {"clientMsgNo": "m2"}}, {"params": {"clientMsgNo": "m3"}}],
    },
    "retry-unacked": {step: {"method": "recv", "params": {"header": {"dup": True}}} for step in range(5, 10)},
    "retry-acked-no-persist": {6: Nothing()},
    "send-ids": dict.fromkeys((3, 5, 11, 13, 15, 17, 19), PARAMETERS),
    "send-no-number": dict.fromkeys((5, 8), PARAMETERS) | {step: Nothing() for step in (6, 9)},
    "send-payload-empty": {
        **dict.fromkeys((8, 11), PARAMETERS),
        **{step: Nothing() for step in (9, 12)},
        14: {"result": {"messageSeq": 2}},
        15: {"params": {"payload": b64encode(b"[1, 2, 255]").decode()}},
    },
    "send-refusals": {7: Error(-32003), 57: {"result": {"messageSeq": 5}}, 63: Error(-32004)},
    "send-same-number": {8: {"result": {"messageSeq": 1}}, 9: Nothing()},
    "send-types": {
        **dict.fromkeys((3, 25, 27, 29, 31, 33), PARAMETERS),
        **{step: Error(-32003) for step in (7, 9, 13, 15, 17, 19, 23)},
    },
    "bad-disconnect": {3: {"id": "d", "result": {}}, 5: Closed(1000)},
    "bad-disconnect-no-params": {3: {"id": "d", "result": {}}, 5: Closed(1000)},
    "bad-disconnect-notification": {3: Closed(1000), 5: Closed(1000)},
}


def awaited_feature(entry: dict[str, Any]) -> str:
    """The feature that an exchange waits for, empty if it can be replayed."""
    if entry.get("profile") == "off":
        return "disableJSONRPC"
    for step in entry["exchange"]:
        if step["dir"] == ">" and "http" in step:
            request = step["http"]
            if (request["method"], request["path"]) not in BUILT:
                return str(request["path"])
            if "subscribers" in request.get("body", {}) and request["path"] == "/message/send":
                return "commands to a list of users"
    return ""


class Exchange:
    """One entry, played against a server of its own."""

    def __init__(self, entry: dict[str, Any], server: Server, http: httpx.AsyncClient, stack: AsyncExitStack) -> None:
        self._entry = entry
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
            client = open_raw_client(self._server.endpoints.ws + path)
            self._clients[name] = await self._stack.enter_async_context(client)
        return self._clients[name]

    async def _send(self, step: dict[str, Any]) -> None:
        client = await self._client(step)
        text = step["raw"] if "raw" in step else json.dumps(self._matcher.fill_in(step["message"]))
        with suppress(
            trio.BrokenResourceError, trio.ClosedResourceError
        ):  # what is sent to a connection that has ended
            await self._write(client, step, text)

    @staticmethod
    async def _write(client: RawClient, step: dict[str, Any], text: str) -> None:
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
                json=self._matcher.fill_in(request.get("body")),
                headers=token,
            )
            return
        assert self._answer is not None
        expected = OURS.get(self._entry["name"], {}).get(number, step["http"])
        actual = {"status": self._answer.status_code, "body": self._answer.json()}
        self._report(number, self._matcher.differences(adapt_http(expected), actual))

    async def _expect(self, number: int, step: dict[str, Any]) -> None:
        client = await self._client(step)
        wanted = OURS.get(self._entry["name"], {}).get(number, adapt(step))
        for one in wanted if isinstance(wanted, list) else [wanted]:
            await self._expect_one(number, client, one)

    async def _expect_one(self, number: int, client: RawClient, wanted: Any) -> None:
        try:
            match wanted:
                case Nothing():
                    await self._expect_nothing(number, client)
                case Closed():
                    await self._expect_end(number, client, wanted)
                case Error():
                    code = (await client.receive()).get("error", {}).get("code")
                    self._report(number, [] if code in wanted.codes else [f"{code} instead of {wanted.codes}"])
                case dict():
                    self._report(number, self._matcher.differences(wanted, await client.receive()))
        except SocketClosed as closed:
            self._report(number, [f"closed with {closed} instead of {wanted}"])

    async def _expect_nothing(self, number: int, client: RawClient) -> None:
        with trio.move_on_after(QUIET_S):
            self._report(number, [f"{await client.receive()} instead of silence"])

    async def _expect_end(self, number: int, client: RawClient, wanted: Closed) -> None:
        try:
            while "error" in (frame := await client.receive()):
                pass
            self._report(number, [f"{frame} instead of the end"])
        except SocketClosed as closed:
            self._report(
                number, [] if closed.code in wanted.codes else [f"closed with {closed} instead of {wanted.codes}"]
            )

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
            answer = await client.receive()
            found = 0 if isinstance(answer, list) else answer.get("error", {}).get("code", 0)
            self._report(2, [] if found == code else [f"{answer} instead of {code}"])
        await client.ping()


def adapt(step: dict[str, Any]) -> Any:
    """A recorded step after the rules that hold everywhere."""
    if "quiet_s" in step:
        return Nothing()
    if "closed" in step:
        return Closed(4001, 4002, 1003, 4004)
    if "still_open_s" in step:
        return Closed(4003, 4006, 4001)
    if "message" not in step:
        return None
    message = json.loads(json.dumps(step["message"]))
    result = message.get("result", {})
    result.pop("timeDiff", None)
    result.pop("header", None)
    if result.get("reasonCode", 1) != 1:
        return {"id": message["id"], "error": {"data": {"reasonCode": result["reasonCode"]}}}
    params = message.get("params", {})
    for name in ("fromUid", "channelId"):
        if params.get(name) == "":
            params[name] = "____system"
    for name in ("streamId", "streamFlag", "msgKey"):
        params.pop(name, None)
    return message


def adapt_http(answer: Any) -> Any:
    """The same for answers of the HTTP API."""
    answer = json.loads(json.dumps(answer))
    if isinstance(answer.get("body"), dict):
        answer["body"].pop("more", None)
        if answer["body"].get("messages"):
            del answer["body"]["messages"][0]["header"]
    return answer


async def test_recorded_exchanges(replayed: list[str]) -> None:
    problems: list[str] = []
    awaiting: Counter[str] = Counter()
    ran = 0

    async def play(entry: dict[str, Any]) -> None:
        settings = PROFILES[entry.get("profile", "default")]
        with trio.move_on_after(8) as deadline:
            async with (
                open_test_server(notification_profile="sdk", node_id=1, **settings) as server,
                AsyncExitStack() as stack,
            ):
                http = await stack.enter_async_context(httpx.AsyncClient(base_url=server.endpoints.http))
                exchange = Exchange(entry, server, http, stack)
                try:
                    await exchange.play()
                finally:
                    problems.extend(exchange.problems)
        if deadline.cancelled_caught:
            problems.append(f"{entry['name']}: nothing came any more")

    for entry in ENTRIES:
        feature = awaited_feature(entry)
        if feature:
            awaiting[feature] += 1
            continue
        ran += 1
        await play(entry)
    waiting = ", ".join(f"{count} {feature}" for feature, count in sorted(awaiting.items()))
    replayed.append(f"jsonrpc.json: {ran} exchanges replayed, awaiting later features: {waiting}")
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("name", [*OURS, *BAD_FRAMES])
def test_rules_name_recorded_exchanges(name: str) -> None:
    assert name in {entry["name"] for entry in ENTRIES}
