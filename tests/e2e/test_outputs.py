"""Output that nobody reads, that is full or that is closed: the server serves all the same."""

import fcntl
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import DEVNULL, PIPE

import pytest
import trio
from child import command
from common import free_port, wait_listening

from wukong_trio.testing import RawClient, open_raw_client

PIPE_BYTES = 4096
CLIENTS = 150


@asynccontextmanager
async def process(directory: Path, line: list[str], **streams: int) -> AsyncIterator[trio.Process]:
    running = await trio.lowlevel.open_process(line, cwd=directory, stdin=DEVNULL, **streams)
    try:
        yield running
    finally:
        if running.poll() is None:
            running.send_signal(signal.SIGKILL)
        with trio.move_on_after(10, shield=True):
            await running.wait()


async def garbage(port: int, text: bytes) -> None:
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        try:
            await stream.send_all(text)
            while await stream.receive_some():
                pass
        except trio.BrokenResourceError:
            pass


@asynccontextmanager
async def ann_of(port: int) -> AsyncIterator[RawClient]:
    """A user, as soon as the server is there."""
    await wait_listening(port)
    async with open_raw_client(f"ws://127.0.0.1:{port}") as client:
        await client.connect("ann")
        yield client


async def test_a_log_that_nobody_reads_stops_nobody(tmp_path: Path) -> None:
    port = free_port()
    options = (
        "--data-dir",
        "data",
        "--http",
        "off",
        "--tcp",
        "off",
        "--ws",
        f"127.0.0.1:{port}",
        "--log-level",
        "debug",
    )
    with trio.fail_after(30):
        async with process(tmp_path, command(*options), stdout=DEVNULL, stderr=PIPE) as server:
            assert server.stderr is not None
            fcntl.fcntl(server.stderr.fileno(), fcntl.F_SETPIPE_SZ, PIPE_BYTES)
            async with ann_of(port) as ann:
                async with trio.open_nursery() as nursery:
                    for number in range(CLIENTS):
                        nursery.start_soon(garbage, port, b"GET /%d HTTP/9.9\r\n\r\n" % number)
                with trio.fail_after(5):
                    await ann.ping()
            server.send_signal(signal.SIGTERM)
            with trio.fail_after(10):
                assert await server.wait() == 0
            written = b""
            while chunk := await server.stderr.receive_some():
                written += chunk
            assert len(written) <= PIPE_BYTES


async def test_a_failing_start_ends_though_nobody_reads_why(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    os.write(writer, b"x" * PIPE_BYTES)
    with socket.create_server(("127.0.0.1", 0)) as other, os.fdopen(reader), os.fdopen(writer) as full:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        line = command("--data-dir", "data", "--http", "off", "--tcp", "off", "--ws", address)
        with trio.fail_after(15):
            async with process(tmp_path, line, stdout=DEVNULL, stderr=full.fileno()) as server:
                assert await server.wait() == 2


@pytest.mark.parametrize("redirection", ["1>&-", "2>&-", "0<&- 1>&- 2>&-", "1>/dev/full", "2>/dev/full"])
async def test_outputs_that_take_nothing_end_nothing(tmp_path: Path, redirection: str) -> None:
    port = free_port()
    words = " ".join(command("--data-dir", "data", "--http", "off", "--tcp", "off", "--ws", f"127.0.0.1:{port}"))
    with trio.fail_after(20):
        async with process(tmp_path, ["sh", "-c", f"exec {words} {redirection}"], stdout=DEVNULL) as server:
            async with ann_of(port) as ann:
                await ann.ping()
                for number in range(3):
                    opened = os.readlink(f"/proc/{server.pid}/fd/{number}")
                    assert "wukong.db" not in opened
                    assert "socket" not in opened
            server.send_signal(signal.SIGTERM)
            assert await server.wait() == 0


@pytest.mark.parametrize(
    ("words", "redirection", "code"),
    [
        ("config", "1>&-", 0),
        ("config", "1>/dev/full", 1),
        ("config", "2>&-", 0),
        ("serve --http nonsense", "1>&-", 2),
        ("serve --http nonsense", "2>&-", 2),
        ("serve --http nonsense", "2>/dev/full", 2),
    ],
)
async def test_commands_end_with_a_code_and_no_traceback(
    tmp_path: Path, words: str, redirection: str, code: int
) -> None:
    line = f"{sys.executable} -m wukong_trio {words} {redirection}"
    with trio.fail_after(20):
        result = await trio.run_process(["sh", "-c", line], check=False, capture_stderr=True, cwd=tmp_path)
    assert result.returncode == code
    assert len(result.stderr.splitlines()) <= 1


async def test_a_pipe_whose_reader_has_gone_is_no_traceback(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with trio.fail_after(20), os.fdopen(writer) as broken:
        line = [sys.executable, "-m", "wukong_trio", "config"]
        result = await trio.run_process(line, check=False, stdout=broken, capture_stderr=True, cwd=tmp_path)
    assert result.returncode == 1
    assert result.stderr == b""
