"""What is looked up before a batch is decided: little at a time, and what changes meanwhile counts."""

from collections.abc import Sequence

import pytest
import trio

from wukong_trio import Message, ReasonCode, SendCommand
from wukong_trio.config import Config, Idempotency
from wukong_trio.delivery.decide import Decider
from wukong_trio.delivery.dedup import SentMarks
from wukong_trio.delivery.ids import MessageIds
from wukong_trio.delivery.submission import Submission
from wukong_trio.model import ChannelFlags, ChannelKey, first_id_at
from wukong_trio.services.channels import ChannelService
from wukong_trio.services.directory import ChannelDirectory
from wukong_trio.services.users import SystemAccounts
from wukong_trio.store import MemoryStore
from wukong_trio.store.base import ChannelChange

KEY = ChannelKey("bob@ann", 1)
NOW = 1_700_000_000.0


class CountingStore(MemoryStore):
    """Counts reads of messages, and lets something happen during them."""

    def __init__(self) -> None:
        super().__init__()
        self.reads: list[int] = []

    async def messages_by_id(self, message_ids: Sequence[int], *, expired: bool = False) -> list[Message]:
        self.reads.append(len(message_ids))
        messages = await super().messages_by_id(message_ids, expired=expired)
        await self.meanwhile()
        return messages

    async def meanwhile(self) -> None:
        pass


class Scene:
    """A server that was started anew after ann had sent bob messages with these numbers and payloads."""

    def __init__(self) -> None:
        self.store = CountingStore()
        self.directory = ChannelDirectory(self.store)
        self.service = ChannelService(self.store, self.directory, lambda *_args, **_kwargs: 0)

    async def started(self, sent: Sequence[tuple[str, bytes]]) -> Decider:
        base = first_id_at(NOW)
        await self.store.append_messages(
            [
                Message(
                    message_id=base + n, message_seq=n, channel_id=KEY.channel_id, channel_type=1, from_uid="ann",
                    client_msg_no=number, timestamp=1, payload=payload,
                )
                for n, (number, payload) in enumerate(sent, start=1)
            ]
        )  # fmt: skip
        marks = SentMarks(Idempotency(window_s=1e9))
        marks.remember(await self.store.recent_marks(0, 200_000))
        accounts = SystemAccounts(self.store)
        ids = MessageIds(base + len(sent))
        return Decider(self.store, self.directory, ids, marks, Config(), system_accounts=accounts)

    async def commit(self, decider: Decider, batch: Sequence[Submission]) -> None:
        messages = decider.decide(batch, await decider.look_up(batch), NOW).messages
        decider.confirm(batch, messages, await self.store.append_messages(messages))


def send(number: str, payload: bytes) -> Submission:
    command = SendCommand(from_uid="ann", channel_id="bob", channel_type=1, payload=payload, client_msg_no=number)
    return Submission(None, command)


async def test_a_number_that_was_used_for_everything_holds_nobody_up() -> None:
    scene = Scene()
    decider = await scene.started([("m", b"%d" % n) for n in range(20_000)])
    again = [send("m", b"19999"), send("m", b"19999"), send("m", b"new")]
    decider.decide(again, await decider.look_up(again), NOW)
    assert [submission.repeated for submission in again] == [True, True, False]
    assert sum(scene.store.reads) <= 20
    scene.store.reads.clear()
    await decider.look_up([send("m", b"another")])
    assert not scene.store.reads, "what was read is known"


async def test_what_a_whole_batch_may_repeat_is_read_together() -> None:
    scene = Scene()
    decider = await scene.started([(str(n), b"{}") for n in range(1000)])
    again = [send(str(n), b"{}") for n in range(1000)]
    decider.decide(again, await decider.look_up(again), NOW)
    assert all(submission.repeated for submission in again)
    assert len(scene.store.reads) <= 20


@pytest.mark.parametrize("number", ["stored", "known"])
async def test_a_ban_during_the_look_up_holds_for_the_batch(number: str) -> None:
    scene = Scene()
    decider = await scene.started([("stored", b"{}")])
    if number == "known":
        first = [send("known", b"{}")]
        await scene.commit(decider, first)

    async def ban() -> None:
        await scene.service.change(ChannelChange(key=ChannelKey("ann", 1), flags=ChannelFlags(send_ban=True)))

    scene.store.meanwhile = ban  # type: ignore[method-assign]
    batch = [send(number, b"{}"), send("other", b"{}")]
    with trio.fail_after(5):
        drafts = decider.decide(batch, await decider.look_up(batch), NOW)
    assert [submission.reason for submission in batch] == [ReasonCode.SEND_BAN] * 2
    assert not drafts.messages


async def test_a_send_without_a_number_repeats_nothing() -> None:
    scene = Scene()
    decider = await scene.started([])
    for _ in range(2):
        batch = [send("", b"{}"), send("", b"{}")]
        await scene.commit(decider, batch)
        assert not any(submission.repeated for submission in batch)
    assert not scene.store.reads, "and nothing is looked up for it"
