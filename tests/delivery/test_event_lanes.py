"""Events of messages among the messages of their channel: to everybody once and in order, however large the channel."""

from collections.abc import Sequence

import pytest
import trio
from common import counted_turns
from test_deliver_slices import KEY, MEMBERS, Member, Scene
from trio.testing import wait_all_tasks_blocked

from wukong_trio import ChannelKey, MessageEvent, SendCommand, StoreError
from wukong_trio.delivery.deliver import PUSHES_PER_TURN
from wukong_trio.delivery.event_push import EventForm, EventRun
from wukong_trio.delivery.lane import RUN_BYTES, RUN_MESSAGES
from wukong_trio.delivery.submission import Errand, EventErrand
from wukong_trio.services.directory import Channel
from wukong_trio.store.base import ChannelChange, ChannelRecord, MemberChange, MemberList
from wukong_trio.store.memory import MemoryStore
from wukong_trio.testing import open_raw_client, open_test_server


class Listener(Member):
    """A member who notes events among the messages."""

    def __init__(self, uid: str, *, broken: bool = False) -> None:
        super().__init__(uid, broken=broken)
        self.runs = 0

    def inform(self, run: EventRun) -> int:
        if self.broken:
            raise ZeroDivisionError
        self.runs += 1
        self.log += [event.event_id for event in run.events]
        return self.work


def scene_of(count: int) -> Scene:
    scene = Scene()
    for member in scene.members:
        scene.registry.leave(member)
    scene.members = [Listener(uid) for uid in MEMBERS[:count]]
    for member in scene.members:
        scene.registry.enter(member)
    return scene


def events(channel: Channel, *names: str, data: bytes = b"{}") -> list[Errand]:
    return [EventErrand(None, channel.key, MessageEvent(name, "x", 1, data), channel) for name in names]


@pytest.mark.parametrize("count", [1, PUSHES_PER_TURN, len(MEMBERS)])
async def test_order(count: int) -> None:
    scene = scene_of(count)
    channel = scene.channel
    async with counted_turns() as turns, scene.running():
        await scene.outbox.send([*scene.sends(1), *events(channel, "a", "b"), *scene.sends(2), *events(channel, "c")])
        await scene.outbox.send([*events(channel, "d"), *scene.sends(3)])
    assert all(member.log == ["g1", "a", "b", "g2", "c", "d", "g3"] for member in scene.members)
    assert scene.done == 7
    assert turns.count >= count // PUSHES_PER_TURN
    # Neither counted as messages nor told to anybody else.
    assert scene.deliverer.statistics.delivered == 3 * count
    assert scene.deliverer.statistics.accepted == 3
    assert len(scene.told) == 3


async def test_events_that_wait_go_to_each_member_together() -> None:
    scene = scene_of(len(MEMBERS))
    names = [f"e{n}" for n in range(2 * RUN_MESSAGES)]
    async with scene.running():
        await scene.outbox.send(events(scene.channel, *names))
    for member in scene.members:
        assert isinstance(member, Listener)
        assert (member.log, member.runs) == (names, 2)


