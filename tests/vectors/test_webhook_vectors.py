"""What WuKongIM 2.2.5 has sent to its receiver of webhooks, compared with what ours gets in the same story.

Where we differ on purpose, OURS has the body; None: nothing is told.
"""

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
from matching import Matcher

from wukong_trio import Server
from wukong_trio.testing import RawClient, open_raw_client, open_test_server

sys.path.append(str(Path(__file__).parent.parent / "webhooks"))
from receiver import Receiver, accept, open_receiver, statuses

ENTRIES = {entry["name"]: entry for entry in json.loads(Path(__file__).with_name("webhooks.json").read_text())}
AWAITED = {
    **dict.fromkeys(("notify-direct-command", "offline-direct-command", "offline-direct-online"), "commands to users"),
    "datasource-systemuids": "the data source",
}
ELSEWHERE = {"notify-given-up": "it takes 4 s; test_notify.py has it on a clock that jumps"}
NOT_TOLD = ("offline-nobody",)
"""Told by the recorded server, and not by ours."""


def expected(name: str) -> Any:
    """The recorded body after what is different on purpose."""
    entry = ENTRIES[name]
    body = json.loads(json.dumps(entry["request"]["body"]))
    if name == "notify-system":
        body[0]["channel_id"] = "wc"
    if name == "notify-command-group":
        body[0]["channel_id"] = "wgroup"
    if name == "notify-command-person":
        body[0]["channel_id"] = "wc"
    return body


class Story:
    """One server, what is done to it, and what its receiver was told."""

    def __init__(self, server: Server, http: httpx.AsyncClient, receiver: Receiver) -> None:
        self.server, self.http, self.receiver = server, http, receiver
        self.matcher = Matcher()
        self.problems: list[str] = []
        self.compared: list[str] = []

    async def post(self, path: str, **body: Any) -> None:
        await self.http.post(path, json=body)

    async def send(self, number: str, to: str, kind: int = 1, from_uid: str = "wb", **more: Any) -> None:
        await self.post(
            "/message/send",
            client_msg_no=number, from_uid=from_uid, channel_id=to, channel_type=kind, payload="e30=", **more,
        )  # fmt: skip

    async def next(self, event: str, count: int) -> Any:
        await self.receiver.until(lambda: len(self.receiver.of(event)) >= count)
        return self.receiver.of(event)[count - 1]

    async def compare(self, name: str, count: int) -> None:
        """The request number `count` of its event must look like the recorded one."""
        entry = ENTRIES[name]
        event = entry["request"]["query"].rpartition("event=")[2]
        request = await self.next(event, count)
        want, body = expected(name), request.data
        if isinstance(body, dict):
            body["to_uids"] = sorted(body["to_uids"])
            want["to_uids"] = sorted(want["to_uids"])
            if "compress" in want:
                # The recorded server sends an empty stream.
                want["compress_to_uids"] = "<str>"
        problems = self.matcher.differences(want, body)
        if isinstance(want, dict) and set(want) != set(body):
            problems.append(f"members {sorted(set(want) ^ set(body))}")
        if request.headers["content-type"] != entry["request"]["headers"]["content-type"]:
            problems.append("content type")
        self.problems += [f"{name}: {problem}" for problem in problems]
        self.compared.append(name)

    def nothing(self, *names: str) -> None:
        """These were recorded as not told, and the numbers of requests say that ours were not."""
        for name in names:
            assert name in NOT_TOLD or ENTRIES[name]["request"] is None, name
        self.compared += names


