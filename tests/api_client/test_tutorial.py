"""docs/tutorial.md is one program, and prints what the page says."""

import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import trio

from wukong_trio.testing import open_test_server

PAGE = (Path(__file__).parents[2] / "docs" / "tutorial.md").read_text()
CODE = "\n\n".join(re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))
OUTPUT = "".join(re.findall(r"^```\n\n((?:    .*\n)+)", PAGE, re.MULTILINE))


async def test_the_tutorial() -> None:
    with trio.fail_after(30):
        async with open_test_server(search={"on": True}) as server:
            code = CODE.replace("http://127.0.0.1:5001", server.endpoints.http)
            code = code.replace("ws://127.0.0.1:5200", server.endpoints.ws)
            run = partial(trio.run_process, capture_stdout=True, check=False)
            result = await run([sys.executable, "-W", "error", "-c", code], stderr=subprocess.STDOUT)
    assert result.stdout.decode().splitlines() == [line.removeprefix("    ") for line in OUTPUT.splitlines()]


def test_its_settings_are_those_of_the_server() -> None:
    assert "WK_SEARCH_ON=true make serve" in PAGE
