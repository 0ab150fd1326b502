"""The benchmarks run: not how fast, but that they do."""

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def run(script: str, *arguments: str) -> str:
    command = [sys.executable, str(BENCHMARKS / script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_measure_gives_a_row(tmp_path: Path) -> None:
    file = tmp_path / "table.md"
    run("run.py", "--runs", "1", "--seconds", "0.3", "--only", "route", "--markdown", str(file))
    heading, _, row = file.read_text().splitlines()
    assert heading.startswith("| measure | ours | peer | ratio |")
    assert "Quart-Trio" in row
    assert ">= 25" in row


def test_ways_of_speaking_are_rows_of_their_own(tmp_path: Path) -> None:
    file = tmp_path / "table.md"
    names = ("accept_tls", "send_x8_tcp_sealed")
    run("run.py", "--runs", "1", "--seconds", "0.3", "--only", *names, "--markdown", str(file))
    rows = {line.split("|")[1].strip(): line for line in file.read_text().splitlines()[2:]}
    assert (
        "µs CPU per connection" in rows["connect with TLS and authenticate, against a loop that only accepts with TLS"]
    )
    assert " /s |" in rows["send, 100 × 8, WKProto over tcp, against JSON-RPC over ws"]


def test_what_back_ends_ask_for_stands_beside_the_route(tmp_path: Path) -> None:
    file = tmp_path / "table.md"
    names = ("sendbatch", "conversations_50", "features_cpu")
    run("run.py", "--runs", "1", "--seconds", "0.3", "--only", *names, "--markdown", str(file))
    batch, conversations, features = file.read_text().splitlines()[2:]
    assert batch.startswith("| POST /message/sendbatch to 20, against GET /route, 32 connections |")
    assert conversations.startswith("| 50 conversations of a user, against GET /route, 32 connections |")
    assert features.startswith("| send, 100 × 8, with conversations, metrics, webhooks, against all off |")
    assert "µs CPU per send" in features


def test_low_ratios_have_more_digits() -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(BENCHMARKS)!r})\n"
        "from measures import MEASURES, Result\n"
        "from run import row\n"
        "for ours in (0.31234, 9, 10): print(row(MEASURES[0], [Result(ours, 100)])[3])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines() == ["0.0031", "0.0900", "0.10"]


def test_load_at_its_limit_is_said_in_the_row() -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(BENCHMARKS)!r})\n"
        "from measures import MEASURES, Result\n"
        "from run import row\n"
        "for busy in (0.94, 0.95): print(row(MEASURES[0], [Result(2.0, 1.0, 0.1), Result(2.0, 1.0, busy)])[-1])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines() == ["yes", "yes; load was at its limit, 95% of its core"]


@pytest.mark.parametrize("script", ["bench_codec.py", "bench_frames.py"])
def test_micro_benchmarks(script: str) -> None:
    lines = run(f"micro/{script}").splitlines()
    assert len(lines) >= 8
    assert all(line.endswith(" ns") for line in lines)
