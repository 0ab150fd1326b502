"""Tasks that have to last: one that ends unnoticed would leave a server that looks alive and does nothing."""

import math
from collections.abc import Awaitable, Callable

import trio

from .errors import InternalError


def _never() -> bool:
    return False


def _says_more(error: BaseException) -> bool:
    """Whether it holds anything but cancellations."""
    return isinstance(error, BaseExceptionGroup) and error.split(trio.Cancelled)[1] is not None


async def supervise(name: str, run: Callable[[], Awaitable[None]], may_end: Callable[[], bool] = _never) -> None:
    """Runs something that must not end by itself. Its exceptions, and cancellation, pass.

    Args:
        name: what it is, for the error.
        may_end: whether it is right that it returns now.

    Raises:
        InternalError: it has returned, or was ended by a cancellation that was not meant for it.
    """
    try:
        await run()
    except (trio.Cancelled, BaseExceptionGroup) as stray:
        # An exception of another task's scope that somebody raised again. A nursery that is cancelled, because of this
        # very task, would take it for one of its own.
        if trio.current_effective_deadline() == -math.inf or _says_more(stray):
            raise
        raise InternalError(f"{name} was ended by a cancellation that was not its own") from stray
    if not may_end():
        raise InternalError(f"{name} has ended, which must not happen while the server runs")
