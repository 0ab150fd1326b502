"""A connection that cannot be had: at once, with the reason and what to do."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trustme
from stub_server import open_port

from wukong_trio import Address, ConfigError, ConnectionClosed, Listeners, Server, open_client
from wukong_trio.client.wire import read_url
from wukong_trio.testing import open_test_server

AT_ONCE_S = 5.0
"""Half of what a client waits for a server that says nothing."""


@asynccontextmanager
async def open_secure_server(path: Path) -> AsyncIterator[Server]:
    cert, key = path / "cert.pem", path / "key.pem"
    certificate = trustme.CA().issue_cert("127.0.0.1")
    certificate.cert_chain_pems[0].write_to_path(cert)
    certificate.private_key_pem.write_to_path(key)
    any_port = Address("127.0.0.1", 0)
    listeners = Listeners(http=any_port, tcp=None, ws=any_port, wss=any_port, cert_file=cert, key_file=key)
    async with open_test_server(listeners=listeners) as server:
        yield server


async def problem(url: str, ssl_context: ssl.SSLContext | None = None) -> ConnectionClosed:
    """Why there is no connection."""
    with trio.fail_after(AT_ONCE_S), pytest.raises(ConnectionClosed) as closed:
        async with open_client(url, uid="ann", ssl_context=ssl_context):
            pass
    assert url in str(closed.value)
    return closed.value


async def test_a_certificate_that_is_not_trusted(tmp_path: Path) -> None:
    async with open_secure_server(tmp_path) as server:
        closed = await problem(server.endpoints.wss)
    assert closed.code == 1015
    assert "not trusted" in closed.reason
    assert "ssl_context=" in closed.reason


async def test_a_certificate_for_another_host(tmp_path: Path) -> None:
    async with open_secure_server(tmp_path) as server:
        trust = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
        closed = await problem(server.endpoints.wss.replace("127.0.0.1", "localhost"), trust)
    assert closed.code == 1015


async def test_a_plain_url_to_a_port_with_tls(tmp_path: Path) -> None:
    async with open_secure_server(tmp_path) as server:
        closed = await problem(server.endpoints.wss.replace("wss:", "ws:"))
    assert closed.code == 1006
    assert "wss://" in closed.reason


async def test_a_secure_url_to_a_port_that_answers_in_plain_text() -> None:
    async def answer(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    async with open_port(answer) as place:
        closed = await problem(f"wss://{place}")
    assert closed.code == 1015
    assert "ws://" in closed.reason


async def hang_up(stream: trio.SocketStream) -> None:
    await stream.receive_some()


@pytest.mark.parametrize(("scheme", "code", "cure"), [("ws", 1006, "use wss://"), ("wss", 1015, "wants ws://")])
async def test_a_port_that_hangs_up(scheme: str, code: int, cure: str) -> None:
    async with open_port(hang_up) as place:
        closed = await problem(f"{scheme}://{place}")
    assert closed.code == code
    assert cure in closed.reason


async def test_a_port_that_greets_with_a_tls_alert() -> None:
    async def alert(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(b"\x15\x03\x01\x00\x02\x02\x0a")
        await stream.receive_some()

    async with open_port(alert) as place:
        assert "speaks TLS: use wss://" in (await problem(f"ws://{place}")).reason


async def test_a_port_that_speaks_something_else() -> None:
    async def greet(stream: trio.SocketStream) -> None:
        await stream.send_all(b"SSH-2.0-OpenSSH_9.6\r\n")
        await stream.receive_some()

    async with open_port(greet) as place:
        assert "does not speak HTTP" in (await problem(f"ws://{place}")).reason


async def test_a_secure_url_to_a_port_that_says_nothing_names_the_cause() -> None:
    async def silent(stream: trio.SocketStream) -> None:
        await trio.sleep_forever()

    with trio.fail_after(AT_ONCE_S):
        async with open_port(silent) as place:
            with pytest.raises(ConnectionClosed, match=r"TLS handshake is not answered.*ws://"):
                async with open_client(f"wss://{place}", uid="ann", connect_timeout_s=0.1):
                    pass


async def test_the_port_of_the_http_api(tmp_path: Path) -> None:
    async with open_test_server(listeners=Listeners(http=Address("127.0.0.1", 0), tcp=None, ws=None)) as server:
        closed = await problem(server.endpoints.http.replace("http:", "ws:"))
    assert "HTTP API" in closed.reason


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:5001",
        "https://h",
        "tcp://h:1",
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


async def test_a_host_that_cannot_be_one() -> None:
    await problem("ws://.example:5200")


def test_what_a_url_names() -> None:
    assert read_url("ws://h")[1:] == (False, "h", 80, "/")
    assert read_url("wss://[::1]/a?b")[1:] == (True, "::1", 443, "/a?b")
    assert read_url("wss://[::1]/a?b").netloc == "[::1]:443"
    assert read_url("ws://h:5200").netloc == "h:5200"
