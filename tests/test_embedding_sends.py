"""`Server.send`: what is refused is an error, whatever is wrong harms nobody else, and nobody waits for ever."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
import trio
from common import person

from wukong_trio import (
    ChannelKey,
    ChannelType,
    InvalidCommandError,
    Message,
    ReasonCode,
    RequestError,
    SendCommand,
    SendRefusedError,
    Server,
    StoreError,
    WukongError,
    open_client,
    open_server,
)
from wukong_trio.model import SETTING_STREAM, ChannelFlags
from wukong_trio.store import MemoryStore
from wukong_trio.store.base import ChannelChange
from wukong_trio.testing import config_for_tests, open_test_server


class SlowStore(MemoryStore):
    """Stores when it is allowed to; fails as it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.may_store = trio.Event()
        self.asked = trio.Event()
        self.error: Exception | None = None

    async def append_messages(self, drafts: Sequence[Message], **terms: Any) -> Sequence[int]:
        self.asked.set()
        await self.may_store.wait()
        for message in drafts:
            if message.payload == b"poison":
                raise OverflowError("a value that the database does not take")
        if self.error is not None:
            raise self.error
        return await super().append_messages(drafts, **terms)


# Nobody waits for ever


async def test_sending_after_a_stop_is_an_error() -> None:
    with trio.fail_after(10):
        async with open_test_server() as server:
            await server.send(person())
        for _ in range(2):
            with pytest.raises(StoreError, match="stop"):
                await server.send(person())


@pytest.mark.parametrize("hooked", [False, True])
async def test_whatever_is_under_way_at_the_end_of_a_stop_is_an_error(hooked: bool) -> None:
    outcomes: list[BaseException | None] = []
    store = SlowStore()

    async def before_send(command: SendCommand) -> None:
        if command.payload == b"in the hook":
            await trio.sleep_forever()

    async def send(server: Server, payload: bytes) -> None:
        try:
            await server.send(person(payload))
            outcomes.append(None)
        except StoreError as error:
            outcomes.append(error)

    hook = before_send if hooked else None
    config = {"drain_timeout_s": 0.1, "hook_timeout_s": 30}
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            async with open_test_server(store=store, before_send=hook, **config) as server:
                nursery.start_soon(send, server, b"in the store")
                await store.asked.wait()
                # More than the inbox takes: some wait for room in it.
                for _ in range(600):
                    nursery.start_soon(send, server, b"in the inbox")
                    nursery.start_soon(send, server, b"in the hook")
                await trio.testing.wait_all_tasks_blocked()
                server.shutdown()
            await send(server, b"too late")
    assert len(outcomes) == 1202
    assert all(isinstance(outcome, StoreError) for outcome in outcomes)
    assert await store.last_message_id() == 0


async def test_what_was_stored_before_the_end_is_no_error() -> None:
    store = SlowStore()
    results: list[int] = []

    async def send(server: Server) -> None:
        results.append((await server.send(person())).message_seq)

    with trio.fail_after(10):
        async with trio.open_nursery() as nursery, open_test_server(store=store) as server:
            nursery.start_soon(send, server)
            await store.asked.wait()
            server.shutdown()
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(StoreError, match="stop"):
                await server.send(person())
            store.may_store.set()
    assert results == [1]


# What is wrong

GOOD: dict[str, Any] = {"from_uid": "robot", "channel_id": "bob", "channel_type": 1, "payload": b"{}"}
WRONG: dict[str, dict[str, Any]] = {
    "from_uid": {"from_uid": ""},
    "from_uid blank": {"from_uid": " "},
    "from_uid not text": {"from_uid": 7},
    "from_uid too long": {"from_uid": "é" * 257},
    "from_uid joined": {"from_uid": "a@b"},
    "from_uid half a character": {"from_uid": "a\ud800"},
    "channel_id": {"channel_id": ""},
    "channel_id blank": {"channel_id": " \t"},
    "channel_id too long": {"channel_id": "x" * 513},
    "channel_id half a character": {"channel_id": "\udfff"},
    "channel_id bytes": {"channel_id": b"bob"},
    "channel_type 0": {"channel_type": 0},
    "channel_type 256": {"channel_type": 256},
    "channel_type None": {"channel_type": None},
    "channel_type bool": {"channel_type": True},
    "channel_type of a class of its own": {"channel_type": type("Kind", (int,), {})(1)},
    "channel_type text": {"channel_type": "1"},
    "payload text": {"payload": "{}"},
    "payload mutable": {"payload": bytearray(b"{}")},
    "payload too large": {"payload": bytes(1001)},
    "client_msg_no too long": {"client_msg_no": "x" * 513},
    "client_msg_no None": {"client_msg_no": None},
    "client_msg_no half a character": {"client_msg_no": "\ud83d"},
    "flags": {"flags": 16},
    "flags negative": {"flags": -1},
    "flags text": {"flags": "1"},
    "setting": {"setting": 256},
    "setting negative": {"setting": -1},
    "expire": {"expire": 2**63},
    "expire a little": {"expire": 2**32},
    "expire negative": {"expire": -1},
    "expire float": {"expire": 1.5},
    "topic too long": {"topic": "x" * 513},
    "topic half a character": {"topic": "\ud800"},
    "stream_no too long": {"stream_no": "x" * 513},
    "stream_no bytes": {"stream_no": b""},
}
RIGHT: list[dict[str, Any]] = [
    {"from_uid": "é" * 256},
    {"from_uid": "a@b", "channel_type": 2},
    {"channel_id": "x" * 512},
    {"channel_type": ChannelType.PERSON},
    {"channel_type": 12},
    {"payload": bytes(1000)},
    {"payload": b""},
    {"client_msg_no": "x" * 512},
    {"client_msg_no": ""},
    {"flags": 15},
    {"setting": 255},
    {"expire": 2**32 - 1},
    {"topic": "é" * 256, "stream_no": "x" * 512},
]


