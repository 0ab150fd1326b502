"""What hooks let out: results, errors, and the cancellations of others."""

from collections.abc import Awaitable, Callable
from functools import partial
from math import inf

import pytest
import trio
from common import stolen_cancelled

from wukong_trio.services.hooks import StrayCancelledError, call_hook

Hook = Callable[[str], Awaitable[str]]


async def test_results_and_errors_pass() -> None:
    async def good(word: str) -> str:
        return word * 2

    async def bad(word: str) -> str:
        raise KeyError(word)

    def no_coroutine(word: str) -> str:
        return word

    assert await call_hook(good, "a", timeout_s=1) == "aa"
    with pytest.raises(KeyError):
        await call_hook(bad, "a", timeout_s=1)
    with pytest.raises(TypeError):
        await call_hook(no_coroutine, "a", timeout_s=1)  # type: ignore[arg-type]


async def test_a_slow_hook_is_cancelled(autojump_clock: trio.abc.Clock) -> None:
    async def slow(word: str) -> str:
        await trio.sleep_forever()
        return word

    with pytest.raises(trio.TooSlowError):
        await call_hook(slow, "a", timeout_s=1)


async def test_a_stray_cancelled_is_the_fault_of_the_hook() -> None:
    stray = await stolen_cancelled()

    async def alone(word: str) -> str:
        raise stray

    async def in_a_group(word: str) -> str:
        raise BaseExceptionGroup("two", [stray, ValueError(word)])

    async def nested(word: str) -> str:
        raise BaseExceptionGroup("one", [BaseExceptionGroup("inner", [stray])])

    for hook in (alone, in_a_group, nested):
        with pytest.raises(StrayCancelledError) as error:
            await call_hook(hook, "a", timeout_s=1)
        assert isinstance(error.value.__cause__, trio.Cancelled | BaseExceptionGroup)


async def test_cancelling_the_caller_cancels_the_hook() -> None:
    async def waits(word: str) -> str:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
        return word

    for timeout_s in (5.0, inf):
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(partial(call_hook, waits, "a", timeout_s=timeout_s))
                await trio.testing.wait_all_tasks_blocked()
                scope.cancel()
        assert scope.cancelled_caught


async def test_an_error_beside_the_callers_cancellation_is_the_hooks() -> None:
    async def fails_when_cancelled(word: str) -> str:
        async def fail() -> None:
            try:
                await trio.sleep_forever()
            finally:
                raise ValueError(word)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(fail)
            nursery.start_soon(trio.sleep_forever)
        return word

    errors = []
    with trio.CancelScope() as scope:
        scope.cancel()
        try:
            await call_hook(fails_when_cancelled, "a", timeout_s=5)
        except Exception as error:
            errors.append(error)
        await trio.lowlevel.checkpoint()
    assert scope.cancelled_caught
    assert len(errors) == 1


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit, GeneratorExit])
async def test_what_ends_programs_passes(end: type[BaseException]) -> None:
    stray = await stolen_cancelled()

    async def alone(word: str) -> str:
        raise end

    async def in_a_group(word: str) -> str:
        raise BaseExceptionGroup("two", [stray, end()])

    with pytest.raises(end):
        await call_hook(alone, "a", timeout_s=1)
    with pytest.raises(BaseExceptionGroup) as group:
        await call_hook(in_a_group, "a", timeout_s=1)
    assert group.group_contains(end)
