"""Exception groups at the edge of the public API: callers write `except ConfigError`, not `except*`."""

from collections.abc import Iterator
from contextlib import contextmanager

import trio


@contextmanager
def single_error() -> Iterator[None]:
    """Unwraps a group that holds one error besides cancellations, whoever made it; raises any other group as it is."""
    try:
        yield
    except BaseExceptionGroup as group:
        errors = list(_leaves(group))
        if len(errors) != 1:
            raise
        error = errors[0]
    else:
        return
    context = error.__context__
    try:
        raise error
    finally:
        # Else a traceback would show the error twice: in the group, which the caller is handling, and as it is.
        error.__context__ = context


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        elif not isinstance(error, trio.Cancelled):
            yield error
