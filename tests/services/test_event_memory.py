"""What stays in memory of events, and for how long; what records and readers are shown."""

import json
from typing import Any

import pytest
import trio
from event_scene import GROUP, LIMIT, Scene, refused, stream
from msgspec.structs import replace
from trio.testing import MockClock, wait_all_tasks_blocked

from wukong_trio import MessageEvent, SendCommand, SendResult
from wukong_trio.services.message_events import (
    MessageEvents,
    SummaryMode,
    may_have_events,
    service,
    sessions,
)
from wukong_trio.services.records import MessageRecord
from wukong_trio.store.event_store import MessageName


@pytest.fixture
def scene() -> Scene:
    return Scene()


# What stays in memory


async def test_sessions_stay_for_ten_minutes_after_their_last_use(scene: Scene, mock_clock: MockClock) -> None:
    await scene.add("e1", text="a")
    mock_clock.jump(sessions.IDLE_S - 1)
    await scene.add("e2", text="b")
    mock_clock.jump(sessions.IDLE_S - 1)
    assert (await scene.record()).stream_data == b"ab"
    mock_clock.jump(1)
    assert (await scene.record()).event_meta is None
    assert len(scene.events.sessions) == 0
    # Its number is free again.
    await scene.add("e3", text="c", channel_id="h")


async def test_there_are_so_many_sessions(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "MAX_SESSIONS", 3)
    for n in range(3):
        await scene.add("e1", text="a", client_msg_no=f"s{n}")
    assert len(scene.events.sessions) == 3
    await scene.add("e2", text="b", client_msg_no="s0")
    await scene.add("e1", text="a", client_msg_no="s3")
    texts = [(await scene.record(number=f"s{n}")).stream_data for n in range(4)]
    assert texts == [b"ab", b"", b"a", b"a"], "the one that was not used for longest is gone"


async def test_they_have_so_many_bytes(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "MAX_BYTES", 50_000)
    for n in range(4):
        await scene.add("e1", text="a" * 11_000, client_msg_no=f"s{n}")
    assert len(scene.events.sessions) == 4
    assert 48_000 < scene.events.sessions.size_bytes <= 50_000
    await scene.add("e2", text="a" * 4000, client_msg_no="s3")
    assert [len((await scene.record(number=f"s{n}")).stream_data) for n in range(4)] == [0, 11_000, 11_000, 15_000]
    for n in range(1, 4):
        await scene.add("e3", "stream.close", client_msg_no=f"s{n}")
    assert (len(scene.events.sessions), scene.events.sessions.size_bytes) == (0, 0)


async def test_a_session_in_use_stays(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "MAX_SESSIONS", 1)
    await scene.add("e1", text="a")
    scene.gate = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scene.add, "e2", "stream.delta", "b")
        await wait_all_tasks_blocked()
        gate, scene.gate = scene.gate, None
        await scene.add("e1", text="x", client_msg_no="s2")
        await scene.add("e1", text="x", client_msg_no="s3")
        gate.set()
    await scene.add("e3", text="c")
    assert (await scene.record()).stream_data == b"abc"
    assert len(scene.events.sessions) == 1


async def test_a_message_has_room_for_so_much(scene: Scene) -> None:
    assert scene.events.message_limit_bytes == 1024 * 1024
    assert MessageEvents(scene.store, scene._push, payload_limit_bytes=10**6).message_limit_bytes == 2 * 10**6
    piece = "x" * 65_536
    for n in range(16):
        await scene.add(f"e{n}", text=piece)
    await refused(lambda: scene.add("e16", text="x"), "the events of the message are larger than 1048576 bytes")
    assert (await scene.add("e17", "stream.close")).stream_status == "closed"
    assert len((await scene.record()).stream_data) == 1024 * 1024
    assert len(scene.pushed) == 17


