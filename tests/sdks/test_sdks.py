"""The official SDKs, unmodified, and a JSON-RPC client in one person channel and one group.

Ann uses the JavaScript SDK and the Go SDK, Bob the uni-app SDK and JSON-RPC. So in each channel every one of the four
has something to say to the three others.
"""

import base64
import json
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import msgspec
import pytest
import trio
from child import ServerProcess, run_server
from users import PC, Channel, Received, RpcUser, Sdks, SdkUser, Sent, User, as_payload

from wukong_trio import open_client
from wukong_trio.testing import open_raw_client

PEER = {"ann": "bob", "bob": "ann"}
GROUP = Channel("team", 2)
TEXT = "hello from {}: é, 你好, 👋"
MANY = 100
"""Messages of one sender in each of the two channels."""
GO_READS_BYTES = 10_240
"""The Go SDK reads so much at a time and takes one packet out of it; what is left waits for the next bytes. So only
packets that are at least as large can follow each other closely. Encrypted, a payload is a third longer."""
JS_RETURNS_S = 3.0
"""After so long the JavaScript SDKs come back when they have lost their connection."""


class Said(NamedTuple):
    """Somebody's message."""

    sender: User
    channel: Channel
    sent: Sent
    text: str


async def test_w038_w050_w059_w061_everybody_reads_everybody_and_so_says_the_history(
    tmp_path: Path, sdks: Sdks, engine: str
) -> None:
    with trio.fail_after(30):
        async with run_server(tmp_path, "--engine", engine) as server, everybody(server, sdks) as users:
            said: dict[int, list[Received]] = {1: [], 2: []}
            for sender in users:
                for channel in channels_of(sender):
                    text = TEXT.format(sender.name)
                    [sent] = await sender.send(channel, text)
                    for reader in others(users, sender):
                        assert await reader.receive() == as_seen(reader, sender, channel, sent, text)
                    said[channel.type].append(as_stored(sender, channel, sent, text))
                    assert sent.message_seq == len(said[channel.type])
            for user in users:
                for channel in channels_of(user):
                    assert await history(server, user, channel) == said[channel.type]
        assert "Traceback" not in server.log.read_text()


async def test_w050_two_hundred_in_order_from_each_to_all(tmp_path: Path, sdks: Sdks, engine: str) -> None:
    with trio.fail_after(60):
        async with run_server(tmp_path, "--engine", engine) as server, everybody(server, sdks) as users:
            said: list[Said] = []
            heard: dict[str, list[Received]] = {user.name: [] for user in users}
            # The answers to what the Go SDK sends are small, so it sends when it has got everything of the others.
            for senders in (others(users, sdks.go), [sdks.go]):
                async with trio.open_nursery() as nursery:
                    for sender in senders:
                        nursery.start_soon(say_much, said, sender)
                for reader in users:
                    count = 2 * MANY * len(others(senders, reader))
                    heard[reader.name] += [await reader.receive() for _ in range(count)]
            said.sort(key=lambda one: one.sent.message_seq)
            for channel_type in (1, 2):
                in_channel = [one for one in said if one.channel.type == channel_type]
                assert [one.sent.message_seq for one in in_channel] == list(range(1, len(users) * MANY + 1))
                for reader in users:
                    assert [message for message in heard[reader.name] if message.channel_type == channel_type] == [
                        as_seen(reader, *one) for one in in_channel if one.sender is not reader
                    ]
            await hear_each_other(users)


async def test_w052_w053_who_is_sent_away_learns_it_and_stays_away(tmp_path: Path, sdks: Sdks) -> None:
    with trio.fail_after(40):
        async with run_server(tmp_path) as server, AsyncExitStack() as elsewhere:
            await log_in_as_masters(server, sdks, token="one")
            for user in sdks.all:
                await post(server, "/user/device_quit", uid=user.uid, device_flag=user.device_flag)
                await learns_that_he_was_sent_away(user, sdks)

            await log_in_as_masters(server, sdks, token="two")
            new_devices = []
            for user in sdks.all:
                device = await elsewhere.enter_async_context(open_raw_client(server.ws))
                await device.sdk_connect(user.uid, token="two", device_flag=user.device_flag)
                await learns_that_he_was_sent_away(user, sdks)
                new_devices.append(device)

            await trio.sleep(JS_RETURNS_S + 1)
            assert [user.take_all("dial") for user in sdks.all] == [[], [], []], (
                "an SDK that was kicked must not come back"
            )
            for device in new_devices:
                await device.ping()
        assert "Traceback" not in server.log.read_text()


async def test_w048_w049_w054_who_pings_stays_and_who_is_silent_comes_back(tmp_path: Path, sdks: Sdks) -> None:
    settings = tmp_path / "settings.yaml"
    settings.write_text("connIdleTime: 2s\nmessageRetry: {interval: 2s}\n")
    with trio.fail_after(40):
        async with run_server(tmp_path, "--config", str(settings)) as server:
            await sdks.js.connect(server, heartbeat_s=0.3)
            sdks.js.take_all("status")
            for user in (sdks.uni, sdks.go):
                await user.connect(server)
            await greet(server, "ann", "good morning")
            async with trio.open_nursery() as nursery:
                for user in (sdks.uni, sdks.go):
                    nursery.start_soon(comes_back, server, user)
            await greet(server, "ann", "good night")
            greetings = [(await sdks.js.receive()).payload["content"] for _ in range(3)]
            assert greetings == ["good morning", "welcome, go", "good night"], "what was acknowledged is not repeated"
            assert sdks.js.take_all("status") == []


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "SIGKILL"])
async def test_a_restart_of_the_server(tmp_path: Path, sdks: Sdks, stop: signal.Signals) -> None:
    with trio.fail_after(40):
        async with run_server(tmp_path) as server:
            async with everybody(server, sdks) as users:
                await hear_each_other(users)
            await server.stop(stop)
            for user in sdks.all:
                await user.until("disconnected")
            for user in sdks.javascript:
                await user.start_sending(GROUP, f"{user.name} has something to say")

        async with run_server(tmp_path, *server.addresses) as server:
            for user in sdks.javascript:
                await user.until("connected")
            queued = [await user.sent() for user in sdks.javascript]
            # The Go SDK has tried once, at once. After that it is up to the program.
            async with everybody(server, sdks, connect=[sdks.go]) as users:
                await hear_each_other(users, beside={sent.client_msg_no for sent in queued})
                numbers = [message.client_msg_no for message in await history(server, users[-1], GROUP)]
                assert len(numbers) == len(set(numbers)) == 2 * len(users) + len(queued)
                assert set(numbers) > {sent.client_msg_no for sent in queued}


