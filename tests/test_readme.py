"""The examples of the README, executed as written."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from wukong_trio.testing import open_test_server

README = Path(__file__).parent.parent / "README.md"
CLIENT, EMBEDDING, TESTING = re.findall(r"^```python\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)
PYPROJECT = re.findall(r"^```toml\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)


async def run(code: str) -> str:
    process = await trio.run_process(
        [sys.executable, "-W", "error", "-c", code], capture_stdout=True, capture_stderr=True, check=False
    )
    assert process.returncode == 0, process.stderr.decode()
    return process.stdout.decode()


async def test_the_client_example() -> None:
    with trio.fail_after(20):
        async with open_test_server() as server:
            output = await run(CLIENT.replace("ws://127.0.0.1:5200", server.endpoints.ws))
    assert output.strip() in README.read_text()


async def test_the_embedding_example() -> None:
    with trio.fail_after(20):
        output = await run(EMBEDDING)
    lines = output.splitlines()
    assert {"SessionOpened", "MessageAccepted", "b'welcome'", "1"} <= set(lines)


def test_the_testing_example(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(*PYPROJECT)
    (tmp_path / "test_example.py").write_text(TESTING)
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 passed" in result.stdout, result.stdout


@pytest.mark.parametrize("link", re.findall(r"\]\(((?!http)[^)]+)\)", README.read_text()))
def test_links_lead_somewhere(link: str) -> None:
    assert (README.parent / link).is_file()
