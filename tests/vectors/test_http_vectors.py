"""What WuKongIM 2.2.5 answered over HTTP, replayed in order.

Where we differ on purpose, OURS says how: an expected body, a status with a body, or SKIP with the reason.
"""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
from documented import undocumented
from matching import Matcher

from wukong_trio.api.endpoints import ENDPOINTS
from wukong_trio.testing import open_test_server
from wukong_trio.version import __version__

ENTRIES = json.loads(Path(__file__).with_name("http.json").read_text())
BUILT = {(endpoint.method, endpoint.path) for endpoint in ENDPOINTS}
OK = {"status": 200}
ROUTE = {"tcp_addr": "127.0.0.1:<tcp port>", "ws_addr": "ws://127.0.0.1:<ws port>", "wss_addr": ""}


def refused(message: str = "<str>") -> tuple[int, Any]:
    return 400, {"msg": message, "status": 400}


def seqs(*numbers: int, more: int = 0) -> tuple[int, Any]:
    return 200, {"more": more, "messages": [{"message_seq": n} for n in numbers]}


UID_MISSING = refused("uid不能为空！")
NOT_FOUND: tuple[int, Any] = (200, {"status": 404})
OURS: dict[str, tuple[int, Any]] = {
    "route-batch-null-body": (200, [{**ROUTE, "uids": []}]),
    "user-device-quit-null-body": UID_MISSING,
    "device-quit-no-uid": UID_MISSING,
    "channel-info-null-body": refused("频道ID不能为空！"),
    "channel-info-no-id": refused("频道ID不能为空！"),
    "channel-info-no-type": refused("频道类型错误！"),
    "field-name-case": UID_MISSING,
    "route-intranet": (200, ROUTE),
    "route-batch-intranet": (200, [{**ROUTE, "uids": ["a"]}]),
    "systemuids-none": (200, []),
    "systemuids-emptied": (200, []),
    "systemuids-cache-list": (200, []),
    "channel-type-13": refused("频道类型错误！"),
    "channel-blank-member": (200, OK),
    "subscriber-remove-no-type": (200, OK),
    "send-array-payload": refused("数据格式有误！"),
    "send-type-0": refused("频道类型错误！"),
    "send-group-banned": (200, {"status": 200, "reason": 19, "message_seq": 0}),
    # Banned before it was disbanded, and the ban is looked at first.
    "send-group-disbanded": (200, {"status": 200, "reason": 19, "message_seq": 0}),
    "messagesync-down-beyond": seqs(16, 17, 18, 19, 20, more=1),
    "messagesync-down-just-beyond": seqs(16, 17, 18, 19, 20, more=1),
    "messagesync-limit-zero": seqs(*range(1, 21)),
    "messagesync-limit-zero-down": seqs(*range(1, 11)),
    "messagesync-limit-zero-up": seqs(18, 19, 20),
    "messagesync-limit-negative": seqs(*range(1, 21)),
    "messagesync-limit-negative-up": seqs(18, 19, 20),
    "messagesync-defaults": seqs(*range(1, 21)),
    "sendbatch": (200, {**OK, "fail_uids": [], "reason": []}),
    "sendbatch-part": (200, {**OK, "fail_uids": ["a@b"], "reason": ["频道ID不合法！"]}),
    "sendbatch-blank-uid": (200, {**OK, "fail_uids": [], "reason": []}),
    "max-seq-never": (200, {"message_seq": 0}),
    "max-seq-person-stored": (200, {"message_seq": 0}),
    "last-message-never": NOT_FOUND,
    "messages-foreign-id": (200, {"start_message_seq": 0, "end_message_seq": 0, "more": 0, "messages": []}),
    "message-by-number": (200, {"client_msg_no": "h5", "message_seq": 5}),
    "message-foreign-id": NOT_FOUND,
    "byclientmsgno-person-plain": NOT_FOUND,
    **{
        name: (200, {**OK, "data": {"client_msg_no": no, "msg_event_seq": seq, "stream_status": "open"}})
        for name, no, seq in (
            ("event-custom", "st1", 1),
            ("event-snapshot", "st1", 2),
            ("event-open-type", "stopen", 1),
        )
    },
    "event-lane-reopened": refused("stream closed"),
    "eventsync-private": (
        200,
        {
            **OK,
            "data": {
                "events": [
                    {"event_key": "tools", "payload": {"end_reason": 0, "status": "open"}, "visibility": "private"},
                    *({"event_key": key, "visibility": ""} for key in ("snap", "main", "think", "late", "__finish__")),
                ],
                "more": 0,
                "next_msg_event_seq": 6,
            },
        },
    ),
    "eventsync-limit": (200, {**OK, "data": {"events": [{"event_id": "e5"}], "more": 1, "next_msg_event_seq": 2}}),
    "event-old": (200, OK),
    "trailing-slash-get": (404, None),
    "trailing-slash-post": (404, None),
    "healthz": (200, {"status": "ok"}),
    "readyz": (200, {"ready": True}),
    # There are no modes; whoever may call the API may read what it is.
    "docs-release": (200, None),
    # Clients ask for addresses themselves, and have no manager token.
    **dict.fromkeys(("guard-no-token", "guard-wrong-token", "guard-token-query", "guard-bearer"), (200, None)),
    **dict.fromkeys(
        ("conversation-sync-null-body", "conversation-channels-null-body", "conv-no-uid", "conv-channels-no-uid"),
        UID_MISSING,
    ),
    "cmd-subscribers-sync": (200, [{"header": {"sync_once": 1}, "from_uid": "ca", "message_seq": 1}]),
    "conv-known-stored-last": (200, [{"channel_id": "va", "unread": 3, "last_msg_seq": 3}]),
    "conv-set-unread-big": (200, [{"channel_id": "vc", "unread": 2, "last_msg_seq": 5, "readed_to_msg_seq": 3}]),
    "set-unread-negative": refused("unread cannot be negative"),
    "conv-by-channels-deleted": (200, [{"channel_id": "va", "last_msg_seq": 6, "unread": 1, "recents": [{}]}]),
    "conv-type7": (200, []),
    "conversations-get": (200, [{"channel_id": "va", "unread": 1, "last_message": {"message_seq": 6}}]),
    "sync-late-after": (200, [{"client_msg_no": "s4", "message_seq": 3, "channel_id": "groupsync"}]),
    "sync-soon-after": (200, []),
    "off-conversation": (200, []),
    "off-syncack-broken": refused("数据格式有误！"),
    "guard-health": (200, {"status": "ok"}),
    "guard-options": (204, None),
    "guard-route-intranet": (200, {"tcp_addr": "10.0.0.1:5100", "ws_addr": "ws://127.0.0.1:<ws port>"}),
}
OWN_WORDS = {
    *("conn_id is 0", "node not found", "uid cannot be empty", "UID cannot be empty", "Uid cannot be empty"),
    *("channel_id or channel_type cannot be empty", "channels cannot be empty"),
    *("stream closed", "message event channel mismatch"),
}
"""English texts that are the endpoint's, and not a decoder's."""
MORE_KEYS = "2.4.3"
"""Answers to a send have members that the recorded ones lack; that is all the difference."""
PROFILES: dict[str, dict[str, Any]] = {
    "default": {},
    "sync1s": {},
    "off": {"command_sync": False, "conversation": {"on": False}},
    "guarded": {
        "auth": {"manager_token": "k", "token_auth": "on"},
        "whitelist_off_of_person": False,
        "intranet": {"tcp_addr": "10.0.0.1:5100"},
        "external": {"wss_addr": "wss://im.example.org:5210"},
    },
}


