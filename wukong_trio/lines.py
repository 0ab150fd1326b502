"""Lines for a descriptor that may be slow, full or closed at the other end: whoever writes them never waits.

A thread does the writing. What waits for it is bounded; what is beyond that, or fails, is counted.
"""

import select
import signal
from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import Final, NamedTuple, Protocol

QUEUE_BYTES: Final = 1024 * 1024
TICK_S: Final = 1.0


class Sink(Protocol):
    """An unbuffered file. `write` may take a part, and returns how much, or None if it would block."""

    def write(self, data: memoryview, /) -> int | None: ...


class _Line(NamedTuple):
    data: bytes
    stands_for: int


class LineWriter:
    """A queue of lines and the thread that empties it. Only `drain` ever waits. One caller at a time."""

    def __init__(self, sink: Sink, on_tick: Callable[[], None] = lambda: None) -> None:
        """Starts the thread, which ends with the process at the latest.

        Args:
            on_tick: called by the thread about once a second while it has nothing to write.
        """
        self._sink = sink
        self._on_tick = on_tick
        self._queue: SimpleQueue[_Line | Event | None] = SimpleQueue()
        # Each number is changed by one side only: by callers, one at a time, or by the thread (`_taken`, `_failed`).
        self._queued = self._taken = 0
        self._refused = self._failed = self._told = 0
        self._torn = self._closed = False
        Thread(target=self._run, name="log lines", daemon=True).start()

    @property
    def full(self) -> bool:
        """No further line fits."""
        return self._queued - self._taken >= QUEUE_BYTES

    @property
    def relieved(self) -> bool:
        """There is room again for more than a line or two."""
        return self._queued - self._taken < QUEUE_BYTES // 2

    def write(self, line: str, *, stands_for: int = 1) -> None:
        """Queues a line, to which the line end is added.

        Args:
            stands_for: how many lines are lost if this one is.
        """
        data = line.encode("utf-8", "backslashreplace") + b"\n"
        if self._queued + len(data) - self._taken > QUEUE_BYTES:
            self.refuse(stands_for)
        else:
            self._queued += len(data)
            self._queue.put(_Line(data, stands_for))

    def refuse(self, count: int = 1) -> None:
        """Counts lines as lost."""
        self._refused += count

    def take_lost(self) -> int:
        """How many lines were lost since the last call."""
        lost = self._refused + self._failed - self._told
        self._told += lost
        return lost

    def drain(self, timeout_s: float) -> bool:
        """Waits until what is queued is written, for so long at most. Returns whether it is."""
        if self._closed:
            return False
        written = Event()
        self._queue.put(written)
        return written.wait(timeout_s)

    def close(self) -> None:
        """Ends the thread when what is queued is written."""
        self._closed = True
        self._queue.put(None)

    def _run(self) -> None:
        # The main thread waits for signals; one that came to this thread would not wake it.
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        while True:
            try:
                item = self._queue.get(timeout=TICK_S)
            except Empty:
                self._on_tick()
                continue
            if item is None:
                return
            if isinstance(item, Event):
                item.set()
            else:
                self._write(item)

    def _write(self, line: _Line) -> None:
        unwritten = memoryview(b"\n" + line.data if self._torn else line.data)
        whole = len(unwritten)
        try:
            while unwritten:
                written = self._sink.write(unwritten)
                if written is None:
                    select.select([], [self._sink], [])  # type: ignore[type-var]  # only files do that
                else:
                    unwritten = unwritten[written:]
            self._torn = False
        except (OSError, ValueError):
            self._torn = self._torn or len(unwritten) < whole
            self._failed += line.stands_for
        self._taken += len(line.data)
