"""Every store, for the tests that every store has to pass."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from wukong_trio import open_store
from wukong_trio.store import lookups, message_index, message_writer, recent
from wukong_trio.store.base import Store


@pytest.fixture
def nothing_recent(monkeypatch: pytest.MonkeyPatch) -> None:
    """All messages are read from the database."""
    monkeypatch.setattr(recent, "MAX_BYTES", 0)


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch, nothing_recent: None) -> None:
    """Messages begin to move into the index table after a handful, and a few at a time; few channels are remembered."""
    monkeypatch.setattr(message_index, "CHUNK_MESSAGES", 7)
    monkeypatch.setattr(message_index, "_SLICE_PER_MESSAGE", 1)
    monkeypatch.setattr(message_index, "_SLICE_LEAST", 1)
    monkeypatch.setattr(lookups, "_SEARCH_SLICE", 3)
    monkeypatch.setattr(message_writer, "HEADS_CACHED", 2)


@pytest.fixture(params=["memory", "sqlite", "sqlite without recent messages", "sqlite in small chunks"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    if request.param == "sqlite without recent messages":
        request.getfixturevalue("nothing_recent")
    if request.param == "sqlite in small chunks":
        request.getfixturevalue("small_chunks")
    async with open_store(None if request.param == "memory" else tmp_path / "data") as store:
        yield store
