"""Who may call the API: pages of other origins, hosts that are not ours, and callers without the manager token."""

from pathlib import Path
from typing import Literal

import pytest
import trio
from api_calls import Api, OpenServer
from exchanges import connect

from wukong_trio import Address, Auth, Config, Listeners, RouteAddresses, __version__, open_store
from wukong_trio.api.guard import Guard, Head
from wukong_trio.bench.identity import identify
from wukong_trio.bench.plan import read_target

HEAD = Head("POST", "/message/send", "", b"", "127.0.0.1:5001", "", "127.0.0.1:9")
OPEN = [("GET", "/route"), ("GET", "/health"), ("GET", "/healthz"), ("GET", "/readyz"), ("OPTIONS", "/message/send")]


def status(config: Config, head: Head) -> int:
    """How a request is refused, 0 if it is not."""
    refused = Guard(config).refusal(head)
    return refused.http_status if refused is not None else 0


@pytest.mark.parametrize(
    ("origin", "host", "expected"),
    [
        ("", "127.0.0.1:5001", 0),  # what back-ends send
        ("http://localhost:3000", "127.0.0.1:5001", 0),
        ("https://127.0.0.1", "127.0.0.1:5001", 0),
        ("http://[::1]:8080", "127.0.0.1:5001", 0),
        ("http://10.0.0.7:5001", "10.0.0.7:5001", 0),  # the listener itself
        ("http://10.0.0.8:5001", "10.0.0.7:5001", 403),
        ("http://10.0.0.7:5002", "10.0.0.7:5001", 403),
        ("http://evil.example", "127.0.0.1:5001", 403),
        ("http://localhost.evil.example", "127.0.0.1:5001", 403),
        ("http://127.0.0.1.evil.example", "127.0.0.1:5001", 403),
        ("http://evil.example:5001", "evil.example:5001", 403),  # DNS rebinding
        ("null", "127.0.0.1:5001", 403),  # a file, or a frame without an origin
        ("http://[", "127.0.0.1:5001", 403),
        ("rubbish", "rubbish", 403),
        ("", "evil.example:5001", 403),
        ("", "localhost", 0),
        ("", "LOCALHOST.:5001", 0),
        ("", "[::1]:5001", 0),
        ("", "192.0.2.7", 0),
        ("", "localhost.evil.example", 403),
        ("", "127.0.0.1.evil.example", 403),
        ("", "localhost:x@evil.example", 403),
        ("", "localhost:1@evil.example", 403),
        ("", "x@localhost", 403),
        ("", "localhost:x", 403),
        ("", "localhost:", 0),
        ("", "[fe80::1%evil.example]", 403),
        ("", "fe80::1%evil.example", 403),
        ("", "[::1]x:5001", 403),
        ("http://[::1%evil.example]", "127.0.0.1:5001", 403),
        ("http://localhost:1@evil.example", "127.0.0.1:5001", 403),
        ("http://localhost, http://evil.example", "127.0.0.1:5001", 403),
        ("http://localhost:x@evil.example", "localhost:x@evil.example", 403),
    ],
)
def test_pages_and_hosts_without_a_manager_token(origin: str, host: str, expected: int) -> None:
    assert status(Config(), HEAD._replace(origin=origin, host=host)) == expected
    for method, path in OPEN:
        assert status(Config(), HEAD._replace(origin=origin, host=host, method=method, path=path)) == 0
    # With a token nobody else gets in anyway, and its owner may come from anywhere.
    guarded = Config(auth=Auth(manager_token="k"))
    assert status(guarded, HEAD._replace(origin=origin, host=host, token=b"k")) == 0
    assert status(guarded, HEAD._replace(origin=origin, host=host)) == 401


@pytest.mark.parametrize(
    ("authorization", "expected"),
    [
        (b"Bearer k", 0),
        (b"BEARER   k ", 0),
        (b"Bearer ", 401),
        (b"Bearer", 401),
        (b"Bearer k k", 401),
        (b"Bearerk", 401),
        (b"k", 401),
        (b"", 401),
    ],
)
def test_what_watches_the_server_may_send_the_token_as_bearer(authorization: bytes, expected: int) -> None:
    config = Config(auth=Auth(manager_token="k"))
    metrics = HEAD._replace(method="GET", path="/metrics", authorization=authorization)
    assert status(config, metrics) == expected
    assert status(config, metrics._replace(path="/user/systemuids")) == 401
    # An empty token is none, not one that everybody has.
    assert status(Config(), metrics) == 0
    assert not Guard(Config()).has_token(metrics)


def test_what_the_settings_allow() -> None:
    origin = HEAD._replace(origin="https://admin.example.org")
    host = HEAD._replace(host="im.example.org:5001")
    assert (status(Config(), origin), status(Config(), host)) == (403, 403)
    for allowed in ("https://admin.example.org", "HTTPS://Admin.example.org/", "*"):
        assert status(Config(auth=Auth(allowed_origins=(allowed,))), origin) == 0
    for other in ("http://admin.example.org", "https://admin.example.org:444", "admin.example.org"):
        assert status(Config(auth=Auth(allowed_origins=(other,))), origin) == 403
    for allowed in ("im.example.org", "IM.example.org", "*"):
        assert status(Config(auth=Auth(allowed_hosts=(allowed,))), host) == 0
    assert status(Config(auth=Auth(allowed_hosts=("example.org",))), host) == 403


