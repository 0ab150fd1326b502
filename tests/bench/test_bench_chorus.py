"""Listeners who are sent the same bytes are counted together; whoever is sent anything else is found out."""

from collections.abc import Sequence

import pytest

from wukong_trio.bench.chorus import Chorus, Listener
from wukong_trio.bench.frames import TEXT, server_frame
from wukong_trio.bench.speech import Delivery
from wukong_trio.bench.stamps import Stamp
from wukong_trio.bench.verify import Faults, Sent

SENDERS = frozenset({1})
FRAME = server_frame(TEXT)


def delivery(number: int, *, seq: int | None = None, sender: int = 1, repeated: bool = False) -> Delivery:
    text = memoryview(b"%d from %d %d" % (number, sender, repeated))
    stamp = Stamp(sender, number, 10 * number)
    return Delivery(stamp, number if seq is None else seq, repeated, text, b"<%d>" % number)


class Member:
    """A connection that reads what it is sent in pieces, like the load process does."""

    def __init__(self, chorus: Chorus) -> None:
        self.faults = Faults()
        self.listener = Listener(self.faults, chorus=chorus)
        self.decoded = 0
        self.receipts = b""
        self.new = 0

    def read(self, deliveries: Sequence[Delivery], *, part: bytes = b"") -> bytes:
        """Reads whole frames and a part of one; returns what is left for the next time."""
        left = b"".join(FRAME(delivery.message) for delivery in deliveries) + part
        heard = self.listener.compare(memoryview(left))
        left = left[heard.size :]
        self.receipts += heard.receipts
        self.new += len(heard.due_us)
        for one in deliveries[len(heard.due_us) :]:
            left = left.removeprefix(FRAME(one.message))
            self.decoded += 1
            self.new += self.listener.receive(one)
        return left


def finished(member: Member, last: int, refused: Sequence[int] = ()) -> Faults:
    member.listener.finish({1: Sent(last, [*refused])})
    return member.faults


def test_what_one_has_decoded_the_others_recognise() -> None:
    chorus = Chorus(SENDERS, FRAME)
    first, second = Member(chorus), Member(chorus)
    pushes = [delivery(number) for number in range(1, 6)]
    assert first.read(pushes[:3]) == b""
    assert second.read(pushes[:2], part=FRAME(pushes[2].message)[:4]) == FRAME(pushes[2].message)[:4]
    assert second.read(pushes[2:]) == b""
    assert first.read(pushes[3:]) == b""
    assert (first.decoded, second.decoded) == (3, 2)
    assert second.receipts == b"<1><2><3>"
    assert first.receipts == b"<4><5>"
    for member in (first, second):
        assert member.new == 5
        assert member.listener.missing({1: Sent(5)}) == 0
        assert finished(member, 5) == Faults()


@pytest.mark.parametrize(
    ("numbers", "faults"),
    [
        ([1, 2, 3, 5], Faults(undelivered=1)),
        ([1, 2, 3], Faults(undelivered=2)),
        ([], Faults(undelivered=5)),
        ([1, 2, 2, 3, 4, 5], Faults(doubled=1)),
        ([1, 2, 4, 3, 5], Faults(out_of_order=1)),
        ([2, 1, 3, 4, 5], Faults(out_of_order=1)),
        ([1, 2, 3, 4, 5, 6], Faults(foreign=1)),
    ],
)
@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("late", [True, False])
def test_what_is_sent_to_one_alone_is_found_out(numbers: list[int], faults: Faults, at_once: bool, late: bool) -> None:
    chorus = Chorus(SENDERS, FRAME)
    good, bad = Member(chorus), Member(chorus)
    right = [delivery(number) for number in range(1, 6)]
    wrong = [delivery(number, seq=seq) for seq, number in enumerate(numbers, 1)]
    if late:
        good.read(right)
    for part in [wrong] if at_once else [[one] for one in wrong]:
        bad.read(part)
    if not late:
        good.read(right)
    assert finished(bad, 5) == faults
    assert finished(good, 5) == Faults()


def test_a_refused_number_is_missed_by_nobody() -> None:
    chorus = Chorus(SENDERS, FRAME)
    members = [Member(chorus), Member(chorus)]
    for member in members:
        member.read([delivery(1), delivery(3, seq=2)])
        assert member.listener.missing({1: Sent(3, [2])}) == 0
        assert finished(member, 3, [2]) == Faults()
        assert finished(member, 3, [2, 3]) == Faults(foreign=1)


def test_a_marked_repetition_is_no_fault_and_does_not_disturb_the_others() -> None:
    chorus = Chorus(SENDERS, FRAME)
    one, other = Member(chorus), Member(chorus)
    one.read([delivery(1), delivery(1, repeated=True), delivery(2)])
    other.read([delivery(1), delivery(2)])
    assert (one.new, other.new) == (2, 2)
    assert finished(one, 2) == finished(other, 2) == Faults()


def test_strangers_are_foreign() -> None:
    member = Member(Chorus(SENDERS, FRAME))
    member.read([delivery(1, sender=7)])
    assert finished(member, 0) == Faults(foreign=1)


def test_who_is_behind_misses_what_the_others_have() -> None:
    chorus = Chorus(SENDERS, FRAME)
    ahead, behind = Member(chorus), Member(chorus)
    ahead.read([delivery(number) for number in range(1, 6)])
    behind.read([delivery(1)])
    assert behind.listener.missing({1: Sent(6)}) == 5
    assert finished(behind, 6) == Faults(undelivered=5)


def test_the_past_is_forgotten_and_who_is_still_there_goes_on_alone() -> None:
    chorus = Chorus(SENDERS, FRAME, kept_bytes=200)
    ahead, behind = Member(chorus), Member(chorus)
    pushes = [delivery(number) for number in range(1, 101)]
    behind.read(pushes[:1])
    for push in pushes:
        ahead.read([push])
    assert len(chorus._frames) <= 200
    behind.read(pushes[1:99])
    assert (ahead.new, behind.new) == (100, 99)
    assert finished(ahead, 100) == Faults()
    assert finished(behind, 100) == Faults(undelivered=1)


def test_nobody_to_listen_to() -> None:
    faults = Faults()
    listener = Listener(faults)
    assert listener.compare(memoryview(b"x")).size == 0
    assert not listener.receive(delivery(1))
    assert faults == Faults(foreign=1)
