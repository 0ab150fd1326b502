"""Settings of all tests, and servers with each engine."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from common import OpenServer, write_certificate
from hypothesis import settings

from wukong_trio import Address, Listeners, Server
from wukong_trio.testing import open_test_server

# The gate gives the same answer twice. To search further: pytest --hypothesis-profile=default
settings.register_profile("gate", deadline=None, derandomize=True)
settings.load_profile("gate")


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a server's certificate, its key and their authority."""
    directory = tmp_path_factory.mktemp("tls")
    write_certificate(directory)
    return directory


@pytest.fixture
def trusted_certificate(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, trusted by clients that are told nothing, also in processes that the test starts."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "authority.pem"))
    return certificate


@pytest.fixture
def open_engine(trusted_certificate: Path) -> OpenServer:
    """Opens a test server with one of ENGINES; where TLS is meant, its `ws` URL is the `wss` one."""

    @asynccontextmanager
    async def opened(engine: str, **arguments: Any) -> AsyncIterator[Server]:
        engine, _, tls = engine.partition(" over ")
        if tls:
            port, cert, key = Address("127.0.0.1", 0), trusted_certificate / "cert.pem", trusted_certificate / "key.pem"
            arguments["listeners"] = Listeners(http=port, tcp=port, ws=None, wss=port, cert_file=cert, key_file=key)
        async with open_test_server(engine=engine, **arguments) as server:
            if tls:
                server.endpoints = msgspec.structs.replace(server.endpoints, ws=server.endpoints.wss)
            yield server

    return opened
