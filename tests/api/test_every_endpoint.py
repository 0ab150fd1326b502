"""What every endpoint does with bodies nobody should send, and without a working store."""

import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
from api_calls import Api, OpenServer, P

from wukong_trio import StoreError
from wukong_trio.api.endpoints import ENDPOINTS
from wukong_trio.api.table import STORE_FAILS, Endpoint
from wukong_trio.config import Search
from wukong_trio.store.memory import MemoryStore

GETS = [endpoint.path for endpoint in ENDPOINTS if endpoint.method == "GET"]
POSTS = [endpoint.path for endpoint in ENDPOINTS if endpoint.method == "POST"]
ARRAYS = {"/route/batch", "/user/onlinestatus"}
"""Endpoints whose body is an array of uids."""
SEARCH = Search(on=True)
BODY: dict[str, object] = {
    "uid": "ann",
    "token": "t",
    "channel_id": "g",
    "channel_type": 2,
    "uids": ["ann"],
    "login_uid": "ann",
    "from_uid": "ann",
    "payload": P,
    "message_id": 5,
    "conn_id": 5,
    "client_msg_no": "c",
    "event_id": "e",
    "event_type": "x",
    "event": {"type": "x"},
    "items": [{"channel_id": "g", "channel_type": 2}],
    "channels": [{"channel_id": "g", "channel_type": 2}],
    "last_message_seq": 1,
    "msg_count": 1,
}
"""Enough for every endpoint; unknown members are ignored."""
SUBSCRIBERS = {"subscribers": ["ann"]}
ONE_BY_ONE = {"/message/sendbatch", "/channel/messagesyncbatch"}
"""Endpoints that say of each entry what is wrong with it."""
UNREADABLE = [
    *(b"", b" ", b"{", b"[", b"}", b"\xff\xfe", b"\x00", b"nul", b"NaN", b"5", b"true", b'"x"', b"'x'", b"a=1&b=2"),
    *(b"[" * 200_000, b'{"a":' * 200_000, b'{"uids":' + b"[" * 200_000, b'["a",5]', b'["\\ud800"]', b'["\xff"]'),
]
MISTYPED = [True, "1", 1.5, -1, 10**30, [], [1], {}, {"a": 1}, "\x00", "\ud800", "x" * 100_000, "群" * 171]


def body_of(path: str) -> dict[str, object]:
    """A body that the endpoint accepts."""
    if path.startswith("/plugins/"):
        return {**BODY, "payload": {"content": "hello"}}
    return {**BODY, **SUBSCRIBERS} if path.startswith("/channel") or path == "/message/sendbatch" else BODY


@pytest.fixture
async def api(open_server: OpenServer) -> AsyncIterator[Api]:
    """The API of a server in which everything is on."""
    with trio.fail_after(20):
        async with open_server(search=SEARCH) as server, Api(server) as api:
            yield api


@pytest.fixture
async def durable(open_server: OpenServer, tmp_path: Path) -> AsyncIterator[Api]:
    """The API of a server with a real database, whose numbers have limits of their own."""
    with trio.fail_after(20):
        async with open_server(data_dir=tmp_path, synchronous="normal", search=SEARCH) as server, Api(server) as api:
            yield api


@pytest.mark.parametrize("path", POSTS)
async def test_bodies_that_cannot_be_read_are_refused(api: Api, path: str) -> None:
    wrong_kind = b"{}" if path in ARRAYS else b'["a"]'
    for raw in (*UNREADABLE, wrong_kind):
        answer = await api.http.post(path, content=raw)
        assert (answer.status_code, answer.json()) == (400, {"msg": "数据格式有误！", "status": 400}), raw[:20]
    assert (await api.http.get("/healthz")).status_code == 200


STRUCTS = [endpoint for endpoint in ENDPOINTS if endpoint.method == "POST" and endpoint.path not in ARRAYS]


@pytest.mark.parametrize("endpoint", STRUCTS, ids=lambda endpoint: endpoint.path)
async def test_members_of_a_wrong_kind_never_break_an_endpoint(durable: Api, endpoint: Endpoint[Any]) -> None:
    body = body_of(endpoint.path)
    for name in [field.name for field in msgspec.structs.fields(endpoint.request)]:
        for value in MISTYPED:
            raw = json.dumps({**body, name: value}).encode()
            answer = await durable.http.post(endpoint.path, content=raw)
            assert answer.status_code in (200, 400), (name, value, answer.text)
            assert answer.headers["content-type"] == "application/json; charset=utf-8"
            if answer.status_code == 400:
                assert answer.json()["status"] == 400
                assert answer.json()["msg"]


NAMED = [endpoint.path for endpoint in STRUCTS if endpoint.path not in ONE_BY_ONE and "/conn/" not in endpoint.path]


