"""Log lines about sessions that come and go. In a storm of them only their number: a line costs more than a session."""

from logging import INFO, getLogger
from typing import Final

from msgspec.structs import asdict

from ..delivery.events import SessionClosed, SessionOpened

log = getLogger(__name__)

LINES: Final = 80
"""Lines of each kind within INTERVAL_S."""
INTERVAL_S: Final = 10.0


class SessionLog:
    """Says who comes and goes."""

    def __init__(self) -> None:
        self._interval_ends = 0.0
        self._opened = 0
        self._closed = 0

    def has_line_for_opened(self, now: float) -> bool:
        """Counts a session that has begun; whether it gets a line of its own."""
        if not log.isEnabledFor(INFO):
            return False
        self._begin_interval(now)
        self._opened += 1
        return self._opened <= LINES

    def has_line_for_closed(self, now: float) -> bool:
        """The same for one that has ended."""
        if not log.isEnabledFor(INFO):
            return False
        self._begin_interval(now)
        self._closed += 1
        return self._closed <= LINES

    @staticmethod
    def write(event: SessionOpened | SessionClosed) -> None:
        """The line."""
        log.info("session opened" if isinstance(event, SessionOpened) else "session closed", extra=asdict(event))

    def _begin_interval(self, now: float) -> None:
        if now >= self._interval_ends:
            self.sum_up()
            self._interval_ends = now + INTERVAL_S

    def sum_up(self) -> None:
        """Says how many more there were than lines."""
        opened, closed = max(self._opened - LINES, 0), max(self._closed - LINES, 0)
        if opened or closed:
            log.info("%d more sessions opened and %d more closed", opened, closed)
        self._opened = self._closed = 0
