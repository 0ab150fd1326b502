"""The queue in front of the on_event hook: bounded in count and in bytes, and honest about what it dropped."""

import pytest
import trio

from wukong_trio import Message, MessageAccepted
from wukong_trio.delivery import events as events_module
from wukong_trio.delivery.events import Event, Events, EventsState


def accepted(payload_bytes: int = 0) -> MessageAccepted:
    return MessageAccepted(
        Message(
            message_id=1, message_seq=1, channel_id="g", channel_type=2, from_uid="ann",
            client_msg_no="1", timestamp=1, payload=bytes(payload_bytes),
        )
    )  # fmt: skip


class Listener:
    """A hook that can be held up."""

    def __init__(self) -> None:
        self.told: list[Event] = []
        self.may_go_on = trio.Event()

    async def __call__(self, event: Event) -> None:
        self.told.append(event)
        await self.may_go_on.wait()


async def test_it_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events_module, "EVENT_QUEUE_BYTES", 1000)
    events = Events(Listener(), hook_timeout_s=1)
    for size in (500, 500, 0):
        events.emit(accepted(size))
    assert events.dropped == 0
    events.emit(accepted(1))
    assert (events.dropped, events.state) == (1, EventsState.DROPPING)


async def test_one_event_passes_however_large_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events_module, "EVENT_QUEUE_BYTES", 1000)
    events = Events(Listener(), hook_timeout_s=1)
    events.emit(accepted(5000))
    assert events.dropped == 0


async def test_it_is_bounded_in_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events_module, "EVENT_QUEUE", 3)
    events = Events(Listener(), hook_timeout_s=1)
    for dropped in (0, 0, 0, 1, 2):
        events.emit(accepted())
        assert events.dropped == dropped


async def test_what_is_told_makes_room_and_dropping_is_logged_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(events_module, "EVENT_QUEUE_BYTES", 1000)
    listener = Listener()
    events = Events(listener, hook_timeout_s=60)
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(events.run)
            for turn in (1, 2):
                listener.may_go_on = trio.Event()
                for _ in range(5):
                    events.emit(accepted(400))
                assert events.dropped == 3 * turn
                listener.may_go_on.set()
                await events.drain()
                assert events.state is EventsState.KEEPING_UP
                assert len(listener.told) == 2 * turn
            nursery.cancel_scope.cancel()
    assert [record.getMessage()[:23] for record in caplog.records] == [
        "the on_event hook is to",
        "the on_event hook has c",
    ] * 2


async def test_the_end_counts_what_was_not_told_and_takes_nothing_more() -> None:
    listener = Listener()
    events = Events(listener, hook_timeout_s=60)
    for _ in range(4):
        events.emit(accepted())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(events.run)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert (len(listener.told), events.dropped, events.state) == (1, 4, EventsState.CLOSED)
    events.emit(accepted())
    assert events.dropped == 5
    with trio.fail_after(1):
        await events.drain()
