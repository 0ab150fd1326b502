"""What `/varz` says of the process."""

import time

import pytest

from wukong_trio.api import vitals
from wukong_trio.api.vitals import Vitals, duration


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0s"),
        (0, "0s"),
        (4.9, "4s"),
        (59, "59s"),
        (60, "1m0s"),
        (124, "2m4s"),
        (3600, "1h0m0s"),
        (3724, "1h2m4s"),
        (3 * 86400 + 3724, "3d1h2m4s"),
        (365 * 86400, "1y0d0h0m0s"),
    ],
)
def test_durations_are_written_as_the_original_does(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_the_share_of_a_cpu_is_taken_over_a_second_at_least(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = {"monotonic": 100.0, "process_time": 5.0}
    for name in clock:
        monkeypatch.setattr(vitals.time, name, lambda name=name: clock[name])
    process = Vitals()
    for wall_s, cpu_s, percent in ((10, 1, 10.0), (0.5, 0.5, 10.0), (0.5, 0.5, 100.0), (2, 3, 150.0), (4, 0, 0.0)):
        clock["monotonic"] += wall_s
        clock["process_time"] += cpu_s
        assert process.cpu_percent() == percent
    assert process.uptime_s == 17


def test_memory_where_the_system_tells_and_where_it_does_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pytest.TempPathFactory
) -> None:
    told = Vitals.resident_bytes()
    assert 10_000_000 < told < 10_000_000_000
    monkeypatch.setattr(vitals, "_STATM", tmp_path / "none")
    assert Vitals.resident_bytes() >= told * 0.5


def test_an_age_grows() -> None:
    process = Vitals()
    first, begin_s = process.uptime_s, time.monotonic()
    while time.monotonic() == begin_s:
        pass
    assert process.uptime_s > first
