"""`wukong-trio backup` beside a busy server, and `restore`: every message acknowledged before is there."""

import sys
from pathlib import Path

import httpx
import trio
from child import run_server
from crashes import read_channel

from wukong_trio import open_client


async def run(*arguments: str) -> tuple[int, str]:
    done = await trio.run_process(
        [sys.executable, "-m", "wukong_trio", *arguments], capture_stdout=True, capture_stderr=True, check=False
    )
    return done.returncode, (done.stdout + done.stderr).decode()


async def test_a_backup_made_while_sending_has_all_that_was_acknowledged(tmp_path: Path) -> None:
    data, target, restored = (str(tmp_path / name) for name in ("data", "copy.db", "restored"))
    acknowledged: set[int] = set()
    with trio.fail_after(60):
        async with run_server(tmp_path) as server, open_client(server.ws, uid="ann") as ann:

            async def send() -> None:
                while True:
                    acknowledged.add((await ann.send("bob", b"x" * 200)).message_id)

            async with trio.open_nursery() as nursery:
                for _ in range(50):
                    nursery.start_soon(send)
                while len(acknowledged) < 1000:  # noqa: ASYNC110 - nobody tells
                    await trio.sleep(0.01)
                before = set(acknowledged)
                code, output = await run("backup", target, "--data-dir", data)
                assert code == 0, output
                assert "messages" in output
                assert len(acknowledged) > len(before), "sending went on"
                nursery.cancel_scope.cancel()
            code, output = await run("backup", target, "--data-dir", data)
            assert (code, "--overwrite" in output, output.count("\n")) == (2, True, 1)
            code, output = await run("restore", target, "--data-dir", data)
            assert (code, "another server is using it" in output) == (2, True)
        code, output = await run("restore", target, "--data-dir", restored)
        assert code == 0, output
        async with (
            run_server(tmp_path, data_dir=Path(restored)) as server,
            httpx.AsyncClient(base_url=server.http) as http,
        ):
            found = await read_channel(http, "ann", "bob", 1)
            assert before <= {message["message_id"] for message in found}
            assert [message["message_seq"] for message in found] == list(range(1, len(found) + 1))
