"""The deliver stage and the registry without sockets: what large channels and users with many sessions cost.

python benchmarks/micro/bench_deliver.py

Receivers are simulated: they have the bytes of a push made, as a socket would want them, and do nothing with them.
"""

import time
from functools import partial
from statistics import median

import trio
from timing import show

from wukong_trio import ChannelKey, DeviceLevel, Message, ReasonCode, SendCommand
from wukong_trio.delivery.deliver import Deliverer
from wukong_trio.delivery.flush import FlushList
from wukong_trio.delivery.push import Delivery
from wukong_trio.delivery.registry import Notice, SessionRegistry
from wukong_trio.delivery.routes import Route
from wukong_trio.delivery.submission import Errand, Submission
from wukong_trio.gateway.framing import TEXT_FRAMES
from wukong_trio.gateway.jsonrpc import JsonForm
from wukong_trio.protocol.codes import Close
from wukong_trio.services.directory import Channel
from wukong_trio.store.base import ChannelRecord

ROOM, PRIVATE = ChannelKey("room", 2), ChannelKey("bob@ann", 1)
ROUNDS = 20
FORM = JsonForm(0, TEXT_FRAMES)


class Receiver:
    """A session without a socket."""

    level = DeviceLevel.SLAVE

    def __init__(self, session_id: int, uid: str, device_flag: int = 0) -> None:
        self.session_id = session_id
        self.uid = uid
        self.device_flag = device_flag
        self.device_id = f"d{session_id}"
        self.last_at = 0.0

    def deliver(self, delivery: Delivery) -> int:
        delivery.frame(FORM)
        self.last_at = time.perf_counter()
        return 1

    def close(self, why: Close, notice: Notice | None = None) -> None:
        raise AssertionError("nobody is sent away here")


class Sent(Submission, eq=False, gc=False):
    """A send that nobody waits for."""

    def finish(self) -> None:
        pass


def send(channel: Channel, seq: int) -> list[Errand]:
    """A batch of one message."""
    channel_id, channel_type = channel.key
    message = Message(
        message_id=seq,
        message_seq=seq,
        channel_id=channel_id,
        channel_type=channel_type,
        from_uid="ann",
        client_msg_no=str(seq),
        timestamp=1,
        payload=b"{}",
    )
    route = Route("ann", channel, channel, ReasonCode.SUCCESS)
    command = SendCommand(from_uid="ann", channel_id=channel_id, channel_type=channel_type, payload=b"{}")
    return [Sent(sender=None, command=command, route=route, message=message)]


async def behind_a_large_group(members: int) -> None:
    """How long a private message takes that is sent right after one to a large group, everybody online."""
    registry = SessionRegistry()
    receivers = [Receiver(n, f"u{n}") for n in range(members)]
    bob = Receiver(members, "bob")
    for receiver in (*receivers, bob):
        registry.enter(receiver)
    room = Channel(ChannelRecord(key=ROOM, subscribers=frozenset(r.uid for r in receivers)))
    private = Channel(ChannelRecord(key=PRIVATE))
    deliverer = Deliverer(registry, FlushList(), None)
    waits_ms, all_ms = [], []
    for seq in range(1, ROUNDS + 1):
        outbox, inbox = trio.open_memory_channel[list[Errand]](1)
        async with trio.open_nursery() as nursery, outbox:
            nursery.start_soon(deliverer.run, inbox, lambda done: None)
            await outbox.send(send(room, seq))
            begin = time.perf_counter()
            await outbox.send(send(private, seq))
        waits_ms.append((bob.last_at - begin) * 1000)
        all_ms.append((max(receiver.last_at for receiver in receivers) - begin) * 1000)
    print(
        f"private message behind a group of {members:,}: {median(waits_ms):.1f} ms, {max(waits_ms):.1f} ms at most; "
        f"the whole group {median(all_ms):.0f} ms"
    )


def few_online(members: int, online: int) -> None:
    """Looking for who is online of a large group."""
    registry = SessionRegistry()
    for n in range(online):
        registry.enter(Receiver(n, f"u{n * 7}"))
    uids = frozenset(f"u{n}" for n in range(members))
    show(f"who is online: {members:,} members, {online:,} users", partial(registry.online, uids))


def one_user(sessions: int) -> None:
    """A user with many sessions, who all come and go."""
    registry = SessionRegistry()
    receivers = [Receiver(n, "ann", n % 3) for n in range(sessions)]
    begin = time.perf_counter()
    for receiver in receivers:
        registry.enter(receiver)
    for receiver in receivers:
        registry.leave(receiver)
    print(f"{sessions:,} sessions of one user come and go: {(time.perf_counter() - begin) * 1000:.0f} ms")


async def main() -> None:
    """Measures and prints."""
    await behind_a_large_group(30_000)
    for online in (10, 1000):
        few_online(100_000, online)
    one_user(10_000)


if __name__ == "__main__":
    trio.run(main)
