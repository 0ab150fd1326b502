"""Proof that nothing was lost, doubled or put out of order. Plain bookkeeping, no I/O.

Every message carries its sender and a number that counts from 1. So a receiver that knows how far a sender has come
knows what is missing, and the books stay small: the highest number, and the gaps below it.
"""

from msgspec import Struct, field


class Faults(Struct):
    """What must not happen, counted. All zero is a good run."""

    unanswered: int = 0
    """Requests without an answer."""
    answered_twice: int = 0
    """Answers to requests that had one, or that nobody made."""
    refused: int = 0
    undelivered: int = 0
    """Deliveries that a receiver should have got: one for each receiver of each message that was not refused."""
    doubled: int = 0
    """Deliveries of what the receiver had, unless marked as a repetition."""
    out_of_order: int = 0
    foreign: int = 0
    """Deliveries of what nobody sent to this receiver, or that could not be read."""
    broken: int = 0
    """Connections that ended or failed before their time."""

    def add(self, other: "Faults") -> None:
        """Adds the counts of another one."""
        for name in self.__struct_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def describe(self) -> list[str]:
        """One line for each kind of fault that occurred."""
        lines = {
            "unanswered": "requests were not answered",
            "answered_twice": "answers came to requests that had one or that nobody made",
            "refused": "requests were refused",
            "undelivered": "deliveries were lost",
            "doubled": "deliveries came twice",
            "out_of_order": "deliveries came out of order",
            "foreign": "deliveries were of messages that nobody sent",
            "broken": "connections broke",
        }
        return [f"{getattr(self, name):,} {text}" for name, text in lines.items() if getattr(self, name)]


class Sent(Struct):
    """What one sender has sent: the numbers from 1 to `last`, and those that the server refused."""

    last: int = 0
    refused: list[int] = field(default_factory=list)


class Requests:
    """The requests of one connection. Each wants one answer."""

    __slots__ = ("due_us", "sent")

    def __init__(self) -> None:
        self.sent = Sent()
        self.due_us: dict[int, int] = {}
        """Number -> when it was due, for the requests that have no answer yet."""

    def begin(self, due_us: int) -> int:
        """Notes a new request and returns its number."""
        number = self.sent.last = self.sent.last + 1
        self.due_us[number] = due_us
        return number

    def answer(self, id_: object, *, succeeded: bool, faults: Faults) -> int | None:
        """Notes an answer; returns when its request was due, None if there is no such request."""
        try:
            number = int(id_)  # type: ignore[call-overload]
            due_us: int = self.due_us.pop(number)
        except (KeyError, ValueError, TypeError):
            faults.answered_twice += 1
            return None
        if not succeeded:
            faults.refused += 1
            self.sent.refused.append(number)
        return due_us


class Stream:
    """What one receiver got from one sender."""

    __slots__ = ("gaps", "last")

    def __init__(self) -> None:
        self.last = 0
        self.gaps: set[int] = set()

    def receive(self, number: int, *, repeated: bool, faults: Faults) -> bool:
        """Notes a delivery; returns whether it is a new one."""
        if number == self.last + 1:
            self.last = number
            return True
        if number > self.last:
            self.gaps.update(range(self.last + 1, number))
            self.last = number
            return True
        if number in self.gaps:
            self.gaps.remove(number)
            faults.out_of_order += 1
            return True
        if not repeated:
            faults.doubled += 1
        return False

    def missing(self, sent: Sent) -> int:
        """How many of a sender's messages have not come."""
        late = len(self.gaps) + max(0, sent.last - self.last)
        return late - sum(1 for number in sent.refused if number > self.last or number in self.gaps)

    def phantoms(self, sent: Sent) -> int:
        """How many came that were never sent, or were refused."""
        refused = sum(1 for number in sent.refused if number <= self.last and number not in self.gaps)
        beyond = range(max(sent.last, 0) + 1, self.last + 1)
        return refused + len(beyond) - sum(1 for number in self.gaps if number in beyond)


class Receiver:
    """The deliveries of one connection, all in one channel."""

    __slots__ = ("_faults", "_senders", "_seq", "_streams")

    def __init__(self, senders: frozenset[int], faults: Faults) -> None:
        """Args:
        senders: whose messages should come; those of anybody else are foreign.
        """
        self._senders = senders
        self._faults = faults
        self._streams: dict[int, Stream] = {}
        self._seq = 0

    def copy(self, faults: Faults) -> "Receiver":
        """Another one with the same deliveries, which counts its faults elsewhere."""
        twin = Receiver(self._senders, faults)
        twin._seq = self._seq
        for sender, stream in self._streams.items():
            twin._streams[sender] = copy = Stream()
            copy.last, copy.gaps = stream.last, set(stream.gaps)
        return twin

    def expects(self, sender: int, number: int, message_seq: int) -> bool:
        """Whether a delivery would be a new one, from somebody known, and later than all before."""
        stream = self._streams.get(sender)
        last = stream.last if stream else 0
        return sender in self._senders and number > last and message_seq > self._seq

    def receive(self, sender: int, number: int, message_seq: int, *, repeated: bool) -> bool:
        """Notes a delivery; returns whether it is a new one."""
        try:
            stream = self._streams[sender]
        except KeyError:
            if sender not in self._senders:
                self._faults.foreign += 1
                return False
            stream = self._streams[sender] = Stream()
        disorder = self._faults.out_of_order
        fresh = stream.receive(number, repeated=repeated, faults=self._faults)
        if fresh:
            if message_seq <= self._seq and self._faults.out_of_order == disorder:
                self._faults.out_of_order += 1
            self._seq = max(self._seq, message_seq)
        return fresh

    def missing(self, totals: dict[int, Sent]) -> int:
        """How many deliveries have not come, when the senders have sent `totals`."""
        none = Stream()
        return sum(
            self._streams.get(sender, none).missing(totals[sender]) for sender in self._senders if sender in totals
        )

    def finish(self, totals: dict[int, Sent]) -> None:
        """Turns what is missing or too much at the end into faults."""
        self._faults.undelivered += self.missing(totals)
        nothing = Sent()
        self._faults.foreign += sum(
            stream.phantoms(totals.get(sender, nothing)) for sender, stream in self._streams.items()
        )
