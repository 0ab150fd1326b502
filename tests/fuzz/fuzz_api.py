"""Asks the HTTP API of servers of its own whatever their `/openapi.json` makes Schemathesis think of.

    make fuzz-api                              a few minutes
    make fuzz-api ARGS="--cases 2000 --seed 7"

Both engines are asked at the same time, each in a process of its own on loopback, one of them with a manager token. It
fails if an answer comes late or not at all, is a server error, or has a status, a content type or a form that is not
documented; and if a server logs a traceback. That a request which the document allows is refused is no failure: no
schema tells that a channel must exist. Nor is it that `null` and other methods are answered as WuKongIM does.
"""

import argparse
import signal
import sys
import tempfile
from pathlib import Path
from subprocess import STDOUT

import trio

TESTS = Path(__file__).parent.parent
sys.path[:0] = [str(TESTS / "e2e"), str(TESTS)]

from child import run_server  # noqa: E402

SCHEMATHESIS = TESTS.parent / ".venv-fuzz/bin/schemathesis"
TOKEN = "k"
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "missing_required_header",
    "ignored_auth",
)
OPTIONS = (
    *("--phases", "examples,coverage,fuzzing", "--checks", ",".join(CHECKS), "--warnings", "off"),
    *("--request-timeout", "10", "--max-response-time", "5", "--continue-on-failure", "--generation-database", "none"),
)
ENGINES = {"native": [], "reference": ["--manager-token", TOKEN]}
"""Engine -> options of its server."""


class Outcome:
    """What came of asking one server."""

    def __init__(self, text: str, log: str, exit_codes: tuple[int, int]) -> None:
        self.text = text
        self.tracebacks = log.count("Traceback")
        self.log = log
        self.good = exit_codes == (0, 0) and not self.tracebacks


async def ask(engine: str, directory: Path, cases: int, seed: int) -> Outcome:
    """Runs a server with this engine, and Schemathesis against it."""
    settings = directory / "wk.yaml"
    settings.write_text("search: {on: true}")
    async with run_server(directory, "--engine", engine, "--config", str(settings), *ENGINES[engine]) as server:
        command = [str(SCHEMATHESIS), "run", f"{server.http}/openapi.json", *OPTIONS]
        command += ["--max-examples", str(cases), "--seed", str(seed), "--header", f"token: {TOKEN}"]
        asked = await trio.run_process(command, capture_stdout=True, stderr=STDOUT, check=False, cwd=directory)
        exit_code = await server.stop(signal.SIGTERM)
    return Outcome(asked.stdout.decode(), server.log.read_text(), (asked.returncode, exit_code))


async def fuzz(directory: Path, cases: int, seed: int, limit_s: float) -> dict[str, Outcome]:
    """Asks servers with all engines; those that take too long are not in the result."""
    outcomes: dict[str, Outcome] = {}

    async def ask_one(engine: str) -> None:
        place = directory / engine
        place.mkdir()
        outcomes[engine] = await ask(engine, place, cases, seed)

    with trio.move_on_after(limit_s):
        async with trio.open_nursery() as nursery:
            for engine in ENGINES:
                nursery.start_soon(ask_one, engine)
    return outcomes


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=500, help="at most so many made-up requests per operation")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--limit", type=float, default=1800, help="seconds after which it has failed")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        outcomes = trio.run(fuzz, Path(directory), options.cases, options.seed, options.limit)
    for engine in ENGINES:
        outcome = outcomes.get(engine)
        if outcome is None:
            print(f"{engine}: not done within {options.limit:.0f} s")
        elif outcome.good:
            summary = [line.strip() for line in outcome.text.splitlines() if " generated, " in line]
            print(f"{engine}: {', '.join(summary)}")
        else:
            print(f"--- {engine}, tracebacks in the log: {outcome.tracebacks}", outcome.text, outcome.log, sep="\n")
    return 0 if len(outcomes) == len(ENGINES) and all(outcome.good for outcome in outcomes.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
