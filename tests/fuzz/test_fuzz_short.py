"""Some seconds of what `fuzz_server.py` does for as long as one likes."""

import sys
from pathlib import Path

import trio

sys.path.insert(0, str(Path(__file__).parent))

from fuzz_server import fuzz


async def test_nonsense_leaves_no_trace_and_disturbs_nobody(tmp_path: Path) -> None:
    with trio.fail_after(60):
        report = await fuzz(tmp_path, 2.4, seed=1)
    assert not report.tracebacks, report.log
    assert sum(report.offences.values()) > 20
    assert all(report.latency_s.values()), "the pair has talked, and missed nothing"
    assert report.descriptors["end"] <= report.descriptors["start"]
