"""Appending events and reading them: order, atomicity, what is kept in memory, and for how long."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import trio
from msgspec.structs import replace
from trio.testing import MockClock, wait_all_tasks_blocked

from wukong_trio import ChannelKey, Message, MessageEvent, SendCommand, SendRefusedError, SendResult, StoreError
from wukong_trio.errors import EventRefusedError
from wukong_trio.model import SETTING_STREAM, person_channel_id
from wukong_trio.services.message_events import (
    EventCommand,
    EventResult,
    MessageEvents,
    SummaryMode,
    may_have_events,
    service,
    sessions,
)
from wukong_trio.services.records import MessageRecord
from wukong_trio.store.event_store import MessageName, StoredEvent
from wukong_trio.store.memory import MemoryStore

GROUP = ChannelKey("g", 2)
LIMIT = 100_000


class CountingStore(MemoryStore):
    """Counts what is asked of it, and fails or waits when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[int] = []
        self.saves = 0
        self.fails = False
        self.gate: trio.Event | None = None

    async def load_events(self, messages: Any, *, max_bytes: int) -> list[StoredEvent]:
        self.loads.append(len(messages))
        if self.fails:
            raise StoreError("no disk")
        if self.gate is not None:
            await self.gate.wait()
        return await super().load_events(messages, max_bytes=max_bytes)

    async def save_event(self, event: StoredEvent) -> None:
        self.saves += 1
        if self.fails:
            raise StoreError("no disk")
        # What has begun is finished.
        with trio.CancelScope(shield=True):
            if self.gate is not None:
                await self.gate.wait()
            await super().save_event(event)


class Scene:
    """The service over a store in memory."""

    def __init__(self) -> None:
        self.store = CountingStore()
        self.pushed: list[tuple[ChannelKey, MessageEvent]] = []
        self.gate: trio.Event | None = None
        self.events = MessageEvents(self.store, self._push, payload_limit_bytes=LIMIT)

    async def _push(self, key: ChannelKey, event: MessageEvent) -> None:
        if self.gate is not None:
            await self.gate.wait()
        self.pushed.append((key, event))

    def restart(self) -> None:
        self.events = MessageEvents(self.store, self._push, payload_limit_bytes=LIMIT)

    async def add(
        self, event_id: str, kind: str = "stream.delta", text: str | None = None, **fields: Any
    ) -> EventResult:
        payload = b"" if text is None else json.dumps({"kind": "text", "delta": text}).encode()
        command = EventCommand(
            **{
                "channel_id": "g",
                "channel_type": 2,
                "client_msg_no": "s1",
                "event_id": event_id,
                "event_type": kind,
                "payload": payload,
                **fields,
            }
        )
        return await self.events.append(command)

    @property
    def told(self) -> list[str]:
        """The ids of the events that were pushed."""
        return [event.event_id for _, event in self.pushed]

    async def record(self, mode: SummaryMode = SummaryMode.FULL, number: str = "s1") -> MessageRecord:
        [record] = await self.events.records([stream(number)], mode=mode)
        return record


def stream(number: str = "s1", setting: int = SETTING_STREAM) -> Message:
    return Message(
        message_id=1,
        message_seq=1,
        channel_id="g",
        channel_type=2,
        from_uid="bot",
        client_msg_no=number,
        timestamp=1,
        payload=b"{}",
        setting=setting,
    )


@pytest.fixture
def scene() -> Scene:
    return Scene()


async def refused(call: Callable[[], Any], text: str) -> None:
    with pytest.raises(EventRefusedError, match=text):
        await call()


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

    command = SendCommand(from_uid="bot", channel_id="ann", channel_type=1, payload=b"{}", client_msg_no="s1")
    await scene.events.send_stream(command, send)
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

    command = SendCommand(from_uid="bot", channel_id="g", channel_type=2, payload=b"{}", client_msg_no="s1")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scene.events.send_stream, command, send)
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
            client_msg_no="" if kind == 2 else "n",
        )
        with pytest.raises(SendRefusedError):
            await scene.events.send_stream(command, send)
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

    command = SendCommand(from_uid="bot", channel_id="g", channel_type=2, payload=b"{}", client_msg_no="s0")
    await scene.events.send_stream(command, send)
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
    await refused(lambda: scene.events.cancel_open("bot", "a@b", 1), "频道ID不合法！")


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
    await refused(lambda: read(limit=-1), "^limit不能为负数！$")
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
    await refused(lambda: scene.events.push("ann", "g", 0, event), "频道类型错误！")
    await refused(lambda: scene.events.push("ann", "b@c", 1, event), "频道ID不合法！")
    await refused(lambda: scene.events.push("x" * 513, "g", 2, event), "from_uid is longer")
    assert len(scene.pushed) == 1
    assert scene.events.sessions.get(MessageName(GROUP, "s1")) is None
