"""Running the same on Trio and on asyncio."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar

import trio

T = TypeVar("T")
LOOPS = ("trio", "asyncio")


async def run_on(loop: str, use: Callable[..., Awaitable[T]], *args: Any) -> T:
    """Runs it in this very loop, or in one of asyncio's in a thread."""
    if loop == "trio":
        return await use(*args)
    return await trio.to_thread.run_sync(partial(asyncio.run, use(*args)))  # type: ignore[arg-type]
