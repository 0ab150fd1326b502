"""What is asked for again: only that is worth keeping."""

from typing import Final, Generic, TypeVar

K = TypeVar("K")

MAX_ASKED: Final = 2048
"""So many things are remembered."""


class Lately(Generic[K]):
    """Knows what was asked for lately."""

    def __init__(self) -> None:
        self._asked: dict[K, None] = {}

    def again(self, what: K) -> bool:
        """Whether it was asked for before; from now on it was."""
        if what in self._asked:
            return True
        self._asked[what] = None
        if len(self._asked) > MAX_ASKED:
            del self._asked[next(iter(self._asked))]
        return False
