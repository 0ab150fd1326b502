"""A disk without room: nothing acknowledged is missing, nothing refused is stored, and sending works again later."""

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
from child import run_server
from crashes import read_channel

from wukong_trio.testing import RawClient, open_raw_client

DISK_BYTES = 6 * 1024 * 1024
PAYLOAD = "A" * 40_000


@pytest.fixture
async def small_disk(tmp_path: Path) -> AsyncIterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(disk)]
    if os.geteuid() != 0 or (await trio.run_process(mount, check=False, capture_stderr=True)).returncode != 0:
        pytest.skip("a small tmpfs can be mounted by root only")
    try:
        yield disk
    finally:
        await trio.run_process(["umount", str(disk)], check=False)


async def send(client: RawClient, number: int) -> Any:
    params = {"clientMsgNo": f"m{number}", "channelId": "bob", "channelType": 1, "payload": PAYLOAD}
    return await client.call("send", params)


async def send_until(client: RawClient, numbers: Any, outcome: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Sends until an answer has `outcome` (`result` or `error`); returns it and the other answers before."""
    others = []
    for number in numbers:
        answer = await send(client, number)
        if outcome in answer:
            return answer, others
        others.append(answer)
    raise AssertionError(f"no {outcome} in {len(others)} sends")


async def test_a_full_disk_refuses_sends_and_recovers_by_itself(tmp_path: Path, small_disk: Path, engine: str) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(DISK_BYTES // 2))
    with trio.fail_after(60):
        async with (
            run_server(tmp_path, "--engine", engine, data_dir=small_disk / "data") as server,
            open_raw_client(server.ws) as ann,
            httpx.AsyncClient(base_url=server.http) as http,
        ):
            await ann.connect("ann")
            numbers = iter(range(10_000))
            refusal, acknowledged = await send_until(ann, numbers, "error")
            assert refusal["error"]["code"] == -32603
            assert refusal["error"]["data"]["reasonCode"] == 15
            await _everything_else_goes_on(ann, http, stored=len(acknowledged))
            await _still_refused(ann, numbers)
            ballast.unlink()
            accepted, _ = await send_until(ann, numbers, "result")
            acknowledged.append(accepted)
            assert (await http.get("/health")).status_code == 200
            await _all_there(http, acknowledged)
    assert "Traceback" not in server.log.read_text()


async def _everything_else_goes_on(ann: RawClient, http: httpx.AsyncClient, *, stored: int) -> None:
    await ann.ping()
    assert (await http.get("/route")).status_code == 200
    assert len(await read_channel(http, "ann", "bob", 1)) == stored
    assert (await http.get("/health")).status_code == 500
    assert (await http.get("/readyz")).status_code == 503
    refused = await http.post("/message/send", json={"channel_id": "bob", "channel_type": 1, "payload": PAYLOAD})
    assert refused.status_code == 500
    assert "msg" in refused.json()


async def _still_refused(ann: RawClient, numbers: Any) -> None:
    for number, _ in zip(numbers, range(20), strict=False):
        assert (await send(ann, number))["error"]["code"] == -32603


async def _all_there(http: httpx.AsyncClient, acknowledged: list[dict[str, Any]]) -> None:
    stored = {(m["message_id"], m["message_seq"]) for m in await read_channel(http, "ann", "bob", 1)}
    assert stored == {(a["result"]["messageId"], a["result"]["messageSeq"]) for a in acknowledged}
    assert {seq for _, seq in stored} == set(range(1, len(stored) + 1))