async def test_cancelling_what_is_open_in_a_channel(scene: Scene) -> None:
    async def send(command: SendCommand) -> SendResult:
        return SendResult(reason_code=1, message_id=77, message_seq=1, client_msg_no=command.client_msg_no)

    command = SendCommand(from_uid="bot", channel_id="g", channel_type=2, payload=b"{}", setting=2, client_msg_no="s0")
    await scene.events.send(command, send)
    await scene.add("e1", text="a")
    await scene.add("e2", text="b", event_key="more")
    await scene.add("e3", text="c", client_msg_no="s2", channel_id="h")
    await scene.events.cancel_open("bot", "g", 2)
    assert [(await scene.record(number=number)).end for number in ("s0", "s1")] == [1, 1]
    meta = (await scene.record()).event_meta
    assert meta is not None
    assert {(key.event_key, key.status) for key in meta.events} == {("main", "cancelled"), ("more", "cancelled")}
    assert (await scene.record()).stream_data == b"a"
    await scene.add("e4", text="c", client_msg_no="s2", channel_id="h")
    await refused(lambda: scene.events.cancel_open("bot", "a@b", 1), "^channel_id cannot be that")


# Records


async def test_pages_without_streams_cost_nothing(scene: Scene) -> None:
    await scene.add("e1", "stream.close")
    scene.store.loads.clear()
    messages = [stream(f"n{n}", setting=0) for n in range(50)] + [stream("s1", setting=0)]
    records = list(await scene.events.records(messages))
    assert [record.client_msg_no for record in records] == [message.client_msg_no for message in messages]
    assert all(record.event_meta is None for record in records)
    assert scene.store.loads == []
    assert not may_have_events(messages)


async def test_a_page_with_several_streams_is_one_read(scene: Scene) -> None:
    for n in range(3):
        await scene.add("e1", text=str(n), client_msg_no=f"s{n}")
    await scene.add("e2", "stream.close", client_msg_no="s1")
    await scene.add("e2", "stream.close", client_msg_no="s2")
    scene.store.loads.clear()
    messages = [stream("s0"), stream("none"), stream("s1"), stream("s2"), stream("s1"), stream("s1", setting=0)]
    assert may_have_events(messages)
    records = list(await scene.events.records(messages, "ann"))
    assert [record.stream_data for record in records] == [b"0", b"", b"1", b"2", b"1", b""]
    assert [record.end for record in records] == [0, 0, 1, 1, 1, 0]
    assert scene.store.loads == [3], "those that are not in memory, once each"
    scene.store.loads.clear()
    list(await scene.events.records(messages[:1]))
    assert scene.store.loads == []


async def test_a_record_is_of_one_moment(scene: Scene) -> None:
    """A stream that ends and is forgotten while its page is read is shown as it was before."""
    await scene.add("e1", text="a")
    messages = [stream("s1"), stream("stored")]
    scene.store.gate = trio.Event()
    shown: list[MessageRecord] = []

    async def read() -> None:
        shown.extend(await scene.events.records(messages))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await wait_all_tasks_blocked()
        gate, scene.store.gate = scene.store.gate, None
        await scene.add("e2", text="b")
        await scene.add("e3", "stream.close")
        gate.set()
    assert (shown[0].stream_data, shown[0].end) == (b"a", 0)
    assert (await scene.record()).stream_data == b"ab"


async def test_the_summary_of_a_message(scene: Scene) -> None:
    await scene.add("e1", text="a")
    await scene.add("e2", event_key="obj", payload=b'{"n": 1}')
    await scene.add("e3", "stream.error", event_key="bad", payload=b'{"error":"boom"}')
    await scene.add("e4", "stream.finish")
    for restarted in (False, True):
        record = await scene.record()
        meta = record.event_meta
        assert meta is not None
        assert (meta.has_events, meta.completed) == (True, True)
        assert (meta.event_version, meta.last_msg_event_seq) == (1, 1)
        states = {key.event_key: (key.status, key.last_msg_event_seq, key.error) for key in meta.events}
        snapshots = {key.event_key: json.loads(bytes(key.snapshot)) for key in meta.events if key.snapshot}  # type: ignore[arg-type]
        if not restarted:
            assert states == {"main": ("open", 0, ""), "obj": ("open", 0, ""), "bad": ("error", 1, "boom")}
            assert snapshots == {"main": {"kind": "text", "text": "a"}, "obj": {"n": 1}}
            assert (meta.event_count, meta.open_event_count) == (3, 2)
            assert (record.end, record.stream_data) == (0, b"a")
        else:
            assert states == {"bad": ("error", 1, "boom")}
            assert snapshots == {}
        assert record.event_sync_hint is not None
        assert (record.event_sync_hint.client_msg_no, record.event_sync_hint.from_msg_event_seq) == ("s1", 0)
        scene.restart()