def awaited_feature(entry: dict[str, Any]) -> str:
    """The feature that an entry waits for, empty if it can be replayed."""
    request = entry["request"]
    if request.get("port") == "manager":
        return "the manager"
    if entry["response"]["status"] == 404 and entry.get("ours") and entry["name"] not in OURS:
        return "/" + request["path"].split("/")[1]
    known = (request["method"], request["path"]) in BUILT
    if known or entry["response"]["status"] in (204, 401) or entry["response"].get("text") == "404 page not found":
        return ""
    if entry["name"] in OURS or entry["response"]["status"] == 404:
        return ""
    return "/" + request["path"].split("/")[1]


NO_MANAGER = {"version": __version__, "manager_addr": "", "manager_on": 0}
"""Of `/varz`: what the recorded server, which has no version, says of the manager that we do not have."""


class Replay:
    """One profile, played against one server."""

    def __init__(self, http: httpx.AsyncClient, token: str) -> None:
        self._http = http
        self._token = token
        self._matcher = Matcher()
        self.problems: list[str] = []
        self.ran = 0
        self.awaiting: Counter[str] = Counter()

    async def play(self, entry: dict[str, Any]) -> None:
        for before in entry.get("before", []):
            feature = awaited_feature({"name": "", "request": before, "response": {"status": 200}})
            if feature:
                self.awaiting[feature] += 1
            else:
                await self._request(before)
        feature = awaited_feature(entry)
        if feature:
            self.awaiting[feature] += 1
            return
        self.ran += 1
        answer = await self._request(entry["request"])
        lines = self._differences(entry, answer)
        if (answer.request.method, answer.request.url.path) in BUILT:
            lines += undocumented(answer)
        self.problems += [f"{entry['name']}: {line}" for line in lines]

    async def _request(self, request: dict[str, Any]) -> httpx.Response:
        headers = {"token": self._token} if self._token else {}
        for name, value in request.get("headers", {}).items():
            headers.pop(name.lower() if value is None else "", None)
            if value is not None:
                headers[name] = value
        content = request.get("raw")
        body = self._matcher.fill_in(request["body"]) if "body" in request else None
        return await self._http.request(
            request["method"],
            request["path"],
            params=request.get("query"),
            headers=headers,
            content=content if content is not None else (None if "body" not in request else json.dumps(body)),
        )

    def _differences(self, entry: dict[str, Any], answer: httpx.Response) -> list[str]:
        recorded = entry["response"]
        if entry["name"] in OURS:
            status, body = OURS[entry["name"]]
            lines = [] if answer.status_code == status else [f"status {answer.status_code} instead of {status}"]
            return lines if body is None else lines + self._matcher.differences(body, _json(answer))
        lines = []
        if answer.status_code != recorded["status"]:
            return [f"status {answer.status_code} instead of {recorded['status']}: {answer.text[:100]}"]
        if "body" in recorded:
            body = recorded["body"]
            if answer.status_code == 400 and (
                (body["msg"].isascii() and body["msg"] not in OWN_WORDS) or body["msg"].startswith("数据格式有误！")
            ):
                body = {"msg": "数据格式有误！", "status": 400}  # in place of a decoder's own words
            lines += self._matcher.differences(_expected(entry, body), _json(answer))
            if not answer.headers["content-type"].startswith("application/json"):
                lines.append("content type is not JSON")
        elif answer.text != recorded["text"]:
            lines.append(f"{answer.text!r} instead of {recorded['text']!r}")
        for name, value in recorded.get("headers", {}).items():
            if value is not None and name != "Access-Control-Allow-Headers" and answer.headers.get(name) != value:
                lines.append(f"header {name}: {answer.headers.get(name)!r} instead of {value!r}")
        return lines


