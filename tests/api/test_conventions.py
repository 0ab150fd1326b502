"""HTTP statements 1-18, 130: conventions, route, probes."""

import json
from collections.abc import Sequence
from typing import Any

import httpx
import pytest
import trio
from api_calls import OK, Api, OpenServer

from wukong_trio import Address, Listeners, RouteAddresses, StoreError
from wukong_trio.api.machine import own_address
from wukong_trio.model import Message
from wukong_trio.store.memory import MemoryStore

ALLOW = "Access-Control-Allow-Headers"


async def test_h001_h002_cors(api: Api) -> None:
    for path in ("/message/send", "/nope"):
        answer = await api.http.options(path)
        assert (answer.status_code, answer.content) == (204, b"")
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert {"token", "content-type"} <= {name.strip().lower() for name in answer.headers[ALLOW].split(",")}
        assert "content-type" not in answer.headers
    answer = await api.http.get("/health", headers={"Origin": "http://a"})
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert answer.headers["Access-Control-Max-Age"] == "86400"


async def test_h003_unknown_paths_and_methods(api: Api) -> None:
    for method, path in (
        ("GET", "/nope"),
        ("GET", "/message/send"),
        ("POST", "/route"),
        ("GET", "/"),
        ("GET", "/route/"),
        ("GET", "//route"),
        ("PUT", "/route"),
        ("TRACE", "/route"),
        ("HEAD", "/route"),
    ):
        answer = await api.http.request(method, path)
        assert answer.status_code == 404, (method, path)
        assert answer.text == ("" if method == "HEAD" else "404 page not found")
        assert answer.headers["Access-Control-Allow-Origin"] == "*"


UNREADABLE = [
    *(b"{", b"", b"[]", b"5", b'"x"', b"x{}", b"NaN", b"\xff", b"[" * 100_000, b'{"x":' * 100_000),
    *(b'{"uid":5}', b'{"uid":"\xff"}', b'{"uid":"\\ud800"}'),
    *(b'{"device_flag":%b}' % value for value in (b'"1"', b"300", b"-1", b"1.5", b"true", b"1e999", b"9" * 30)),
]


@pytest.mark.parametrize("raw", UNREADABLE, ids=range(len(UNREADABLE)))
async def test_h004_h005_h008_bodies_that_cannot_be_read(api: Api, raw: bytes) -> None:
    await api.e400("/user/token", "数据格式有误！", raw=raw)


async def test_h009_numbers_out_of_range(api: Api) -> None:
    await api.e400("/channel", "数据格式有误！", channel_id="g", channel_type=300)
    await api.e400("/channel", "频道类型错误！", channel_id="g", channel_type=13)


async def test_h006_h007_h012_tolerance(api: Api) -> None:
    body = json.dumps({"uid": "ann", "token": "t", "new": {"x": [1]}, "device_flag": None})
    for content_type in ("text/plain", "application/x-www-form-urlencoded", "nonsense", ""):
        answer = await api.http.post("/user/token", content=body, headers={"Content-Type": content_type})
        assert answer.json() == OK
        assert answer.headers["content-type"] == "application/json; charset=utf-8"
    answer = await api.http.post("/user/systemuids_add", content=b"null")
    assert answer.json() == OK


async def test_h010_h011_the_manager_token(open_server: OpenServer) -> None:
    with trio.fail_after(10):
        async with open_server(auth={"manager_token": "k"}) as server, Api(server) as api:
            for headers in ({}, {"token": "x"}, {"token": ""}, {"Authorization": "Bearer k"}, {"token": "é"}):
                answer = await api.http.get("/user/systemuids", headers=[(n, v.encode()) for n, v in headers.items()])
                assert (answer.status_code, answer.content) == (401, b"")
                # Clients ask where to connect; they have no such token.
                assert (await api.http.get("/route", headers=[(n, v.encode()) for n, v in headers.items()])).is_success
            assert (await api.http.get("/user/systemuids?token=k")).status_code == 401
            assert (await api.http.get("/nope")).status_code == 401
            assert (await api.http.post("/route/batch", json=[])).status_code == 401
            for name in ("token", "TOKEN"):
                assert (await api.http.get("/user/systemuids", headers={name: "k"})).status_code == 200
            assert (await api.http.options("/route")).status_code == 204
            for path in ("/health", "/healthz", "/readyz"):
                assert (await api.http.get(path)).status_code == 200


async def test_h013_h015_route(api: Api) -> None:
    endpoints = api.server.endpoints
    expected = {"tcp_addr": endpoints.tcp.removeprefix("tcp://"), "ws_addr": endpoints.ws, "wss_addr": ""}
    for query in ("", "?intranet=0", "?intranet=abc", "?intranet=", "?intranet=2", "?uid=u1", "?intranet=-1", "?%ff=%"):
        assert await api.get(f"/route{query}") == expected
    assert list(await api.get("/route")) == ["tcp_addr", "ws_addr", "wss_addr"]


