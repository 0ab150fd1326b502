"""The example of docs/http-api.md runs as it is pasted."""

import re
import subprocess
import sys
from pathlib import Path

import trio
from api_calls import OpenServer

PAGE = Path(__file__).parents[2] / "docs" / "http-api.md"
[EXAMPLE] = re.findall(r"<!-- the example.*?```python\n(.*?)```", PAGE.read_text(), re.DOTALL)


async def test_the_documented_stream(open_server: OpenServer) -> None:
    with trio.fail_after(20):
        async with open_server() as server:
            code = EXAMPLE.replace("http://127.0.0.1:5001", server.endpoints.http)
            code = code.replace("ws://127.0.0.1:5200", server.endpoints.ws)
            process = await trio.run_process(
                [sys.executable, "-W", "error", "-c", code], capture_stdout=True, stderr=subprocess.STDOUT, check=False
            )
    lines = process.stdout.decode().splitlines()
    assert process.returncode == 0, lines
    assert [line.split()[0] for line in lines[:-1]] == ["stream.delta"] * 3 + ["stream.close"]
    assert f"The last line is `{lines[-1]}`" in PAGE.read_text()
