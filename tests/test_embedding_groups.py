"""What a program does with users, channels, histories, commands and connections of its server."""

import re
import textwrap
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from common import person, reason

import wukong_trio
from wukong_trio import (
    ChannelFlags,
    ChannelType,
    ConnectionClosed,
    DeviceLevel,
    InvalidArgumentError,
    MessageEvent,
    PullMode,
    ReasonCode,
    RefusedError,
    RequestError,
    SendCommand,
    Server,
    StoreError,
    open_client,
)
from wukong_trio.model import RED_DOT, SYNC_ONCE, Device, person_channel_id
from wukong_trio.store.memory import MemoryStore
from wukong_trio.testing import config_for_tests, open_test_server

DOCS = Path(__file__).parent.parent / "docs" / "embedding.md"
GROUP, PERSON = ChannelType.GROUP, ChannelType.PERSON


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    with trio.fail_after(10):
        async with open_test_server() as server:
            yield server


def to_group(payload: bytes = b"{}", channel_id: str = "g", **more: Any) -> SendCommand:
    return SendCommand(from_uid="robot", channel_id=channel_id, channel_type=GROUP, payload=payload, **more)


async def test_tokens(server: Server) -> None:
    url = server.endpoints.ws
    await server.users.set_token("ann", "old")
    await server.users.set_token("ann", "t", device_level=DeviceLevel.MASTER)
    with pytest.raises(RequestError):
        async with open_client(url, uid="ann", token="old"):
            pass
    async with open_client(url, uid="ann", token="t") as ann:
        await server.users.set_token("ann", "new", device_level=DeviceLevel.MASTER)
        with pytest.raises(ConnectionClosed, match="4003"):
            await ann.__anext__()
    async with open_client(url, uid="ann", token="new") as ann:
        await server.users.quit_device("ann")
        with pytest.raises(ConnectionClosed, match="4003"):
            await ann.__anext__()
    with pytest.raises(RequestError):
        async with open_client(url, uid="ann", token="new"):
            pass


@pytest.mark.parametrize(("flags", "code"), [({"ban": True}, ReasonCode.BAN), ({"disband": True}, ReasonCode.DISBAND)])
async def test_whoever_is_banned_gets_no_token(server: Server, flags: dict[str, bool], code: int) -> None:
    await server.channels.set_flags("eve", PERSON, ChannelFlags(**flags))
    with pytest.raises(RefusedError, match="eve") as error:
        await server.users.set_token("eve", "t")
    assert error.value.reason_code == code


async def test_who_is_online(server: Server) -> None:
    async with open_client(server.endpoints.ws, uid="ann", device_flag=1):
        assert await server.users.online({"ann", "bob"}) == {"ann": [1]}
    assert await server.users.online([]) == {}


async def test_system_accounts(server: Server) -> None:
    await server.users.add_system_uids(["robot", " ", "notice"])
    await server.users.remove_system_uids(("notice", "nobody"))
    assert server.users.system_uids() == ["robot"]
    await server.channels.put("g", GROUP)
    async with open_client(server.endpoints.ws, uid="robot") as robot:
        assert await reason(robot, "g") == ReasonCode.SUCCESS


async def test_members_and_flags_hold_for_the_next_message(server: Server) -> None:
    channels = server.channels
    async with open_client(server.endpoints.ws, uid="ann") as ann:
        await channels.put("g", GROUP, subscribers=["ann", "", "bob"])
        assert await reason(ann, "g") == ReasonCode.SUCCESS
        await channels.put("g", GROUP, ChannelFlags(ban=True), subscribers=["carl"])
        assert await reason(ann, "g") == ReasonCode.BAN
        await channels.set_flags("g", GROUP, ChannelFlags())
        await channels.add_subscribers("g", GROUP, ["dora"], reset=True)
        assert await reason(ann, "g") == ReasonCode.SUBSCRIBER_NOT_EXIST
        await channels.add_subscribers("g", GROUP, iter(["ann"]))
        assert await channels.subscribers("g", GROUP) == ["ann", "dora"]
        await channels.remove_subscribers("g", GROUP, ["dora", "nobody"])
        assert await reason(ann, "g") == ReasonCode.SUCCESS
        await channels.put("g", GROUP, subscribers=["bob"], reset=True)
        assert await channels.subscribers("g", GROUP) == ["bob"]
        await channels.remove_all_subscribers("g", GROUP)
        assert await channels.subscribers("g", GROUP) == await channels.subscribers("never", GROUP) == []
        await channels.disband("g", GROUP)
        assert await reason(ann, "g") == ReasonCode.DISBAND
        await channels.disband("never", GROUP)


