"""Recognising sends that a client repeats after it missed the answer."""

from collections import deque
from collections.abc import Iterable
from typing import Final

from ..config import Idempotency
from ..model import ChannelKey, Message, first_id_at
from ..store.base import SentMark


def sender_mark(key: ChannelKey, uid: str) -> int:
    """The part of a mark that all sends of a user to a channel share."""
    return hash((key, uid))


def number_mark(sender: int, client_msg_no: str) -> int:
    """What stands for a (channel, sender, client_msg_no)."""
    return hash((sender, client_msg_no))


def send_mark(number: int, payload: bytes) -> int:
    """What stands for a number and what was sent with it: another send has the same only by rare chance."""
    return hash((number, payload))


MOST_UNREAD: Final = 8
"""So many messages from before the start are known of one number, the newest. Who uses a number once needs one. Who
uses it for everything must not make others wait while all are read."""


class SentMarks:
    """Which message a mark belongs to, for the newest stored messages.

    Keeps hashes only, about 130 bytes a message: a hit has to be verified against the stored message itself.

    Messages from before the start are known by their numbers alone, because reading all their payloads would take long.
    When such a number comes again, its messages are read, and known by their full marks from then on.
    """

    def __init__(self, config: Idempotency) -> None:
        self._config = config
        self._ids: dict[int, int] = {}
        self._oldest_id = 0
        self._order: deque[tuple[int, int]] = deque()
        self.unread: dict[int, list[int]] = {}
        """The ids of messages from before the start, by the marks of their numbers, oldest first. Whoever meets such a
        number reads them, lets each be learned, and removes them here."""
        self._unread_order: deque[int] = deque()

    def forget_before(self, now_s: float) -> None:
        """Moves the window on to a moment; call it once per batch."""
        self._oldest_id = first_id_at(now_s - self._config.window_s)

    def find(self, mark: int) -> int:
        """The id of the message that may be the original of this send, 0 if there is none."""
        message_id = self._ids.get(mark, 0)
        return message_id if message_id >= self._oldest_id else 0

    def remember(self, marks: Iterable[SentMark]) -> None:
        """Takes over the messages from before the start, oldest first."""
        for mark in marks:
            number = number_mark(sender_mark(mark.key, mark.from_uid), mark.client_msg_no)
            ids = self.unread.setdefault(number, [])
            ids.append(mark.message_id)
            if len(ids) > MOST_UNREAD:
                del ids[0]
            else:
                self._unread_order.append(number)
        self._trim()

    def learn(self, number: int, message: Message) -> None:
        """Adds a message from before the start, of which the payload is known now."""
        mark = send_mark(number, message.payload)
        if self._ids.get(mark, 0) < message.message_id:
            self._ids[mark] = message.message_id
            self._order.appendleft((mark, message.message_id))

    def add(self, mark: int, message_id: int) -> None:
        """Adds a stored message."""
        self._ids[mark] = message_id
        self._order.append((mark, message_id))
        self._trim()

    def _trim(self) -> None:
        """Forgets the oldest beyond the bound, those from before the start first."""
        while len(self._order) + len(self._unread_order) > self._config.keys:
            if self._unread_order:
                number = self._unread_order.popleft()
                ids = self.unread.get(number, [])
                del ids[:1]
                if not ids:
                    self.unread.pop(number, None)
            else:
                oldest, old_id = self._order.popleft()
                if self._ids.get(oldest) == old_id:
                    del self._ids[oldest]

    def __len__(self) -> int:
        return len(self._ids) + sum(map(len, self.unread.values()))
