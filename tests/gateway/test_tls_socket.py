"""TLS on the shared reader: what TLS itself adds, over real sockets and clients of the standard library."""

import os
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import trio
import trustme
from common import until
from parts import CONNECT, UPGRADE, frame, send_frame

from wukong_trio import Address, Listeners, SendCommand, Server
from wukong_trio.gateway.tls_socket import TlsSocket
from wukong_trio.testing import RawClient, open_raw_client, open_test_server

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
KIB = 1024


class Wss:
    """A server with TLS, and whom its clients have to trust."""

    def __init__(self, server: Server, authority: trustme.CA) -> None:
        self.server = server
        self.port = int(server.endpoints.wss.rpartition(":")[2])
        self._authority = authority

    def trust(self, version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
        context = ssl.create_default_context()
        self._authority.configure_trust(context)
        if version is not None:
            context.minimum_version = context.maximum_version = version
        return context

    async def tcp(self) -> trio.SocketStream:
        return await trio.open_tcp_stream("127.0.0.1", self.port)


@asynccontextmanager
async def opened(directory: Path, **changes: Any) -> AsyncIterator[Wss]:
    authority, port = trustme.CA(), Address("127.0.0.1", 0)
    issued = authority.issue_cert("127.0.0.1")
    cert, key = directory / "cert.pem", directory / "key.pem"
    issued.cert_chain_pems[0].write_to_path(cert)
    issued.private_key_pem.write_to_path(key)
    listeners = Listeners(http=None, tcp=None, ws=None, wss=port, cert_file=cert, key_file=key)
    with trio.fail_after(20):
        async with open_test_server(listeners=listeners, **changes) as server:
            yield Wss(server, authority)


async def until_gone(stream: trio.SocketStream) -> None:
    with suppress(trio.BrokenResourceError):
        while await stream.receive_some():
            pass


@pytest.mark.parametrize("version", VERSIONS)
async def test_everything_goes_both_ways_with_every_version(tmp_path: Path, version: ssl.TLSVersion) -> None:
    async with opened(tmp_path) as wss:
        url, trust = wss.server.endpoints.wss, wss.trust(version)
        async with open_raw_client(url, ssl_context=trust) as ann, open_raw_client(url, ssl_context=trust) as bob:
            await ann.connect("ann")
            await bob.connect("bob")
            for n in range(200):
                await ann.send_bytes(send_frame(n))
            for n in range(200):
                assert (await ann.receive())["id"] == f"s{n}"
                assert (await bob.receive())["params"]["messageSeq"] == n + 1


@pytest.mark.parametrize("version", VERSIONS)
async def test_nothing_is_lost_of_what_the_socket_did_not_take(tmp_path: Path, version: ssl.TLSVersion) -> None:
    payload = os.urandom(300_000)
    async with (
        opened(tmp_path) as wss,
        open_raw_client(wss.server.endpoints.wss, ssl_context=wss.trust(version)) as bob,
    ):
        await bob.connect("bob")
        for size in (*[300_000] * 20, 1):
            command = SendCommand(from_uid="ann", channel_id="bob", channel_type=1, payload=payload[:size])
            await wss.server.send(command)
        await bob.send({"id": "p", "method": "ping"})
        for n in range(1, 22):
            assert (await bob.receive())["params"]["messageSeq"] == n
        assert (await bob.receive())["id"] == "p"


class OneByOne(trio.abc.Stream):
    """Sends each byte by itself."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        for byte in bytes(data):
            await self._stream.send_all(bytes((byte,)))

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        return await self._stream.receive_some(max_bytes)

    async def aclose(self) -> None:
        await self._stream.aclose()


async def test_records_may_come_byte_by_byte(tmp_path: Path) -> None:
    async with opened(tmp_path) as wss, await wss.tcp() as tcp:
        tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stream = trio.SSLStream(OneByOne(tcp), wss.trust(), server_hostname="127.0.0.1", https_compatible=True)
        await stream.send_all(UPGRADE + frame(CONNECT % b"ann") + send_frame(1))
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += await stream.receive_some(1)
        client = RawClient(stream, "")
        assert [(await client.receive())["id"] for _ in range(2)] == ["c", "s1"]


@pytest.mark.parametrize("end", ["close_notify", "cut"])
@pytest.mark.parametrize("early", [True, False])
async def test_what_was_sent_before_the_end_counts(tmp_path: Path, end: str, early: bool) -> None:
    async with opened(tmp_path) as wss, await wss.tcp() as tcp:
        stream = trio.SSLStream(tcp, wss.trust(), server_hostname="127.0.0.1", https_compatible=end == "cut")
        first = UPGRADE + frame(CONNECT % b"ann")
        await stream.send_all(first + send_frame(1) * early)
        if not early:
            await until(lambda: wss.server.statistics().sessions == 1)
            await stream.send_all(send_frame(1))
        with trio.move_on_after(1):
            await stream.aclose()
        await until(lambda: wss.server.statistics().stored >= 1)
        await until(lambda: wss.server.statistics().sessions == 0)


@pytest.mark.parametrize(
    "noise", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", os.urandom(600), b"\x16\x03\x01\x00\x05nonsense"]
)
async def test_what_is_no_tls_ends_at_once(tmp_path: Path, noise: bytes, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    async with opened(tmp_path) as wss:
        async with await wss.tcp() as tcp:
            await tcp.send_all(noise)
            with trio.fail_after(3):
                await until_gone(tcp)
        async with open_raw_client(wss.server.endpoints.wss, ssl_context=wss.trust()) as ann:
            await ann.connect("ann")
    assert "no TLS" in caplog.text
    assert "Traceback" not in caplog.text


async def test_a_record_that_was_tampered_with_ends_that_connection(tmp_path: Path) -> None:
    async with opened(tmp_path) as wss, await wss.tcp() as tcp:
        stream = trio.SSLStream(tcp, wss.trust(), server_hostname="127.0.0.1", https_compatible=True)
        await stream.send_all(UPGRADE + frame(CONNECT % b"ann"))
        await until(lambda: wss.server.statistics().sessions == 1)
        await tcp.send_all(b"\x17\x03\x03\x00\x20" + os.urandom(32))
        await until(lambda: wss.server.statistics().sessions == 0)


async def test_a_handshake_that_stops_half_way_has_the_time_of_the_opening(tmp_path: Path) -> None:
    async with opened(tmp_path, limits={"handshake_timeout_s": 0.3}) as wss:
        start = trio.current_time()
        async with await wss.tcp() as tcp:
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            client = wss.trust().wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
            with pytest.raises(ssl.SSLWantReadError):
                client.do_handshake()
            await tcp.send_all(outgoing.read()[:-7])
            await until_gone(tcp)
        assert 0.3 <= trio.current_time() - start < 2


async def test_no_client_has_a_task_beside_its_own(tmp_path: Path) -> None:
    async with opened(tmp_path) as wss:
        await trio.testing.wait_all_tasks_blocked()
        before = trio.lowlevel.current_statistics().tasks_living
        async with open_raw_client(wss.server.endpoints.wss, ssl_context=wss.trust()) as ann:
            await ann.connect("ann")
            await ann.ping()
            assert trio.lowlevel.current_statistics().tasks_living == before + 1


def test_a_full_socket_is_said_and_what_it_did_not_take_goes_first(tmp_path: Path) -> None:
    authority = trustme.CA()
    issued, context = authority.issue_cert("x"), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    issued.configure_cert(context)
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for sock in (ours, theirs):
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        server = TlsSocket(ours, context)
        client = TlsClient(theirs, trust)
        done = False
        while not done:
            client.shake_hands()
            done = server.shake_hands() and client.done
        sent, n = b"", 0
        while not server.unsent:
            n += 1
            sent += bytes([n]) * 3000
            assert server.send(bytes([n]) * 3000) == 3000
        with pytest.raises(BlockingIOError):
            server.send(b"more")
        received = b""
        while len(received) < len(sent):
            received += client.receive()
            server.send_rest()
        assert received == sent
        assert not server.unsent
        large = os.urandom(200 * KIB)
        assert server.send(large) == 64 * KIB


class TlsClient:
    """The other side, as plain."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext) -> None:
        self._sock = sock
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname="x")
        self.done = False

    def _move(self) -> None:
        if self._outgoing.pending:
            self._sock.send(self._outgoing.read())
        with suppress(BlockingIOError):
            self._incoming.write(self._sock.recv(65536))

    def shake_hands(self) -> None:
        try:
            self._tls.do_handshake()
            self.done = True
        except ssl.SSLWantReadError:
            pass
        self._move()

    def receive(self) -> bytes:
        self._move()
        try:
            return self._tls.read(65536)
        except ssl.SSLWantReadError:
            return b""