async def test_a_run_of_events_is_bounded_in_bytes() -> None:
    for size, runs in ((RUN_BYTES // 3, 2), (RUN_BYTES // 3 + 1, 3), (RUN_BYTES + 1, 6)):
        scene = scene_of(len(MEMBERS))
        async with scene.running():
            await scene.outbox.send(events(scene.channel, *"abcdef", data=b"x" * size))
        member = scene.members[1]
        assert isinstance(member, Listener)
        assert (member.log, member.runs) == (list("abcdef"), runs)


@pytest.mark.parametrize("count", [2, len(MEMBERS)])
async def test_a_session_that_fails_keeps_nothing_from_the_others(count: int) -> None:
    scene = scene_of(count)
    scene.members[-1].broken = count > 2
    async with scene.running():
        await scene.outbox.send(events(scene.channel, "a"))
        await scene.outbox.send(events(scene.channel, "b"))
    assert [member.log for member in scene.members[: count - 1]] == [["a", "b"]] * (count - 1)
    assert scene.done == 2


async def test_who_joins_meanwhile_does_not_get_what_waits() -> None:
    scene = scene_of(len(MEMBERS))
    late = Listener("late")
    channel = Channel(ChannelRecord(key=KEY, subscribers=frozenset(MEMBERS)))
    async with scene.running():
        await scene.outbox.send([*scene.sends(1, channel=channel), *events(channel, "a")])
        await wait_all_tasks_blocked()
        scene.registry.enter(late)
        members = MemberChange(list=MemberList.SUBSCRIBERS, add=["late"])
        channel.apply(ChannelChange(key=KEY, members=[members]))
        await scene.outbox.send(events(channel, "b"))
    assert late.log == ["b"]


async def test_an_event_whose_channel_could_not_be_read_goes_to_nobody() -> None:
    scene = scene_of(1)
    async with scene.running():
        await scene.outbox.send([EventErrand(None, KEY, MessageEvent("a", "x", 1, b""))])
    assert scene.members[0].log == []
    assert scene.done == 1


class Form(EventForm):
    """Counts how often it encodes."""

    def __init__(self, *, joinable: bool) -> None:
        self.joinable = joinable
        self.encoded = 0

    def encode(self, event: MessageEvent) -> bytes:
        self.encoded += 1
        return event.data

    __slots__ = ("encoded",)


def test_events_are_encoded_once_for_each_form() -> None:
    run = EventRun([MessageEvent("a", "x", 1, b"1"), MessageEvent("b", "x", 1, b"2")])
    for joinable, frames in ((True, [b"12"]), (False, [b"1", b"2"])):
        form = Form(joinable=joinable)
        for _ in range(3):
            assert run.frames(form) == frames
        assert form.encoded == 2


class HalfBroken(MemoryStore):
    """Its channels cannot be read when it is told so."""

    broken = False

    async def load_channels(self, keys: Sequence[ChannelKey]) -> list[ChannelRecord]:
        if self.broken:
            raise StoreError("no disk")
        return await super().load_channels(keys)


async def test_the_router_goes_on_when_a_channel_cannot_be_read(caplog: pytest.LogCaptureFixture) -> None:
    store = HalfBroken()
    async with open_test_server(store=store) as server, open_raw_client(server.endpoints.ws) as ann:
        await ann.connect("ann")
        push, key = server._parts.router.push_event, ChannelKey("ann", 10)
        store.broken = True
        await push(key, MessageEvent("a", "x", 1, b"{}"))
        await server._parts.router.drain()
        store.broken = False
        await push(key, MessageEvent("b", "x", 1, b"{}"))
        assert (await ann.receive())["params"]["id"] == "b"
    assert "1 events of messages were not pushed: no disk" in caplog.text
    # Nobody works on it any more: that is no error.
    await push(key, MessageEvent("c", "x", 1, b"{}"))


async def test_the_before_send_hook_does_not_see_events() -> None:
    seen: list[str] = []

    async def before_send(command: SendCommand) -> None:
        seen.append(command.client_msg_no)
        await trio.lowlevel.checkpoint()

    with trio.fail_after(10):
        async with (
            open_test_server(before_send=before_send) as server,
            open_raw_client(server.endpoints.ws) as ann,
        ):
            await ann.connect("ann")
            names = [f"e{n}" for n in range(50)]
            await server.send(
                SendCommand(from_uid="bot", channel_id="ann", channel_type=10, payload=b"{}", client_msg_no="m")
            )
            for name in names:
                await server._parts.router.push_event(ChannelKey("ann", 10), MessageEvent(name, "x", 1, b"{}"))
            assert (await ann.receive())["method"] == "message"
            assert [(await ann.receive())["params"]["id"] for _ in names] == names
    assert seen == ["m"]
