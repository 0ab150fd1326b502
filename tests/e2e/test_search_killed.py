"""What can be searched after a server was killed again and again: every message, each once."""

import signal
from base64 import b64encode
from pathlib import Path
from typing import Any

import httpx
import trio
from child import ServerProcess, run_server

ROUNDS = 4
SENDS = 300


async def send(server: ServerProcess) -> list[int]:
    """Sends to a few channels at once; returns the ids of the messages."""
    ids: list[int] = []
    payload = b64encode('{"type":1,"content":"hello 今天下午开会"}'.encode()).decode()

    async def to(http: httpx.AsyncClient, channel: int) -> None:
        for _ in range(SENDS // 4):
            body = {"channel_id": f"bob{channel}", "channel_type": 1, "from_uid": "ann", "payload": payload}
            ids.append((await http.post("/message/send", json=body)).json()["message_id"])

    async with httpx.AsyncClient(base_url=server.http, timeout=30) as http, trio.open_nursery() as nursery:
        for channel in range(4):
            nursery.start_soon(to, http, channel)
    return ids


async def search(http: httpx.AsyncClient, page: int) -> Any:
    body = {"uid": "ann", "payload": {"content": "hello 下午"}, "limit": 100, "page": page}
    return (await http.post("/plugins/wk.plugin.search/usersearch", json=body)).json()


async def test_a_killed_server_loses_no_words_and_doubles_none(tmp_path: Path) -> None:
    file = tmp_path / "wk.yaml"
    file.write_text("search: {on: true}")
    ids: list[int] = []
    with trio.fail_after(120):
        for _ in range(ROUNDS):
            async with run_server(tmp_path, "--config", str(file)) as server:
                ids += await send(server)
                await server.stop(signal.SIGKILL)
        async with (
            run_server(tmp_path, "--config", str(file)) as server,
            httpx.AsyncClient(base_url=server.http, timeout=30) as http,
        ):
            while (await search(http, 1))["total"] < len(ids):  # noqa: ASYNC110 - there is no event
                await trio.sleep(0.05)
            pages = [await search(http, page) for page in range(1, len(ids) // 100 + 2)]
    found = [message["message_id"] for page in pages for message in page["messages"]]
    assert found == sorted(ids, reverse=True)
    assert {page["total"] for page in pages} == {len(ids)}
