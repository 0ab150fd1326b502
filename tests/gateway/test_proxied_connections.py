"""A server behind a proxy: who a client is, and whose word counts."""

import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import pytest
import trio
import trustme
from parts import CONNECT, UPGRADE, frame

from wukong_trio import Event, Server, SessionOpened
from wukong_trio.config import Address
from wukong_trio.protocol import wkproto
from wukong_trio.protocol.wkproto_writer import encode
from wukong_trio.testing import open_test_server

LINE = b"PROXY TCP4 192.0.2.7 10.0.0.5 56324 5100\r\n"
BLOCK = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes([192, 0, 2, 7, 10, 0, 0, 5]) + b"\xdc\x04\x13\xec"
LOCAL = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"
CLIENT = "192.0.2.7:56324"
PACKET = encode(wkproto.Connect(6, 0, uid="ann"), 6)
CERTIFICATE = trustme.CA()


class Scene:
    """A server whose sessions are noted, and streams to it."""

    def __init__(self, tmp_path: Path, engine: str, **changes: object) -> None:
        cert = CERTIFICATE.issue_cert("127.0.0.1")
        pem, key = tmp_path / "cert.pem", tmp_path / "key.pem"
        cert.private_key_and_cert_chain_pem.write_to_path(pem)
        cert.private_key_pem.write_to_path(key)
        any_port = Address("127.0.0.1", 0)
        listeners = {"wss": any_port, "tls": any_port, "cert_file": pem, "key_file": key}
        self.settings = {"engine": engine, "listeners": listeners, "encryption": False, **changes}
        self.addresses: list[str] = []
        self.server: Server

    @asynccontextmanager
    async def running(self) -> AsyncIterator[AsyncExitStack]:
        """The server, and what closes the streams."""
        with trio.fail_after(10):
            async with (
                open_test_server(on_event=self.on_event, **self.settings) as self.server,
                AsyncExitStack() as stack,
            ):
                yield stack

    async def on_event(self, event: Event) -> None:
        if isinstance(event, SessionOpened):
            self.addresses.append(event.remote_address)

    async def connect(self, stack: AsyncExitStack, carrier: str, *header: bytes) -> trio.abc.Stream:
        """A connection with a header in front of it."""
        host, port = getattr(self.server.endpoints, carrier).rpartition("/")[2].split(":")
        stream: trio.abc.Stream = await trio.open_tcp_stream(host, int(port))
        for part in header:
            await stream.send_all(part)
            await trio.testing.wait_all_tasks_blocked(0.01)
        if carrier in ("wss", "tls"):
            context = ssl.create_default_context()
            CERTIFICATE.configure_trust(context)
            stream = trio.SSLStream(stream, context, server_hostname="127.0.0.1", https_compatible=True)
        return await stack.enter_async_context(stream)

    async def authenticate(self, stream: trio.abc.Stream, carrier: str) -> None:
        if carrier in ("tcp", "tls"):
            await stream.send_all(PACKET)
            assert (await stream.receive_some())[0] >> 4 == wkproto.PacketType.CONNACK
        else:
            await stream.send_all(UPGRADE + frame(CONNECT % b"ann"))
            answer = b""
            while b"reasonCode" not in answer:
                data = await stream.receive_some()
                assert data, answer
                answer += data


CARRIERS = [pytest.param("native", carrier, id=f"native-{carrier}") for carrier in ("tcp", "tls", "ws", "wss")] + [
    pytest.param("reference", carrier, id=f"reference-{carrier}") for carrier in ("ws", "wss")
]


@pytest.mark.parametrize(("engine", "carrier"), CARRIERS)
@pytest.mark.parametrize(
    ("header", "is_named"),
    [([LINE], True), ([BLOCK], True), ([BLOCK[:7], BLOCK[7:20], BLOCK[20:]], True), ([LOCAL], False)],
    ids=["v1", "v2", "v2 in pieces", "local"],
)
async def test_the_clients_address_is_the_one_in_the_header(
    tmp_path: Path, engine: str, carrier: str, header: list[bytes], is_named: bool
) -> None:
    scene = Scene(tmp_path, engine, proxies=("127.0.0.0/8",))
    async with scene.running() as stack:
        stream = await scene.connect(stack, carrier, *header)
        await scene.authenticate(stream, carrier)
    [address] = scene.addresses
    assert (address == CLIENT) is is_named
    assert address.startswith("192.0.2.7:" if is_named else "127.0.0.1:")


@pytest.mark.parametrize(("engine", "carrier"), [("native", "tcp"), ("native", "ws"), ("reference", "ws")])
async def test_a_proxy_has_to_say_for_whom_it_speaks(tmp_path: Path, engine: str, carrier: str) -> None:
    scene = Scene(tmp_path, engine, proxies=("127.0.0.1",))
    async with scene.running() as stack:
        for begin in (PACKET, UPGRADE, LINE.replace(b"TCP4", b"TCP5"), b"\r\n\r\nnonsense"):
            stream = await scene.connect(stack, carrier, begin)
            with suppress(trio.BrokenResourceError):
                assert not await stream.receive_some()
    assert not scene.addresses


@pytest.mark.parametrize("carrier", ["tcp", "ws"])
@pytest.mark.parametrize("proxies", [(), ("192.0.2.0/24",)], ids=["off", "another network"])
async def test_nobody_elses_header_is_believed(tmp_path: Path, carrier: str, proxies: tuple[str, ...]) -> None:
    scene = Scene(tmp_path, "native", proxies=proxies)
    async with scene.running() as stack:
        stream = await scene.connect(stack, carrier, LINE)
        answer = await stream.receive_some()
        assert not answer or answer.startswith(b"HTTP/1.1 400")
        stream = await scene.connect(stack, carrier)
        await scene.authenticate(stream, carrier)
    [address] = scene.addresses
    assert address.startswith("127.0.0.1:")


@pytest.mark.parametrize("header", [b"", LINE[:9], LINE], ids=["nothing", "half a header", "the header only"])
async def test_the_time_to_authenticate_includes_the_header(tmp_path: Path, header: bytes) -> None:
    scene = Scene(tmp_path, "native", proxies=("127.0.0.1",), auth={"auth_timeout_s": 0.2})
    async with scene.running() as stack:
        stream = await scene.connect(stack, "tcp", header)
        assert not await stream.receive_some()


async def test_who_has_not_authenticated_is_counted_by_the_address_in_the_header(tmp_path: Path) -> None:
    scene = Scene(tmp_path, "native", proxies=("127.0.0.1",), limits={"waiting_per_address": 2})
    other = LINE.replace(b"192.0.2.7", b"192.0.2.8")
    async with scene.running() as stack:
        for _ in range(2):
            await scene.connect(stack, "tcp", LINE)
        refused = await scene.connect(stack, "tcp", LINE)
        assert not await refused.receive_some()
        welcome = await scene.connect(stack, "tcp", other)
        await scene.authenticate(welcome, "tcp")
        assert scene.server.statistics().connections_refused == 1


async def test_a_client_of_a_proxy_without_ip_address_is_the_proxy(tmp_path: Path) -> None:
    scene = Scene(tmp_path, "native", proxies=("127.0.0.1",))
    async with scene.running() as stack:
        stream = await scene.connect(stack, "tcp", b"PROXY UNKNOWN\r\n")
        await scene.authenticate(stream, "tcp")
    assert scene.addresses[0].startswith("127.0.0.1:")