async def comes_and_goes(story: Story) -> None:
    ws, told = story.server.endpoints.ws, "user.onlinestatus"

    async def connected(client: RawClient, uid: str, **more: Any) -> None:
        await client.connect(uid, **more)

    async with open_raw_client(ws) as app, open_raw_client(ws) as web:
        await connected(app, "wam")
        await story.compare("online-first", 1)
        await connected(web, "wam", deviceFlag=1)
        await story.compare("online-second", 2)
        await app.stream.aclose()
        await story.compare("offline-one", 3)
        await web.stream.aclose()
        await story.compare("offline-last", 4)
    async with open_raw_client(ws) as slot_0:
        await connected(slot_0, "w14")
        await story.compare("online-slot-0", 5)
    # The recorded server forgets these.
    assert (await story.next(told, 6)).data[0].split("-")[0::2] == ["w14", "0", "0"]
    async with open_raw_client(ws) as kicked:
        await connected(kicked, "wk")
        await story.next(told, 7)
        story.server.kick("wk")
        assert (await story.next(told, 8)).data[0].split("-")[:3] == ["wk", "0", "0"]
    async with open_raw_client(ws) as first, open_raw_client(ws) as second:
        await connected(first, "wd", deviceId="d")
        await story.next(told, 9)
        await connected(second, "wd", deviceId="d")
        went, came = (await story.next(told, 10)).data
        assert (went.split("-")[2], went.split("-")[4:]) == ("0", ["1", "1"])
        assert (came.split("-")[2], came.split("-")[4:]) == ("1", ["1", "1"])
    await story.next(told, 11)
    story.compared += ["offline-slot-0", "offline-kicked", "online-replaced", "offline-replaced"]


async def messages(story: Story) -> None:
    notify, offline = "msg.notify", "msg.offline"
    await story.send("a1", "wc", header={"red_dot": 1}, expire=9)
    await story.compare("notify-person", 1)
    await story.compare("offline-person", 1)
    await story.send("a2", "wc", header={"no_persist": 1})
    await story.compare("offline-no-persist", 2)
    await story.send("a3", "wc", from_uid="")
    await story.compare("notify-system", 2)
    await story.compare("offline-system", 3)
    story.nothing("notify-no-persist")
    await story.post("/channel", channel_id="wgroup", channel_type=2, subscribers=["wb", "wd1", "wd2", "____system"])
    await story.post("/channel", channel_id="wgroup1", channel_type=2, subscribers=["wb"])
    await story.send("a4", "wgroup", 2)
    await story.compare("offline-group", 4)
    await story.next(notify, 3)
    await story.send("a5", "wgroup1", 2)
    await story.next(notify, 4)
    await story.post("/channel/info", channel_id="wgroup", channel_type=2, ban=1)
    await story.send("a6", "wgroup", 2)
    await story.send("a7", "wgroup", 2, header={"sync_once": 1})
    await story.compare("notify-command-group", 5)
    await story.compare("offline-command-group", 5)
    story.nothing("offline-nobody", "notify-refused", "offline-refused")
    await story.send("a8", "wc", header={"sync_once": 1})
    await story.compare("notify-command-person", 6)
    await story.compare("offline-command-person", 6)
    await story.send("a9", "wagent", 11)
    await story.compare("notify-agent", 7)
    await story.send("a10", "wc", is_stream=1)
    await story.compare("notify-stream", 8)
    await story.next(offline, 7)
    await story.post(
        "/message/event",
        client_msg_no="a10", from_uid="wb", channel_id="wc", channel_type=1, event_id="e", event_type="stream.close",
    )  # fmt: skip
    story.nothing("offline-agent", "notify-event", "offline-event")
    ws = story.server.endpoints.ws
    async with open_raw_client(ws) as wb2, open_raw_client(ws) as wf:
        await wb2.connect("wb2")
        await wf.connect("wf")
        params = {"clientMsgNo": "a11", "channelId": "wf", "channelType": 1, "payload": "e30=", "topic": "t"}
        header, setting = {"redDot": True, "syncOnce": True}, {"receipt": True, "topic": True}
        await wb2.call("send", {**params, "header": header, "setting": setting})
        await story.compare("notify-client", 9)
        await story.compare("offline-slave", 8)


