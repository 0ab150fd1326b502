"""Sequence numbers that old versions cannot express (D19)."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from places import OpenPlace, message, received, sent

from wukong_trio import ChannelKey, Message
from wukong_trio.protocol.wkproto import Sendack
from wukong_trio.store import MemoryStore

HIGHEST = 2**32 - 1
GROUP = ChannelKey("g", 2)


class LongStore(MemoryStore):
    """Group `g` already has so many messages, which nobody can read any more."""

    def __init__(self, head: int) -> None:
        super().__init__()
        self.head = head

    async def append_messages(self, drafts: Sequence[Message], **terms: Any) -> Sequence[int]:
        numbers = await super().append_messages(drafts, **terms)
        return [
            number + (self.head if (draft.channel_id, draft.channel_type) == GROUP else 0)
            for draft, number in zip(drafts, numbers, strict=True)
        ]

    async def messages_by_id(self, message_ids: Sequence[int], *, expired: bool = False) -> list[Message]:
        return [
            self._moved(message, self.head) for message in await super().messages_by_id(message_ids, expired=expired)
        ]

    @staticmethod
    def _moved(message: Message, by: int) -> Message:
        if (message.channel_id, message.channel_type) != GROUP or not message.message_seq:
            return message
        return msgspec.structs.replace(message, message_seq=message.message_seq + by)


@pytest.mark.parametrize("version", [0, 4, 5])
async def test_d19_the_last_number_of_old_versions(open_place: OpenPlace, version: int) -> None:
    async with (
        open_place(store=LongStore(HIGHEST - 1), message_retry={"interval_s": 0.2}) as place,
        place.online(f"{version}:ann", "5:bob", "6:bob", "2:cid") as (old, five, six, two),
        place.json_online("bob") as (json,),
    ):
        await place.group("ann", "bob", "cid")
        sendack = await sent(old, 1, to="g", channel_type=2)
        assert sendack.message_seq == HIGHEST
        for client in (five, six, two):
            await client.acknowledge(await received(client, sendack))
        assert (await json.receive())["params"]["messageSeq"] == HIGHEST
        # One more is too many: stored and delivered to whom it can be told.
        assert await old.call(old.seal(message(2, to="g", channel_type=2))) == Sendack(0, 2, 0, 27, "m2")
        recv = await six.receive_message()
        assert (recv.message_seq, recv.client_msg_no) == (HIGHEST + 1, "m2")
        await six.acknowledge(recv)
        assert (await json.receive())["params"]["messageSeq"] == HIGHEST + 1
        # A repetition is the same message, and still cannot be told.
        assert await old.call(old.seal(message(2, to="g", channel_type=2))) == Sendack(0, 2, 0, 27, "m2")
        # Not even as a repetition after a while; everything else still arrives, in order.
        await two.expect_quiet(0.5)
        await five.ping()
        sendack = await sent(six, 3, to="g", channel_type=2)
        assert sendack.message_seq == HIGHEST + 2
        sendack = await sent(six, 4, to="cid")
        assert sendack.message_seq == 1
        await received(two, sendack)
        await received(five, sendack)
        # What is not stored has no number.
        sendack = await sent(old, 5, to="g", channel_type=2, flags=1)
        assert sendack.message_seq == 0
        for client in (five, two):
            assert (await received(client, sendack)).client_msg_no == "m5"


@pytest.mark.parametrize("encryption", [True, False])
async def test_d19_several_in_one_read(open_place: OpenPlace, encryption: bool) -> None:
    async with (
        open_place(store=LongStore(HIGHEST - 2), encryption=encryption) as place,
        place.online("6:ann", "5:bob", "6:bob", "5:ann", encryption=encryption) as (ann, five, six, own),
    ):
        await place.group("ann", "bob")
        await ann.send(*[ann.seal(message(n, to="g", channel_type=2)) for n in range(5)])
        acks = [await ann.receive() for _ in range(5)]
        assert [ack.message_seq for ack in acks] == [HIGHEST - 1 + n for n in range(5)]  # type: ignore[union-attr]
        for client in (five, own):
            assert [(await client.receive_message()).message_seq for _ in range(2)] == [HIGHEST - 1, HIGHEST]
            await client.ping()
        assert [(await six.receive_message()).message_seq for _ in range(5)] == [HIGHEST - 1 + n for n in range(5)]
