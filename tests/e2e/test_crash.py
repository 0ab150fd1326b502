"""What was acknowledged survives SIGKILL."""

from pathlib import Path

import trio
from crashes import crash_rounds


async def test_h140_nothing_acknowledged_is_lost_in_ten_kills_under_load(tmp_path: Path, engine: str) -> None:
    with trio.fail_after(120):
        assert await crash_rounds(tmp_path, rounds=10, seconds=0.3, engine=engine) > 2560
    assert "Traceback" not in (tmp_path / "server.log").read_text()
