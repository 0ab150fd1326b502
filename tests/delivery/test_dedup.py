"""Message ids, and recognising repeated sends."""

from wukong_trio.config import Idempotency
from wukong_trio.delivery.dedup import MOST_UNREAD, SentMarks, number_mark, send_mark, sender_mark
from wukong_trio.delivery.ids import MessageIds
from wukong_trio.model import ChannelKey, Message, first_id_at
from wukong_trio.store.base import SentMark

KEY = ChannelKey("bob@ann", 1)
NOW = 1_700_000_000.0


def mark(uid: str, client_msg_no: str, key: ChannelKey = KEY, payload: bytes = b"{}") -> int:
    return send_mark(number_mark(sender_mark(key, uid), client_msg_no), payload)


def test_j063_ids_grow_and_fit_javascript() -> None:
    ids = MessageIds()
    ids.advance(NOW)
    first = ids.next()
    assert first == first_id_at(NOW) == 500380467200000
    assert [ids.next(), ids.next()] == [first + 1, first + 2]
    ids.advance(NOW + 1)
    assert ids.next() == first_id_at(NOW + 1)
    assert first_id_at(3_700_000_000.0) < 2**53


def test_ids_never_go_back_with_the_clock_or_over_a_restart() -> None:
    ids = MessageIds(last_id=first_id_at(NOW))
    ids.advance(NOW - 3600)
    assert ids.next() == first_id_at(NOW) + 1


def test_a_mark_is_found_within_the_window_only() -> None:
    marks = SentMarks(Idempotency(window_s=60, keys=10))
    message_id = first_id_at(NOW)
    marks.add(mark("ann", "m1"), message_id)
    marks.forget_before(NOW + 60)
    assert marks.find(mark("ann", "m1")) == message_id
    marks.forget_before(NOW + 60.001)
    assert marks.find(mark("ann", "m1")) == 0
    marks.forget_before(NOW)
    assert marks.find(mark("bob", "m1")) == 0
    assert marks.find(mark("ann", "m1", ChannelKey("other", 1))) == 0
    assert marks.find(mark("ann", "m1", payload=b"[]")) == 0


def test_only_the_newest_are_kept() -> None:
    marks = SentMarks(Idempotency(window_s=60, keys=3))
    base = first_id_at(NOW)
    for n in range(3):
        marks.add(mark("ann", f"m{n}"), base + n)
    assert marks.find(mark("ann", "m0")) == base
    marks.add(mark("ann", "m3"), base + 3)
    assert marks.find(mark("ann", "m0")) == 0
    assert marks.find(mark("ann", "m1")) == base + 1
    assert len(marks) == 3


def test_a_number_used_again_points_to_the_newest_message() -> None:
    marks = SentMarks(Idempotency(window_s=60, keys=2))
    base = first_id_at(NOW)
    marks.add(mark("ann", "m"), base)
    marks.add(mark("ann", "m"), base + 1)
    marks.add(mark("ann", "n"), base + 2)
    assert marks.find(mark("ann", "m")) == base + 1


def stored(message_id: int, client_msg_no: str, payload: bytes) -> Message:
    return Message(
        message_id=message_id, message_seq=1, channel_id=KEY.channel_id, channel_type=1, from_uid="ann",
        client_msg_no=client_msg_no, timestamp=1, payload=payload,
    )  # fmt: skip


def test_messages_from_before_the_start_are_known_by_number_until_they_are_read() -> None:
    marks = SentMarks(Idempotency(window_s=60, keys=4))
    base = first_id_at(NOW)
    marks.remember([SentMark(KEY, "ann", number, base + n) for n, number in enumerate(("m", "x", "m", "y", "m"))])
    number = number_mark(sender_mark(KEY, "ann"), "m")
    assert marks.unread[number] == [base + 2, base + 4], "only the newest are kept"
    assert len(marks) == 4
    for message_id, payload in ((base + 2, b"1"), (base + 4, b"2")):
        marks.learn(number, stored(message_id, "m", payload))
    del marks.unread[number]
    assert marks.find(mark("ann", "m", payload=b"1")) == base + 2
    assert marks.find(mark("ann", "m", payload=b"2")) == base + 4
    assert marks.find(mark("ann", "m", payload=b"3")) == 0
    for n in range(4):
        marks.add(mark("ann", f"new{n}"), base + 10 + n)
    assert marks.find(mark("ann", "new0")) == base + 10
    assert marks.find(mark("ann", "m", payload=b"1")) == 0
    assert not marks.unread
    assert len(marks) == 4


def test_of_a_number_that_is_used_for_everything_the_newest_messages_from_before_the_start_are_known() -> None:
    marks = SentMarks(Idempotency(window_s=60, keys=100))
    base = first_id_at(NOW)
    often = [SentMark(KEY, "ann", "m", base + n) for n in range(20_000)]
    marks.remember([*often, SentMark(KEY, "ann", "n", base + 20_000), SentMark(KEY, "ann", "o", base + 20_001)])
    sender = sender_mark(KEY, "ann")
    assert marks.unread[number_mark(sender, "m")] == list(range(base + 20_000 - MOST_UNREAD, base + 20_000))
    assert len(marks) == MOST_UNREAD + 2, "what was left out takes no place"
    for n in range(100 - MOST_UNREAD - 1):
        marks.add(mark("ann", f"new{n}"), base + 30_000 + n)
    assert len(marks) == 100
    assert len(marks.unread[number_mark(sender, "m")]) == MOST_UNREAD - 1
