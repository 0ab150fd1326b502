"""Every statement is proved with each WebSocket engine, within a time limit."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from steps import OpenServer

from wukong_trio import Server
from wukong_trio.testing import open_test_server

TEST_S = 15


@pytest.fixture(params=["reference", "native"])
def open_server(request: pytest.FixtureRequest) -> OpenServer:
    """Opens a test server; arguments as for `open_test_server`."""

    @asynccontextmanager
    async def opened(**arguments: Any) -> AsyncIterator[Server]:
        with trio.fail_after(TEST_S):
            async with open_test_server(engine=request.param, **arguments) as server:
                yield server

    return opened
