"""Pushes that wait for their recvack."""

import pytest
from msgspec.structs import replace

from wukong_trio.config import MessageRetry
from wukong_trio.delivery import retry
from wukong_trio.delivery.push import Push
from wukong_trio.delivery.retry import MAX_WAITING, RetryQueue
from wukong_trio.model import Message


def push(message_id: int, pushed_at: float = 0.0) -> Push:
    message = Message(
        message_id=message_id,
        message_seq=1,
        channel_id="g",
        channel_type=2,
        from_uid="ann",
        client_msg_no="m",
        timestamp=0,
        payload=b"",
    )
    return Push(message, "g", pushed_at)


def ids(pushes: object) -> list[int]:
    return [p.message.message_id for p in pushes]  # type: ignore[attr-defined]


def test_j103_a_push_is_repeated_so_many_times_and_then_forgotten() -> None:
    queue = RetryQueue(MessageRetry(interval_s=60, max_count=5))
    assert queue.add(push(1, 0.0)) == 60.0
    for n in range(1, 6):
        assert ids(queue.pop_due(60.0 * n - 0.001)) == []
        assert queue.next_due() == 60.0 * n
        assert ids(queue.pop_due(60.0 * n)) == [1]
    assert queue.next_due() is None
    assert len(queue) == 0


def test_j104_an_acknowledged_push_is_forgotten_before_and_after_a_repetition() -> None:
    queue = RetryQueue(MessageRetry(interval_s=1, max_count=5))
    queue.add(push(1, 0.0))
    queue.add(push(2, 0.0))
    queue.acknowledge(1)
    queue.acknowledge(99)
    assert ids(queue.pop_due(1.0)) == [2]
    queue.acknowledge(2)
    assert ids(queue.pop_due(2.0)) == []


def test_what_has_expired_is_not_repeated_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    queue = RetryQueue(MessageRetry(interval_s=10, max_count=5, waiting_bytes=3))
    for id_, expire in ((1, 15), (2, 25), (3, 0)):
        waiting = push(id_)
        queue.add(Push(replace(waiting.message, expire=expire, payload=b"x"), "g", 0.0))
    for now, expected in ((10, [1, 2, 3]), (20, [2, 3]), (30, [3])):
        monkeypatch.setattr(retry, "time", lambda now=now: float(now))
        assert ids(queue.pop_due(now)) == expected
    # Their bytes are free again.
    for id_ in (4, 5):
        queue.add(Push(replace(push(id_).message, payload=b"x"), "g", 30.0))
    assert len(queue) == 3
    # And what has expired before it was ever repeated.
    fresh = RetryQueue(MessageRetry(interval_s=10, max_count=5))
    fresh.add(Push(replace(push(1).message, expire=5), "g", 0.0))
    assert ids(fresh.pop_due(30.0)) == []
    assert len(fresh) == 0


def test_old_and_new_pushes_keep_their_own_times() -> None:
    queue = RetryQueue(MessageRetry(interval_s=10, max_count=2))
    queue.add(push(1, 0.0))
    queue.add(push(2, 5.0))
    assert ids(queue.pop_due(10.0)) == [1]
    assert queue.next_due() == 15.0
    assert ids(queue.pop_due(20.0)) == [1, 2]
    assert queue.next_due() == 30.0


def test_no_repetitions_at_all() -> None:
    queue = RetryQueue(MessageRetry(interval_s=1, max_count=0))
    queue.add(push(1, 0.0))
    assert ids(queue.pop_due(1.0)) == []
    assert len(queue) == 0


def test_the_oldest_is_dropped_beyond_the_bound() -> None:
    queue = RetryQueue(MessageRetry(interval_s=1, max_count=1))
    for n in range(MAX_WAITING):
        queue.add(push(n, float(n)))
    assert queue.next_due() == 1.0
    queue.add(push(MAX_WAITING, float(MAX_WAITING)))
    assert len(queue) == MAX_WAITING
    assert queue.next_due() == 2.0


def test_what_was_stamped_before_but_written_behind_is_repeated_with_the_one_before_it() -> None:
    queue = RetryQueue(MessageRetry(interval_s=10, max_count=2))
    assert queue.add(push(2, 1.0)) == 11.0
    # The delivery of 1 to a large channel began earlier, and takes until now.
    assert queue.add(push(1, 0.0)) is None
    assert ids(queue.pop_due(10.5)) == []
    assert queue.next_due() == 11.0
    assert ids(queue.pop_due(11.0)) == [2, 1]
    # From then on both have the same due time.
    assert queue.next_due() == 21.0
    assert ids(queue.pop_due(21.0)) == [2, 1]
    assert len(queue) == 0


def test_an_earlier_stamp_at_the_head_holds_up_nothing() -> None:
    queue = RetryQueue(MessageRetry(interval_s=10, max_count=1))
    queue.add(push(1, 0.0))
    queue.add(push(3, 2.0))
    queue.add(push(2, 1.0))
    queue.acknowledge(1)
    assert ids(queue.pop_due(10.0)) == []
    queue.acknowledge(3)
    assert queue.next_due() == 11.0
    assert ids(queue.pop_due(11.0)) == [2]
