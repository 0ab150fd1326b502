"""What is said of a server, and what stays unknown."""

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import trio

from wukong_trio.bench.identity import UNKNOWN, Identity, identify
from wukong_trio.bench.plan import read_target


async def identified(answer: bytes) -> Identity:
    """By an HTTP API that gives this answer."""

    async def handle(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(answer)
        await stream.aclose()

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, handle, 0, host="127.0.0.1"))
        url = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        target = read_target(url, "http", allow_remote=False)
        with trio.fail_after(10):
            identity = await trio.to_thread.run_sync(identify, target, "", None)
        nursery.cancel_scope.cancel()
    return identity


async def test_a_server_that_says_what_it_is() -> None:
    body = json.dumps({"status": "ok", "version": "2.1", "engine": "fast", "durability": "fsync", "more": 1})
    head = f"HTTP/1.1 200 OK\r\nServer: mine\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    identity = await identified((head + body).encode())
    assert identity == Identity(software="mine", version="2.1", engine="fast", durability="fsync")


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno",
        b'HTTP/1.1 200 OK\r\nContent-Length: 13\r\nConnection: close\r\n\r\n{"version":1}',
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n[]",
        b"not HTTP",
        b"",
    ],
)
async def test_what_is_not_said_is_unknown(answer: bytes) -> None:
    assert await identified(answer) == Identity()


def test_a_process_shows_its_databases(tmp_path: Path) -> None:
    assert identify(None, "", None) == Identity()
    assert "none seen" in identify(None, "", os.getpid()).durability
    with (tmp_path / "mine.db").open("w"):
        identity = identify(None, "", os.getpid())
        assert identity.durability == "by mine.db, open for writing"
    assert (identity.software, identity.engine) == (UNKNOWN, UNKNOWN)
    with (tmp_path / "mine.db").open():
        assert "none seen" in identify(None, "", os.getpid()).durability
    assert identify(None, "", 999_999_999) == Identity()


@pytest.mark.parametrize(
    ("options", "engine"),
    [(["--engine", "native"], "native"), (["--engine=reference"], "reference"), ([], UNKNOWN)],
)
def test_the_command_line_of_our_own_server_names_its_engine(options: list[str], engine: str) -> None:
    ready = "import time; print(flush=True); time.sleep(60)"
    command = [sys.executable, "-c", ready, "wukong-trio", "serve", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            identity = identify(None, "", process.pid)
        finally:
            process.kill()
    assert (identity.software, identity.engine, identity.version) == ("wukong-trio", engine, UNKNOWN)
