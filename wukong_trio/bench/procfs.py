"""What Linux knows of the server's process and of the machine."""

import os
from pathlib import Path
from typing import NamedTuple

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Usage(NamedTuple):
    """What a process has used so far."""

    cpu_s: float
    """User and system time of all its threads, to 10 ms."""
    rss_bytes: int
    written_bytes: int | None
    """To files, None if it may not be seen."""


def usage_of(pid: int) -> Usage | None:
    """The usage of a process of this machine; None if there is no such process, or it may not be seen."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return None
    fields = stat[stat.rindex(")") + 2 :].split()  # the name before it may hold blanks
    cpu_s = (int(fields[11]) + int(fields[12])) / _TICKS_PER_S
    return Usage(cpu_s, pages * _PAGE_BYTES, _written_bytes(pid))


def _written_bytes(pid: int) -> int | None:
    try:
        lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("write_bytes:")), None)


class MachineTime(NamedTuple):
    """Time of all CPUs together since the start of the machine."""

    idle_s: float
    total_s: float

    def idle_share_since(self, earlier: "MachineTime") -> float:
        """How much of the time since then no CPU had work, from 0 to 1."""
        passed_s = self.total_s - earlier.total_s
        return (self.idle_s - earlier.idle_s) / passed_s if passed_s > 0 else 1.0


def machine_time() -> MachineTime:
    """The machine's times now."""
    first = Path("/proc/stat").read_text().partition("\n")[0]
    ticks = [int(field) for field in first.split()[1:9]]
    return MachineTime((ticks[3] + ticks[4]) / _TICKS_PER_S, sum(ticks) / _TICKS_PER_S)
