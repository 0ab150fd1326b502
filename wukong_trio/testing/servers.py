"""A server for the length of a test."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from ..config import Address, Config, Listeners
from ..delivery.events import OnEvent
from ..delivery.hooks import BeforeSend
from ..server import Server, open_server
from ..services.auth import Authenticator
from ..store.base import Store

_ANY_PORT = Address("127.0.0.1", 0)


def config_for_tests(**changes: Any) -> Config:
    """A configuration on loopback with ports that the kernel chooses and everything in memory.

    Args:
        changes: fields of `Config`; a dict changes single fields of a group, for example
            `limits={"conn_idle_time_s": 3}`.
    """
    config = Config(listeners=Listeners(http=_ANY_PORT, tcp=_ANY_PORT, ws=_ANY_PORT))
    groups = {
        name: msgspec.structs.replace(getattr(config, name), **value) if isinstance(value, dict) else value
        for name, value in changes.items()
    }
    return msgspec.structs.replace(config, **groups)


@asynccontextmanager
async def open_test_server(
    *,
    store: Store | None = None,
    authenticate: Authenticator | None = None,
    before_send: BeforeSend | None = None,
    on_event: OnEvent | None = None,
    data_dir: Path | None = None,
    **changes: Any,
) -> AsyncIterator[Server]:
    """A running server; `changes` are those of `config_for_tests`, the hooks those of `open_server`."""
    config = config_for_tests(data_dir=data_dir, **changes)
    async with open_server(
        config, store=store, authenticate=authenticate, before_send=before_send, on_event=on_event
    ) as server:
        yield server
