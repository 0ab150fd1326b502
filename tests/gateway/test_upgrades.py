"""The opening handshake on every engine: the same rules, and nothing that comes with it is lost."""

import pytest
import trio
from parts import CONNECT, UPGRADE, frame

from wukong_trio import Server
from wukong_trio.testing import RawClient, open_test_server

ENGINES = ["native", "reference"]
PING = frame(b"early", 9)


async def answer_to(server: Server, data: bytes) -> bytes:
    """All that the server says to this, until it hangs up or has said what was waited for."""
    port = int(server.endpoints.ws.rpartition(":")[2])
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(data)
        said = b""
        while b'"id":"c"' not in said and (more := await stream.receive_some()):
            said += more
        return said


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"Connection: Upgrade", b"Connection: keep-alive\r\nConnection: Upgrade"),
        (b"Connection: Upgrade", b"connection: keep-alive , upgrade"),
        (b"Version: 13", b"Version: 13 "),
        (b"Version: 13", b"Version:\t13"),
        (b"==\r\n", b"== \r\n"),
        (b"Upgrade: websocket", b"Upgrade: WebSocket"),
    ],
)
async def test_what_is_accepted(engine: str, old: bytes, new: bytes) -> None:
    assert old in UPGRADE
    with trio.fail_after(10):
        async with open_test_server(engine=engine) as server:
            said = await answer_to(server, UPGRADE.replace(old, new) + frame(CONNECT % b"ann"))
    assert said.startswith(b"HTTP/1.1 101")
    assert b'"id":"c"' in said


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("old", "new", "status"),
    [
        (b"HTTP/1.1", b"HTTP/1.0", b"400"),
        (b"GET", b"POST", b"405"),
        (b"Version: 13", b"Version: 12", b"426"),
        (b"Host: x\r\n", b"Host: x\r\nHost: y\r\n", b"400"),
        (b"GET / HTTP/1.1", b"\x16\x03\x01\x00", b"400"),
    ],
)
async def test_what_is_refused(engine: str, old: bytes, new: bytes, status: bytes) -> None:
    with trio.fail_after(10):
        async with open_test_server(engine=engine) as server:
            said = await answer_to(server, UPGRADE.replace(old, new))
    assert said.startswith(b"HTTP/1.1 " + status)


@pytest.mark.parametrize("engine", ENGINES)
async def test_what_comes_with_the_request_is_not_lost(engine: str) -> None:
    with trio.fail_after(10):
        async with open_test_server(engine=engine) as server:
            port = int(server.endpoints.ws.rpartition(":")[2])
            async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
                await stream.send_all(UPGRADE + PING + frame(CONNECT % b"ann") + PING)
                head = b""
                while not head.endswith(b"\r\n\r\n"):
                    head += await stream.receive_some(1)
                client = RawClient(stream, "")
                assert await client.wait_pong() == b"early"
                assert (await client.receive())["id"] == "c"
                assert await client.wait_pong() == b"early"
                await client.ping()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("allowed", "origin", "status"),
    [
        ((), b"https://anywhere.example", b"101"),
        (("https://chat.example.org",), b"https://chat.example.org", b"101"),
        (("https://chat.example.org",), b"https://evil.example", b"403"),
        (("https://chat.example.org",), b"", b"101"),
        (("*",), b"https://evil.example", b"101"),
    ],
)
async def test_origins(engine: str, allowed: tuple[str, ...], origin: bytes, status: bytes) -> None:
    header = b"Origin: " + origin + b"\r\n" if origin else b""
    with trio.fail_after(10):
        async with open_test_server(engine=engine, auth={"allowed_origins": allowed}) as server:
            request = UPGRADE.replace(b"Host: x\r\n", b"Host: x\r\n" + header)
            said = await answer_to(server, request + frame(CONNECT % b"ann") * (status == b"101"))
    assert said.startswith(b"HTTP/1.1 " + status)
