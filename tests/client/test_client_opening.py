"""A connection that cannot be had: at once, with the reason and what to do."""

import ssl
import traceback
from pathlib import Path
from typing import Any

import pytest
import trio
from stub_server import open_port, open_secure_server

from wukong_trio import Address, ConfigError, ConnectionClosed, Listeners, RequestError, open_client
from wukong_trio.client import opening
from wukong_trio.client.place import SCHEMES, read_url
from wukong_trio.testing import open_test_server

AT_ONCE_S = 5.0
"""Half of what a client waits for a server that says nothing."""


async def problem(url: str, ssl_context: ssl.SSLContext | None = None) -> ConnectionClosed:
    """Why there is no connection."""
    with trio.fail_after(AT_ONCE_S), pytest.raises(ConnectionClosed) as closed:
        async with open_client(url, uid="ann", ssl_context=ssl_context):
            pass
    assert url in str(closed.value)
    return closed.value


def changed(url: str, scheme: str) -> str:
    """The same port by another scheme."""
    return f"{scheme}:{url.split(':', 1)[1]}"


@pytest.mark.parametrize("scheme", ["wss", "tls"])
async def test_a_certificate_that_is_not_trusted(scheme: str, tmp_path: Path) -> None:
    async with open_secure_server(tmp_path) as server:
        closed = await problem(getattr(server.endpoints, scheme))
    assert closed.code == 1015
    assert "not trusted" in closed.reason
    assert "ssl_context=" in closed.reason


@pytest.mark.parametrize("scheme", ["wss", "tls"])
async def test_a_certificate_for_another_host(scheme: str, tmp_path: Path) -> None:
    async with open_secure_server(tmp_path) as server:
        trust = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
        closed = await problem(getattr(server.endpoints, scheme).replace("127.0.0.1", "localhost"), trust)
    assert closed.code == 1015
    assert "'localhost'" in closed.reason


@pytest.mark.parametrize(("scheme", "plain"), [("wss", "ws"), ("tls", "tcp"), ("wss", "tcp"), ("tls", "ws")])
async def test_a_plain_url_to_a_port_with_tls(scheme: str, plain: str, tmp_path: Path) -> None:
    async with open_secure_server(tmp_path) as server:
        closed = await problem(changed(getattr(server.endpoints, scheme), plain))
    assert closed.code == 1006
    assert f"use {SCHEMES[plain].with_or_without_tls}://" in closed.reason


@pytest.mark.parametrize(("scheme", "meant"), [("tcp", "ws"), ("ws", "tcp")])
async def test_the_port_of_the_other_protocol(scheme: str, meant: str) -> None:
    async with open_test_server() as server:
        closed = await problem(changed(getattr(server.endpoints, meant), scheme))
    assert closed.code == 1006
    assert f"use {meant}://" in closed.reason


@pytest.mark.parametrize(("scheme", "meant"), [("tls", "wss"), ("wss", "tls")])
async def test_the_port_of_the_other_protocol_with_tls(scheme: str, meant: str, tmp_path: Path) -> None:
    async with open_secure_server(tmp_path) as server:
        trust = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
        closed = await problem(changed(getattr(server.endpoints, meant), scheme), trust)
    assert closed.code == 1006
    assert f"use {meant}://" in closed.reason


