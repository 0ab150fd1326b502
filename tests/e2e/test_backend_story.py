"""A back-end's story: a company moves in, chats, loses its server once, and misses nothing.

Five hundred people, ten of them online, ten thousand messages from the back-end and from sockets. The receiver of
webhooks refuses every second request, and the server is killed in the middle.
"""

import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import trio
from child import ServerProcess, run_server

from wukong_trio import Client, ConnectionClosed, RequestError, open_client
from wukong_trio.api_client import ApiClient, ApiError, ApiUnreachableError
from wukong_trio.contract.messages import MessageRecord

sys.path.append(str(Path(__file__).parent.parent / "webhooks"))
from receiver import Receiver, Request, open_receiver

GROUP = "company"
STAFF = [f"u{n:03}" for n in range(500)]
ONLINE = STAFF[:10]
BY_BACKEND, BY_SOCKET = 5000, 5000
KILLED_AFTER = 4000
"""Answered sends."""
BACKEND_TASKS = 8
TEXTS = (
    "good morning",
    "\u4f60\u597d\u4e16\u754c",
    "the quick brown fox",
    "\u4eca\u65e5\u306f\u3044\u3044\u5929\u6c17",
)


def payload(text: str) -> bytes:
    return msgspec.json.encode({"type": 1, "content": text})


def refuse_every_second() -> Callable[[Request], Any]:
    requests = Counter[str]()

    async def answer(request: Request) -> int:
        requests[request.event] += 1
        return 500 if requests[request.event] % 2 else 200

    return answer


