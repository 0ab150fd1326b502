"""What was answered of a stream survives SIGKILL."""

import signal
from base64 import b64decode
from pathlib import Path
from typing import Any

import httpx
import trio
from child import run_server

ROUNDS = 3
NAME = {"channel_id": "g", "channel_type": 2}


async def append(http: httpx.AsyncClient, number: str, event_id: str, kind: str, **more: Any) -> httpx.Response:
    body = {**NAME, "client_msg_no": number, "event_id": event_id, "event_type": kind, **more}
    return await http.post("/message/event", json=body)


async def stream_until_killed(http: httpx.AsyncClient, name: str, closed: list[str]) -> None:
    """Sends, streams and closes one message after the other; notes those whose close was answered."""
    n = 0
    try:
        while True:
            number = f"{name}-{n}"
            send = {**NAME, "from_uid": "bot", "client_msg_no": number, "payload": "e30=", "is_stream": 1}
            await http.post("/message/send", json=send)
            for piece in ("Hel", "lo ", number):
                await append(http, number, piece, "stream.delta", payload={"kind": "text", "delta": piece})
            if (await append(http, number, "end", "stream.close")).status_code == 200:
                closed.append(number)
            n += 1
    except httpx.HTTPError:
        pass


async def test_streams_that_were_closed_are_whole_after_a_kill(tmp_path: Path, engine: str) -> None:
    closed: list[str] = []
    with trio.fail_after(60):
        for turn in range(ROUNDS + 1):
            async with (
                run_server(tmp_path, "--engine", engine) as server,
                httpx.AsyncClient(base_url=server.http, timeout=20) as http,
            ):
                page = {"login_uid": "ann", **NAME, "limit": 10_000}
                records = (await http.post("/channel/messagesync", json=page)).json()["messages"]
                shown = {record["client_msg_no"]: record for record in records}
                for number in closed:
                    assert shown[number]["end"] == 1, number
                    assert b64decode(shown[number]["stream_data"]).decode() == f"Hello {number}"
                    answer = await append(http, number, "late", "stream.delta", payload={"kind": "text", "delta": "x"})
                    assert (answer.status_code, answer.json()["msg"]) == (400, "stream closed")
                if turn == ROUNDS:
                    break
                wanted = len(closed) + 20
                async with trio.open_nursery() as nursery:
                    for task in range(4):
                        nursery.start_soon(stream_until_killed, http, f"{turn}-{task}", closed)
                    while len(closed) < wanted:  # noqa: ASYNC110 - what is waited for has no event
                        await trio.sleep(0.01)
                    await server.stop(signal.SIGKILL)
    assert len(closed) >= 20 * ROUNDS
    assert "Traceback" not in (tmp_path / "server.log").read_text()