@pytest.mark.parametrize(("scheme", "plain"), [("wss", "ws"), ("tls", "tcp")])
async def test_a_secure_url_to_a_port_that_answers_in_plain_text(scheme: str, plain: str) -> None:
    async def answer(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    async with open_port(answer) as place:
        closed = await problem(f"{scheme}://{place}")
    assert closed.code == 1015
    assert f"wants {plain}://" in closed.reason


async def hang_up(stream: trio.SocketStream) -> None:
    await stream.receive_some()


@pytest.mark.parametrize(
    ("scheme", "code", "cure"),
    [
        ("ws", 1006, "use wss://"),
        ("wss", 1015, "wants ws://"),
        ("tcp", 1006, "use tls://"),
        ("tls", 1015, "wants tcp://"),
    ],
)
async def test_a_port_that_hangs_up(scheme: str, code: int, cure: str) -> None:
    async with open_port(hang_up) as place:
        closed = await problem(f"{scheme}://{place}")
    assert closed.code == code
    assert cure in closed.reason


@pytest.mark.parametrize("scheme", ["ws", "wss", "tcp", "tls"])
async def test_a_port_where_nothing_listens(scheme: str) -> None:
    async with open_port(hang_up) as place:
        pass
    assert (await problem(f"{scheme}://{place}")).code == 1006


@pytest.mark.parametrize(("scheme", "meant"), [("ws", "wss"), ("tcp", "tls")])
async def test_a_port_that_greets_with_a_tls_alert(scheme: str, meant: str) -> None:
    async def alert(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(b"\x15\x03\x01\x00\x02\x02\x0a")
        await stream.receive_some()

    async with open_port(alert) as place:
        assert f"speaks TLS: use {meant}://" in (await problem(f"{scheme}://{place}")).reason


async def greet(stream: trio.SocketStream) -> None:
    await stream.send_all(b"SSH-2.0-OpenSSH_9.6\r\n")
    await stream.receive_some()


async def test_a_port_that_speaks_something_else() -> None:
    async with open_port(greet) as place:
        assert "does not speak HTTP" in (await problem(f"ws://{place}")).reason
        with (
            trio.fail_after(AT_ONCE_S),
            pytest.raises(ConnectionClosed, match=r"no WKProto: it begins with b'SSH-2\.0"),
        ):
            async with open_client(f"tcp://{place}", uid="ann"):
                pass


@pytest.mark.parametrize(("scheme", "plain"), [("wss", "ws"), ("tls", "tcp")])
async def test_a_secure_url_to_a_port_that_says_nothing_names_the_cause(scheme: str, plain: str) -> None:
    async def silent(stream: trio.SocketStream) -> None:
        await trio.sleep_forever()

    with trio.fail_after(AT_ONCE_S):
        async with open_port(silent) as place:
            with pytest.raises(ConnectionClosed, match=rf"TLS handshake is not answered.*{plain}://"):
                async with open_client(f"{scheme}://{place}", uid="ann", connect_timeout_s=0.1):
                    pass


async def test_the_port_of_the_http_api(tmp_path: Path) -> None:
    async with open_test_server(listeners=Listeners(http=Address("127.0.0.1", 0), tcp=None, ws=None)) as server:
        assert "HTTP API" in (await problem(changed(server.endpoints.http, "ws"))).reason
        assert "it speaks HTTP" in (await problem(changed(server.endpoints.http, "tcp"))).reason


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:5001",
        "https://h",
        "tcp://h",
        "tls://h",
        "tcp://h:1/path",
        "tcp://h:1?query",
        "udp://h:1",
        "127.0.0.1:5200",
        "ws://",
        "ws://h:x",
        "ws://h:99999",
        "",
        "ws",
    ],
)
async def test_other_urls_are_refused_by_name(url: str) -> None:
    with trio.fail_after(AT_ONCE_S), pytest.raises(ConfigError, match="url = "):
        async with open_client(url, uid="ann"):
            pass


@pytest.mark.parametrize(
    ("url", "protocol", "cure"),
    [
        ("tcp://h:1", "jsonrpc", "speaks 'wkproto'; JSON-RPC wants ws:// or wss://"),
        ("tls://h:1", "jsonrpc", "speaks 'wkproto'; JSON-RPC wants ws:// or wss://"),
        ("ws://h:1", "mqtt", "speaks 'jsonrpc' or 'wkproto'"),
    ],
)
async def test_protocols_that_are_not_spoken_there(url: str, protocol: Any, cure: str) -> None:
    with trio.fail_after(AT_ONCE_S), pytest.raises(ConfigError, match=f"protocol = '{protocol}': {url} {cure}"):
        async with open_client(url, uid="ann", protocol=protocol):
            pass


@pytest.mark.parametrize("scheme", ["ws", "tcp"])
async def test_a_host_that_cannot_be_one(scheme: str) -> None:
    await problem(f"{scheme}://.example:5200")


@pytest.mark.parametrize("scheme", ["ws", "tcp"])
async def test_a_connection_that_comes_too_late_is_closed(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    streams: list[trio.SocketStream] = []
    with trio.fail_after(AT_ONCE_S):
        async with open_port(hang_up) as place:
            with trio.CancelScope() as scope:

                async def connect(*_: object) -> trio.SocketStream:
                    host, port = place.split(":")
                    streams.append(await trio.open_tcp_stream(host, int(port)))
                    scope.cancel()
                    return streams[0]

                monkeypatch.setattr(opening, "open_stream", connect)
                async with open_client(f"{scheme}://{place}", uid="ann"):
                    pass
    assert streams[0].socket.fileno() == -1


def test_what_a_url_names() -> None:
    assert read_url("ws://h")[1:] == (SCHEMES["ws"], "h", 80, "/")
    assert read_url("wss://[::1]/a?b")[1:] == (SCHEMES["wss"], "::1", 443, "/a?b")
    assert read_url("tcp://[::1]:5100/")[1:] == (SCHEMES["tcp"], "::1", 5100, "/")
    assert read_url("TLS://h:1")[1:] == (SCHEMES["tls"], "h", 1, "/")
    assert read_url("wss://[::1]/a?b").netloc == "[::1]:443"
    assert read_url("ws://h:5200").netloc == "h:5200"


async def test_a_refusal_is_shown_once() -> None:
    async with open_test_server() as server:
        with trio.fail_after(AT_ONCE_S), pytest.raises(RequestError) as refused:
            async with open_client(server.endpoints.ws, uid="a@b"):
                pass
    shown = "".join(traceback.format_exception(refused.value))
    assert shown.count("Traceback") == 1
