"""A library on each store."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from library import Library, open_library

from wukong_trio import open_store
from wukong_trio.search import follow


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing waits for company, and nothing for long."""
    monkeypatch.setattr(follow, "COMPANY_S", 0.0)
    monkeypatch.setattr(follow, "FIRST_WAIT_S", 0.01)
    monkeypatch.setattr(follow, "LAST_WAIT_S", 0.02)


@pytest.fixture(params=["memory", "sqlite"])
async def library(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Library]:
    async with open_store(None if request.param == "memory" else tmp_path) as store, open_library(store) as library:
        await library.join("ann", "bob")
        yield library
