"""What long answers may take together, from before the data for them is read until they are written."""

from typing import Final

import trio

from . import time_limits

BUDGET_BYTES: Final = 96 * 1024 * 1024
WORK_BYTES: Final = 32 * 1024 * 1024
"""Counted for an answer that is worked on: a page, its JSON, and the copy that is the body."""
SHORT_BYTES: Final = 512 * 1024
"""Counted for an answer that is to become short, see `Endpoint.short`. These have as large a budget of their own."""
SMALL_BYTES: Final = 64 * 1024
"""Shorter answers are not counted once they are complete."""


class AnswerBudget:
    """Lets few long answers be worked on at a time, and fewer the more nobody reads. Who asks first is served first."""

    def __init__(self, limit_bytes: int = BUDGET_BYTES, work_bytes: int = WORK_BYTES) -> None:
        """Args:
        work_bytes: counted for an answer that is worked on.
        """
        self._left_bytes = limit_bytes
        self._work_bytes = work_bytes
        self._waiting = trio.lowlevel.ParkingLot()

    async def begin(self) -> bool:
        """Waits for room to work on an answer. False if none came within ANSWER_ROOM_S; else call `settle` at the end.

        If cancelled, nothing is counted.
        """
        if not self._waiting and self._left_bytes >= self._work_bytes:
            self._left_bytes -= self._work_bytes
            return True
        with trio.move_on_after(time_limits.ANSWER_ROOM_S) as waiting:
            # Whoever ends this has counted for us already.
            await self._waiting.park()
        return not waiting.cancelled_caught

    def settle(self, answer_bytes: int) -> int:
        """The work is done. Returns how many bytes are still counted; give them back when the answer is written."""
        held_bytes = self.hold(answer_bytes)
        self.give_back(self._work_bytes)
        return held_bytes

    def hold(self, answer_bytes: int) -> int:
        """Counts an answer that is there already. Returns how many bytes have to be given back when it is written."""
        held_bytes = answer_bytes if answer_bytes > SMALL_BYTES else 0
        self._left_bytes -= held_bytes
        return held_bytes

    def give_back(self, size_bytes: int) -> None:
        """Counts bytes no longer."""
        self._left_bytes += size_bytes
        while self._waiting and self._left_bytes >= self._work_bytes:
            self._left_bytes -= self._work_bytes
            self._waiting.unpark()
