"""What waits to be written to one client. Knows nothing of sockets: who owns one passes in how to send.

As long as the socket takes everything, an outbox is a list that is emptied once per turn. What the socket refuses is
kept in order, with the moment at which it was refused first: how much that is, and since when, decides whether the
client is too slow. What was not offered to the socket yet is nobody's fault.
"""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Final, TypeAlias

CHUNK_BYTES: Final = 64 * 1024
"""Small frames are joined up to this size; a larger one is sent as it is, because others share it."""

Chunk: TypeAlias = bytes | memoryview
Send: TypeAlias = Callable[[Chunk], int]
"""Offers bytes to a socket; returns how many it took."""


class _Backlog:
    """What a socket did not take, oldest first."""

    __slots__ = ("_ages", "_chunks", "bytes")

    def __init__(self) -> None:
        self._chunks: deque[Chunk] = deque()
        self._ages: deque[tuple[int, float]] = deque()
        """How many bytes wait since which moment."""
        self.bytes = 0

    @property
    def frames(self) -> int:
        """How many wait behind the one that is being written."""
        return len(self._chunks) - 1

    @property
    def since(self) -> float:
        """When the oldest byte was refused first."""
        return self._ages[0][1]

    def extend(self, frames: Iterable[Chunk], now: float) -> None:
        before = self.bytes
        for frame in frames:
            self._chunks.append(frame)
            self.bytes += len(frame)
        if self.bytes > before:
            self._ages.append((self.bytes - before, now))

    def head(self, join_bytes: int) -> Chunk:
        """What to write next: one chunk, or several joined up to a size. It stays here until it was `sent`."""
        first = self._chunks[0]
        if len(self._chunks) == 1 or len(first) >= join_bytes:
            return first
        joined = bytearray()
        for chunk in self._chunks:
            if joined and len(joined) + len(chunk) > join_bytes:
                break
            joined += chunk
        return bytes(joined)

    def sent(self, size: int) -> None:
        """So many bytes of `head` have gone."""
        self.bytes -= size
        left = size
        while left:
            chunk = self._chunks.popleft()
            if left < len(chunk):
                self._chunks.appendleft(memoryview(chunk)[left:])
            left -= min(left, len(chunk))
        while size:
            waiting, since = self._ages.popleft()
            if size < waiting:
                self._ages.appendleft((waiting - size, since))
            size -= min(size, waiting)

    def drop_whole_frames(self) -> None:
        """Keeps only the rest of what was begun."""
        while self._chunks and not isinstance(self._chunks[-1], memoryview):
            self.bytes -= len(self._chunks.pop())
        self._ages = deque([(self.bytes, self.since)])


class Outbox:
    """Frames on their way to one client."""

    __slots__ = ("_backlog", "frames")

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        """Not offered to the socket yet. To append here is what `put` does, without the call."""
        self._backlog: _Backlog | None = None

    def __bool__(self) -> bool:
        return bool(self.frames) or self._backlog is not None

    @property
    def blocked(self) -> bool:
        """Something was refused: the rest waits behind it."""
        return self._backlog is not None

    @property
    def since(self) -> float | None:
        """When the oldest byte that waits was refused first; None if none was."""
        return None if self._backlog is None else self._backlog.since

    @property
    def refused_bytes(self) -> int:
        """How much was refused and waits."""
        return 0 if self._backlog is None else self._backlog.bytes

    def exceeds(self, *, frames: int, size_bytes: int) -> bool:
        """Whether more than that was refused."""
        backlog = self._backlog
        return backlog is not None and (backlog.frames > frames or backlog.bytes > size_bytes)

    def put(self, frame: bytes) -> None:
        """Takes a whole frame."""
        self.frames.append(frame)

    def clear(self) -> None:
        """Forgets everything but the rest of a frame that was begun."""
        self.frames.clear()
        if self._backlog is not None:
            self._backlog.drop_whole_frames()
            if not self._backlog.bytes:
                self._backlog = None

    def write(self, send: Send, now: Callable[[], float]) -> None:
        """Offers everything to a socket, until it refuses.

        Args:
            now: the clock, asked only when something is refused.
        """
        frames = self.frames
        if self._backlog is None:
            if not frames:
                return
            data = frames[0] if len(frames) == 1 else self._join()
            if data is not None:
                taken = send(data)
                if taken == len(data):
                    frames.clear()
                else:
                    self.hold(now())
                    self.sent(taken)
                return
        self.hold(now())
        while self._backlog is not None:
            head = self._backlog.head(CHUNK_BYTES)
            taken = send(head)
            self.sent(taken)
            if taken < len(head):
                return

    def _join(self) -> bytes | None:
        """All frames in one piece; None if that would copy much."""
        return b"".join(self.frames) if sum(map(len, self.frames)) <= CHUNK_BYTES else None

    def hold(self, now: float) -> None:
        """Counts everything as refused: the socket is known to be full, or somebody else writes."""
        if self.frames:
            if self._backlog is None:
                self._backlog = _Backlog()
            self._backlog.extend(self.frames, now)
            self.frames.clear()

    def head(self, *, join_bytes: int = CHUNK_BYTES) -> Chunk:
        """What is to be written next of what was refused."""
        assert self._backlog is not None
        return self._backlog.head(join_bytes)

    def sent(self, size: int) -> None:
        """So many bytes of `head` have gone."""
        assert self._backlog is not None
        if size:
            self._backlog.sent(size)
            if not self._backlog.bytes:
                self._backlog = None
