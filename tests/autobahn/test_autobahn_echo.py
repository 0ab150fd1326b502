"""The echo server of the Autobahn suite works, so that the suite tests the engine and not its absence."""

import sys
from functools import partial
from pathlib import Path

import pytest
import trio
from common import free_port, wait_listening
from trio_websocket import open_websocket_url


@pytest.mark.parametrize("scheme", ["ws", "wss"])
@pytest.mark.parametrize("engine", ["native", "reference"])
async def test_messages_come_back(engine: str, scheme: str, trusted_certificate: Path) -> None:
    port = free_port()
    command = [sys.executable, str(Path(__file__).with_name("echo.py")), str(port), "--engine", engine]
    if scheme == "wss":
        command += ["--tls", str(trusted_certificate)]
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            process: trio.Process = await nursery.start(partial(trio.run_process, command, check=False))
            await wait_listening(port)
            async with open_websocket_url(f"{scheme}://127.0.0.1:{port}/") as client:
                for message in ("text", b"binary", "ü" * 70_000):
                    await client.send_message(message)
                    assert await client.get_message() == message
            process.terminate()