async def test_a_channel_that_came_into_being_with_members_stays_without_them(server: Server) -> None:
    async with open_client(server.endpoints.ws, uid="ann") as ann:
        assert await reason(ann, "g") == ReasonCode.CHANNEL_NOT_EXIST
        await server.channels.add_subscribers("g", GROUP, ["bob"])
        await server.channels.remove_subscribers("g", GROUP, ["bob"])
        assert await reason(ann, "g") == ReasonCode.SUBSCRIBER_NOT_EXIST


async def test_deny_and_allow_lists(server: Server) -> None:
    await server.channels.put("g", GROUP, subscribers=["ann", "bob"])
    async with open_client(server.endpoints.ws, uid="ann") as ann:
        for uids, listed, refused in (
            (server.channels.denied, "ann", ReasonCode.IN_BLACKLIST),
            (server.channels.allowed, "bob", ReasonCode.NOT_IN_WHITELIST),
        ):
            await uids.add("g", GROUP, [listed, " ", "x"])
            assert await uids.get("g", GROUP) == sorted([listed, "x"])
            assert await reason(ann, "g") == refused
            await uids.remove("g", GROUP, [listed, "x"])
            assert await reason(ann, "g") == ReasonCode.SUCCESS
            await uids.set("g", GROUP, [listed])
            assert await reason(ann, "g") == refused
            await uids.clear("g", GROUP)
            assert (await uids.get("g", GROUP), await reason(ann, "g")) == ([], ReasonCode.SUCCESS)


async def test_temporary_channels(server: Server) -> None:
    async with open_client(server.endpoints.ws, uid="ann") as ann, open_client(server.endpoints.ws, uid="bob"):
        await server.channels.set_recipients("job", ["ann"])
        await server.send(SendCommand(from_uid="robot", channel_id="job", channel_type=8, payload=b"go"))
        assert (await ann.__anext__()).payload == b"go"
        assert server.statistics().delivered == 1


async def test_pages_are_messages(server: Server) -> None:
    for n in range(1, 6):
        await server.send(to_group(b"%d" % n))
    page = await server.history.page("g", GROUP, limit=2)
    assert ([m.payload for m in page.messages], page.more) == ([b"4", b"5"], True)
    page = await server.history.page("g", GROUP, start_message_seq=2, end_message_seq=4, pull_mode=PullMode.UP)
    assert [m.message_seq for m in page.messages] == [2, 3]
    assert [m.message_seq for m in (await server.history.page("g", GROUP, max_bytes=2, limit=0)).messages] == [4, 5]
    assert (await server.history.page("never", GROUP)).messages == []
    assert await server.history.last_seq("g", GROUP) == 5
    assert await server.history.last_seq("never", GROUP) == 0
    assert await server.history.last("never", GROUP) is None


async def test_a_person_channel_by_the_other_one_or_by_its_stored_id(server: Server) -> None:
    sent = await server.send(person(b"hi", "ann", "bob"))
    stored_id = person_channel_id("ann", "bob")
    for channel_id, login_uid in (("bob", "ann"), ("ann", "bob"), (stored_id, "")):
        [message] = (await server.history.page(channel_id, PERSON, login_uid=login_uid)).messages
        assert message == await server.history.last(channel_id, PERSON, login_uid=login_uid)
        assert (message.message_id, message.channel_id, message.payload) == (sent.message_id, stored_id, b"hi")
        assert await server.history.last_seq(channel_id, PERSON, login_uid=login_uid) == 1
    assert (await server.history.page("bob", PERSON)).messages == []


