"""Every statement is proved with each WebSocket engine, with and without TLS, within a time limit."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
import trustme
from steps import OpenServer, OpenServers, check_frame

from wukong_trio import Address, Listeners, Server
from wukong_trio.testing import RawClient, open_test_server

TEST_S = 15
ENGINES = ("reference", "native", "native over TLS")


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a server's certificate, its key and their authority."""
    authority, directory = trustme.CA(), tmp_path_factory.mktemp("tls")
    issued = authority.issue_cert("127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(directory / "cert.pem")
    issued.private_key_pem.write_to_path(directory / "key.pem")
    authority.cert_pem.write_to_path(directory / "authority.pem")
    return directory


@pytest.fixture
def open_engine(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> OpenServer:
    """Opens a test server with an engine; where TLS is meant, its `ws` URL is the `wss` one, and clients trust it."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "authority.pem"))

    @asynccontextmanager
    async def opened(engine: str, **arguments: Any) -> AsyncIterator[Server]:
        engine, _, tls = engine.partition(" over ")
        if tls:
            port, files = Address("127.0.0.1", 0), {n: certificate / f"{n[:-5]}.pem" for n in ("cert_file", "key_file")}
            arguments["listeners"] = Listeners(http=port, tcp=None, ws=None, wss=port, **files)
        async with open_test_server(engine=engine, **arguments) as server:
            if tls:
                server.endpoints = msgspec.structs.replace(server.endpoints, ws=server.endpoints.wss)
            yield server

    return opened


@pytest.fixture(params=ENGINES)
def open_server(request: pytest.FixtureRequest, open_engine: OpenServer) -> OpenServer:
    """Opens a test server; arguments as for `open_test_server`."""

    @asynccontextmanager
    async def opened(**arguments: Any) -> AsyncIterator[Server]:
        with trio.fail_after(TEST_S):
            async with open_engine(request.param, **arguments) as server:
                yield server

    return opened


@pytest.fixture
def open_servers(open_engine: OpenServer) -> OpenServers:
    """Opens a test server with each engine, for tests that mostly wait and had better wait together."""

    @asynccontextmanager
    async def opened(**arguments: Any) -> AsyncIterator[list[Server]]:
        with trio.fail_after(TEST_S):
            async with AsyncExitStack() as stack:
                servers = [open_engine(engine, **arguments) for engine in ENGINES]
                yield [await stack.enter_async_context(server) for server in servers]

    return opened


@pytest.fixture(autouse=True)
def every_frame_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """J9 and J10 hold for every frame that any of these tests receives."""
    receive_text = RawClient.receive_text

    async def checked(client: RawClient) -> str:
        text = await receive_text(client)
        check_frame(text)
        return text

    monkeypatch.setattr(RawClient, "receive_text", checked)
