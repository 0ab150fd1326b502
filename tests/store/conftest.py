"""Both stores, for the tests that every store has to pass."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from wukong_trio import open_store
from wukong_trio.store.base import Store


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(tmp_path / "data" if request.param == "sqlite" else None) as store:
        yield store