async def test_single_messages(server: Server) -> None:
    sent = [await server.send(to_group(b"%d" % n, client_msg_no="same" if n < 2 else "")) for n in range(3)]
    ids = [result.message_id for result in sent]
    find, find_one = server.history.find, server.history.find_one
    page = await find("g", GROUP, message_seqs=[3, 9], message_ids=[ids[0], 7], client_msg_nos=["same", "", "no"])
    assert [m.message_seq for m in page.messages] == [3, 1, 2]
    for names, seq in (
        ({"message_id": ids[2], "client_msg_no": "same"}, 3),
        ({"client_msg_no": "same"}, 2),
        ({"client_msg_no": "same", "earliest": True}, 1),
    ):
        found = await find_one("g", GROUP, **names)
        assert found is not None
        assert found.message_seq == seq
    assert await find_one("g", GROUP, message_id=5) is await find_one("g", GROUP) is None


async def test_most_that_can_be_asked_for(server: Server) -> None:
    assert (await server.history.find("g", GROUP, message_seqs=range(1, 10_001))).messages == []
    with pytest.raises(InvalidArgumentError, match="10,000"):
        await server.history.find("g", GROUP, message_seqs=range(10_000), client_msg_nos=["c"])


async def test_commands_are_apart_from_the_history(server: Server) -> None:
    await server.channels.put("g", GROUP, ChannelFlags(ban=True), subscribers=["ann"])
    async with open_client(server.endpoints.ws, uid="ann") as ann, open_client(server.endpoints.ws, uid="bob") as bob:
        assert (await server.commands.send(to_group(b"1", flags=RED_DOT))).message_seq == 1
        received = await ann.__anext__()
        assert (received.channel_id, received.payload, received.flags) == ("g", b"1", RED_DOT | SYNC_ONCE)
        sent = await server.commands.send_to(["bob", "", "bob"], to_group(b"2", client_msg_no="ignored"))
        assert (sent.message_seq, sent.client_msg_no != "ignored") == (1, True)
        received = await bob.__anext__()
        assert (received.payload, received.flags, received.channel_type) == (b"2", SYNC_ONCE, 8)
        assert (await server.commands.send_to(["bob"], to_group(b"3"))).message_seq == 2
    assert await server.history.last("g", GROUP) is None


async def test_one_payload_to_many(server: Server) -> None:
    failures = await server.send_batch("robot", ["ann", " ", "a@b", "bob"], b"hi", flags=RED_DOT)
    [(uid, error)] = failures
    assert (uid, type(error).__name__, getattr(error, "reason_code", 0)) == ("a@b", "SendRefusedError", 16)
    for uid in ("ann", "bob"):
        message = await server.history.last(uid, PERSON, login_uid="robot")
        assert message is not None
        assert (message.payload, message.flags) == (b"hi", RED_DOT)


async def test_a_batch_takes_payloads_up_to_the_limit() -> None:
    with trio.fail_after(10):
        async with open_test_server(limits={"payload_bytes": 100}) as server:
            assert await server.send_batch("robot", ["ann"], bytes(100)) == []
            with pytest.raises(InvalidArgumentError, match="payload is larger than 100 bytes"):
                await server.send_batch("robot", ["ann"], bytes(101))


async def test_single_connections(server: Server) -> None:
    url = server.endpoints.ws
    async with open_client(url, uid="ann") as ann, open_client(url, uid="bob", device_flag=2) as bob:
        await ann.send("bob", b"hi")
        assert (server.connections.count, server.connections.users) == (2, 2)
        [busiest] = await server.connections.select(lambda snapshot: -snapshot.traffic.in_msgs, end=1)
        assert (busiest.uid, busiest.traffic.in_msgs) == ("ann", 1)
        [of_bob] = await server.connections.select(lambda snapshot: 0, end=9, uid_part="bo")
        server.connections.kick("bob", of_bob.session_id)
        server.connections.remove("ann", busiest.session_id)
        for client in (ann, bob):
            with pytest.raises(ConnectionClosed):
                [message async for message in client]