@asynccontextmanager
async def everybody(
    server: ServerProcess, sdks: Sdks, connect: list[SdkUser] | None = None
) -> AsyncIterator[list[User]]:
    """All four, connected and in the group."""
    for user in sdks.all if connect is None else connect:
        await user.connect(server)
    await post(server, "/channel", channel_id=GROUP.id, channel_type=GROUP.type, subscribers=list(PEER))
    async with open_client(server.ws, uid="bob", device_flag=PC) as client:
        yield [*sdks.all, RpcUser(client)]


async def hear_each_other(users: list[User], beside: frozenset[str] | set[str] = frozenset()) -> None:
    """Each one's next message in the group reaches all others; messages with the numbers `beside` may come before."""
    for sender in users:
        [sent] = await sender.send(GROUP, "do you hear me?")
        for reader in others(users, sender):
            while (received := await reader.receive()).client_msg_no in beside:
                pass
            assert received == as_seen(reader, sender, GROUP, sent, "do you hear me?")


async def log_in_as_masters(server: ServerProcess, sdks: Sdks, token: str) -> None:
    """Each SDK connects as a master. The Go SDK knows no kick: told to come back, it would do so for ever."""
    for user in sdks.all:
        await post(server, "/user/token", uid=user.uid, device_flag=user.device_flag, device_level=1, token=token)
        await user.connect(server, token, reconnect=False)
        for kind in ("dial", "status"):
            user.take_all(kind)


async def learns_that_he_was_sent_away(user: SdkUser, sdks: Sdks) -> None:
    """The JavaScript SDKs are told why, the Go SDK sees the end; the others see nothing."""
    if user is sdks.go:
        await user.until("closed")
    else:
        assert await user.next("status") == {"event": "status", "status": "kicked", "reason": 12}
        await user.until("disconnected")
    assert [other.take_all("status") for other in sdks.all] == [[], [], []]


async def comes_back(server: ServerProcess, user: SdkUser) -> None:
    """The server closes the connection, the SDK opens another and gets what is sent then."""
    await user.until("disconnected")
    await user.until("connected")
    text = f"welcome, {user.name}"
    await greet(server, user.uid, text)
    while (await user.receive()).payload != as_payload(text):
        pass


async def greet(server: ServerProcess, uid: str, text: str) -> None:
    """Somebody else writes to a user."""
    payload = base64.b64encode(json.dumps(as_payload(text)).encode()).decode()
    await post(server, "/message/send", from_uid="cid", channel_id=uid, channel_type=1, payload=payload)


async def say_much(said: list[Said], sender: User) -> None:
    """A hundred texts in each of the two channels, so large that the Go SDK can follow."""
    for channel in channels_of(sender):
        texts = [f"{sender.name} {n} ".ljust(GO_READS_BYTES * 3 // 4, ".") for n in range(MANY)]
        sent = await sender.send(channel, *texts)
        said += [Said(sender, channel, *both) for both in zip(sent, texts, strict=True)]


async def history(server: ServerProcess, user: User, channel: Channel) -> list[Received]:
    """A channel's messages as a user's client reads them: through the SDK's hook for it, if it has one."""
    if isinstance(user, SdkUser) and user.name != "go":
        return await user.history(server, channel, limit=MANY)
    answer = await post(
        server,
        "/channel/messagesync",
        login_uid=user.uid,
        channel_id=channel.id,
        channel_type=channel.type,
        limit=MANY,
    )
    return [
        Received(
            **{name: record[name] for name in Received._fields[:-2]},
            red_dot=bool(record["header"]["red_dot"]),
            payload=json.loads(base64.b64decode(record["payload"])),
        )
        for record in answer["messages"]
    ]


async def post(server: ServerProcess, path: str, **body: object) -> dict[str, Any]:
    """Calls the HTTP API."""
    async with httpx.AsyncClient(base_url=server.http) as http:
        answer = await http.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return msgspec.json.decode(answer.content, type=dict[str, Any])


def channels_of(sender: User) -> list[Channel]:
    """The two channels, as this user writes them."""
    return [Channel(PEER[sender.uid], 1), GROUP]


def others(users: list[User], sender: User) -> list[User]:
    """Who receives what this one sends."""
    return [user for user in users if user is not sender]


def as_seen(reader: User, sender: User, channel: Channel, sent: Sent, text: str) -> Received:
    """What a reader gets. He finds the other person's messages under that person, and his own are not unread."""
    own = reader.uid == sender.uid
    channel_id = sender.uid if channel.type == 1 and not own else channel.id
    return Received(*sent, sender.uid, channel_id, channel.type, not own, as_payload(text))


def as_stored(sender: User, channel: Channel, sent: Sent, text: str) -> Received:
    """What the history tells of it, to everybody."""
    return Received(*sent, sender.uid, *channel, True, as_payload(text))
