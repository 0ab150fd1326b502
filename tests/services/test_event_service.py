"""Appending events: order, atomicity, who is known."""

import json

import pytest
import trio
from event_scene import GROUP, Scene, refused
from trio.testing import MockClock, wait_all_tasks_blocked

from wukong_trio import ChannelKey, MessageEvent, SendCommand, SendRefusedError, SendResult, StoreError
from wukong_trio.model import person_channel_id
from wukong_trio.services.message_events import (
    service,
)


@pytest.fixture
def scene() -> Scene:
    return Scene()


async def test_a_stored_event_is_told_when_it_is_durable(scene: Scene) -> None:
    scene.store.gate = trio.Event()
    await_load = scene.store.gate
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scene.add, "e1", "stream.close")
        await wait_all_tasks_blocked()
        assert (scene.store.loads, scene.store.saves) == ([1], 0)
        scene.store.gate = trio.Event()
        await_load.set()
        await wait_all_tasks_blocked()
        assert (scene.store.saves, scene.told) == (1, [])
        scene.store.gate.set()
    assert scene.told == ["e1"]


async def test_calls_for_one_message_take_turns_and_keep_their_order(scene: Scene) -> None:
    scene.store.gate = trio.Event()
    async with trio.open_nursery() as nursery:
        for n in range(5):
            for event_id, kind in ((f"d{n}", "stream.delta"), (f"c{n}", "own.type")):
                nursery.start_soon(scene.add, event_id, kind, str(n))
                await wait_all_tasks_blocked()
        # Another message does not wait for this one.
        gate, scene.store.gate = scene.store.gate, None
        await scene.add("x", client_msg_no="s2")
        assert scene.told == ["x"]
        gate.set()
    assert scene.told == ["x", *(f"{kind}{n}" for n in range(5) for kind in "dc")]
    assert (await scene.record()).stream_data == b"01234"
    assert [event.msg_event_seq for event in (await scene.events.read("g", 2, "s1")).events] == [5]


async def test_deltas_of_several_tasks_are_all_there(scene: Scene) -> None:
    async def write(name: str) -> None:
        for n in range(50):
            await scene.add(f"{name}{n}", text=name)

    async with trio.open_nursery() as nursery:
        for name in "abc":
            nursery.start_soon(write, name)
    text = (await scene.record()).stream_data.decode()
    assert [text.count(name) for name in "abc"] == [50, 50, 50]
    deltas = [json.loads(event.data)["payload"]["delta"] for _, event in scene.pushed]
    assert "".join(deltas) == text, "pushed in the order in which they were added"


async def test_only_the_first_event_of_a_message_asks_the_store(scene: Scene) -> None:
    for n in range(10):
        await scene.add(f"e{n}", text="a")
    assert (scene.store.loads, scene.store.saves) == ([1], 0)


async def test_what_the_store_refuses_has_not_happened(scene: Scene) -> None:
    await scene.add("e1", text="a")
    scene.store.fails = True
    with pytest.raises(StoreError):
        await scene.add("e2", "stream.close")
    with pytest.raises(StoreError):
        await scene.add("e1", client_msg_no="s2")
    assert scene.told == ["e1"]
    assert len(scene.events.sessions) == 1
    scene.store.fails = False
    await scene.add("e3", text="b")
    result = await scene.add("e2", "stream.close")
    assert (result.msg_event_seq, result.stream_status) == (1, "closed")
    assert (await scene.record()).stream_data == b"ab"


async def test_who_is_cancelled_while_it_is_stored_has_appended_it(scene: Scene) -> None:
    await scene.add("e1", text="a")
    scene.store.gate = trio.Event()
    async with trio.open_nursery() as nursery:

        async def add() -> None:
            await scene.add("e2", "stream.close")

        nursery.start_soon(add)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
        scene.store.gate.set()
    assert scene.told == ["e1", "e2"]
    assert (await scene.record()).end == 1
    assert len(scene.events.sessions) == 0


async def test_who_is_cancelled_when_it_is_stored_has_told_it(scene: Scene) -> None:
    scene.gate = trio.Event()
    scope = trio.CancelScope()

    async def add() -> None:
        with scope:
            await scene.add("e1", "stream.close")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(add)
        await wait_all_tasks_blocked()
        scope.cancel()
        await wait_all_tasks_blocked()
        assert scene.told == []
        scene.gate.set()
    assert scene.told == ["e1"]


async def test_who_is_cancelled_before_has_not(scene: Scene) -> None:
    scene.gate = trio.Event()
    async with trio.open_nursery() as nursery:
        for kind, event_id in (("stream.delta", "e1"), ("stream.delta", "e2")):
            nursery.start_soon(scene.add, event_id, kind, "a")
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    scene.gate = None
    assert scene.told == []
    assert len(scene.events.sessions) == 0
    await scene.add("e1", text="b")
    assert (await scene.record()).stream_data == b"b"


