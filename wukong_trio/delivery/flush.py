"""Writing once per turn: outboxes that got frames are noted, and flushed together when the turn is over."""

from logging import getLogger
from typing import Protocol

log = getLogger(__name__)


class Flushable(Protocol):
    """An outbox that can be written without waiting."""

    def flush(self) -> None:
        """Starts writing what waits; does not wait itself."""


class FlushList:
    """The outboxes with unwritten frames. Whoever hands out frames calls `flush` before the next await."""

    __slots__ = ("_touched",)

    def __init__(self) -> None:
        self._touched: list[Flushable] = []

    def add(self, outbox: Flushable) -> None:
        """Notes an outbox; the outbox itself takes care to be noted once per turn."""
        self._touched.append(outbox)

    def flush(self) -> None:
        """Flushes every noted outbox."""
        touched, self._touched = self._touched, []
        for outbox in touched:
            try:
                outbox.flush()
            except Exception:
                # A bug that one connection has found must not keep the others' frames back.
                log.exception("an outbox was not flushed")
