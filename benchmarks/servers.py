"""Starting servers and load, each on a core of its own."""

import json
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from subprocess import DEVNULL
from types import MappingProxyType
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
    http: str
    urls: dict[str, str]
    """Where clients connect: scheme -> URL."""

    @property
    def ws(self) -> str:
        """Where clients with WebSocket and without TLS connect."""
        return self.urls["ws"]


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
async def _running(
    command: list[str], port: int, urls: dict[str, str], environ: dict[str, str] | None = None, *, core: int = 0
) -> AsyncIterator[Target]:
    """A server that is ready when it listens to the port of its HTTP API, or to its only one."""
    async with trio.open_nursery() as nursery:
        start = partial(trio.run_process, on_core(core, command), stdout=DEVNULL, stderr=DEVNULL, check=False)
        process: trio.Process = await nursery.start(partial(start, env={**os.environ, **(environ or {})}))
        try:
            await _wait_until_listening(port)
            yield Target(process.pid, f"http://127.0.0.1:{port}", urls)
        finally:
            with trio.move_on_after(STOP_TIMEOUT_S, shield=True):
                process.terminate()
                await process.wait()
            nursery.cancel_scope.cancel()


def _certificate(directory: str) -> Path:
    """A file with a certificate and its key. Only rows with TLS need trustme."""
    import trustme

    file = Path(directory) / "server.pem"
    trustme.CA().issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(file)
    return file


@asynccontextmanager
async def ours(
    *schemes: str,
    engine: str = "native",
    encryption: bool = True,
    environ: Mapping[str, str] = MappingProxyType({}),
    data_dir: str = "",
) -> AsyncIterator[Target]:
    """Our server with an empty database on disk.

    Args:
        schemes: what clients can connect with; ws if there are none.
        encryption: of WKProto.
        environ: further settings.
        data_dir: where the database is, instead of an empty one.
    """
    ports = {scheme: _free_port() for scheme in schemes or ("ws",)}
    http = _free_port()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        command = [sys.executable, "-m", "wukong_trio", "serve", "--engine", engine]
        command += ["--data-dir", data_dir or directory, "--http", f"127.0.0.1:{http}", "--log-level", "error"]
        for scheme in ("tcp", "tls", "ws", "wss"):
            command += [f"--{scheme}", f"127.0.0.1:{ports[scheme]}" if scheme in ports else "off"]
        if not ports.keys().isdisjoint(("tls", "wss")):
            file = str(_certificate(directory))
            command += ["--cert", file, "--key", file]
        urls = {scheme: f"{scheme}://127.0.0.1:{port}" for scheme, port in ports.items()}
        more = {**environ, **({} if encryption else {"WK_DISABLEENCRYPTION": "true"})}
        async with _running(command, http, urls, more) as running:
            yield running


@asynccontextmanager
async def peer(name: str, scheme: str = "ws", *, core: int = 0) -> AsyncIterator[Target]:
    """A server of `peers/`; with TLS it gets the same kind of certificate as ours."""
    port = _free_port()
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, str(HERE / "peers" / f"{name}.py"), str(port)]
        if scheme == "wss":
            command.append(str(_certificate(directory)))
        async with _running(command, port, {scheme: f"{scheme}://127.0.0.1:{port}"}, core=core) as running:
            yield running


async def bench(
    target: Target, scenario: str, *options: str, scheme: str = "ws", complete: bool = True
) -> dict[str, Any]:
    """What `wukong-trio bench` measured.

    Args:
        scheme: with which clients connect.
        complete: nothing may be lost; False for peers that answer, but deliver nothing.

    Raises:
        RuntimeError: the run failed.
    """
    with tempfile.TemporaryDirectory() as directory:
        result = Path(directory) / "result.json"
        command = [sys.executable, "-m", "wukong_trio", "bench", scenario, "--pid", str(target.pid)]
        command += ["--url", target.urls[scheme]] if scenario != "http" else []
        command += ["--route", target.http] if scenario in ("group", "http") else []
        command += ["--json", str(result), *options]
        run = await trio.run_process(on_core(1, command), capture_stdout=True, capture_stderr=True, check=False)
        if run.returncode and (complete or not result.exists()):
            raise RuntimeError(f"{' '.join(command)}\n{run.stdout.decode()}{run.stderr.decode()}")
        measured: dict[str, Any] = json.loads(result.read_text())
        return measured