async def test_an_event_that_cannot_be_told_in_time_is_stored_all_the_same(
    scene: Scene, autojump_clock: MockClock
) -> None:
    scene.gate = trio.Event()
    assert (await scene.add("e1", "stream.close")).msg_event_seq == 1
    assert trio.current_time() >= service.PUSH_TIMEOUT_S
    assert scene.told == []


async def test_who_has_sent_the_message_is_known(scene: Scene) -> None:
    sent: list[SendCommand] = []

    async def send(command: SendCommand) -> SendResult:
        sent.append(command)
        return SendResult(reason_code=1, message_id=77, message_seq=1, client_msg_no=command.client_msg_no)

    command = SendCommand(
        from_uid="bot", channel_id="ann", channel_type=1, payload=b"{}", client_msg_no="s1", setting=2
    )
    await scene.events.send(command, send)
    result = await scene.add("e1", text="a", channel_id="ann", channel_type=1)
    assert (result.from_uid, sent) == ("bot", [command])
    key, event = scene.pushed[0]
    assert key == ChannelKey(person_channel_id("ann", "bot"), 1)
    data = json.loads(event.data)
    assert (data["from_uid"], data["message_id"], data["channel_id"]) == ("bot", 77, "ann")
    await scene.add("e2", text="a", channel_id="bot", channel_type=1, from_uid="ann", message_id=5)
    data = json.loads(scene.pushed[1][1].data)
    assert (scene.pushed[1][0], data["from_uid"], data["message_id"], data["channel_id"]) == (key, "ann", 5, "bot")
    other = {"channel_id": "ann", "channel_type": 1, "from_uid": "carl"}
    await refused(lambda: scene.add("e3", text="a", **other), "mismatch")


async def test_no_event_goes_ahead_of_its_message(scene: Scene) -> None:
    go_on = trio.Event()

    async def send(command: SendCommand) -> SendResult:
        await go_on.wait()
        scene.pushed.append((GROUP, MessageEvent("the message", "", 0, b"")))
        return SendResult(reason_code=1, message_id=77, message_seq=1, client_msg_no=command.client_msg_no)

    command = SendCommand(from_uid="bot", channel_id="g", channel_type=2, payload=b"{}", client_msg_no="s1", setting=2)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scene.events.send, command, send)
        await wait_all_tasks_blocked()
        nursery.start_soon(scene.add, "e1")
        await wait_all_tasks_blocked()
        assert scene.told == []
        go_on.set()
    assert scene.told == ["the message", "e1"]


async def test_a_message_that_was_not_sent_leaves_nothing(scene: Scene) -> None:
    async def send(command: SendCommand) -> SendResult:
        assert command.client_msg_no
        raise SendRefusedError(19, "Ban")

    for channel_id, kind in (("g", 2), ("a@b@c", 1)):
        command = SendCommand(
            from_uid="bot",
            channel_id=channel_id,
            channel_type=kind,
            payload=b"",
            setting=2,
            client_msg_no="" if kind == 2 else "n",
        )
        with pytest.raises(SendRefusedError):
            await scene.events.send(command, send)
    assert len(scene.events.sessions) == 0


async def test_a_number_belongs_to_one_channel_until_its_stream_is_over(scene: Scene) -> None:
    await scene.add("e1", text="a")
    await refused(lambda: scene.add("e2", text="b", channel_id="h"), "^message event channel mismatch$")
    # Stored events have a place of their own.
    assert (await scene.add("e3", "own.type", channel_id="h")).msg_event_seq == 1
    await refused(lambda: scene.add("e4", text="b", channel_id="h"), "^message event channel mismatch$")
    await scene.add("e5", "stream.close")
    await scene.add("e6", text="b", channel_id="h")
    assert scene.told == ["e1", "e3", "e5", "e6"]


async def test_an_ended_stream_stays_ended(scene: Scene) -> None:
    await scene.add("e1", text="a", from_uid="bot")
    await scene.add("e2", "stream.close", from_uid="bot", message_id=9)
    assert len(scene.events.sessions) == 0
    for _ in range(2):
        await refused(lambda: scene.add("e3", text="b"), "^stream closed$")
        result = await scene.add("e4", "stream.close")
        assert (result.msg_event_seq, result.event_id, result.stream_status) == (1, "e4", "closed")
        # What is stored says who it was.
        assert result.from_uid == "bot"
        scene.restart()
    await scene.add("e5", "own.type", event_key="more")
    assert json.loads(scene.pushed[-1][1].data)["message_id"] == 9
    assert scene.told == ["e1", "e2", "e5"]


async def test_what_was_not_stored_is_lost_by_a_restart(scene: Scene) -> None:
    await scene.add("e1", text="a")
    await scene.add("e2", "stream.snapshot", payload=b'{"kind":"text","text":"b"}')
    await scene.add("e3", text="c")
    assert (await scene.record()).stream_data == b"bc"
    scene.restart()
    assert (await scene.record()).stream_data == b"b"
    await scene.add("e4", text="d")
    assert (await scene.record()).stream_data == b"bd"
