"""Large groups are delivered in slices: to everybody once and in order, while others get their turns."""

import pytest
import trio

from wukong_trio import ChannelKey, DeviceLevel, Message, ReasonCode, SendCommand
from wukong_trio.delivery.deliver import PUSHES_PER_TURN, Deliverer
from wukong_trio.delivery.events import Event, Events, MessageAccepted
from wukong_trio.delivery.flush import FlushList
from wukong_trio.delivery.push import Push
from wukong_trio.delivery.registry import SessionRegistry
from wukong_trio.delivery.routes import Route
from wukong_trio.delivery.submission import Errand, Submission
from wukong_trio.protocol.codes import Close
from wukong_trio.services.directory import Channel
from wukong_trio.store.base import ChannelRecord

KEY = ChannelKey("g", 2)
MEMBERS = [f"u{n}" for n in range(1000)]


class Member:
    """A session that remembers what it got."""

    device_flag, device_id, level = 0, "", DeviceLevel.SLAVE

    def __init__(self, uid: str, *, broken: bool = False) -> None:
        self.uid = uid
        self.broken = broken
        self.pushes: list[Push] = []

    def deliver(self, push: Push) -> None:
        if self.broken:
            raise ZeroDivisionError
        self.pushes.append(push)

    def close(self, close: Close, notice: bytes | None = None) -> None:
        raise AssertionError

    @property
    def seqs(self) -> list[int]:
        return [push.message.message_seq for push in self.pushes]


class Sent(Submission, eq=False, gc=False):
    def finish(self) -> None:
        pass


class Scene:
    def __init__(self) -> None:
        self.registry = SessionRegistry()
        self.members = [Member(uid) for uid in MEMBERS]
        for member in self.members:
            self.registry.enter(member)
        self.channel = Channel(ChannelRecord(key=KEY, subscribers=frozenset([*MEMBERS, "late", "offline"])))
        self.told: list[Event] = []

    def deliverer(self) -> Deliverer:
        async def nobody(event: Event) -> None: ...

        events = Events(nobody, hook_timeout_s=1)
        events.emit = self.told.append  # type: ignore[method-assign]
        return Deliverer(self.registry, FlushList(), events)

    def sends(self, *seqs: int, sender: Member | None = None) -> list[Errand]:
        uid = sender.uid if sender is not None else MEMBERS[0]
        route = Route(uid, self.channel, self.channel, ReasonCode.SUCCESS)
        command = SendCommand(from_uid=uid, channel_id="g", channel_type=2, payload=b"{}")
        return [
            Sent(
                sender=sender,
                command=command,
                route=route,
                message=Message(
                    message_id=seq, message_seq=seq, channel_id="g", channel_type=2, from_uid=uid,
                    client_msg_no=str(seq), timestamp=1, payload=b"{}",
                ),
            )
            for seq in seqs
        ]  # fmt: skip


async def test_everybody_gets_everything_in_order_and_others_get_turns() -> None:
    scene, turns = Scene(), 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(others)
        deliverer = scene.deliverer()
        await deliverer.deliver(scene.sends(1, 2))
        await deliverer.deliver(scene.sends(3))
        nursery.cancel_scope.cancel()
    assert all(member.seqs == [1, 2, 3] for member in scene.members)
    assert deliverer.statistics.delivered == 3000
    slices = len(MEMBERS) // PUSHES_PER_TURN
    assert turns >= 3 * slices


async def test_the_sender_gets_it_on_other_devices_only_and_without_a_red_dot() -> None:
    scene = Scene()
    for place in (0, 500, 999):
        sender, other = scene.members[place], Member(MEMBERS[place])
        scene.registry.enter(other)
        await scene.deliverer().deliver(scene.sends(place + 1, sender=sender))
        assert place + 1 not in sender.seqs
        [own] = other.pushes
        assert not own.red_dot
        everybody_else = [m for m in scene.members if m is not sender]
        assert all(m.pushes[-1].message.message_seq == place + 1 for m in everybody_else)
        assert all(m.pushes[-1].red_dot for m in everybody_else)
        scene.registry.leave(other)


async def test_coming_and_going_during_a_delivery_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene()
    newcomer, gone = Member("late"), set()

    async def come_and_go() -> None:
        # A slice or two are out, as Trio happens to choose: half of the rest leaves, one comes in, and one comes with a
        # second device.
        served = [m for m in scene.members if m.pushes]
        assert len(served) in (PUSHES_PER_TURN, 2 * PUSHES_PER_TURN)
        for member in [m for m in scene.members if not m.pushes][::2]:
            scene.registry.leave(member)
            gone.add(member)
        scene.registry.leave(served[0])
        scene.registry.enter(newcomer)
        scene.registry.enter(Member(served[1].uid))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(scene.deliverer().deliver, scene.sends(1))
        while not any(member.pushes for member in scene.members):
            await trio.lowlevel.checkpoint()
        await come_and_go()
    for member in scene.members:
        assert member.seqs == ([] if member in gone else [1])
    await scene.deliverer().deliver(scene.sends(2))
    assert newcomer.seqs == [2]
    assert not caplog.records


async def test_events_come_after_the_delivery_and_in_order() -> None:
    scene = Scene()
    seen: list[tuple[int, bool]] = []

    class Told(list[Event]):
        def append(self, event: Event) -> None:
            assert isinstance(event, MessageAccepted)
            seq = event.message.message_seq
            seen.append((seq, all(seq in m.seqs for m in scene.members)))

    scene.told = Told()
    await scene.deliverer().deliver(scene.sends(1, 2, 3))
    assert seen == [(1, True), (2, True), (3, True)]


async def test_a_session_that_fails_costs_no_other_message(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene()
    scene.members[3].broken = True
    deliverer = scene.deliverer()
    await deliverer.deliver(scene.sends(1))
    assert "not delivered to everybody" in caplog.text
    scene.members[3].broken = False
    await deliverer.deliver(scene.sends(2))
    assert all(member.pushes[-1].message.message_seq == 2 for member in scene.members)