LONG, HALF = "é" * 257, "a\ud800"
Use = Callable[[Server], Awaitable[object]]
WRONG: list[tuple[Use, str, str]] = [
    (lambda s: s.users.set_token("", "t"), "uid", "is empty"),
    (lambda s: s.users.set_token("ann", ""), "token", "is empty"),
    (lambda s: s.users.set_token("a@b", "t"), "uid", "@"),
    (lambda s: s.users.set_token(LONG, "t"), "uid", "512"),
    (lambda s: s.users.set_token(HALF, "t"), "uid", "half a character"),
    (lambda s: s.users.set_token("ann", HALF), "token", "half a character"),
    (lambda s: s.users.set_token("____system", "t"), "uid", "system"),
    (lambda s: s.users.set_token(b"ann", "t"), "uid", "must be str, not bytes"),
    (lambda s: s.users.set_token("ann", "t", device_flag=256), "device_flag", "0 to 255"),
    (lambda s: s.users.set_token("ann", "t", device_flag=-1), "device_flag", "0 to 255"),
    (lambda s: s.users.set_token("ann", "t", device_flag=True), "device_flag", "must be int, not bool"),
    (lambda s: s.users.set_token("ann", "t", device_level=2), "device_level", "0 to 1"),
    (lambda s: s.users.quit_device(""), "uid", "is empty"),
    (lambda s: s.users.quit_device("ann", 2**63), "device_flag", "is a number"),
    (lambda s: s.users.online("ann"), "uids", "must be a list, not str"),
    (lambda s: s.users.online([7]), "uid", "must be str, not int"),
    (lambda s: s.users.add_system_uids("ann"), "uids", "must be a list, not str"),
    (lambda s: s.users.add_system_uids(["ann", None]), "uid", "must be str, not NoneType"),
    (lambda s: s.users.remove_system_uids([LONG]), "uid", "512"),
    (lambda s: s.channels.put(" ", GROUP), "channel_id", "is empty"),
    (lambda s: s.channels.put("a#b", GROUP), "channel_id", "#"),
    (lambda s: s.channels.put("g", 0), "channel_type", "is 0"),
    (lambda s: s.channels.put("g", 13), "channel_type", "is no type"),
    (lambda s: s.channels.put("g", 2.0), "channel_type", "must be int, not float"),
    (lambda s: s.channels.put("g", GROUP, {"ban": 1}), "flags", "must be ChannelFlags"),
    (lambda s: s.channels.put("g", GROUP, subscribers="ann"), "subscribers", "must be a list, not str"),
    (lambda s: s.channels.put("ann", PERSON, subscribers=["bob"]), "channel_type", "persons"),
    (lambda s: s.channels.set_flags("g", GROUP, None), "flags", "must be ChannelFlags"),
    (lambda s: s.channels.disband("ann", PERSON), "channel_type", "persons"),
    (lambda s: s.channels.add_subscribers("g", GROUP, ["", " "]), "subscribers", "is empty"),
    (lambda s: s.channels.add_subscribers("g", GROUP, [LONG]), "uid", "512"),
    (lambda s: s.channels.add_subscribers("ann", PERSON, ["bob"]), "channel_type", "persons"),
    (lambda s: s.channels.remove_subscribers("a&b", GROUP, ["bob"]), "channel_id", "&"),
    (lambda s: s.channels.remove_all_subscribers("ann", PERSON), "channel_type", "persons"),
    (lambda s: s.channels.subscribers(7, GROUP), "channel_id", "must be str, not int"),
    (lambda s: s.channels.set_recipients("job", []), "uids", "is empty"),
    (lambda s: s.channels.set_recipients(LONG, ["ann"]), "channel_id", "512"),
    (lambda s: s.channels.denied.add("g", GROUP, []), "uids", "is empty"),
    (lambda s: s.channels.denied.remove("", GROUP, ["ann"]), "channel_id", "is empty"),
    (lambda s: s.channels.allowed.add("a@b", GROUP, ["ann"]), "channel_id", "@"),
    (lambda s: s.channels.allowed.set("g", -1, ["ann"]), "channel_type", "is a number"),
    (lambda s: s.channels.allowed.clear("g", 13), "channel_type", "is no type"),
    (lambda s: s.channels.allowed.get("g", "2"), "channel_type", "must be int, not str"),
    (lambda s: s.history.page(LONG, GROUP), "channel_id", "512"),
    (lambda s: s.history.page("g", GROUP, login_uid=LONG), "login_uid", "512"),
    (lambda s: s.history.page("g", GROUP, start_message_seq=-1), "start_message_seq", "is a number"),
    (lambda s: s.history.page("g", GROUP, end_message_seq=2**62 + 1), "end_message_seq", "is a number"),
    (lambda s: s.history.page("g", GROUP, limit=1.5), "limit", "must be int, not float"),
    (lambda s: s.history.page("g", GROUP, pull_mode=2), "pull_mode", "0 to 1"),
    (lambda s: s.history.find("g", GROUP, message_seqs=["1"]), "message_seqs", "must be int"),
    (lambda s: s.history.find("g", GROUP, message_ids=[2**63]), "message_ids", "is a number"),
    (lambda s: s.history.find("g", GROUP, message_ids=7), "message_ids", "must be a list"),
    (lambda s: s.history.find_one("g", GROUP, client_msg_no=HALF), "client_msg_nos", "half a character"),
    (lambda s: s.history.last("g", None), "channel_type", "must be int, not NoneType"),
    (lambda s: s.commands.send(to_group(flags="1")), "flags", "must be int, not str"),
    (lambda s: s.commands.send_to([" "], to_group()), "subscribers", "is empty"),
    (lambda s: s.commands.send_to(["ann"], to_group(topic=LONG)), "topic", "512"),
    (lambda s: s.events.append("", GROUP, "n", "e", "x"), "channel_id", "is empty"),
    (lambda s: s.events.append("g", 13, "n", "e", "x"), "channel_type", "is no type"),
    (lambda s: s.events.append("a@b", PERSON, "n", "e", "x"), "channel_id", "cannot be that"),
    (lambda s: s.events.append("g", GROUP, 7, "e", "x"), "client_msg_no", "must be str, not int"),
    (lambda s: s.events.append("g", GROUP, "n", "e", "x", from_uid=None), "from_uid", "must be str, not NoneType"),
    (lambda s: s.events.append("g", GROUP, "n", "e", "x", event_key=LONG), "event_key", "512"),
    (lambda s: s.events.append("g", GROUP, "n", "e", "x", message_id=2**63), "message_id", "is a number"),
    (lambda s: s.events.append("g", GROUP, "n", "e", "x", occurred_at=1.5), "occurred_at", "must be int, not float"),
    (lambda s: s.events.append("g", GROUP, "n", "e", "x", visibility="secret"), "visibility", "is one of"),
    (lambda s: s.events.append("g", GROUP, "n", "e", "x", object()), "payload", "cannot be JSON"),
    (lambda s: s.events.append("g", GROUP, "n", "e", "x", headers={"a": object()}), "headers", "cannot be JSON"),
    (lambda s: s.events.read("g", GROUP, "n", limit=-1), "limit", "is a number"),
    (lambda s: s.events.read("g", 0, "n"), "channel_type", "is 0"),
    (lambda s: s.events.read("g", GROUP, "n", from_uid=7), "from_uid", "must be str, not int"),
    (lambda s: s.events.push("g", GROUP, None), "event", "must be MessageEvent, not NoneType"),
    (lambda s: s.events.push("g", GROUP, MessageEvent("e", 7, 0, b"")), "event_type", "must be str, not int"),
    (lambda s: s.events.push("g", GROUP, MessageEvent("e", "x", 0, "")), "data", "must be bytes, not str"),
    (lambda s: s.events.push("g", GROUP, MessageEvent("e", "x", 0, b""), from_uid=HALF), "from_uid", "half"),
    (lambda s: s.conversations.sync(" "), "uid", "is empty"),
    (lambda s: s.conversations.sync("ann", page_size=501), "page_size", "1 to 500"),
    (lambda s: s.conversations.sync("ann", "1"), "msg_count", "must be int, not str"),
    (lambda s: s.conversations.of_channels("ann", "g"), "channels", "must be a list, not str"),
    (lambda s: s.conversations.of_channels("ann", [("g", None)]), "channel_type", "must be int, not NoneType"),
    (lambda s: s.conversations.of_channels("ann", [("g", GROUP)], None), "msg_count", "must be int, not NoneType"),
    (lambda s: s.conversations.messages_from("ann", [("g", GROUP, "1")]), "message_seq", "must be int, not str"),
    (lambda s: s.conversations.list_changes("ann", limit=201), "limit", "1 to 200"),
    (lambda s: s.conversations.list_changes("ann", coverage=1.5), "coverage", "must be int, not float"),
    (lambda s: s.conversations.set_unread("ann", "g", GROUP, -1), "unread", "is a number"),
    (lambda s: s.conversations.delete("ann", "g", 0), "channel_type", "is 0"),
    (lambda s: s.send_batch(" ", ["ann"], b""), "from_uid", "is empty"),
    (lambda s: s.send_batch("robot", [], b""), "subscribers", "is empty"),
    (lambda s: s.send_batch("robot", "ann", b""), "subscribers", "must be a list, not str"),
    (lambda s: s.send_batch("robot", ["ann"], "{}"), "payload", "must be bytes, not str"),
]


