"""Message ids: increasing, unique, and small enough for JavaScript's integers.

An id is the milliseconds since 2020-01-01 times 4096 plus a counter. It stays below 2^53 until 2089.
"""

_EPOCH_MS = 1_577_836_800_000
_PER_MS = 4096


def first_id_at(time_s: float) -> int:
    """The lowest id that belongs to a moment (seconds since 1970)."""
    return max(int(time_s * 1000) - _EPOCH_MS, 0) * _PER_MS


def moment_of(message_id: int) -> float:
    """When an id was given, in seconds since 1970; for an id that ran ahead of the clock a little later."""
    return (message_id // _PER_MS + _EPOCH_MS) / 1000


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