@pytest.mark.parametrize("stream", [0, SETTING_STREAM])
@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
async def test_a_command_that_cannot_be_sent_is_an_error_of_its_own(wrong: dict[str, Any], stream: int) -> None:
    with trio.fail_after(10):
        async with open_test_server(limits={"payload_bytes": 1000}) as server:
            results: list[int] = []

            async def innocent() -> None:
                results.append((await server.send(person())).message_seq)

            async with trio.open_nursery() as nursery:
                for _ in range(20):
                    nursery.start_soon(innocent)
                with pytest.raises(InvalidCommandError) as error:
                    await server.send(SendCommand(**GOOD | {"setting": stream} | wrong))
            assert error.value.field == next(iter(wrong))
            assert str(error.value).startswith(f"{error.value.field} ")
            assert isinstance(error.value, ValueError)
            assert isinstance(error.value, WukongError)
            assert sorted(results) == list(range(1, 21))


@pytest.mark.parametrize("right", RIGHT, ids=str)
async def test_a_command_at_the_limit_is_sent(right: dict[str, Any]) -> None:
    with trio.fail_after(10):
        async with open_test_server(limits={"payload_bytes": 1000}) as server:
            assert (await server.send(SendCommand(**GOOD | right))).reason_code == ReasonCode.SUCCESS


@pytest.mark.parametrize("wrong", [{"expire": 2**63}, {"topic": "\ud800"}, {"payload": "{}"}, {"channel_id": None}])
async def test_a_wrong_answer_of_before_send_costs_its_own_send(
    wrong: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    async def before_send(command: SendCommand) -> SendCommand | None:
        return msgspec.structs.replace(command, **wrong) if command.payload == b"change me" else None

    results: list[int] = []
    with trio.fail_after(10):
        async with (
            open_test_server(before_send=before_send) as server,
            open_client(server.endpoints.ws, uid="ann") as ann,
        ):

            async def innocent() -> None:
                results.append((await server.send(person())).message_seq)

            async with trio.open_nursery() as nursery:
                for _ in range(20):
                    nursery.start_soon(innocent)
                with pytest.raises(RequestError) as error:
                    await ann.send("bob", b"change me")
    assert error.value.code == -32603
    assert sorted(results) == list(range(1, 21))
    assert next(iter(wrong)) in caplog.text


# What may not be sent


async def test_a_refusal_is_raised() -> None:
    async def before_send(command: SendCommand) -> ReasonCode | None:
        return ReasonCode.RATE_LIMIT if command.payload == b"no" else None

    store = MemoryStore()
    for channel_id, flags in (("banned", ChannelFlags(ban=True)), ("gone", ChannelFlags(disband=True))):
        await store.change_channel(ChannelChange(key=ChannelKey(channel_id, 2), flags=flags))
    with trio.fail_after(10):
        async with open_test_server(store=store, before_send=before_send) as server:
            for channel_id, payload, reason in (
                ("banned", b"", ReasonCode.BAN),
                ("gone", b"", ReasonCode.DISBAND),
                ("g", b"no", ReasonCode.RATE_LIMIT),
            ):
                command = SendCommand(
                    from_uid="robot", channel_id=channel_id, channel_type=2, payload=payload, client_msg_no="n"
                )
                with pytest.raises(SendRefusedError, match=reason.wire_name) as error:
                    await server.send(command)
                assert (error.value.reason_code, error.value.client_msg_no) == (reason, "n")
            assert server.statistics().refused == 3


# What the store does not take


async def send_all(server: Server, payloads: Sequence[bytes]) -> list[bytes]:
    """Those that were refused."""
    refused: list[bytes] = []

    async def send(payload: bytes) -> None:
        try:
            await server.send(person(payload))
        except StoreError:
            refused.append(payload)

    async with trio.open_nursery() as nursery:
        for payload in payloads:
            nursery.start_soon(send, payload)
    return refused


async def test_a_send_that_breaks_the_code_fails_alone(caplog: pytest.LogCaptureFixture) -> None:
    store = SlowStore()
    with trio.fail_after(10):
        async with open_test_server(store=store) as server:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(server.send, person(b"first"))
                await store.asked.wait()
                payloads = [b"%d" % n for n in range(20)]
                payloads[7] = payloads[13] = b"poison"
                refused: list[bytes] = []

                async def send() -> None:
                    refused.extend(await send_all(server, payloads))

                nursery.start_soon(send)
                await trio.testing.wait_all_tasks_blocked()
                store.may_store.set()
            assert refused == [b"poison", b"poison"]
            assert (await server.send(person())).message_seq == 20
    assert caplog.text.count("was refused") == 2
    assert "robot" in caplog.text


async def test_a_store_that_fails_is_logged_once_and_when_it_is_over(caplog: pytest.LogCaptureFixture) -> None:
    store = SlowStore()
    store.may_store.set()
    with trio.fail_after(10):
        async with open_server(config_for_tests(), store=store) as server:
            for _ in range(2):
                store.error = StoreError("the disk is full")
                for _ in range(30):
                    with pytest.raises(StoreError):
                        await server.send(person())
                store.error = None
                await server.send(person())
                await server.send(person())
    lines = [record.getMessage() for record in caplog.records if record.levelname in ("WARNING", "ERROR")]
    assert len(lines) == 4
    assert all("the disk is full" in line for line in lines[::2])
    assert lines[1::2] == ["a message was stored again; sends refused since the one before: 30"] * 2