async def test_h014_h016_addresses_that_are_set(open_server: OpenServer) -> None:
    external = RouteAddresses(tcp_addr="im.example.org:1", ws_addr="ws://im.example.org:2", wss_addr="wss://x:3")
    intranet = {"tcp_addr": "10.0.0.1:5100"}
    with trio.fail_after(10):
        async with open_server(external=external, intranet=intranet) as server, Api(server) as api:
            assert await api.get("/route") == {
                "tcp_addr": "im.example.org:1",
                "ws_addr": "ws://im.example.org:2",
                "wss_addr": "wss://x:3",
            }
            inner = await api.get("/route?intranet=1")
            assert inner["tcp_addr"] == "10.0.0.1:5100"
            assert inner["ws_addr"] == server.endpoints.ws


async def test_route_of_a_server_that_listens_everywhere(open_server: OpenServer) -> None:
    any_address = Address("0.0.0.0", 0)
    listeners = Listeners(http=Address("127.0.0.1", 0), tcp=any_address, ws=any_address)
    with trio.fail_after(10):
        async with open_server(listeners=listeners) as server, Api(server) as api:
            tcp_port, ws_port = (url.rpartition(":")[2] for url in (server.endpoints.tcp, server.endpoints.ws))
            assert await api.get("/route") == {
                "tcp_addr": f"{own_address(4)}:{tcp_port}",
                "ws_addr": f"ws://{own_address(4)}:{ws_port}",
                "wss_addr": "",
            }


async def test_h017_h018_route_batch(api: Api) -> None:
    route = await api.get("/route")
    for uids in (["a", "b", "a"], []):
        assert await api.post("/route/batch", uids) == [{**route, "uids": uids}]
    assert (await api.http.post("/route/batch", content=b"null")).json() == [{**route, "uids": []}]
    for raw in (b'{"a":1}', b"[1]", b"", b"{"):
        await api.e400("/route/batch", "数据格式有误！", raw=raw)


async def test_h130_probes(api: Api) -> None:
    assert await api.get("/health") == {"status": "ok"}
    assert await api.get("/healthz") == {"status": "ok"}
    assert await api.get("/readyz") == {"ready": True}


async def test_the_limit_of_bodies(open_server: OpenServer) -> None:
    with trio.fail_after(20):
        async with open_server(limits={"http_body_bytes": 1000}) as server, Api(server) as api:
            padding = b" " * (1000 - len(b'["a"]'))
            assert (await api.http.post("/route/batch", content=b'["a"]' + padding)).status_code == 200
            answer = await api.http.post("/route/batch", content=b'["a"]' + padding + b" ")
            assert answer.status_code == 413
            assert answer.json()["status"] == 413

            async def chunks() -> object:
                for _ in range(11):
                    yield b" " * 100

            answer = await api.http.post("/route/batch", content=chunks())  # type: ignore[arg-type]
            assert answer.status_code == 413
            assert (await api.http.get("/healthz")).status_code == 200


class BrokenStore(MemoryStore):
    """A store whose disk has gone."""

    broken = False

    async def append_messages(self, drafts: Sequence[Message], **terms: Any) -> Sequence[int]:
        if self.broken:
            raise StoreError("no disk")
        return await super().append_messages(drafts, **terms)

    async def load_channels(self, keys):  # type: ignore[no-untyped-def]
        if self.broken:
            raise StoreError("no disk")
        return await super().load_channels(keys)

    @property
    def failure(self) -> str:
        return "no disk" if self.broken else ""


async def test_a_store_that_fails_is_reported(open_server: OpenServer) -> None:
    store = BrokenStore()
    with trio.fail_after(10):
        async with open_server(store=store) as server, Api(server) as api:
            store.broken = True
            body = {"channel_id": "g", "channel_type": 2, "payload": "e30="}
            for path in ("/message/send", "/user/token"):
                answer = await api.http.post(path, json={**body, "uid": "ann", "token": "t"})
                assert answer.status_code == 500
                assert answer.json()["msg"]
            assert (await api.http.get("/health")).status_code == 500
            assert (await api.http.get("/health")).json()["status"] == "error"
            assert (await api.http.get("/readyz")).status_code == 503
            assert (await api.http.get("/route")).status_code == 200
            store.broken = False
            assert (await api.http.get("/readyz")).json() == {"ready": True}
            assert (await api.http.post("/message/send", json=body)).status_code == 200


async def test_a_bug_in_a_handler_is_an_empty_500(open_server: OpenServer, caplog: pytest.LogCaptureFixture) -> None:
    class Bug(MemoryStore):
        async def system_uids(self) -> list[str]:
            return [5]  # type: ignore[list-item]

        async def put_device(self, device: object) -> None:
            raise ZeroDivisionError

    with trio.fail_after(10):
        async with open_server(store=Bug()) as server, httpx.AsyncClient(base_url=server.endpoints.http) as http:
            answer = await http.post("/user/token", json={"uid": "ann", "token": "secret-token"})
            assert (answer.status_code, answer.content) == (500, b"")
    assert "secret-token" not in caplog.text
