"""The official Python SDK against a server as it is installed."""

import signal
import sys
from pathlib import Path
from subprocess import PIPE

import trio
from child import run_server

STEPS = ["connected", "person", "group", "token", "kicked", "kill me", "reconnected"]


async def test_j121_j122_j124_the_official_python_sdk(tmp_path: Path, way: list[str]) -> None:
    with trio.fail_after(60):
        async with run_server(tmp_path, *way) as server:
            script = Path(__file__).with_name("sdk_user.py")
            user = await trio.lowlevel.open_process(
                [sys.executable, str(script), server.http], stdin=PIPE, stdout=PIPE, stderr=PIPE
            )
            try:
                steps = await _follow(user, until="kill me")
                await server.stop(signal.SIGKILL)
                async with run_server(tmp_path, *way, *server.addresses):
                    assert user.stdin is not None
                    await user.stdin.send_all(b"\n")
                    steps += await _follow(user, until="reconnected")
                    errors = await _read_all(user)
                    assert await user.wait() == 0, errors
            finally:
                if user.poll() is None:
                    user.kill()
                await user.wait()
        assert steps == STEPS
        assert "Traceback" not in server.log.read_text()


async def _follow(user: trio.Process, until: str) -> list[str]:
    assert user.stdout is not None
    output = b""
    while until not in output.decode().splitlines() or not output.endswith(b"\n"):
        chunk = await user.stdout.receive_some()
        if not chunk:
            raise AssertionError(f"the SDK's user gave up after {output!r}: {await _read_all(user)}")
        output += chunk
    return output.decode().splitlines()


async def _read_all(user: trio.Process) -> str:
    assert user.stderr is not None
    return b"".join([bytes(chunk) async for chunk in user.stderr]).decode()
