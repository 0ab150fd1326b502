"""Recognising sends that a client repeats after it missed the answer."""

from collections import deque
from collections.abc import Iterable

from ..config import Idempotency
from ..model import ChannelKey
from ..store.base import SentMark
from .ids import first_id_at


def sender_mark(key: ChannelKey, uid: str) -> int:
    """The part of a mark that all sends of a user to a channel share."""
    return hash((key, uid))


def send_mark(sender: int, client_msg_no: str) -> int:
    """What stands for a (channel, sender, client_msg_no): a number that another send has only by rare chance."""
    return hash((sender, client_msg_no))


class SentMarks:
    """Which message a mark belongs to, for the newest stored messages.

    Keeps hashes only, about 130 bytes a message: a hit has to be verified against the stored message itself.
    """

    def __init__(self, config: Idempotency) -> None:
        self._config = config
        self._ids: dict[int, int] = {}
        self._oldest_id = 0
        self._order: deque[tuple[int, int]] = deque()

    def forget_before(self, now_s: float) -> None:
        """Moves the window on to a moment; call it once per batch."""
        self._oldest_id = first_id_at(now_s - self._config.window_s)

    def find(self, mark: int) -> int:
        """The id of the message that may be the original of this send, 0 if there is none."""
        message_id = self._ids.get(mark, 0)
        return message_id if message_id >= self._oldest_id else 0

    def remember(self, marks: Iterable[SentMark]) -> None:
        """Adds messages, oldest first; what exceeds the bound is forgotten."""
        for mark in marks:
            self.add(send_mark(sender_mark(mark.key, mark.from_uid), mark.client_msg_no), mark.message_id)

    def add(self, mark: int, message_id: int) -> None:
        """Adds a stored message."""
        self._ids[mark] = message_id
        self._order.append((mark, message_id))
        if len(self._order) > self._config.keys:
            oldest, old_id = self._order.popleft()
            if self._ids.get(oldest) == old_id:
                del self._ids[oldest]

    def __len__(self) -> int:
        return len(self._ids)
