"""What back-ends change on a disk without room: it is refused, and then nothing of it has happened."""

import signal
from pathlib import Path
from typing import Any

import httpx
import trio
from child import command, run_server
from test_disk_full import small_disk

__all__ = ["small_disk"]

GROUP: dict[str, Any] = {"channel_id": "g", "channel_type": 2}
STREAM: dict[str, Any] = {**GROUP, "client_msg_no": "stream", "from_uid": "ann"}
CHANGES: list[tuple[str, dict[str, Any]]] = [
    ("/user/token", {"uid": "carl", "token": "t", "device_flag": 1, "device_level": 1}),
    ("/channel", {"channel_id": "new", "channel_type": 2, "subscribers": ["ann"]}),
    ("/channel/info", {**GROUP, "ban": 1}),
    ("/channel/subscriber_add", {**GROUP, "subscribers": ["carl"]}),
    ("/channel/subscriber_remove", {**GROUP, "subscribers": ["bob"]}),
    ("/channel/blacklist_add", {**GROUP, "uids": ["bob"]}),
    ("/message/send", {**GROUP, "from_uid": "ann", "payload": "e30="}),
    ("/message/event", {**STREAM, "event_id": "end", "event_type": "stream.close"}),
    ("/conversations/clearUnread", {**GROUP, "uid": "bob"}),
    ("/conversations/delete", {**GROUP, "uid": "bob"}),
]


async def post(http: httpx.AsyncClient, path: str, body: dict[str, Any]) -> httpx.Response:
    return await http.post(path, json=body)


async def state(http: httpx.AsyncClient) -> list[Any]:
    """Everything that the changes are about."""
    reads = [("/conversation/sync", {"uid": uid, "version": 0, "msg_count": 5}) for uid in ("ann", "bob", "carl")] + [
        ("/channel/messagesync", {**GROUP, "login_uid": "ann", "limit": 100}),
        ("/channel/messagesync", {"channel_id": "new", "channel_type": 2, "login_uid": "ann", "limit": 100}),
        ("/message/eventsync", STREAM),
    ]
    return [(await post(http, path, body)).json() for path, body in reads]


def fill(file: Path) -> None:
    """Takes what room there is, to the last block."""
    with file.open("ab", buffering=0) as ballast:
        for size_bytes in (64 * 1024, 512):
            try:
                while True:
                    ballast.write(bytes(size_bytes))
            except OSError:
                pass


async def test_changes_are_refused_whole_and_work_again_later(tmp_path: Path, small_disk: Path, engine: str) -> None:
    ballast = small_disk / "ballast"
    with trio.fail_after(60):
        async with (
            run_server(tmp_path, "--engine", engine, data_dir=small_disk / "data") as server,
            httpx.AsyncClient(base_url=server.http) as http,
        ):
            await post(http, "/channel", {**GROUP, "subscribers": ["ann", "bob"]})
            for number in range(3):
                await post(
                    http, "/message/send", {**GROUP, "from_uid": "ann", "payload": "e30=", "client_msg_no": str(number)}
                )
            await post(http, "/message/send", {**STREAM, "payload": "e30=", "is_stream": 1})
            delta = {
                **STREAM,
                "event_id": "1",
                "event_type": "stream.delta",
                "payload": {"kind": "text", "delta": "so"},
            }
            assert (await post(http, "/message/event", delta)).status_code == 200
            before = await state(http)
            fill(ballast)
            for path, body in CHANGES:
                refused = await post(http, path, body)
                assert (refused.status_code, refused.json()["status"]) == (500, 500), path
                assert refused.json()["msg"], path
            assert await state(http) == before
            ballast.unlink()
            for path, body in CHANGES:
                assert (await post(http, path, body)).status_code == 200, path
            assert await state(http) != before
    assert "Traceback" not in server.log.read_text()


async def test_a_database_on_a_read_only_disk_is_one_line(tmp_path: Path, small_disk: Path) -> None:
    async with run_server(tmp_path, data_dir=small_disk / "data") as server:
        await server.stop(signal.SIGTERM)
    await trio.run_process(["mount", "-o", "remount,ro", str(small_disk)])
    with trio.fail_after(20):
        done = await trio.run_process(
            command("--data-dir", str(small_disk / "data"), "--http", "127.0.0.1:0"), capture_stderr=True, check=False
        )
    assert done.returncode == 2
    [line] = [line for line in done.stderr.decode().splitlines() if line.startswith("Error: ")]
    assert "wukong.db" in line
    assert "Read-only file system" in line
