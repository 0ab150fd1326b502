"""Runs the Autobahn test suite against both WebSocket engines, with and without TLS.

    make autobahn

Prints a table, and fails if a case has failed or was not run.

The suite needs Python 2.7; where there is none this says so and ends well. The detailed reports stay in .venv/autobahn.
"""

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import trio

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from common import free_port, wait_listening, write_certificate  # noqa: E402

WORK = HERE.parent.parent / ".venv" / "autobahn"
SUITE = "autobahntestsuite==25.10.1"
CASES = [f"{section}.*" for section in (1, 2, 3, 4, 5, 6, 7, 10, 9)]
ENGINES = ("native", "reference")
GOOD = {"OK", "INFORMATIONAL", "NON-STRICT", "UNIMPLEMENTED"}
ASPECTS = {"behavior": "messages", "behaviorClose": "closing"}
LIMIT_S = 600
Verdicts = dict[str, dict[str, str]]
"""By case."""


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


async def run_suite(name: str, engine: str, wstest: Path, *, tls: bool) -> Verdicts:
    """The suite's verdicts on an engine."""
    port, reports = free_port(), WORK / name
    shutil.rmtree(reports, ignore_errors=True)
    spec = WORK / f"{name}.json"
    servers = [{"agent": name, "url": f"{'wss' if tls else 'ws'}://127.0.0.1:{port}"}]
    spec.write_text(json.dumps({"outdir": str(reports), "servers": servers, "cases": CASES, "exclude-cases": []}))
    command = [sys.executable, str(HERE / "echo.py"), str(port), "--engine", engine]
    if tls:
        command += ["--tls", str(WORK)]
    async with trio.open_nursery() as nursery:
        await nursery.start(trio.run_process, command)
        try:
            with trio.fail_after(LIMIT_S):
                await wait_listening(port)
                suite = [str(wstest), "-m", "fuzzingclient", "-s", str(spec)]
                await trio.run_process(suite, capture_stdout=True, capture_stderr=True)
        finally:
            nursery.cancel_scope.cancel()
    verdicts: Verdicts = json.loads((reports / "index.json").read_text())[name]
    return verdicts


def show(suites: dict[str, Verdicts]) -> None:
    """Prints how often each verdict was given, a column for an engine with or without TLS."""
    print(f"{'':24}" + "".join(f"{name:>15}" for name in suites))
    print(f"{'cases':24}" + "".join(f"{len(verdicts):15}" for verdicts in suites.values()))
    for aspect, label in ASPECTS.items():
        counts = [Counter(verdict[aspect] for verdict in verdicts.values()) for verdicts in suites.values()]
        for verdict, _ in sum(counts, Counter()).most_common():
            print(f"{label:9}{verdict:15}" + "".join(f"{count[verdict]:15}" for count in counts))


def failures(suites: dict[str, Verdicts]) -> list[str]:
    """What is wrong, a line each: verdicts, and cases that were not run where others were."""
    every = set().union(*suites.values())
    lines = [] if every else ["no case was run"]
    for name, verdicts in suites.items():
        bad = {case for case, verdict in verdicts.items() if {verdict[aspect] for aspect in ASPECTS} - GOOD}
        lines += [f"case {case} of {name} failed, see {WORK / name}" for case in sorted(bad)]
        lines += [f"case {case} of {name} was not run" for case in sorted(every - verdicts.keys())]
    return lines


async def main() -> int:
    """Returns the exit code."""
    python2 = find_python2()
    if python2 is None:
        print("Autobahn was not run: there is no Python 2.7 here (python2.7 in PATH, or one of pyenv's)")
        return 0
    WORK.mkdir(parents=True, exist_ok=True)
    wstest = install(python2)
    write_certificate(WORK)
    suites = {}
    for engine in ENGINES:
        for name, tls in ((engine, False), (f"{engine}-tls", True)):
            suites[name] = await run_suite(name, engine, wstest, tls=tls)
    show(suites)
    failed = failures(suites)
    for line in failed:
        print(f"FAILED: {line}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(trio.run(main))
