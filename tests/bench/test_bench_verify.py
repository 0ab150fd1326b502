"""The books notice what is lost, doubled, out of order or made up."""

import pytest

from wukong_trio.bench.verify import Faults, Receiver, Requests, Sent

SENT = {1: Sent(5)}


def deliver(numbers: list[int], totals: dict[int, Sent] | None = None, seqs: list[int] | None = None) -> Faults:
    """What a receiver finds that got these messages of sender 1."""
    faults = Faults()
    receiver = Receiver(frozenset({1}), faults)
    for number, seq in zip(numbers, seqs or range(1, len(numbers) + 1), strict=True):
        receiver.receive(1, number, seq, repeated=False)
    receiver.finish(SENT if totals is None else totals)
    return faults


def test_everything_once_and_in_order_is_no_fault() -> None:
    assert deliver([1, 2, 3, 4, 5]) == Faults()
    assert Faults().describe() == []


@pytest.mark.parametrize(
    ("numbers", "faults"),
    [
        ([1, 2, 4, 5], Faults(undelivered=1)),
        ([1, 2, 3], Faults(undelivered=2)),
        ([], Faults(undelivered=5)),
        ([1, 2, 2, 3, 4, 5], Faults(doubled=1)),
        ([1, 3, 2, 4, 5], Faults(out_of_order=1)),
        ([1, 3, 2, 2, 4, 5], Faults(out_of_order=1, doubled=1)),
        ([1, 2, 3, 4, 5, 6], Faults(foreign=1)),
        ([2, 1, 5], Faults(out_of_order=1, undelivered=2)),
    ],
)
def test_faults_are_told_apart(numbers: list[int], faults: Faults) -> None:
    assert deliver(numbers) == faults
    assert len(faults.describe()) == sum(1 for name in faults.__struct_fields__ if getattr(faults, name))


def test_refused_messages_are_not_missed_but_must_not_come() -> None:
    totals = {1: Sent(5, refused=[2, 5])}
    assert deliver([1, 3, 4], totals) == Faults()
    assert deliver([1, 2, 3, 4], totals) == Faults(foreign=1)


def test_sequence_numbers_must_rise() -> None:
    assert deliver([1, 2, 3, 4, 5], seqs=[1, 2, 4, 3, 5]) == Faults(out_of_order=1)
    assert deliver([1, 2, 3, 4, 5], seqs=[1, 2, 2, 3, 4]) == Faults(out_of_order=1)


def test_marked_repetitions_are_no_fault() -> None:
    faults = Faults()
    receiver = Receiver(frozenset({1}), faults)
    assert receiver.receive(1, 1, 1, repeated=False)
    assert not receiver.receive(1, 1, 1, repeated=True)
    assert faults == Faults()


def test_messages_of_strangers_are_foreign() -> None:
    faults = Faults()
    assert not Receiver(frozenset({1}), faults).receive(2, 1, 1, repeated=False)
    assert faults == Faults(foreign=1)


def test_what_is_missing_is_known_before_the_end() -> None:
    receiver = Receiver(frozenset({1, 2}), Faults())
    receiver.receive(1, 1, 1, repeated=False)
    assert receiver.missing({1: Sent(2), 2: Sent(3)}) == 4
    assert receiver.missing({1: Sent(1)}) == 0


def test_each_request_has_one_answer() -> None:
    requests, faults = Requests(), Faults()
    first, second = requests.begin(100), requests.begin(200)
    assert requests.answer(str(second), succeeded=True, faults=faults) == 200
    assert requests.answer(first, succeeded=False, faults=faults) == 100
    assert faults == Faults(refused=1)
    assert requests.sent == Sent(2, refused=[1])
    assert requests.due_us == {}


@pytest.mark.parametrize("id_", ["1", "7", "x", None])
def test_an_answer_to_nothing_is_a_fault(id_: object) -> None:
    requests, faults = Requests(), Faults()
    requests.begin(100)
    requests.answer("1", succeeded=True, faults=faults)
    assert requests.answer(id_, succeeded=True, faults=faults) is None
    assert faults == Faults(answered_twice=1)


def test_faults_add_up() -> None:
    faults = Faults(broken=1)
    faults.add(Faults(broken=2, refused=1))
    assert faults == Faults(broken=3, refused=1)
