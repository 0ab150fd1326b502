"""Every statement is proved with each WebSocket engine, with and without TLS, within a time limit."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
import trio
from common import ENGINES
from steps import OpenServer, OpenServers, check_frame

from wukong_trio import Server
from wukong_trio.testing import RawClient

TEST_S = 15


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
