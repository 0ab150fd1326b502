"""Starting and stopping the server the way an operator does."""

import os
import signal
import socket
import sqlite3
import sys
from pathlib import Path

import httpx
import pytest
import trio
from child import command, run_server

from wukong_trio.testing import open_raw_client


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_j060_a_signal_stops_gracefully(tmp_path: Path, number: int, engine: str) -> None:
    with trio.fail_after(20):
        async with (
            run_server(tmp_path, "--engine", engine) as server,
            open_raw_client(server.ws) as ann,
            open_raw_client(server.ws) as mute,
        ):
            await ann.connect("ann")
            async with httpx.AsyncClient() as http:
                assert (await http.get(f"{server.http}/readyz")).json() == {"ready": True}
            for n in range(20):
                params = {"clientMsgNo": f"m{n}", "channelId": "bob", "channelType": 1, "payload": "e30="}
                await ann.send({"id": f"s{n}", "method": "send", "params": params})
            assert (await ann.receive())["id"] == "s0"
            server.process.send_signal(number)
            assert [(await ann.receive())["id"] for _ in range(19)] == [f"s{n}" for n in range(1, 20)]
            closed = await ann.wait_closed()
            assert (closed.code, closed.reason) == (1001, "server shutdown")
            assert (await mute.wait_closed()).code == 1001
            assert await server.process.wait() == 0
    assert "Traceback" not in server.log.read_text()


async def test_a_second_signal_stops_at_once(tmp_path: Path) -> None:
    (tmp_path / "wk.yaml").write_text("drainTimeout: 60s\nlimits:\n  closeTimeout: 60s\n")
    with trio.fail_after(20):
        async with run_server(tmp_path) as server, open_raw_client(server.ws) as ann:
            await ann.connect("ann")
            server.process.send_signal(signal.SIGTERM)
            # ann never answers the closing handshake, so the server would wait for a minute.
            assert (await ann.wait_closed()).code == 1001
            assert server.process.poll() is None
            assert await server.stop(signal.SIGTERM) == 128 + signal.SIGTERM


async def test_messages_and_settings_survive_a_restart(tmp_path: Path) -> None:
    with trio.fail_after(20):
        async with run_server(tmp_path) as server, open_raw_client(server.ws) as ann, httpx.AsyncClient() as http:
            await ann.connect("ann")
            params = {"clientMsgNo": "m", "channelId": "bob", "channelType": 1, "payload": "e30="}
            first = (await ann.call("send", params))["result"]
            await http.post(f"{server.http}/user/systemuids_add", json={"uids": ["robot"]})
            assert await server.stop(signal.SIGTERM) == 0
        async with run_server(tmp_path) as server, open_raw_client(server.ws) as ann, httpx.AsyncClient() as http:
            await ann.connect("ann")
            assert (await ann.call("send", params))["result"] == first, "a repetition is recognised over the restart"
            other = (await ann.call("send", {**params, "clientMsgNo": "n"}))["result"]
            assert other["messageSeq"] == 2
            assert other["messageId"] > first["messageId"]
            assert (await http.get(f"{server.http}/user/systemuids")).json() == ["robot"]


async def refused(*options: str, cwd: Path) -> str:
    """Runs a server that must not start; returns its one line of complaint."""
    with trio.fail_after(20):
        result = await trio.run_process(
            command(*options), check=False, capture_stdout=True, capture_stderr=True, cwd=cwd
        )
    lines = [line for line in result.stderr.decode().splitlines() if "[info" not in line]
    assert result.returncode == 2, result.stderr.decode()
    assert len(lines) == 1, lines
    return lines[0]


PORTS = ("--http", "127.0.0.1:0", "--tcp", "127.0.0.1:0", "--ws", "127.0.0.1:0")


@pytest.mark.parametrize(("option", "setting"), [("--http", "httpAddr"), ("--tcp", "addr"), ("--ws", "wsAddr")])
async def test_a_port_in_use_is_one_line(tmp_path: Path, option: str, setting: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        line = await refused("--data-dir", "data", *PORTS, option, address, cwd=tmp_path)
    assert f"{setting} = '{address}'" in line
    assert "in use" in line


async def test_a_data_directory_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    line = await refused("--data-dir", "file/data", *PORTS, cwd=tmp_path)
    assert "file/data" in line


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
async def test_a_data_directory_without_permission_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o500)
    line = await refused("--data-dir", "data", *PORTS, cwd=tmp_path)
    assert "data" in line


@pytest.mark.parametrize("damage", ["noise", "truncated"])
async def test_a_damaged_database_is_one_line(tmp_path: Path, damage: str) -> None:
    async with run_server(tmp_path) as server, httpx.AsyncClient() as http:
        for n in range(50):
            uids = [f"user{n}-{m}" for m in range(50)]
            await http.post(
                f"{server.http}/channel", json={"channel_id": f"g{n}", "channel_type": 2, "subscribers": uids}
            )
        await server.stop(signal.SIGTERM)
    database = tmp_path / "data" / "wukong.db"
    content = database.read_bytes()
    half = len(content) // 2
    database.write_bytes(content[:half] if damage == "truncated" else content[:100] + os.urandom(len(content) - 100))
    line = await refused("--data-dir", "data", *PORTS, cwd=tmp_path)
    assert "wukong.db" in line
    assert "backup" in line


async def test_a_newer_or_foreign_database_is_one_line(tmp_path: Path) -> None:
    async with run_server(tmp_path) as server:
        await server.stop(signal.SIGTERM)
    database = sqlite3.connect(tmp_path / "data" / "wukong.db")
    database.execute("PRAGMA user_version = 99")
    database.close()
    assert "newer version" in await refused("--data-dir", "data", *PORTS, cwd=tmp_path)
    (tmp_path / "other").mkdir()
    foreign = sqlite3.connect(tmp_path / "other" / "wukong.db")
    foreign.execute("CREATE TABLE theirs (x)")
    foreign.close()
    assert "another program" in await refused("--data-dir", "other", *PORTS, cwd=tmp_path)


async def test_one_server_per_data_directory(tmp_path: Path) -> None:
    async with run_server(tmp_path):
        assert "another server" in await refused("--data-dir", "data", *PORTS, cwd=tmp_path)


async def test_the_module_is_the_command(tmp_path: Path) -> None:
    result = await trio.run_process([sys.executable, "-m", "wukong_trio", "--version"], capture_stdout=True)
    assert result.stdout.decode().startswith("wukong-trio ")
