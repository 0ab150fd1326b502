"""Runs the Autobahn test suite against both WebSocket engines, prints a table and fails on any FAILED case.

    make autobahn

The suite needs Python 2.7; where there is none this says so and ends well. The detailed reports stay in .venv/autobahn.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections import Counter
from pathlib import Path

import trio

HERE = Path(__file__).parent
WORK = HERE.parent.parent / ".venv" / "autobahn"
SUITE = "autobahntestsuite==25.10.1"
CASES = [f"{section}.*" for section in (1, 2, 3, 4, 5, 6, 7, 10, 9)]
ENGINES = ("native", "reference")
GOOD = ("OK", "INFORMATIONAL", "NON-STRICT", "UNIMPLEMENTED")
LIMIT_S = 600


def find_python2() -> str | None:
    """An interpreter that the suite runs on."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates = [shutil.which("python2.7"), *(str(p / "bin" / "python2.7") for p in sorted(pyenv.glob("2.7*")))]
    return next((c for c in candidates if c and works(c)), None)


def works(python: str) -> bool:
    """Whether an interpreter starts: pyenv puts commands into PATH that may not."""
    try:
        return subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def install(python2: str) -> Path:
    """The suite's command, installed where needed."""
    wstest = WORK / "suite" / "bin" / "wstest"
    if not wstest.exists():
        tools = WORK / "tools"
        subprocess.run([sys.executable, "-m", "venv", tools], check=True)
        subprocess.run([tools / "bin" / "pip", "install", "--quiet", "virtualenv<20.22"], check=True)
        subprocess.run([tools / "bin" / "virtualenv", "--quiet", "-p", python2, WORK / "suite"], check=True)
        subprocess.run([WORK / "suite" / "bin" / "pip", "install", "--quiet", SUITE], check=True)
    return wstest


def free_port() -> int:
    """A port that nobody uses at the moment."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


async def wait_listening(port: int) -> None:
    """Waits until the echo server accepts."""
    while True:
        try:
            await (await trio.open_tcp_stream("127.0.0.1", port)).aclose()
        except OSError:
            await trio.sleep(0.1)
        else:
            return


async def run_engine(engine: str, wstest: Path) -> dict[str, dict[str, str]]:
    """The suite's verdicts on an engine, by case."""
    port = free_port()
    reports = WORK / engine
    spec = WORK / f"{engine}.json"
    servers = [{"agent": engine, "url": f"ws://127.0.0.1:{port}"}]
    spec.write_text(json.dumps({"outdir": str(reports), "servers": servers, "cases": CASES, "exclude-cases": []}))
    command = [sys.executable, str(HERE / "echo.py"), str(port), "--engine", engine]
    async with trio.open_nursery() as nursery:
        await nursery.start(trio.run_process, command)
        try:
            with trio.fail_after(LIMIT_S):
                await wait_listening(port)
                suite = [str(wstest), "-m", "fuzzingclient", "-s", str(spec)]
                await trio.run_process(suite, capture_stdout=True, capture_stderr=True)
        finally:
            nursery.cancel_scope.cancel()
    verdicts: dict[str, dict[str, str]] = json.loads((reports / "index.json").read_text())[engine]
    return verdicts


async def main() -> int:
    """Returns the exit code."""
    python2 = find_python2()
    if python2 is None:
        print("Autobahn was not run: there is no Python 2.7 here (python2.7 in PATH, or one of pyenv's)")
        return 0
    WORK.mkdir(parents=True, exist_ok=True)
    wstest = install(python2)
    failed = []
    for engine in ENGINES:
        verdicts = await run_engine(engine, wstest)
        for aspect in ("behavior", "behaviorClose"):
            counts = Counter(verdict[aspect] for verdict in verdicts.values())
            shown = ", ".join(f"{count} {name}" for name, count in counts.most_common())
            print(f"{engine:10} {'messages' if aspect == 'behavior' else 'closing':9} {len(verdicts)} cases: {shown}")
            failed += [(engine, case) for case, verdict in verdicts.items() if verdict[aspect] not in GOOD]
    for engine, case in failed:
        print(f"FAILED: case {case} of {engine}, see {WORK / engine}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(trio.run(main))
