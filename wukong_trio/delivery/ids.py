"""Message ids: increasing, unique, and small enough for JavaScript's integers."""

from ..model import first_id_at


class MessageIds:
    """Hands out ids. Never goes back: not when the clock does, and not over a restart, given the last stored id."""

    def __init__(self, last_id: int = 0) -> None:
        self._last = last_id

    def advance(self, now_s: float) -> None:
        """Moves on to a moment; call it once per batch."""
        self._last = max(self._last, first_id_at(now_s) - 1)

    def next(self) -> int:
        """The next id. More than 4096 in a millisecond run ahead of the clock, which catches up."""
        self._last += 1
        return self._last
