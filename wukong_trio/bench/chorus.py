"""What all listeners of a room are sent alike. Plain bookkeeping, no I/O.

A message to a room of a thousand comes a thousand times, in the same bytes each time. Decoding it every time would cost
the load generator more than sending it costs a fast server. So the first listener to get a frame decodes and checks it
and writes it down; the others are compared with what is written, byte for byte, many frames at once. That proves the
same: equal bytes in the same order are the same messages in the same order, each once. Who is sent anything else (a
message twice, in another order, marked as a repetition) leaves the chorus, and each message is decoded for him.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from .speech import Delivery
from .verify import Faults, Receiver, Sent

KEPT_BYTES: Final = 16 * 1024 * 1024
"""When so much is written down, the older half goes."""


class Heard(NamedTuple):
    """What was recognised."""

    size: int
    """Bytes."""
    due_us: Sequence[int]
    """When each message was due."""
    receipts: bytes
    """The frames that acknowledge them."""


NOTHING: Final = Heard(0, (), b"")


class Chorus:
    """The pushes of one room in the order in which the listener who is furthest got them."""

    def __init__(
        self, senders: frozenset[int], frame: Callable[[memoryview], bytes], *, kept_bytes: int = KEPT_BYTES
    ) -> None:
        """Args:
        frame: a message as the server frames it.
        """
        self.senders = senders
        self.frame = frame
        self._kept_bytes = kept_bytes
        self._listeners: list[Listener] = []
        self._first = 0
        """The position of the first push that is still written down."""
        self._before = Receiver(senders, Faults())
        """All pushes before that."""
        self._receiver = Receiver(senders, Faults())
        """All pushes."""
        self._frames, self._ends = bytearray(), [0]
        self._receipts, self._receipt_ends = bytearray(), [0]
        self._due_us: list[int] = []
        self._deliveries: list[tuple[int, int, int]] = []

    def join(self, listener: "Listener") -> None:
        """Adds a listener, at the beginning."""
        self._listeners.append(listener)

    @property
    def end(self) -> int:
        """The position after the last push."""
        return self._first + len(self._due_us)

    def compare(self, position: int, data: memoryview) -> Heard:
        """The pushes from a position on that `data` begins with."""
        index = position - self._first
        begin = self._ends[index]
        size = min(len(data), len(self._frames) - begin)
        if not size or not self._frames.startswith(data[:size], begin):
            return NOTHING
        until = bisect_right(self._ends, begin + size) - 1
        receipts = bytes(self._receipts[self._receipt_ends[index] : self._receipt_ends[until]])
        return Heard(self._ends[until] - begin, self._due_us[index:until], receipts)

    def extend(self, delivery: Delivery) -> bool:
        """Writes down a push, if it is the next message of its sender and nothing is strange about it."""
        sender, number, due_us = delivery.stamp
        if delivery.repeated or not self._receiver.expects(sender, number, delivery.message_seq):
            return False
        self._receiver.receive(sender, number, delivery.message_seq, repeated=False)
        self._frames += self.frame(delivery.message)
        self._ends.append(len(self._frames))
        self._receipts += delivery.receipt
        self._receipt_ends.append(len(self._receipts))
        self._due_us.append(due_us)
        self._deliveries.append((sender, number, delivery.message_seq))
        if len(self._frames) > self._kept_bytes:
            self._forget(bisect_right(self._ends, len(self._frames) // 2) - 1)
        return True

    def _forget(self, count: int) -> None:
        for listener in self._listeners:
            if listener.position < self._first + count:
                listener.leave()
        for sender, number, message_seq in self._deliveries[:count]:
            self._before.receive(sender, number, message_seq, repeated=False)
        self._first += count
        size, receipt_size = self._ends[count], self._receipt_ends[count]
        del self._frames[:size], self._receipts[:receipt_size], self._due_us[:count], self._deliveries[:count]
        self._ends = [end - size for end in self._ends[count:]]
        self._receipt_ends = [end - receipt_size for end in self._receipt_ends[count:]]

    def receiver_at(self, position: int, faults: Faults) -> Receiver:
        """The books of somebody who got everything before a position and nothing else."""
        receiver = self._before.copy(faults)
        for sender, number, message_seq in self._deliveries[: position - self._first]:
            receiver.receive(sender, number, message_seq, repeated=False)
        return receiver

    def missing(self, position: int, totals: dict[int, Sent]) -> int:
        """How many deliveries somebody there lacks, when the senders have sent `totals`."""
        return self.end - position + self._receiver.missing(totals)

    def finish(self, position: int, totals: dict[int, Sent], faults: Faults) -> None:
        """Turns what somebody there lacks, or should not have, into faults."""
        receiver = self._receiver.copy(faults) if position == self.end else self.receiver_at(position, faults)
        receiver.finish(totals)


class Listener:
    """What one connection has received: as a part of the chorus as long as it gets the same, then alone."""

    __slots__ = ("_alone", "_chorus", "_faults", "position")

    def __init__(self, faults: Faults, *, chorus: Chorus | None = None, senders: frozenset[int] = frozenset()) -> None:
        """Args:
        chorus: whose part it is; None for those who get what nobody else gets.
        senders: without a chorus, whose messages should come.
        """
        self._faults = faults
        self._chorus = chorus
        self._alone = Receiver(senders, faults)
        self.position = 0
        if chorus is not None:
            chorus.join(self)

    def compare(self, data: memoryview) -> Heard:
        """What the others have got already and `data` begins with; it counts as received."""
        if self._chorus is None:
            return NOTHING
        heard = self._chorus.compare(self.position, data)
        self.position += len(heard.due_us)
        return heard

    def receive(self, delivery: Delivery) -> bool:
        """Notes a push that was decoded; returns whether it is new."""
        chorus = self._chorus
        if chorus is not None:
            known = (
                self.position < chorus.end
                and chorus.compare(self.position, memoryview(chorus.frame(delivery.message))).size
            )
            if known or (self.position == chorus.end and chorus.extend(delivery)):
                self.position += 1
                return True
            self.leave()
        stamp = delivery.stamp
        return self._alone.receive(stamp.sender, stamp.number, delivery.message_seq, repeated=delivery.repeated)

    def leave(self) -> None:
        """From now on it is sent something else."""
        if self._chorus is not None:
            self._alone = self._chorus.receiver_at(self.position, self._faults)
            self._chorus = None

    def missing(self, totals: dict[int, Sent]) -> int:
        """How many deliveries have not come, when the senders have sent `totals`."""
        return self._chorus.missing(self.position, totals) if self._chorus else self._alone.missing(totals)

    def finish(self, totals: dict[int, Sent]) -> None:
        """Turns what is missing or too much at the end into faults."""
        if self._chorus is not None:
            self._chorus.finish(self.position, totals, self._faults)
        else:
            self._alone.finish(totals)
