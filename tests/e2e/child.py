"""The server as its users run it: a process of its own, on a database in a directory."""

import re
import signal
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import DEVNULL, PIPE
from urllib.parse import urlsplit

import trio

PLAIN = ("http", "tcp", "ws")
LISTENERS = (*PLAIN, "wss")


class ServerProcess:
    """A running `wukong-trio serve`."""

    def __init__(self, process: trio.Process, log: Path) -> None:
        self.process = process
        self.log = log
        self.urls: dict[str, str] = {}

    @property
    def http(self) -> str:
        return self.urls["http"]

    @property
    def ws(self) -> str:
        """Where clients connect: over TLS where there is nothing else."""
        return self.urls.get("ws") or self.urls["wss"]

    async def wait_listening(self) -> None:
        """Reads the lines that say where the server listens."""
        assert self.process.stdout is not None
        output = b""
        while not re.search(rb"^data .*\n", output, re.MULTILINE):
            chunk = await self.process.stdout.receive_some()
            assert chunk, f"the server did not start: {self.log.read_text()}"
            output += chunk
        self.urls = dict(line.split(maxsplit=1) for line in output.decode().splitlines())

    async def stop(self, number: int) -> int:
        """Sends a signal and waits for the end; returns the exit code."""
        self.process.send_signal(number)
        return await self.process.wait()

    @property
    def addresses(self) -> list[str]:
        """Options that make another server listen where this one does."""
        return [
            word
            for name in LISTENERS
            if name in self.urls
            for word in (f"--{name}", self.urls[name].partition("//")[2])
        ]


async def tcp(url: str) -> trio.SocketStream:
    """A connection to where a URL points."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    return await trio.open_tcp_stream(parts.hostname, parts.port)


async def open_stream(url: str, ssl_context: ssl.SSLContext | None = None) -> trio.abc.Stream:
    """The same, with TLS if the URL says so."""
    stream = await tcp(url)
    if not url.startswith("wss:"):
        return stream
    context, host = ssl_context or ssl.create_default_context(), urlsplit(url).hostname
    return trio.SSLStream(stream, context, server_hostname=host, https_compatible=True)


def tcp_of(stream: trio.abc.Stream) -> trio.SocketStream:
    """The connection that carries a stream."""
    carrier = stream.transport_stream if isinstance(stream, trio.SSLStream) else stream
    assert isinstance(carrier, trio.SocketStream)
    return carrier


def command(*options: str) -> list[str]:
    """The command line of a server."""
    return [sys.executable, "-m", "wukong_trio", "serve", *options]


@asynccontextmanager
async def run_server(directory: Path, *options: str, data_dir: Path | None = None) -> AsyncIterator[ServerProcess]:
    """Starts a server and waits until it listens; kills it at the end if it still runs.

    Args:
        directory: for its data and its log, which is appended to.
        options: further ones, by default ports that the kernel chooses.
    """
    addresses = [] if "--ws" in options else [word for name in PLAIN for word in (f"--{name}", "127.0.0.1:0")]
    log = directory / "server.log"
    with log.open("ab") as stderr:
        process = await trio.lowlevel.open_process(
            command("--data-dir", str(data_dir or directory / "data"), *addresses, *options),
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=stderr,
            cwd=directory,
        )
    try:
        server = ServerProcess(process, log)
        await server.wait_listening()
        yield server
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        with trio.move_on_after(10, shield=True):
            await process.wait()