class Company:
    """The back-end: what it knows of the server, and what has been answered."""

    def __init__(self, directory: Path, receiver: Receiver) -> None:
        self.directory = directory
        self.receiver = receiver
        self.up = trio.Event()
        self.server: ServerProcess
        self.sent: dict[str, tuple[str, int]] = {}
        """Answered sends: their client_msg_no, to which channel they went, and their message_seq."""
        self.killed = trio.Event()
        self.done = trio.Event()
        self.seen: dict[str, list[str]] = {uid: [] for uid in ONLINE}
        """The numbers that came to each device."""

    @property
    def options(self) -> list[str]:
        file = self.directory / "wk.yaml"
        webhook = (
            f"{{httpAddr: '{self.receiver.url}', msgNotifyEventPushInterval: 50ms, msgNotifyEventCountPerPush: 1000}}"
        )
        file.write_text(f"webhook: {webhook}\nsearch: {{on: true}}\ntokenAuth: 'on'\n")
        return ["--config", str(file)]

    async def run_servers(self, *, task_status: trio.TaskStatus[None]) -> None:
        """A server, and after it was killed another one in its place."""
        async with run_server(self.directory, *self.options) as first:
            self.server = first
            self.up.set()
            task_status.started()
            await self.killed.wait()
            self.up = trio.Event()
            addresses = first.addresses
            await first.stop(signal.SIGKILL)
        async with run_server(self.directory, *self.options, *addresses) as second:
            self.server = second
            self.up.set()
            await self.done.wait()
            assert await second.stop(signal.SIGTERM) == 0

    def answered(self, number: str, channel: str, message_seq: int) -> None:
        assert number not in self.sent
        self.sent[number] = (channel, message_seq)
        if len(self.sent) >= KILLED_AFTER:
            self.killed.set()

    @asynccontextmanager
    async def api(self) -> AsyncIterator[ApiClient]:
        async with ApiClient(self.server.http) as api:
            yield api

    # Sending

    async def backend_sends(self, api: ApiClient, task: int) -> None:
        for n in range(BY_BACKEND // BACKEND_TASKS):
            number = f"b-{task}-{n}"
            from_uid, to = STAFF[(task * 31 + n) % 500], STAFF[(task + n * 7 + 1) % 500]
            to_group = n % 10 == 0
            where = (GROUP, 2) if to_group else (to, 1)
            message_seq = 0
            while not message_seq:
                try:
                    answer = await api.send(
                        payload(f"{TEXTS[n % 4]} {number}"), from_uid=from_uid, channel_id=where[0],
                        channel_type=where[1], client_msg_no=number, red_dot=True,
                    )  # fmt: skip
                    message_seq = answer.message_seq
                except ApiError as error:
                    await self.up.wait()
                    if isinstance(error, ApiUnreachableError) and error.maybe_done:
                        message_seq = await self._stored_seq(api, from_uid, where, number)
                    else:
                        await trio.sleep(0.02)
            self.answered(number, GROUP if to_group else f"{from_uid}|{to}", message_seq)

    @staticmethod
    async def _stored_seq(api: ApiClient, from_uid: str, where: tuple[str, int], number: str) -> int:
        """A send of which nobody knows whether it was stored is looked up before it is made again."""
        try:
            channel_id, channel_type = where
            record = await api.history.find_one(
                channel_id, channel_type, client_msg_no=number, login_uid=from_uid if channel_type == 1 else ""
            )
        except ApiError:
            await trio.sleep(0.02)
            return 0
        return record.message_seq if record is not None else 0

    async def device(self, uid: str) -> None:
        """Somebody's app: sends its share, shows what comes, and connects again when it has to."""
        mine = [f"s-{uid}-{n}" for n in range(BY_SOCKET // len(ONLINE))]
        while not self.done.is_set():
            await self.up.wait()
            try:
                async with (
                    open_client(self.server.ws, uid=uid, token=f"t-{uid}", device_id=uid) as client,
                    trio.open_nursery() as nursery,
                ):
                    nursery.start_soon(self._show, uid, client)
                    await self._send_mine(uid, client, mine)
                    await self.done.wait()
                    nursery.cancel_scope.cancel()
            except* (ConnectionClosed, OSError):
                await trio.sleep(0.02)

    async def _show(self, uid: str, client: Client) -> None:
        async for message in client:
            self.seen[uid].append(message.client_msg_no)

    async def _send_mine(self, uid: str, client: Client, mine: list[str]) -> None:
        while mine:
            number = mine[0]
            n = int(number.rpartition("-")[2])
            to = STAFF[(n * 11 + 3) % 500]
            where = (GROUP, 2) if n % 10 == 0 or to == uid else (to, 1)
            try:
                # The same number after a lost connection: a message that was stored is not stored twice.
                result = await client.send(
                    where[0], payload(f"{TEXTS[n % 4]} {number}"), channel_type=where[1], client_msg_no=number
                )
            except RequestError:
                await trio.sleep(0.02)
                continue
            mine.pop(0)
            self.answered(number, GROUP if where[1] == 2 else f"{uid}|{to}", result.message_seq)


async def test_the_story(tmp_path: Path) -> None:
    with trio.fail_after(300):
        async with open_receiver() as receiver, trio.open_nursery() as nursery:
            receiver.answer = refuse_every_second()
            company = Company(tmp_path, receiver)
            await nursery.start(company.run_servers)
            async with company.api() as api:
                await move_in(api)
            for uid in ONLINE:
                nursery.start_soon(company.device, uid)
            async with company.api() as api, trio.open_nursery() as sending:
                for task in range(BACKEND_TASKS):
                    sending.start_soon(company.backend_sends, api, task)
            while len(company.sent) < BY_BACKEND + BY_SOCKET:  # noqa: ASYNC110 - devices come and go
                await trio.sleep(0.05)
            assert company.killed.is_set()
            async with company.api() as api:
                histories = await read_everything(api, company)
                await look_at_conversations(api, histories)
                await look_for_words(api, histories)
                await listen_to_an_answer(api, company.server)
            await check_webhooks(company, histories)
            company.done.set()
    assert "Traceback" not in (tmp_path / "server.log").read_text()


async def move_in(api: ApiClient) -> None:
    for uid in ONLINE:
        await api.users.set_token(uid, f"t-{uid}", device_flag=0, device_level=1)
    await api.channels.put(GROUP, 2, subscribers=STAFF)


# What is there


async def read_everything(api: ApiClient, company: Company) -> dict[str, list[MessageRecord]]:
    """The histories of all channels that somebody has written to, by the names in `Company.sent`."""
    group = await pages(api, ONLINE[0], GROUP, 2, up=True)
    assert [m.message_seq for m in group] == list(range(1, len(group) + 1))
    assert [*reversed(await pages(api, ONLINE[0], GROUP, 2, up=False))] == group
    histories = {GROUP: group}
    for channel in {channel for channel, _ in company.sent.values()} - {GROUP}:
        one, other = channel.split("|")
        histories[channel] = await pages(api, one, other, 1, up=True)
    stored = Counter(m.client_msg_no for history in {id(h): h for h in histories.values()}.values() for m in history)
    for number, (channel, message_seq) in company.sent.items():
        found = histories[channel][message_seq - 1]
        assert (found.client_msg_no, found.message_seq) == (number, message_seq)
    assert stored.keys() == company.sent.keys(), "nothing is lost, and nothing is there that nobody has sent"
    return histories


async def pages(api: ApiClient, login_uid: str, channel_id: str, channel_type: int, *, up: bool) -> list[MessageRecord]:
    """A history, page by page: from the first message on, or back from the last one."""
    found: list[MessageRecord] = []
    start = 1 if up else 0
    while True:
        page = await api.history.page(
            channel_id, channel_type, start_message_seq=start, limit=97, pull_mode=int(up), login_uid=login_uid
        )
        found += page.messages if up else reversed(page.messages)
        if not page.more:
            return found
        start = page.messages[-1].message_seq + 1 if up else page.messages[0].message_seq - 1


async def look_at_conversations(api: ApiClient, histories: dict[str, list[MessageRecord]]) -> None:
    group = histories[GROUP]
    for uid in (ONLINE[3], STAFF[100], STAFF[499]):
        own = max((m.message_seq for m in group if m.from_uid == uid), default=0)
        [company] = [c for c in await api.conversations.sync(uid, 2) if c.channel_id == GROUP]
        assert company.unread == (0 if group[-1].from_uid == uid else len(group) - own)
        assert [m.message_seq for m in company.recents] == [len(group), len(group) - 1]
        await api.conversations.clear_unread(uid, GROUP, 2)
        [company] = [c for c in await api.conversations.sync(uid, 1) if c.channel_id == GROUP]
        assert (company.unread, company.readed_to_msg_seq) == (0, len(group))
        await walk_through_the_list(api, uid)


async def walk_through_the_list(api: ApiClient, uid: str) -> None:
    """Pages neither overlap nor skip, and afterwards only what has changed is told."""
    everything = await api.conversations.sync(uid, 1)
    found, cursor = [], ""
    while True:
        page = await api.conversations.list_changes(uid, limit=7, cursor=cursor)
        found += page.conversations
        if page.done:
            break
        cursor = page.next_cursor
    assert [(c.channel_id, c.unread) for c in found] == [(c.channel_id, c.unread) for c in everything]
    changes = await api.conversations.list_changes(uid, completed_coverage=page.coverage)
    assert (changes.conversations, changes.deletes) == ([], [])


async def look_for_words(api: ApiClient, histories: dict[str, list[MessageRecord]]) -> None:
    uid = STAFF[42]
    wanted = [m for m in histories[GROUP] if "\u4e16\u754c" in m.payload.decode()]
    with trio.fail_after(60):
        while True:
            found = await api.search(uid, {"content": "\u4e16\u754c"}, channel_id=GROUP, channel_type=2, limit=100)
            if found.total == len(wanted):
                break
            await trio.sleep(0.1)
    assert [m.message_id for m in found.messages] == [m.message_id for m in reversed(wanted)][:100]
    await api.channels.remove_subscribers(GROUP, 2, [uid])
    assert (await api.search(uid, {"content": "\u4e16\u754c"}, channel_id=GROUP, channel_type=2)).total == 0
    assert not [c for c in await api.conversations.sync(uid, 1) if c.channel_id == GROUP]
    await api.channels.add_subscribers(GROUP, 2, [uid])


async def listen_to_an_answer(api: ApiClient, server: ServerProcess) -> None:
    """A text that comes in pieces: whoever loads the page meanwhile sees the part that is there."""
    reader, words = STAFF[77], [f"word{n} " for n in range(50)]
    whole = "".join(words)
    await api.send(
        payload(""), from_uid="bot", channel_id=reader, channel_type=1, client_msg_no="answer", is_stream=True
    )
    seen: list[str] = []
    written = trio.Event()

    async def read() -> None:
        while True:
            last = written.is_set()
            [record] = (await api.history.page("bot", 1, limit=1, login_uid=reader)).messages
            seen.append(record.stream_data.decode())
            if last:
                assert record.end == 1
                return

    await api.users.set_token(reader, "t", device_flag=1)
    async with open_client(server.ws, uid=reader, token="t", device_flag=1) as listener, trio.open_nursery() as nursery:
        nursery.start_soon(read)
        name = (reader, 1, "answer")
        for n, word in enumerate(words):
            piece = {"kind": "text", "delta": word}
            await api.events.append(*name, f"e{n}", "stream.delta", piece, from_uid="bot")
        await api.events.append(*name, "end", "stream.close", from_uid="bot")
        written.set()
        types = [(await anext(listener.events)).type for _ in range(51)]
    assert types == ["stream.delta"] * 50 + ["stream.close"]
    assert all(whole.startswith(text) for text in seen)
    assert seen == sorted(seen, key=len)
    assert seen[-1] == whole


# What the receiver was told


async def check_webhooks(company: Company, histories: dict[str, list[MessageRecord]]) -> None:
    receiver = company.receiver
    wanted = {m.message_id for history in histories.values() for m in history}
    await receiver.until(lambda: wanted <= {m["message_id"] for m in receiver.messages}, 60)
    told: dict[int, Any] = {}
    for message in receiver.messages:
        told.setdefault(message["message_id"], message)
    assert {id_ for id_, m in told.items() if m["client_msg_no"] != "answer"} == wanted
    for history in histories.values():
        ids = {m.message_id for m in history}
        assert [id_ for id_ in told if id_ in ids] == [m.message_id for m in history], "in order, and no gap"
    for offline in receiver.of("msg.offline"):
        assert offline.data["from_uid"] not in offline.data["to_uids"]
    await tell_who_is_away(company)
    for uid in ONLINE:
        entries = [entry.split("-") for entry in receiver.entries if entry.startswith(f"{uid}-")]
        assert entries[-1][2] == "1", "who is online, is said last to be online"


async def tell_who_is_away(company: Company) -> None:
    """Of a message to somebody who is online as a master nobody is told; of one to somebody else, he is named."""

    async def accept(_request: Request) -> int:
        return 200

    receiver = company.receiver
    receiver.answer = accept
    async with company.api() as api:
        for to in (ONLINE[1], STAFF[200]):
            await api.send(
                payload("last"), from_uid=ONLINE[0], channel_id=to, channel_type=1, client_msg_no=f"last-{to}"
            )
    await receiver.until(
        lambda: any(r["client_msg_no"] == f"last-{STAFF[200]}" for r in receiver.accepted("msg.offline"))
    )
    last = [r for r in receiver.accepted("msg.offline") if r["client_msg_no"].startswith("last-")]
    assert [(r["client_msg_no"], r["to_uids"]) for r in last] == [(f"last-{STAFF[200]}", [STAFF[200]])]