async def test_the_fields_of_the_main_key(scene: Scene) -> None:
    await scene.add("e1", "stream.close", payload=b'{"end_reason": 4, "snapshot": {"kind":"text","text":"a"}}')
    record = await scene.record()
    assert (record.end, record.end_reason, record.error, record.stream_data) == (1, 4, "", b"a")
    await scene.add("e1", "stream.error", client_msg_no="s2", payload=b'{"error": "x", "snapshot": {"n": 1}}')
    record = await scene.record(number="s2")
    assert (record.end, record.end_reason, record.error, record.stream_data) == (1, 0, "x", b"")


async def test_a_basic_summary_has_no_snapshots(scene: Scene) -> None:
    await scene.add("e1", text="a")
    await scene.add("e2", text="b", event_key="more")
    record = await scene.record(SummaryMode.BASIC)
    assert record.stream_data == b"a"
    assert record.event_meta is not None
    assert [(key.event_key, bool(key.snapshot)) for key in record.event_meta.events] == [
        ("main", False),
        ("more", False),
    ]


@pytest.mark.parametrize("stored", [False, True])
async def test_a_page_shows_so_much(scene: Scene, stored: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(3):
        await scene.add("e1", "stream.snapshot", client_msg_no=f"s{n}", payload=b'"%b"' % (b"x" * 98))
    if stored:
        scene.restart()
    for limit, shown in ((300, [True] * 3), (299, [True, True, False]), (99, [False] * 3)):
        monkeypatch.setattr(service, "PAGE_BYTES", limit)
        records = list(await scene.events.records([stream(f"s{n}") for n in range(3)]))
        metas = [record.event_meta for record in records]
        assert [bool(meta and meta.events[0].snapshot) for meta in metas] == shown
        assert all(meta and meta.event_count == 1 for meta in metas)


# Reading


async def test_reading(scene: Scene) -> None:
    for n, (key, visibility) in enumerate(
        (("a", ""), ("b", "private"), ("c", "public"), ("d", "restricted"), ("a", "")), start=1
    ):
        await scene.add(f"e{n}", "own.type", event_key=key, visibility=visibility)

    async def read(**more: Any) -> tuple[list[int], bool]:
        events, left = await scene.events.read("g", 2, "s1", **more)
        return [event.msg_event_seq for event in events], left

    assert await read() == ([3, 5], False)
    assert await read(include_private=True) == ([2, 3, 4, 5], False)
    assert await read(after_seq=3) == ([5], False)
    assert await read(after_seq=5) == ([], False)
    assert await read(event_key="c") == ([3], False)
    assert await read(event_key="b") == ([], False)
    assert await read(limit=1) == ([3], True)
    assert await read(limit=2) == ([3, 5], False)
    await refused(lambda: read(limit=-1), "^limit is a number from 0")
    assert await scene.events.read("g", 2, "none") == ([], False)


async def test_a_page_of_events_has_200_unless_more_are_asked_for(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(203):
        await scene.add("e", "own.type", event_key=f"k{n}")
    for limit, count, more in ((0, 200, True), (202, 202, True), (203, 203, False), (10**9, 203, False)):
        events, left = await scene.events.read("g", 2, "s1", limit=limit)
        assert (len(events), left) == (count, more)
    monkeypatch.setattr(service, "MAX_LIMIT", 202)
    assert len((await scene.events.read("g", 2, "s1", limit=10**9)).events) == 202


# What is pushed as it is


async def test_plain_events(scene: Scene) -> None:
    event = MessageEvent("i", "typing", 5, b"x" * LIMIT)
    await scene.events.push("ann", "g", 2, event)
    assert scene.pushed == [(GROUP, event)]
    too_long = replace(event, data=b"x" * (LIMIT + 1))
    for wrong, text in ((too_long, "data is larger"), (replace(event, type="x" * 513), "event_type is longer")):
        await refused(lambda wrong=wrong: scene.events.push("ann", "g", 2, wrong), text)
    await refused(lambda: scene.events.push("ann", "g", 0, event), "^channel_type is 0")
    await refused(lambda: scene.events.push("ann", "b@c", 1, event), "^channel_id cannot be that")
    await refused(lambda: scene.events.push("x" * 513, "g", 2, event), "from_uid is longer")
    assert len(scene.pushed) == 1
    assert scene.events.sessions.get(MessageName(GROUP, "s1")) is None