async def test_what_is_wrong_names_the_argument_and_changes_nothing(server: Server) -> None:
    for use, field, problem in WRONG:
        with pytest.raises(InvalidArgumentError) as error:
            await use(server)
        assert (error.value.field, str(error.value)) == (field, f"{field} {error.value.problem}")
        assert problem in error.value.problem
        assert isinstance(error.value, ValueError)
    assert server.statistics().accepted == 0
    assert await server.channels.subscribers("g", GROUP) == server.users.system_uids() == []


async def test_the_documented_example(capsys: pytest.CaptureFixture[str]) -> None:
    section = DOCS.read_text().partition("### Groups")[2]
    [code] = re.findall(r"^```python\n(.*?)^```", section.partition("\n## ")[0], re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {**vars(wukong_trio), "config": config_for_tests()}
    exec("async def example():\n" + textwrap.indent(code, "    "), names)
    with trio.fail_after(10):
        await names["example"]()
    assert capsys.readouterr().out == "[b'hi'] {}\n"


class GatedStore(MemoryStore):
    """Stores tokens when it is allowed to."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.go_on = trio.Event(), trio.Event()

    async def put_device(self, device: Device) -> None:
        self.asked.set()
        with trio.CancelScope(shield=True):
            await self.go_on.wait()
            await super().put_device(device)


async def test_a_write_that_has_begun_is_finished_although_the_call_is_cancelled() -> None:
    store = GatedStore()
    with trio.fail_after(10):
        async with open_test_server(store=store) as server:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(server.users.set_token, "ann", "t")
                await store.asked.wait()
                nursery.cancel_scope.cancel()
                store.go_on.set()
            async with open_client(server.endpoints.ws, uid="ann", token="t"):
                pass


async def test_after_the_stop_nothing_is_changed(tmp_path: Path) -> None:
    with trio.fail_after(10):
        async with open_test_server(data_dir=tmp_path, synchronous="normal") as server:
            await server.channels.put("g", GROUP, subscribers=["ann"])
        for use in (
            lambda: server.users.set_token("ann", "t"),
            lambda: server.channels.add_subscribers("g", GROUP, ["bob"]),
            lambda: server.history.page("g", GROUP),
            lambda: server.commands.send(to_group()),
        ):
            with pytest.raises(StoreError):
                await use()
        [(_, error)] = await server.send_batch("robot", ["ann"], b"hi")
        assert isinstance(error, StoreError)
        async with open_test_server(data_dir=tmp_path, synchronous="normal") as server:
            assert await server.channels.subscribers("g", GROUP) == ["ann"]
