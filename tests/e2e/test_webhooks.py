"""What a receiver of webhooks is told by a server that is killed, and by one whose disk is full."""

import signal
import sys
from pathlib import Path
from typing import Any

import httpx
import trio
from child import ServerProcess, run_server
from test_disk_full import DISK_BYTES, PAYLOAD, send_until, small_disk

from wukong_trio.testing import open_raw_client

sys.path.append(str(Path(__file__).parent.parent / "webhooks"))
from receiver import Receiver, Request, open_receiver, statuses

__all__ = ["small_disk"]
ROUNDS = 4
SENDS = 400


def settings(directory: Path, receiver: Receiver) -> list[str]:
    file = directory / "wk.yaml"
    file.write_text(
        f"webhook: {{httpAddr: '{receiver.url}', focusEvents: [msg.notify], msgNotifyEventPushInterval: 20ms}}"
    )
    return ["--config", str(file)]


async def send(server: ServerProcess, start: int) -> list[int]:
    """Sends to a few channels at once; returns the ids of the messages."""
    ids: list[int] = []

    async def to(http: httpx.AsyncClient, channel: int) -> None:
        for n in range(SENDS // 4):
            number = f"{channel}-{start + n}"
            body = {"channel_id": f"bob{channel}", "channel_type": 1, "from_uid": "ann", "payload": "e30="}
            answer = await http.post("/message/send", json=body | {"client_msg_no": number})
            ids.append(answer.json()["message_id"])

    async with httpx.AsyncClient(base_url=server.http, timeout=30) as http, trio.open_nursery() as nursery:
        for channel in range(4):
            nursery.start_soon(to, http, channel)
    return ids


async def test_h125_a_killed_server_tells_every_message_at_least_once_and_in_order(tmp_path: Path) -> None:
    ids: list[int] = []
    with trio.fail_after(120):
        async with open_receiver() as receiver:
            for turn in range(ROUNDS):
                # Now it answers, now it fails, and then it does not answer: each time the kill meets another moment.
                receiver.answer = statuses(200, 200, 500, then=200) if turn % 2 else statuses(200, then=500)
                async with run_server(tmp_path, *settings(tmp_path, receiver)) as server:
                    ids += await send(server, turn * SENDS)
                    await server.stop(signal.SIGKILL)
            receiver.answer = statuses()
            async with run_server(tmp_path, *settings(tmp_path, receiver)) as server:
                await receiver.until(lambda: {m["message_id"] for m in receiver.messages} >= set(ids), 60)
                assert await server.stop(signal.SIGTERM) == 0
            _check_order(receiver.messages)
    assert len(ids) == ROUNDS * SENDS
    assert "Traceback" not in server.log.read_text()


def _check_order(messages: list[dict[str, Any]]) -> None:
    """Whoever leaves out what he has seen already sees each channel in order and without a gap."""
    seen: set[int] = set()
    last: dict[str, int] = {}
    for message in messages:
        if message["message_id"] not in seen:
            seen.add(message["message_id"])
            assert message["message_seq"] == last.get(message["channel_id"], 0) + 1
            last[message["channel_id"]] = message["message_seq"]


async def test_a_full_disk_stops_no_webhook_and_repeats_at_most(tmp_path: Path, small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(DISK_BYTES // 2))
    full = trio.Event()

    async def when_full(request: Request) -> int:
        await full.wait()
        return 200

    with trio.fail_after(60):
        async with open_receiver() as receiver:
            receiver.answer = when_full
            options = settings(tmp_path, receiver)
            async with (
                run_server(tmp_path, *options, data_dir=small_disk / "data") as server,
                open_raw_client(server.ws) as ann,
            ):
                await ann.connect("ann")
                numbers = iter(range(10_000))
                _, stored = await send_until(ann, numbers, "error")
                full.set()
                # The cursor cannot move, and the messages are told all the same.
                told = [answer["result"]["messageId"] for answer in stored]
                await receiver.until(lambda: [m["message_id"] for m in receiver.messages] == told)
                ballast.unlink()
                accepted, _ = await send_until(ann, numbers, "result")
                told.append(accepted["result"]["messageId"])
                await receiver.until(lambda: [m["message_id"] for m in receiver.messages] == told)
                assert await server.stop(signal.SIGTERM) == 0
            async with run_server(tmp_path, *options, data_dir=small_disk / "data") as server:
                async with open_raw_client(server.ws) as ann:
                    await ann.connect("ann")
                    params = {"clientMsgNo": "last", "channelId": "bob", "channelType": 1, "payload": PAYLOAD}
                    told.append((await ann.call("send", params))["result"]["messageId"])
                await receiver.until(lambda: [m["message_id"] for m in receiver.messages] == told)
    assert "Traceback" not in server.log.read_text()