@pytest.mark.parametrize("path", NAMED)
async def test_ids_are_512_bytes_at_most(api: Api, path: str) -> None:
    family = path.split("/")[1]
    names = {
        "user": ["uid", "uids"],
        "channel": ["channel_id", "uids", "subscribers"],
        "tmpchannel": ["channel_id", "uids"],
        "message": ["channel_id"],
        "messages": ["channel_id", "login_uid"],
        "conversation": ["uid"],
        "conversations": ["uid", "channel_id"],
        "event": ["channel_id", "from_uid"],
        "plugins": ["uid", "channel_id", "from_uid", "topic"],
    }[family]
    if path in ("/message/sync", "/message/syncack"):
        names = ["uid"]
    if path in ("/channel/messagesync", "/message"):
        names = ["channel_id", "login_uid"]
    if path.startswith("/message/event"):
        names = ["channel_id", "client_msg_no", "event_id", "event_type", "event_key", "from_uid"]
    taken = await _members_taken(api, path, names)
    assert taken
    for name in taken:
        for text, status in (("u" * 512, 200), ("u" * 513, 400), ("群" * 170, 200), ("群" * 171, 400)):
            value = [text] if name in ("uids", "subscribers") else text
            answer = await api.http.post(path, json={**body_of(path), name: value})
            assert answer.status_code == status, (name, len(text), answer.text)


async def _members_taken(api: Api, path: str, names: list[str]) -> list[str]:
    """Those members that the endpoint reads: it refuses a number in their place."""
    answers = {name: await api.http.post(path, json={**body_of(path), name: 5}) for name in names}
    return [name for name, answer in answers.items() if answer.status_code == 400]


STRICT = {"/message/byclientmsgno", "/channel/max_message_seq", "/channel/last_message", "/conversations"}
"""Endpoints that refuse some queries."""


@pytest.mark.parametrize("path", GETS)
async def test_strange_queries_never_break_an_endpoint(durable: Api, path: str) -> None:
    for query in ("%", "%ff=%ff", "&&&=", "channel_id=%00&channel_type=-1", "channel_type=9999999999999999999999"):
        for more in ("", "&channel_id=g&intranet=1e9", f"&channel_id={'x' * 5000}", "&channel_type=999999999999999999"):
            status = (await durable.http.get(f"{path}?{query}{more}")).status_code
            assert status == 200 or (path in STRICT and status == 400), query + more


class BrokenStore(MemoryStore):
    """A store whose disk is gone once `broken` is set: every call fails, and `failure` says so."""

    broken = False

    def __getattribute__(self, name: str) -> Any:
        calls = {"append_messages", "messages_between", "load_channels", "change_channel", "load_logins"}
        calls |= {"channels_of", "subscribed"}
        calls |= {"find_messages", "last_seq", "put_device", "clear_tokens", "system_uids", "change_system_uids"}
        calls |= {
            "conversations",
            "change_conversations",
            "pending_commands",
            "newest_messages",
            "save_event",
            "load_events",
        }
        if name in calls and self.broken:
            return self._fail
        return super().__getattribute__(name)

    async def _fail(self, *_args: object, **_more: object) -> Sequence[Any]:
        await trio.lowlevel.checkpoint()
        raise StoreError("no disk")

    @property
    def failure(self) -> str:
        return "no disk" if self.broken else ""


STORELESS = {"/route/batch", "/user/onlinestatus", "/tmpchannel/subscriber_set", "/conn/kick", "/conn/remove"}
STORELESS |= {"/message/syncack", "/event"}


async def test_without_a_store_every_endpoint_says_so_and_recovers(open_server: OpenServer) -> None:
    store = BrokenStore()
    with trio.fail_after(10):
        async with open_server(store=store, search=SEARCH) as server, Api(server) as api:
            store.broken = True
            for path in POSTS:
                answer = await api.http.post(path, json=["ann"] if path in ARRAYS else body_of(path))
                if path in STORELESS:
                    assert answer.status_code == 200
                    continue
                if path == "/message/sendbatch":
                    assert answer.json() == {"status": 200, "fail_uids": ["ann"], "reason": [STORE_FAILS]}
                    continue
                assert answer.status_code == 500, path
                assert answer.headers["content-type"] == "application/json; charset=utf-8"
                assert answer.json()["status"] == 500
                assert "no disk" not in answer.json()["msg"]
            for path in ("/channel/whitelist", *STRICT):
                answer = await api.http.get(f"{path}?channel_id=g&channel_type=2&client_msg_no=c&uid=ann")
                assert answer.status_code == 500
            health = await api.http.get("/health")
            # Probes need no token, and reasons name paths.
            assert (health.status_code, health.json()) == (500, {"status": "error", "message": STORE_FAILS})
            assert await api.get("/healthz") == {"status": "ok"}
            assert (await api.http.get("/readyz")).json() == {"ready": False, "message": STORE_FAILS}
            store.broken = False
            assert await api.get("/health") == {"status": "ok"}
            assert await api.get("/user/systemuids") == []
            for path in POSTS:
                body = ["ann"] if path in ARRAYS else body_of(path)
                assert (await api.http.post(path, json=body)).status_code == 200, path
