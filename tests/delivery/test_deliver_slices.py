"""Large groups are delivered in slices and runs: to everybody once and in order, while others get their turns."""

from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
import trio
from common import counted_turns
from trio.testing import wait_all_tasks_blocked

from wukong_trio import ChannelKey, DeviceLevel, Message, ReasonCode, SendCommand
from wukong_trio.delivery import deliver
from wukong_trio.delivery.deliver import FEW, HEAVY_BYTES, LOOK_UPS_PER_TURN, PUSHES_PER_TURN, Deliverer
from wukong_trio.delivery.events import Event, Events, MessageAccepted
from wukong_trio.delivery.flush import FlushList
from wukong_trio.delivery.lane import RUN_BYTES, RUN_MESSAGES
from wukong_trio.delivery.push import Delivery, Push
from wukong_trio.delivery.registry import SessionRegistry
from wukong_trio.delivery.routes import Route
from wukong_trio.delivery.submission import Errand, Submission
from wukong_trio.protocol.codes import Close
from wukong_trio.services.directory import Channel
from wukong_trio.store.base import ChannelChange, ChannelRecord, MemberChange, MemberList

KEY = ChannelKey("g", 2)
MEMBERS = [f"u{n}" for n in range(1000)]


class Member:
    """A session that remembers what it got."""

    device_flag, level = 0, DeviceLevel.SLAVE
    work = 1

    def __init__(self, uid: str, *, broken: bool = False, log: list[str] | None = None) -> None:
        self.uid = self.device_id = uid
        self.session_id = id(self)
        self.broken = broken
        self.pushes: list[Push] = []
        self.deliveries = 0
        self.log = log if log is not None else []

    def deliver(self, delivery: Delivery) -> int:
        if self.broken:
            raise ZeroDivisionError
        self.deliveries += 1
        self.pushes += delivery.pushes
        self.log += [f"{push.message.channel_id}{push.message.message_seq}" for push in delivery.pushes]
        return self.work * len(delivery.pushes)

    def close(self, why: Close, notice: bytes | None = None) -> None:
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
        self.done = 0
        self.deliverer = self._deliverer()
        self.outbox, self._inbox = trio.open_memory_channel[list[Errand]](1)

    def _deliverer(self) -> Deliverer:
        async def nobody(event: Event) -> None: ...

        events = Events(nobody, hook_timeout_s=1)
        events.emit = lambda event: self.told.append(event)  # type: ignore[method-assign]
        return Deliverer(self.registry, FlushList(), events)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The deliver stage; all is delivered at the end."""
        with trio.fail_after(20):
            async with trio.open_nursery() as nursery, self.outbox:
                nursery.start_soon(self.deliverer.run, self._inbox, self._count)
                yield

    def _count(self, done: int) -> None:
        self.done += done

    def sends(
        self,
        *seqs: int,
        sender: Member | None = None,
        channel: Channel | None = None,
        payload: bytes = b"{}",
    ) -> list[Errand]:
        uid = sender.uid if sender is not None else MEMBERS[0]
        channel = channel or self.channel
        channel_id, channel_type = channel.key
        route = Route(uid, channel, channel, ReasonCode.SUCCESS)
        command = SendCommand(from_uid=uid, channel_id=channel_id, channel_type=channel_type, payload=payload)
        return [
            Sent(
                sender=sender,
                command=command,
                route=route,
                message=Message(
                    message_id=seq, message_seq=seq, channel_id=channel_id, channel_type=channel_type, from_uid=uid,
                    client_msg_no=str(seq), timestamp=1, payload=payload,
                ),
            )
            for seq in seqs
        ]  # fmt: skip


async def test_everybody_gets_everything_in_order_and_others_get_turns() -> None:
    scene = Scene()
    async with counted_turns() as turns, scene.running():
        for batch in (scene.sends(1, 2), scene.sends(3)):
            await scene.outbox.send(batch)
    assert all(member.seqs == [1, 2, 3] for member in scene.members)
    assert scene.deliverer.statistics.delivered == 3000
    assert scene.done == 3
    assert turns.count >= len(MEMBERS) // PUSHES_PER_TURN


async def test_what_waits_for_a_large_channel_goes_to_each_member_together() -> None:
    scene = Scene()
    async with scene.running():
        await scene.outbox.send(scene.sends(*range(1, 2 * RUN_MESSAGES + 1)))
    for member in scene.members:
        assert member.seqs == list(range(1, 2 * RUN_MESSAGES + 1))
        # The author gets his own one by one.
        assert member.deliveries == 2 or member.uid == MEMBERS[0]


async def test_a_run_is_bounded_in_bytes_and_a_larger_message_goes_alone() -> None:
    for size, deliveries in ((RUN_BYTES // 3, 2), (RUN_BYTES // 3 + 1, 3), (RUN_BYTES + 1, 6)):
        scene = Scene()
        async with scene.running():
            await scene.outbox.send(scene.sends(*range(1, 7), payload=b"x" * size))
        assert scene.members[1].seqs == [1, 2, 3, 4, 5, 6]
        assert scene.members[1].deliveries == deliveries


async def test_nobody_waits_for_a_large_channel() -> None:
    scene, log = Scene(), list[str]()
    large = [Member(f"v{n}", log=log) for n in range(5 * PUSHES_PER_TURN)]
    other_large = [Member(f"w{n}", log=log) for n in range(5 * PUSHES_PER_TURN)]
    bob = Member("bob", log=log)
    for member in (*large, *other_large, bob):
        scene.registry.enter(member)
    room = Channel(ChannelRecord(key=ChannelKey("r", 2), subscribers=frozenset(m.uid for m in large)))
    hall = Channel(ChannelRecord(key=ChannelKey("h", 2), subscribers=frozenset(m.uid for m in other_large)))
    private = Channel(ChannelRecord(key=ChannelKey("bob@u0", 1)))
    async with scene.running():
        await scene.outbox.send([*scene.sends(1, channel=room), *scene.sends(1, channel=hall)])
        await scene.outbox.send(scene.sends(1, channel=private))
        await scene.outbox.send(scene.sends(2, channel=private))
    assert log.index("bob@u01") <= 2 * PUSHES_PER_TURN
    assert log.index("bob@u02") <= 3 * PUSHES_PER_TURN
    # The large ones take turns too.
    first_of_hall, last_of_room = log.index("h1"), len(log) - 1 - log[::-1].index("r1")
    assert first_of_hall < last_of_room
    assert bob.seqs == [1, 2]


async def test_receivers_who_are_more_work_come_in_smaller_slices() -> None:
    scene = Scene()
    for member in scene.members:
        member.work = PUSHES_PER_TURN // 8
    async with counted_turns() as turns, scene.running():
        await scene.outbox.send(scene.sends(1))
    assert all(member.seqs == [1] for member in scene.members)
    assert turns.count >= len(MEMBERS) // 8


async def test_large_messages_to_a_few_come_in_slices_too() -> None:
    scene = Scene()
    few = frozenset(MEMBERS[:FEW])
    channel = Channel(ChannelRecord(key=ChannelKey("few", 2), subscribers=few))
    for size_bytes, is_large in ((HEAVY_BYTES - 1, False), (PUSHES_PER_TURN * HEAVY_BYTES, True)):
        async with counted_turns() as turns, scene.running():
            await scene.outbox.send(scene.sends(1, channel=channel, payload=b"x" * size_bytes))
        assert (turns.count >= FEW) is is_large
        scene.outbox, scene._inbox = trio.open_memory_channel[list[Errand]](1)
    assert all(member.seqs == [1, 1] for member in scene.members[:FEW])


async def test_nobody_waits_while_it_is_found_out_that_hardly_anybody_of_large_channels_is_online() -> None:
    scene, sends = Scene(), 100
    offline = frozenset(f"offline{n}" for n in range(LOOK_UPS_PER_TURN))
    quiet = Channel(ChannelRecord(key=ChannelKey("q", 2), subscribers=offline | {MEMBERS[1]}))
    rooms = [Channel(ChannelRecord(key=ChannelKey(f"r{n}", 2), subscribers=frozenset(MEMBERS))) for n in range(sends)]
    rooms_begun = [send for room in rooms for send in scene.sends(1, channel=room)]
    async with counted_turns() as turns, scene.running():
        await scene.outbox.send(scene.sends(*range(1, sends + 1), channel=quiet))
    assert scene.members[1].seqs == list(range(1, sends + 1))
    assert turns.count >= sends * len(MEMBERS) // LOOK_UPS_PER_TURN
    async with counted_turns() as turns:
        await scene.deliverer._serve(rooms_begun)
    assert turns.count >= sends * len(MEMBERS) // LOOK_UPS_PER_TURN - 1


async def test_while_too_much_waits_no_further_batch_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliver, "LANES_MESSAGES", 2)
    scene = Scene()
    async with scene.running():
        await scene.outbox.send(scene.sends(1, 2, 3))
        await scene.outbox.send(scene.sends(4))
        taken = deque[int]()
        while not scene.members[0].pushes:
            taken.append(scene.outbox.statistics().current_buffer_used)
            await trio.lowlevel.checkpoint()
        assert taken[-1] == 1
    assert all(member.seqs == [1, 2, 3, 4] for member in scene.members)


def change(*, add: Sequence[str] = (), remove: Sequence[str] = ()) -> ChannelChange:
    return ChannelChange(key=KEY, members=[MemberChange(list=MemberList.SUBSCRIBERS, add=add, remove=remove)])


async def test_who_comes_later_does_not_get_what_was_written_before() -> None:
    scene = Scene()
    first, second, third = newcomers = [Member(name) for name in ("first", "second", "third")]
    for newcomer in newcomers:
        scene.registry.enter(newcomer)
    leaver, back = scene.members[-1], scene.members[-2]
    serve = scene.deliverer._serve
    async with scene.running():
        # Nothing is delivered in between: the lane has not had a turn.
        await serve(scene.sends(1, 2))
        scene.channel.apply(change(add=[first.uid, MEMBERS[1]]))
        await serve(scene.sends(3))
        scene.channel.apply(change(remove=[leaver.uid, back.uid]))
        scene.channel.apply(change(add=[second.uid, back.uid]))
        await serve(scene.sends(4, 5))
        scene.channel.apply(change(add=[third.uid]))
        await scene.outbox.send(scene.sends(6))
    assert first.seqs == [3, 4, 5, 6]
    assert second.seqs == [4, 5, 6]
    assert third.seqs == [6]
    assert leaver.seqs == []
    assert back.seqs == [4, 5, 6], "his absence has cost him what waited"
    assert all(member.seqs == [1, 2, 3, 4, 5, 6] for member in scene.members[:-2])
    assert scene.channel.joined is None, "nobody asks any more"


async def test_who_comes_while_a_run_is_under_way_does_not_get_it_and_gets_the_next() -> None:
    scene = Scene()
    newcomer = Member("newcomer")
    scene.registry.enter(newcomer)
    async with scene.running():
        await scene.outbox.send(scene.sends(1, 2))
        while not any(member.pushes for member in scene.members):
            await trio.lowlevel.checkpoint()
        await scene.outbox.send(scene.sends(3))
        scene.channel.apply(change(add=[newcomer.uid]))
        await scene.outbox.send(scene.sends(4))
    assert newcomer.seqs[-1] == 4
    assert 1 not in newcomer.seqs
    assert 2 not in newcomer.seqs
    assert all(member.seqs == [1, 2, 3, 4] for member in scene.members)


async def test_a_channel_that_was_read_again_goes_on_in_its_lane() -> None:
    scene = Scene()
    newcomer = Member("newcomer")
    scene.registry.enter(newcomer)
    members = frozenset([*MEMBERS, newcomer.uid])
    larger = Channel(ChannelRecord(key=KEY, subscribers=members))
    async with scene.running():
        await scene.outbox.send([*scene.sends(1, 2), *scene.sends(3, channel=larger)])
    assert newcomer.seqs == [3]
    assert scene.members[1].seqs == [1, 2, 3]


async def test_the_sender_gets_it_on_other_devices_only_and_without_a_red_dot() -> None:
    for seqs in ((1,), (1, 2, 3)):
        for place in (0, 500, 999):
            scene = Scene()
            sender, other = scene.members[place], Member(MEMBERS[place])
            other.device_id = "other"
            scene.registry.enter(other)
            someone = scene.members[7]
            async with scene.running():
                await scene.outbox.send([*scene.sends(*seqs, sender=sender), *scene.sends(9, sender=someone)])
            assert sender.seqs == [9]
            assert other.seqs == [*seqs, 9]
            assert [push.red_dot for push in other.pushes] == [False] * len(seqs) + [True]
            for member in scene.members:
                if member not in (sender, someone):
                    assert member.seqs == [*seqs, 9]
                    assert all(push.red_dot for push in member.pushes)


async def test_coming_and_going_during_a_delivery_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene()
    newcomer, gone = Member("late"), set()
    async with scene.running():
        await scene.outbox.send(scene.sends(1))
        while not (served := [m for m in scene.members if m.pushes]):
            await trio.lowlevel.checkpoint()
        # A slice is out: half of the rest leaves, one comes in, and one comes with a second device.
        for member in [m for m in scene.members if not m.pushes][::2]:
            scene.registry.leave(member)
            gone.add(member)
        scene.registry.leave(served[0])
        scene.registry.enter(newcomer)
        second = Member(served[1].uid)
        second.device_id = "second"
        scene.registry.enter(second)
        await wait_all_tasks_blocked()
        for member in scene.members:
            assert member.seqs == ([] if member in gone else [1])
        await scene.outbox.send(scene.sends(2))
    assert newcomer.seqs == second.seqs == [2]
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
    async with scene.running():
        await scene.outbox.send(scene.sends(1, 2, 3))
    assert seen == [(1, True), (2, True), (3, True)]


async def test_a_session_that_fails_costs_nobody_else_a_message(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene()
    scene.members[3].broken = True
    async with scene.running():
        await scene.outbox.send(scene.sends(1))
        await wait_all_tasks_blocked()
        assert "not delivered to everybody" in caplog.text
        assert all(m.seqs == [1] for m in scene.members if not m.broken)
        scene.members[3].broken = False
        await scene.outbox.send(scene.sends(2))
    assert all(member.pushes[-1].message.message_seq == 2 for member in scene.members)


@pytest.mark.parametrize("members", [10, 100_000])
def test_looking_for_who_is_online_costs_what_the_smaller_side_costs(members: int) -> None:
    registry, looked_up = SessionRegistry(), 0

    class Counting(frozenset[str]):
        def __contains__(self, uid: object) -> bool:
            nonlocal looked_up
            looked_up += 1
            return super().__contains__(uid)

        def __iter__(self) -> "AsyncIterator[str]":  # type: ignore[override]
            nonlocal looked_up
            looked_up += len(self)
            return super().__iter__()  # type: ignore[return-value]

    for n in range(0, 1000, 10):
        registry.enter(Member(f"u{n}"))
    group = Counting(f"u{n}" for n in range(members))
    looked_up = 0
    online = registry.online(group)
    assert sorted(online) == sorted(f"u{n}" for n in range(0, min(members, 1000), 10))
    assert looked_up <= 200
