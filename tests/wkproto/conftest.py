"""Every statement is proved on every carrier of the binary protocol, within a time limit."""

import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from places import CARRIERS, WEBSOCKETS, OpenPlace, OpenPlaces, Place

from wukong_trio import Address, Listeners
from wukong_trio.testing import RawPacketClient, open_test_server

TEST_S = 30
_PORT = Address("127.0.0.1", 0)


@pytest.fixture(scope="session")
def trust(certificate: Path) -> ssl.SSLContext:
    """For the clients of TLS."""
    return ssl.create_default_context(cafile=certificate / "authority.pem")


@pytest.fixture
def open_on(certificate: Path, trust: ssl.SSLContext) -> OpenPlace:
    """Opens a server for the carrier of this name."""

    @asynccontextmanager
    async def opened(carrier: str, **arguments: Any) -> AsyncIterator[Place]:
        scheme, _, engine = carrier.partition(" ")
        listeners = Listeners(
            http=_PORT,
            tcp=_PORT,
            ws=_PORT,
            tls=_PORT if scheme == "tls" else None,
            cert_file=certificate / "cert.pem",
            key_file=certificate / "key.pem",
        )
        async with open_test_server(listeners=listeners, engine=engine or "native", **arguments) as server:
            yield Place(server, carrier, getattr(server.endpoints, scheme), trust)

    return opened


def _limited(open_on: OpenPlace, carrier: str) -> OpenPlace:
    @asynccontextmanager
    async def opened(**arguments: Any) -> AsyncIterator[Place]:
        with trio.fail_after(TEST_S):
            async with open_on(carrier, **arguments) as place:
                yield place

    return opened


@pytest.fixture(params=CARRIERS)
def open_place(request: pytest.FixtureRequest, open_on: OpenPlace) -> OpenPlace:
    """Opens a test server on each carrier; arguments as for `open_test_server`."""
    return _limited(open_on, request.param)


@pytest.fixture(params=[carrier for carrier in CARRIERS if "reference" not in carrier])
def open_natively(request: pytest.FixtureRequest, open_on: OpenPlace) -> OpenPlace:
    """The same on what the native engine carries."""
    return _limited(open_on, request.param)


@pytest.fixture(params=WEBSOCKETS)
def open_websocket(request: pytest.FixtureRequest, open_on: OpenPlace) -> OpenPlace:
    """The same for statements about WebSockets."""
    return _limited(open_on, request.param)


@pytest.fixture
def open_native(open_on: OpenPlace) -> OpenPlace:
    """The same where the carrier makes no difference."""
    return _limited(open_on, "tcp")


@pytest.fixture
def open_places(open_on: OpenPlace) -> OpenPlaces:
    """Opens a test server on every carrier, for tests that mostly wait and had better wait together."""

    @asynccontextmanager
    async def opened(**arguments: Any) -> AsyncIterator[list[Place]]:
        with trio.fail_after(TEST_S):
            async with AsyncExitStack() as stack:
                yield [await stack.enter_async_context(open_on(carrier, **arguments)) for carrier in CARRIERS]

    return opened


@pytest.fixture(autouse=True)
def every_message_is_one_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    """W61 holds for everything that any of these tests receives; that a message is one packet, the client looks at."""
    receive_bytes = RawPacketClient.receive_bytes

    async def checked(client: RawPacketClient) -> bytes:
        packet = await receive_bytes(client)
        assert client.websocket is None or not client.websocket.fragmented
        return packet

    monkeypatch.setattr(RawPacketClient, "receive_bytes", checked)