@pytest.mark.parametrize(
    "config",
    [
        Config(external=RouteAddresses(ip="im.example.org")),
        Config(external=RouteAddresses(ws_addr="wss://im.example.org:443/path")),
        Config(intranet=RouteAddresses(tcp_addr="im.example.org:5100")),
        Config(listeners=Listeners(http=Address("im.example.org", 5001))),
    ],
)
def test_the_configured_names_are_known(config: Config) -> None:
    assert status(config, HEAD._replace(host="im.example.org:5001")) == 0
    assert status(config, HEAD._replace(host="example.org")) == 403


def test_only_a_get_of_the_route_is_open() -> None:
    guarded = Config(auth=Auth(manager_token="k"))
    for method, path in (("POST", "/route"), ("HEAD", "/route"), ("GET", "/route/"), ("POST", "/route/batch")):
        assert status(guarded, HEAD._replace(method=method, path=path)) == 401


def test_tokens_beyond_latin_1() -> None:
    for token in ("密码", "pässword"):
        config = Config(auth=Auth(manager_token=token))
        assert status(config, HEAD._replace(token=token.encode())) == 0
        assert status(config, HEAD._replace(token=token.encode()[:-1])) == 401
    assert status(config, HEAD._replace(token="pässword".encode("latin-1"))) == 0
    # What Latin-1 cannot write is not left out.
    assert status(Config(auth=Auth(manager_token="密k")), HEAD._replace(token=b"k")) == 401


async def test_refusals_over_the_wire(api: Api) -> None:
    for headers, setting in (({"Origin": "http://evil"}, "allowedOrigins"), ({"Host": "evil"}, "allowedHosts")):
        answer = await api.http.post("/user/systemuids_add", json={"uids": ["eve"]}, headers=headers)
        assert (answer.status_code, answer.json()["status"]) == (403, 403)
        assert setting in answer.json()["msg"]
        # A preflight is answered; the request after it is not.
        assert (await api.http.options("/user/systemuids_add", headers=headers)).status_code == 204
        for path in ("/route", "/health", "/healthz", "/readyz"):
            answer = await api.http.get(path, headers=headers)
            assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (200, "*")
    assert await api.get("/user/systemuids") == []
    assert (await api.http.get("/user/systemuids", headers={"Origin": "http://localhost:1"})).status_code == 200


async def test_several_origins_are_refused(api: Api) -> None:
    for path in ("/user/systemuids", "/nope"):
        headers = [("Origin", "http://localhost"), ("Origin", "http://evil.example")]
        assert (await api.http.get(path, headers=headers)).status_code == 403


@pytest.mark.parametrize("token", ["密码", "pässword"])
async def test_a_token_in_utf8_over_the_wire(open_server: OpenServer, token: str) -> None:
    with trio.fail_after(10):
        async with open_server(auth={"manager_token": token}) as server, Api(server) as api:
            good = await api.http.get("/user/systemuids", headers=[(b"token", token.encode())])
            bad = await api.http.get("/user/systemuids", headers=[(b"token", token.encode() + b"x")])
            assert (good.status_code, bad.status_code) == (200, 401)


@pytest.mark.parametrize("token", ["", "k"])
async def test_only_the_owner_of_the_manager_token_learns_what_the_server_is(
    open_server: OpenServer, engine: str, token: str
) -> None:
    with trio.fail_after(10):
        async with open_server(auth={"manager_token": token}) as server, Api(server) as api:
            for given in ("", "x"):
                answer = await api.http.get("/health", headers={"token": given})
                assert answer.json() == {"status": "ok"}
            if token:
                answer = await api.http.get("/health", headers={"token": token})
                durability = "none (all in memory)"
                known = {"version": __version__, "engine": engine, "durability": durability}
                assert (answer.status_code, answer.json()) == (200, {"status": "ok", **known})
                target = read_target(server.endpoints.http, "http", allow_remote=False)
                identity = await trio.to_thread.run_sync(identify, target, token, None)
                assert (identity.version, identity.engine, identity.durability) == (__version__, engine, durability)


@pytest.mark.parametrize("synchronous", ["full", "normal"])
async def test_durability_is_that_of_the_store(tmp_path: Path, synchronous: Literal["full", "normal"]) -> None:
    async with open_store(tmp_path, synchronous=synchronous) as store:
        assert store.durability.startswith(f"{synchronous} (")


BODIES = {
    "announced": b"Content-Length: 50000000\r\n\r\n",
    "in chunks": b"Transfer-Encoding: chunked\r\n\r\n2faf080\r\n",
}


@pytest.mark.parametrize("framing", BODIES.values(), ids=BODIES.keys())
async def test_who_is_refused_is_told_before_his_body_comes(open_server: OpenServer, framing: bytes) -> None:
    with trio.fail_after(10):
        async with open_server(auth={"manager_token": "k"}) as server, await connect(server) as stream:
            await stream.send_all(b"POST /channel HTTP/1.1\r\nHost: localhost\r\n" + framing)
            received = b""
            while b"\r\n\r\n" not in received:
                received += await stream.receive_some()
            assert received.startswith(b"HTTP/1.1 401")
            assert b"\r\nconnection: close\r\n" in received.lower()


@pytest.mark.parametrize("line", [b"GET /route", b"GET /healthz", b"OPTIONS /channel"])
async def test_what_is_open_to_all_takes_no_large_bodies(open_server: OpenServer, line: bytes) -> None:
    with trio.fail_after(10):
        async with open_server(auth={"manager_token": "k"}) as server:
            for size, expected in ((16 * 1024, (200, 204)), (16 * 1024 + 1, (413,))):
                async with await connect(server) as stream:
                    head = b"%b HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % (line, size)
                    await stream.send_all(head + b" " * (size if size <= 16 * 1024 else 0))
                    received = bytes(await stream.receive_some())
                    assert int(received.split()[1]) in expected
