"""A client that takes no messages: nothing else of it stops, and it is told what it missed."""

import pytest
import trio
from stub_server import url_of

from wukong_trio import ConnectionClosed, MessagesMissed, SendCommand, open_client
from wukong_trio.client import inbox
from wukong_trio.client.inbox import Inbox
from wukong_trio.model import Message
from wukong_trio.testing import open_test_server

MANY = 1500


def message(number: int) -> Message:
    return Message(
        message_id=number,
        message_seq=number,
        channel_id="bob",
        channel_type=1,
        from_uid="bob",
        client_msg_no="",
        timestamp=0,
        payload=b"hi",
    )


def small_box() -> Inbox[Message]:
    return Inbox(lambda message: len(message.payload))


async def test_who_never_iterates_still_gets_answers(protocol: str) -> None:
    with trio.fail_after(20):
        async with open_test_server() as server, open_client(url_of(server, protocol), uid="ann") as ann:
            async with trio.open_nursery() as nursery:
                for _ in range(MANY):
                    command = SendCommand(from_uid="bob", channel_id="ann", channel_type=1, payload=b"{}")
                    nursery.start_soon(server.send, command)
            assert (await ann.send("bob", b"hi")).message_seq == MANY + 1
            await ann.ping()
            assert [(await ann.__anext__()).message_seq for _ in range(MANY)] == [*range(1, MANY + 1)]


@pytest.mark.parametrize(("limit", "value"), [("INBOX_MESSAGES", 3), ("INBOX_BYTES", 6)])
async def test_as_much_as_may_wait_is_kept(limit: str, value: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, limit, value)
    box = small_box()
    for number in range(3):
        box.put(message(number))
    assert [(await box.__anext__()).message_seq for _ in range(3)] == [0, 1, 2]


@pytest.mark.parametrize(("limit", "value"), [("INBOX_MESSAGES", 3), ("INBOX_BYTES", 6)])
async def test_beyond_that_the_oldest_are_given_up_and_counted(
    limit: str, value: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, limit, value)
    box = small_box()
    for number in range(5):
        box.put(message(number))
    with pytest.raises(MessagesMissed, match="2 messages") as missed:
        await box.__anext__()
    assert missed.value.count == 2
    assert [(await box.__anext__()).message_seq for _ in range(3)] == [2, 3, 4]
    box.put(message(5))
    assert (await box.__anext__()).message_seq == 5


async def test_a_message_larger_than_the_limit_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "INBOX_BYTES", 1)
    box = small_box()
    box.put(message(1))
    assert (await box.__anext__()).message_seq == 1


async def test_what_has_arrived_can_be_taken_after_the_end() -> None:
    box = small_box()
    box.put(message(1))
    box.close(ConnectionClosed(4003, "kicked"))
    assert (await box.__anext__()).message_seq == 1
    for _ in range(2):
        with pytest.raises(ConnectionClosed, match="kicked"):
            await box.__anext__()


async def test_a_cancelled_take_loses_nothing() -> None:
    box = small_box()
    taken: list[int] = []

    async def take() -> None:
        taken.append((await box.__anext__()).message_seq)

    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as scope:
            scope.cancel()
            await box.__anext__()
        nursery.start_soon(take)
        nursery.start_soon(take)
        await trio.testing.wait_all_tasks_blocked()
        box.put(message(1))
        box.put(message(2))
    assert sorted(taken) == [1, 2]
