"""More clients than the process may have files open: some are refused, nobody else notices, and one line says so."""

import resource
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest
import trio
from child import ServerProcess, run_server, tcp

from wukong_trio import open_client
from wukong_trio.net import GATEWAY_SPARE
from wukong_trio.testing import open_raw_client

LIMIT = 256


async def closed(stream: trio.SocketStream) -> bool:
    """Waits until the server closes it."""
    try:
        return not await stream.receive_some()
    except trio.BrokenResourceError:
        return True


async def stays(stream: trio.SocketStream) -> bool:
    with trio.move_on_after(0.05):
        return not await closed(stream)
    return True


async def answered(server: ServerProcess, path: str) -> int:
    async with httpx.AsyncClient() as http:
        return (await http.get(f"{server.http}/{path}")).status_code


def complaints(server: ServerProcess) -> list[str]:
    return [line for line in server.log.read_text().splitlines() if "too many open files" in line]


async def test_the_api_and_the_store_keep_descriptors(tmp_path: Path, engine: str) -> None:
    (tmp_path / "wk.yaml").write_text("limits: {handshakeTimeout: 60s}\n")
    async with AsyncExitStack() as stack:
        stack.enter_context(trio.fail_after(30))
        server = await stack.enter_async_context(run_server(tmp_path, "--engine", engine))
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (LIMIT, LIMIT))
        ann = await stack.enter_async_context(open_client(server.ws, uid="ann"))
        idle = [await stack.enter_async_context(await tcp(server.ws)) for _ in range(LIMIT)]
        # Accepted in the order in which they came: the last was refused, and all before it have been dealt with.
        assert await closed(idle[-1])
        assert await stays(idle[LIMIT - int(1.5 * GATEWAY_SPARE)])
        async with httpx.AsyncClient() as http:
            assert (await http.get(f"{server.http}/readyz")).json() == {"ready": True}
        assert len(complaints(server)) == 1
        callers = [await stack.enter_async_context(await tcp(server.http)) for _ in range(GATEWAY_SPARE)]
        # Here the longest idle makes room, so whoever asks is answered.
        assert await closed(callers[0])
        assert await stays(callers[-1])
        for path in ("healthz", "nope"):
            assert (await answered(server, path)) in (200, 404)
        assert (await ann.send("bob", b"hello")).message_seq == 1
        assert len(complaints(server)) == 2, "one for each listener"
        assert "Traceback" not in server.log.read_text()


@pytest.mark.parametrize("part", [b"", b"GET /healthz", b"GET /nope HTTP/1.1\r\nHost: localhost\r\n\r\n"])
async def test_idle_callers_make_room_for_others(tmp_path: Path, engine: str, part: bytes) -> None:
    async with AsyncExitStack() as stack:
        stack.enter_context(trio.fail_after(30))
        server = await stack.enter_async_context(run_server(tmp_path, "--engine", engine))
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (LIMIT, LIMIT))
        for _ in range(2 * LIMIT):
            stream = await stack.enter_async_context(await tcp(server.http))
            if part:
                await stream.send_all(part)
            if part.endswith(b"\r\n\r\n"):
                assert await stream.receive_some()
        for _ in range(10):
            assert await answered(server, "healthz") == 200
        assert await stays(stream)
        assert len(complaints(server)) == 1
        assert "Traceback" not in server.log.read_text()


@pytest.mark.parametrize("listener", ["http", "ws"])
async def test_a_process_without_descriptors_waits_for_some(tmp_path: Path, listener: str, engine: str) -> None:
    with trio.fail_after(30):
        async with run_server(tmp_path, "--engine", engine) as server, open_raw_client(server.ws) as ann:
            await ann.connect("ann")
            pid = server.process.pid
            before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (8, before[1]))
            async with await tcp(getattr(server, listener)):
                with trio.fail_after(5):
                    while not complaints(server):  # noqa: ASYNC110 - another process's event
                        await trio.sleep(0.05)
                used = cpu_seconds(pid)
                await trio.sleep(0.5)
                assert cpu_seconds(pid) - used < 0.3, "it does not try again and again"
                await ann.ping()
            resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
            async with httpx.AsyncClient() as http, open_raw_client(server.ws) as bob:
                assert (await http.get(f"{server.http}/readyz")).json() == {"ready": True}
                await bob.connect("bob")
            assert len(complaints(server)) == 1
            assert "Traceback" not in server.log.read_text()


async def test_the_soft_limit_is_raised_to_the_hard_one(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 200), hard))
        with trio.fail_after(20):
            async with run_server(tmp_path) as server:
                assert resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE) == (hard, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100
