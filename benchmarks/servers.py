"""Starting servers and load, each on a core of its own."""

import json
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from subprocess import DEVNULL
from typing import Any, NamedTuple

import trio

HERE = Path(__file__).parent
START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 15.0
CORES = sorted(os.sched_getaffinity(0))
PINNED = shutil.which("taskset") is not None and len(CORES) > 1


class Target(NamedTuple):
    """A running server."""

    pid: int
    ws: str
    http: str


def on_core(number: int, command: list[str]) -> list[str]:
    """A command bound to one core, if there are several: the server has core 0, the load core 1."""
    return ["taskset", "-c", str(CORES[number]), *command] if PINNED else command


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


async def _wait_until_listening(port: int) -> None:
    with trio.fail_after(START_TIMEOUT_S):
        while True:
            try:
                stream = await trio.open_tcp_stream("127.0.0.1", port)
            except OSError:
                await trio.sleep(0.05)
            else:
                await stream.aclose()
                return


@asynccontextmanager
async def _running(command: list[str], port: int, target_of: Any) -> AsyncIterator[Target]:
    async with trio.open_nursery() as nursery:
        start = partial(trio.run_process, on_core(0, command), stdout=DEVNULL, stderr=DEVNULL, check=False)
        process: trio.Process = await nursery.start(start)
        try:
            await _wait_until_listening(port)
            yield target_of(process.pid)
        finally:
            with trio.move_on_after(STOP_TIMEOUT_S, shield=True):
                process.terminate()
                await process.wait()
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def ours(engine: str = "native") -> AsyncIterator[Target]:
    """Our server with an empty database on disk."""
    ws, http = _free_port(), _free_port()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        command = [sys.executable, "-m", "wukong_trio", "serve", "--engine", engine, "--data-dir", directory]
        command += ["--ws", f"127.0.0.1:{ws}", "--http", f"127.0.0.1:{http}", "--tcp", "off", "--log-level", "error"]

        def target(pid: int) -> Target:
            return Target(pid, f"ws://127.0.0.1:{ws}", f"http://127.0.0.1:{http}")

        async with _running(command, http, target) as running:
            yield running


@asynccontextmanager
async def peer(name: str) -> AsyncIterator[Target]:
    """A server of `peers/`."""
    port = _free_port()
    command = [sys.executable, str(HERE / "peers" / f"{name}.py"), str(port)]

    def target(pid: int) -> Target:
        return Target(pid, f"ws://127.0.0.1:{port}", f"http://127.0.0.1:{port}")

    async with _running(command, port, target) as running:
        yield running


async def bench(target: Target, scenario: str, *options: str, complete: bool = True) -> dict[str, Any]:
    """What `wukong-trio bench` measured.

    Args:
        complete: nothing may be lost; False for peers that answer, but deliver nothing.

    Raises:
        RuntimeError: the run failed.
    """
    with tempfile.TemporaryDirectory() as directory:
        result = Path(directory) / "result.json"
        command = [sys.executable, "-m", "wukong_trio", "bench", scenario, "--pid", str(target.pid)]
        command += ["--url", target.ws] if scenario not in ("group", "http") else ["--route", target.http]
        command += ["--json", str(result), *options]
        run = await trio.run_process(on_core(1, command), capture_stdout=True, capture_stderr=True, check=False)
        if run.returncode and (complete or not result.exists()):
            raise RuntimeError(f"{' '.join(command)}\n{run.stdout.decode()}{run.stderr.decode()}")
        measured: dict[str, Any] = json.loads(result.read_text())
        return measured
