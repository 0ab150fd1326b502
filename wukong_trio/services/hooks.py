"""Calling the embedding program's own code, so that whatever it does ends in a result or in an error of its own."""

from collections.abc import Awaitable, Callable
from math import inf
from typing import TypeVar

import trio

T = TypeVar("T")
R = TypeVar("R")


class StrayCancelledError(Exception):
    """A hook has let out a `Cancelled` although nobody cancelled it: it belongs to another task."""


async def call_hook(hook: Callable[[T], Awaitable[R]], argument: T, *, timeout_s: float) -> R:
    """The hook's result, or an `Exception` that is the hook's own fault.

    Trio's nurseries swallow every `Cancelled`, whosesoever it is. A stray one, which a hook has perhaps taken from
    another task and raised again, would end an endless task without a word; so here it becomes an error.

    Raises:
        trio.TooSlowError: it took longer than `timeout_s`.
        StrayCancelledError: it raised a `Cancelled` that is not the caller's, alone or in a group.
        Exception: whatever else it raised. `KeyboardInterrupt`, `SystemExit` and their like are no fault and pass.

    Cancellation of the caller passes, and cancels the hook.
    """
    try:
        with trio.fail_after(timeout_s):
            return await hook(argument)
    except (trio.Cancelled, BaseExceptionGroup) as error:
        if isinstance(error, Exception) or _ends_programs(error):
            raise
        # The time limit's own Cancelled has ended at its scope: what is left is the caller's, or nobody's here.
        if _is_cancelled() and _without_cancelled(error) is None:
            raise
        raise StrayCancelledError("a hook raised a Cancelled that was not meant for it") from error


def _is_cancelled() -> bool:
    return trio.current_effective_deadline() == -inf


def _without_cancelled(error: BaseException) -> BaseException | None:
    """What an error holds besides cancellations."""
    if isinstance(error, BaseExceptionGroup):
        return error.split(trio.Cancelled)[1]
    return None


def _ends_programs(error: BaseException) -> bool:
    """Whether it holds something that no server may outlive."""
    if isinstance(error, BaseExceptionGroup):
        return any(map(_ends_programs, error.exceptions))
    return not isinstance(error, Exception | trio.Cancelled)