async def repetitions(story: Story) -> None:
    notified, offline = len(story.receiver.of("msg.notify")), len(story.receiver.of("msg.offline"))
    by_event = {
        "msg.notify": statuses(500, 302),
        "msg.offline": statuses(500),
        "user.onlinestatus": accept,
    }
    story.receiver.answer = lambda request: by_event[request.event](request)
    await story.send("a12", "wc")
    for n in (1, 2, 3):
        await story.compare(f"notify-retry-{n}", notified + n)
        assert story.receiver.of("msg.notify")[notified + n - 1].answered == ENTRIES[f"notify-retry-{n}"]["answered"]
    await story.compare("offline-no-retry", offline + 1)
    # The recorded server has given up a13 in between.
    await story.post(
        "/message/send", client_msg_no="a13", from_uid="wb", channel_id="wc", channel_type=1, payload="e30="
    )
    await story.next("msg.notify", notified + 4)
    await story.send("a14", "wc")
    await story.compare("notify-after-refusals", notified + 5)
    story.nothing("offline-no-retry-after")


async def masters(story: Story) -> None:
    uids = {"xs": 0, "xa": 1, "xb": 0, "xc": 0}
    for uid, level in uids.items():
        await story.post("/user/token", uid=uid, token="t", device_flag=0, device_level=level)
    await story.post("/channel", channel_id="xgroup", channel_type=2, subscribers=["xs", "xa", "xb", "xc"])
    ws = story.server.endpoints.ws
    async with open_raw_client(ws) as xa, open_raw_client(ws) as xb:
        await xa.connect("xa", token="t")
        await xb.connect("xb", token="t")
        await story.send("b1", "xgroup", 2, from_uid="xs")
        await story.compare("offline-master", 1)


async def focus(story: Story) -> None:
    await story.send("c1", "yb", from_uid="ya")
    await story.compare("focus-notify", 1)
    assert story.receiver.requests[0].target == "/hook?k=v&event=msg.notify"
    story.nothing("focus-offline")


async def compressed(story: Story) -> None:
    await story.post("/channel", channel_id="zgroup", channel_type=2, subscribers=["zs", "za", "zb", "zc"])
    await story.post("/channel", channel_id="zgroup2", channel_type=2, subscribers=["zs", "za", "zb"])
    await story.send("d1", "zgroup", 2, from_uid="zs")
    await story.compare("offline-compressed", 1)
    await story.send("d2", "zgroup2", 2, from_uid="zs")
    await story.compare("offline-not-compressed", 2)


STORIES: dict[str, tuple[list[Any], str, dict[str, Any], dict[str, Any]]] = {
    "hooks": ([comes_and_goes, messages, repetitions], "", {}, {}),
    "hooks-auth": ([masters], "", {}, {"auth": {"token_auth": "on"}}),
    "hooks-focus": ([focus], "?k=v", {"focus_events": ("msg.notify",)}, {}),
    "hooks-compress": ([compressed], "", {"focus_events": ("msg.offline",), "compress_of_count": 2}, {}),
}


@pytest.mark.parametrize("profile", STORIES)
async def test_recorded_webhooks(profile: str, replayed: list[str]) -> None:
    chapters, query, webhook, settings = STORIES[profile]
    with trio.fail_after(60):
        async with open_receiver() as receiver:
            webhook = {"http_addr": receiver.url + query, "push_interval_s": 0.02, **webhook}
            async with (
                open_test_server(node_id=1, webhook=webhook, **settings) as server,
                httpx.AsyncClient(base_url=server.endpoints.http) as http,
            ):
                story = Story(server, http, receiver)
                for chapter in chapters:
                    await chapter(story)
    assert not story.problems, "\n".join(story.problems)
    names = {name for name, entry in ENTRIES.items() if entry.get("profile", "hooks") == profile}
    assert names == {*story.compared} | (names & (AWAITED.keys() | ELSEWHERE.keys()))
    awaiting = Counter(AWAITED[name] for name in names & AWAITED.keys())
    replayed.append(f"webhooks.json, {profile}: {len(story.compared)} compared, awaiting: {dict(awaiting)}")
