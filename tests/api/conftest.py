"""The HTTP API over a real socket."""

from collections.abc import AsyncIterator

import pytest
import trio
from api_calls import Api

from wukong_trio.testing import open_test_server


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    """A fresh server and its API."""
    with trio.fail_after(20):
        async with open_test_server() as server, Api(server) as api:
            yield api
