"""A store that other servers write to as well: it refuses what was decided on old knowledge, and the batch is decided
anew."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
import trio
import trio.testing
from common import person
from shared_store import GROUP, OTHER, Member, Scene, SharedStore, command, nothing, ok, send

from wukong_trio import (
    Idempotency,
    InternalError,
    Limits,
    Message,
    ReasonCode,
    SendCommand,
    StoreError,
)
from wukong_trio.delivery.router import MOST_ATTEMPTS
from wukong_trio.delivery.submission import BackendSend
from wukong_trio.model import NO_PERSIST, ChannelFlags
from wukong_trio.store.base import (
    ChannelChange,
    MemberChange,
    MemberList,
    RepeatedSendsError,
)


async def test_what_was_answered_elsewhere_counts_though_it_is_not_known_here() -> None:
    scene = Scene()
    async with scene.running():
        assert await scene.send(send("1"), send("2", key=OTHER)) == ok(1, 1)
        removal = MemberChange(list=MemberList.SUBSCRIBERS, remove=["ann"])
        await scene.store.change_channel(ChannelChange(key=GROUP, members=[removal]))
        answers = await scene.send(send("3"), send("4", from_uid="bob"), send("5", key=OTHER))
        assert answers == [(ReasonCode.SUBSCRIBER_NOT_EXIST, 0), *ok(2, 2)]
        assert scene.store.batches[1:] == [["3", "4", "5"], ["4", "5"]]
    assert scene.store.stored() == [(1, "1"), (2, "4")]
    assert scene.bob.seqs == [1, 1, 2, 2]


async def test_what_is_refused_by_a_channel_that_has_changed_is_decided_anew_too() -> None:
    scene = Scene()
    async with scene.running():
        await scene.change(send_ban=True)()
        assert await scene.send(send("1")) == [(ReasonCode.SEND_BAN, 0)]
        await scene.change()()
        # The back-end's message makes the store look at the channel.
        assert await scene.send(BackendSend(None, command("2")), send("3")) == ok(2)
    assert scene.store.stored() == [(1, "2"), (2, "3")]


async def test_changes_made_here_are_confirmed_as_well() -> None:
    scene = Scene()
    async with scene.running():
        for n in range(1, 4):
            assert await scene.send(send(f"{n}")) == ok(n)
            await scene.service.change(ChannelChange(key=GROUP, flags=ChannelFlags(large=n % 2 == 0)))
        assert await scene.send(send("4")) == ok(4)


@pytest.mark.parametrize("refusals", [1, 2, MOST_ATTEMPTS - 1, MOST_ATTEMPTS])
async def test_a_batch_is_decided_so_many_times(refusals: int, caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene()
    async with scene.running():
        scene.store.meanwhile = [scene.change(large=n % 2 == 0) for n in range(refusals)]
        answers = await scene.send(send("1"), send("2", key=OTHER), send("3", flags=NO_PERSIST), send("1"))
        if refusals < MOST_ATTEMPTS:
            assert answers == ok(1, 1, 0, 1)
            assert len(scene.store.batches) == refusals + 1
            assert scene.bob.seqs == [1, 1, 0]
        else:
            assert answers == [(ReasonCode.SYSTEM_ERROR, 0)] * 4
            assert len(scene.store.batches) == MOST_ATTEMPTS
            assert scene.bob.seqs == []
            assert "others were faster" in caplog.text
        scene.store.meanwhile = []
        assert await scene.send(send("4")) == ok(2 if refusals < MOST_ATTEMPTS else 1)


async def test_a_send_that_was_stored_elsewhere_is_answered_with_its_original() -> None:
    scene = Scene()
    async with scene.running():
        await scene.stored("1", "2")()
        batch = send("2"), send("new"), send("2"), send("1"), send("new"), send("other", key=OTHER)
        assert await scene.send(*batch) == ok(2, 3, 2, 1, 3, 1)
        assert [submission.repeated for submission in batch] == [True, False, True, True, True, False]
        assert batch[0].message == batch[2].message == (await scene.store.messages_by_id(scene.store.ids))[1]
        assert scene.store.batches == [["2", "new", "1", "other"], ["new", "other"]]
        assert scene.bob.seqs == [3, 1], "originals were delivered before"
        assert scene.router.statistics.repeated == 4
        assert await scene.send(send("1"), send("newest")) == ok(1, 4)
        assert scene.store.batches[2:] == [["newest"]], "what the store has told is known"
    assert scene.store.stored() == [(1, "1"), (2, "2"), (3, "new"), (4, "newest")]


async def test_an_original_from_before_our_own_memory_is_an_answer_all_the_same() -> None:
    scene = Scene(idempotency=Idempotency(window_s=60))
    async with scene.running():
        await scene.store.stored_elsewhere(command("1"), seconds_ago=3600)
        assert await scene.send(send("1"), send("2")) == ok(1, 2)
        assert scene.store.batches == [["1", "2"], ["2"]]


async def test_a_batch_of_nothing_but_repetitions_stores_nothing() -> None:
    scene = Scene()
    async with scene.running():
        await scene.stored("1")()
        assert await scene.send(send("1"), send("1")) == ok(1, 1)
        assert len(scene.store.batches) == 1
        assert scene.router.statistics.commits == 0


async def test_sends_of_back_ends_repeat_nothing_but_are_repeated() -> None:
    scene = Scene()
    async with scene.running():
        await scene.stored("1")()
        mine, again = BackendSend(None, command("1")), BackendSend(None, command("1"))
        assert await scene.send(mine, send("2"), again) == ok(3)
        assert (mine.result.message_seq, again.result.message_seq) == (2, 4)
        assert await scene.send(send("1")) == ok(4)


async def test_one_refusal_after_another_and_all_is_stored_once_and_in_order() -> None:
    scene = Scene()
    async with scene.running():
        scene.store.meanwhile = [
            scene.change(large=True), scene.stored("b"), scene.change(), scene.stored("d", "a"),
            scene.change(large=True),
        ]  # fmt: skip
        answers = await scene.send(*(send(number) for number in "abcdea"))
        assert answers == ok(3, 1, 4, 2, 5, 3)
        assert scene.store.batches == [list("abcde"), list("abcde"), list("acde"), list("acde"), list("ce"), list("ce")]
    assert scene.store.stored() == [(1, "b"), (2, "d"), (3, "a"), (4, "c"), (5, "e")]
    assert scene.bob.seqs == [4, 5]


async def test_hooks_are_asked_once_and_what_they_refuse_stays_refused() -> None:
    scene = Scene()
    asked: list[str] = []

    async def hook(command: SendCommand) -> SendCommand | ReasonCode | None:
        asked.append(command.client_msg_no)
        if command.client_msg_no == "no":
            return ReasonCode.NOT_ALLOW_SEND
        return msgspec.structs.replace(command, payload=b"changed") if command.client_msg_no == "change" else None

    scene.hook = hook
    async with scene.running():
        # What has passed the hook comes one by one; behind a commit that takes its time it becomes one batch.
        may_store = trio.Event()
        scene.store.meanwhile = [may_store.wait, scene.change(large=True), scene.stored("known"), scene.change()]
        ann = Member("ann")
        first, batch = send("first"), [send(number, ann) for number in ("no", "change", "known", "plain")]
        await scene.send(first)
        await scene.send(*batch)
        may_store.set()
        await trio.testing.wait_all_tasks_blocked()
        assert [answer for s in batch for answer in s.answers] == [(ReasonCode.NOT_ALLOW_SEND, 0), *ok(3, 2, 4)]
        assert sorted(asked) == sorted(["first", "no", "change", "known", "plain"])
        assert len(scene.store.batches) == 5
        [message] = (await scene.store.messages_between(GROUP, 3, 3, 1, newest=True, max_bytes=100)).messages
        assert message.payload == b"changed"
        assert scene.router.statistics.commits == 2


async def test_the_rate_limit_counts_a_send_once() -> None:
    scene = Scene(limits=Limits(rate_limit_per_s=2.0))
    async with scene.running():
        scene.store.meanwhile = [scene.change(), scene.change(), scene.change()]
        answers = await scene.send(send("1"), send("2"), send("3"))
        assert answers[:2] == ok(1, 2)
        assert answers[2] == (ReasonCode.RATE_LIMIT, 0)


@pytest.mark.parametrize("error", [StoreError("the disk is full"), ZeroDivisionError("a bug")])
async def test_originals_are_answered_though_the_rest_cannot_be_stored(error: Exception) -> None:
    scene = Scene()

    async def fail() -> None:
        raise error

    async with scene.running():
        await scene.stored("1")()
        scene.store.meanwhile = [scene.change(large=True), scene.change(), *[fail] * 10]
        answers = await scene.send(send("2"), send("1"), send("3"), send("1"))
        assert answers == [(ReasonCode.SYSTEM_ERROR, 0)] * 4, "the original was not looked for yet"
        scene.store.meanwhile = [nothing, *[fail] * 10]
        answers = await scene.send(send("2"), send("1"), send("3"), send("1"))
        refused = (ReasonCode.SYSTEM_ERROR, 0)
        assert answers == [refused, *ok(1), refused, *ok(1)]
        scene.store.meanwhile = []
        assert await scene.send(send("2"), send("3")) == ok(2, 3)


async def test_a_send_that_breaks_the_code_fails_alone_among_refusals() -> None:
    scene = Scene()

    async def poison() -> None:
        if "poison" in scene.store.batches[-1]:
            raise ZeroDivisionError

    async with scene.running():
        await scene.stored("known")()
        scene.store.meanwhile = [scene.change(large=True), *[poison] * 20]
        numbers = ["1", "known", "poison", "2", "3", "1", "4"]
        answers = await scene.send(*(send(number) for number in numbers))
        assert answers == [*ok(2, 1), (ReasonCode.SYSTEM_ERROR, 0), *ok(3, 4, 2, 5)]
    assert scene.store.stored() == [(1, "known"), (2, "1"), (3, "2"), (4, "3"), (5, "4")]
    assert scene.bob.seqs == [2, 3, 4, 5]


async def test_what_repeats_a_send_that_was_not_stored_in_the_end_is_a_message_itself() -> None:
    scene = Scene()

    async def bug() -> None:
        raise ZeroDivisionError

    async def full() -> None:
        raise StoreError("the disk is full")

    async with scene.running():
        scene.store.meanwhile = [bug, full]
        batch = send("1"), send("2"), send("1"), send("1")
        refused = (ReasonCode.SYSTEM_ERROR, 0)
        assert await scene.send(*batch) == [refused, refused, *ok(1, 1)]
        assert scene.bob.seqs == [1], "it is delivered, once"


async def test_a_store_that_names_nothing_is_not_asked_for_ever() -> None:
    scene = Scene()

    async def refuse() -> None:
        raise RepeatedSendsError({})

    async with scene.running():
        scene.store.meanwhile = [refuse] * (MOST_ATTEMPTS + 1)
        assert await scene.send(send("1")) == [(ReasonCode.SYSTEM_ERROR, 0)]
        assert len(scene.store.batches) == MOST_ATTEMPTS


async def test_a_store_that_gives_too_few_numbers_ends_the_router_and_nobody_gets_a_draft() -> None:
    scene = Scene()
    outcomes: list[BaseException] = []

    class Forgetful(SharedStore):
        async def append_messages(self, drafts: Sequence[Message], **terms: Any) -> Sequence[int]:
            return (await super().append_messages(drafts, **terms))[1:]

    async def tell() -> None:
        try:
            await scene.router.send(person())
        except StoreError as error:
            outcomes.append(error)

    async def serve() -> None:
        async with scene.running():
            nursery.start_soon(tell)
            nursery.start_soon(tell)
            await trio.sleep_forever()

    scene.store.__class__ = Forgetful
    async with trio.open_nursery() as nursery:
        with pytest.raises(ExceptionGroup) as error:
            await serve()
    assert error.group_contains(InternalError, match="1 numbers to 2 messages")
    assert len(outcomes) == 2


async def test_a_stop_waits_for_a_batch_that_is_decided_anew() -> None:
    scene = Scene()
    async with scene.running():
        may_go_on = trio.Event()
        scene.store.meanwhile = [scene.change(large=True), may_go_on.wait, scene.change()]
        batch = send("1"), send("2")
        await scene.send(*batch)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(scene.router.drain)
            await trio.testing.wait_all_tasks_blocked()
            assert not batch[0].answers
            may_go_on.set()
        assert [answer for s in batch for answer in s.answers] == ok(1, 2)


async def test_a_stop_that_does_not_wait_refuses_what_has_no_number() -> None:
    scene = Scene()
    results: list[object] = []

    async def tell(number: str) -> None:
        try:
            results.append((await scene.router.send(person(number.encode()))).message_seq)
        except StoreError:
            results.append("refused")

    async with trio.open_nursery() as nursery, scene.running():
        scene.store.meanwhile = [nothing, trio.sleep_forever]
        nursery.start_soon(tell, "1")
        await trio.testing.wait_all_tasks_blocked()
        for number in "23":
            nursery.start_soon(tell, number)
        await trio.testing.wait_all_tasks_blocked()
        assert len(scene.store.batches) == 2
    assert sorted(results, key=str) == [1, "refused", "refused"]


async def test_a_batch_that_is_stopped_while_it_is_decided_anew_keeps_no_draft() -> None:
    scene = Scene()
    batch = send("known"), send("1"), send("2", flags=NO_PERSIST), send("1")
    async with scene.running():
        await scene.stored("known")()
        scene.store.meanwhile = [scene.change(large=True), nothing, trio.sleep_forever]
        await scene.send(*batch)
        assert len(scene.store.batches) == 3
    assert [s.message.message_seq for s in batch if s.message is not None] == [1, 0]
    assert [s.reason for s in batch] == [1, ReasonCode.SYSTEM_ERROR, 1, ReasonCode.SYSTEM_ERROR]
    assert scene.store.stored() == [(1, "known")]
