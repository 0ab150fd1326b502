"""The HTTP API over a real socket, with each engine."""

from collections.abc import AsyncIterator
from functools import partial

import pytest
import trio
from api_calls import Api, OpenServer

from wukong_trio.testing import open_test_server


@pytest.fixture(params=["reference", "native"])
def engine(request: pytest.FixtureRequest) -> str:
    """The name of an engine."""
    return str(request.param)


@pytest.fixture
def open_server(engine: str) -> OpenServer:
    """Opens a test server; arguments as for `open_test_server`."""
    return partial(open_test_server, engine=engine)


@pytest.fixture
async def api(open_server: OpenServer) -> AsyncIterator[Api]:
    """A fresh server and its API."""
    with trio.fail_after(20):
        async with open_server() as server, Api(server) as api:
            yield api
