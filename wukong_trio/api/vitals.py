"""How the process is doing: its age, memory and share of a CPU."""

import os
import resource
import sys
import time
from pathlib import Path
from typing import Final

import trio

LEAST_S: Final = 1.0
"""Over so much time, at least, the share of a CPU is taken."""
_STATM: Final = Path("/proc/self/statm")


class Vitals:
    """Of the process in which it is made."""

    def __init__(self) -> None:
        self._started_s = self._since_s = time.monotonic()
        self._cpu_s = time.process_time()
        self._percent: float | None = None

    @property
    def uptime_s(self) -> float:
        """Since the server's start."""
        return time.monotonic() - self._started_s

    def cpu_percent(self) -> float:
        """Of one CPU, since this was last asked for, a second ago or more. Threads may make it more than 100."""
        now_s, cpu_s = time.monotonic(), time.process_time()
        passed_s = now_s - self._since_s
        if self._percent is None or passed_s >= LEAST_S:
            self._percent = (cpu_s - self._cpu_s) / max(passed_s, 1e-3) * 100
            self._since_s, self._cpu_s = now_s, cpu_s
        return round(self._percent, 2)

    @staticmethod
    def resident_bytes() -> int:
        """Memory that is not swapped out; where the system does not tell, the most that it ever was."""
        try:
            pages = int(_STATM.read_text().split()[1])
        except (OSError, IndexError, ValueError):
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            return peak if sys.platform == "darwin" else peak * 1024
        return pages * os.sysconf("SC_PAGE_SIZE")

    @staticmethod
    def tasks() -> int:
        """Trio tasks, all of this program's."""
        return trio.lowlevel.current_statistics().tasks_living


def duration(seconds: float) -> str:
    """A length of time as people read it, for example `3d1h2m4s`."""
    left = max(int(seconds), 0)
    parts: list[str] = []
    for unit, size_s in (("y", 365 * 86400), ("d", 86400), ("h", 3600), ("m", 60)):
        count, left = divmod(left, size_s)
        if count or parts:
            parts.append(f"{count}{unit}")
    return "".join([*parts, f"{left}s"])