def _json(answer: httpx.Response) -> Any:
    try:
        body = answer.json()
        # The recorded server lists system accounts and conversations in no particular order.
        if answer.request.url.path in CONVERSATIONS and isinstance(body, list):
            return _by_channel(body)
        return sorted(body, reverse=True) if answer.request.url.path == "/user/systemuids" else body
    except json.JSONDecodeError:
        return answer.text


CONVERSATIONS = ("/conversation/sync", "/conversation/channels")


def _by_channel(body: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(body, key=lambda conversation: conversation["channel_id"])


def _expected(entry: dict[str, Any], body: Any) -> Any:
    """The recorded body after what is different everywhere."""
    path = entry["request"]["path"]
    if path == "/channel/whitelist" and isinstance(body, list):
        return [{"id": "<int>", "uid": member["uid"]} for member in sorted(body, key=lambda member: member["uid"])]
    if path == "/varz" and "server_id" in body:
        return body | NO_MANAGER
    if path == "/channel/messagesync" and isinstance(body, dict) and "messages" in body:
        body = json.loads(json.dumps(body))
        # The recorded server says 1 for every full page, also when nothing is left.
        body["more"] = 0 if "D-41" in entry.get("ours", "") else "<int>"
        for record in body["messages"]:
            _adapt_record(entry["name"], record)
        if body["messages"]:
            # The recorded server shows no flags in the record with the lowest seq.
            del body["messages"][0]["header"]
    if isinstance(body, list) and path.startswith(("/conversation", "/message/sync")):
        body = json.loads(json.dumps(body))
        pages = [item.get("recents", item.get("messages")) for item in body] if path != "/message/sync" else [body]
        for records in filter(None, pages):
            for record in records:
                _adapt_record(entry["name"], record)
                record["channel_id"] = record["channel_id"].removesuffix("____cmd")
            del min(records, key=lambda record: record["message_seq"])["header"]
        if path in CONVERSATIONS:
            body = _by_channel(body)
    return body


def _adapt_record(name: str, record: dict[str, Any]) -> None:
    if name == "send-record-system":
        record["channel_id"] = "sb"
    if name == "send-self-stored":
        record["channel_id"] = "self1"
    if record["client_msg_no"] == "n6":
        # The recorded server ignores setting and topic of the API.
        record.pop("topic", None)
        record["setting"] = 136


@pytest.mark.parametrize("engine", ["reference", "native"])
@pytest.mark.parametrize("profile", PROFILES)
async def test_recorded_http_answers(profile: str, engine: str, replayed: list[str]) -> None:
    entries = [entry for entry in ENTRIES if entry.get("profile", "default") == profile]
    settings = PROFILES[profile]
    with trio.fail_after(60):
        async with (
            open_test_server(engine=engine, node_id=1, **settings) as server,
            httpx.AsyncClient(base_url=server.endpoints.http) as http,
        ):
            replay = Replay(http, settings.get("auth", {}).get("manager_token", ""))
            for entry in entries:
                await replay.play(entry)
    awaiting = ", ".join(f"{count} {feature}" for feature, count in sorted(replay.awaiting.items()))
    replayed.append(
        f"http.json, profile {profile}, {engine}: {replay.ran} replayed, awaiting later features: {awaiting or 'none'}"
    )
    assert not replay.problems, "\n".join(replay.problems)


def test_every_difference_is_decided() -> None:
    """An entry marked as different on purpose has a rule here, or differs only in what is the same everywhere."""
    for entry in ENTRIES:
        mark = entry.get("ours", "")
        if not mark or awaited_feature(entry) or entry["name"] in OURS:
            continue
        assert mark.startswith((MORE_KEYS, "D-35", "D-38", "D-41", "D-54", "2.3.8", "2.9.5", "3.5")), (
            entry["name"],
            mark,
        )
    assert {entry["name"] for entry in ENTRIES} >= OURS.keys()
