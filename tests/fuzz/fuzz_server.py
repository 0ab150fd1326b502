"""Throws nonsense at a server of its own, beside a pair of well-behaved clients who must not suffer.

    python tests/fuzz/fuzz_server.py --seconds 60 --seed 1

Everything runs on loopback: this process starts the server, talks as the well-behaved pair, and starts a second process
for the offenders. At the end it says what was done and what is left of it, and fails if the server logged a traceback,
the pair missed a message or connections are left.
"""

import argparse
import json
import os
import random
import ssl
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from statistics import quantiles

import trio

TESTS = Path(__file__).parent.parent
sys.path[:0] = [str(TESTS / "fuzz"), str(TESTS / "e2e"), str(TESTS)]

from child import ServerProcess, run_server  # noqa: E402
from common import write_certificate  # noqa: E402
from offences import GONE, OFFENCES  # noqa: E402

from wukong_trio import open_client  # noqa: E402
from wukong_trio.testing import SocketClosed  # noqa: E402

WORKERS = 12
OFFENCE_S = 4
SETTINGS = """
wssAddr: 127.0.0.1:0
wssConfig:
  certFile: cert.pem
  keyFile: key.pem
limits:
  handshakeTimeout: 1s
  closeTimeout: 500ms
"""


class Report:
    """What was seen."""

    def __init__(self) -> None:
        self.offences: dict[str, int] = {}
        self.rss_mib: dict[str, float] = {}
        self.latency_s: dict[str, list[float]] = {"alone": [], "with offenders": []}
        self.descriptors: dict[str, int] = {}
        self.sockets: dict[str, int] = {}
        self.log = ""
        self.tracebacks: list[str] = []

    def look(self, server: ServerProcess, when: str) -> None:
        """Notes memory, descriptors and sockets of the server."""
        directory = Path(f"/proc/{server.process.pid}")
        pages = int((directory / "statm").read_text().split()[1])
        self.rss_mib[when] = pages * os.sysconf("SC_PAGE_SIZE") / 2**20
        links = []
        for entry in (directory / "fd").iterdir():
            with suppress(FileNotFoundError):
                links.append(os.readlink(entry))
        # SQLite opens its files when it first needs them, and keeps them.
        links = [link for link in links if "wukong.db" not in link]
        self.descriptors[when] = len(links)
        self.sockets[when] = sum(link.startswith("socket:") for link in links)

    @property
    def good(self) -> bool:
        back = self.descriptors["end"] <= self.descriptors["start"]
        return back and not self.tracebacks and sum(self.offences.values()) > 0

    def show(self) -> None:
        """Prints it."""
        for name, count in sorted(self.offences.items()):
            print(f"{count:8,d}  {name}")
        print("memory      " + ", ".join(f"{when} {size:.1f} MiB" for when, size in self.rss_mib.items()))
        print("descriptors " + ", ".join(f"{when} {count}" for when, count in self.descriptors.items()))
        print("sockets     " + ", ".join(f"{when} {count}" for when, count in self.sockets.items()))
        for when, seconds in self.latency_s.items():
            cuts = [s * 1000 for s in quantiles(seconds, n=100)]
            print(
                f"latency     {when}: p50 {cuts[49]:.1f} ms, p99 {cuts[98]:.1f} ms, max {max(seconds) * 1000:.1f} ms "
                f"of {len(seconds):,d} messages"
            )
        print(f"tracebacks  {len(self.tracebacks)}")


async def talk(server: ServerProcess, trust: ssl.SSLContext, seconds: list[float], stop: trio.Event, name: str) -> None:
    """The well-behaved pair, one of them over TLS: every message has to arrive, once and in order."""
    async with (
        open_client(server.urls["wss"], uid=f"{name}-one", ssl_context=trust) as one,
        open_client(server.ws, uid=f"{name}-two") as two,
    ):
        number = 0
        while not stop.is_set():
            start = trio.current_time()
            await one.send(f"{name}-two", b"%d" % number)
            message = await two.__anext__()
            seconds.append(trio.current_time() - start)
            assert (message.payload, message.message_seq) == (b"%d" % number, number + 1)
            number += 1
            await trio.sleep(0.005)


async def offend(urls: dict[str, str], seconds: float, seed: int) -> Counter[str]:
    """Commits offences for a while; returns how many of each kind."""
    done: Counter[str] = Counter()

    async def work(rng: random.Random) -> None:
        while trio.current_time() < end:
            offence = rng.choice(OFFENCES)
            with suppress(SocketClosed, *GONE), trio.move_on_after(OFFENCE_S):
                await offence(urls, rng)
            done[offence.__name__] += 1

    end = trio.current_time() + seconds
    async with trio.open_nursery() as nursery:
        for n in range(WORKERS):
            nursery.start_soon(work, random.Random(f"{seed}/{n}"))
    return done


async def run_offenders(urls: dict[str, str], seconds: float, seed: int) -> dict[str, int]:
    """Offends in a process of its own: its work is not part of anybody's latency."""
    command = [sys.executable, __file__, "--urls", json.dumps(urls), "--seconds", str(seconds), "--seed", str(seed)]
    result = await trio.run_process(command, capture_stdout=True)
    counts: dict[str, int] = json.loads(result.stdout)
    return counts


async def fuzz(directory: Path, seconds: float, seed: int) -> Report:
    """Runs a server, the pair and the offenders."""
    trust = ssl.create_default_context()
    write_certificate(directory).configure_trust(trust)
    (directory / "wk.yaml").write_text(SETTINGS)
    report = Report()
    async with run_server(directory) as server:
        urls = {name: server.urls[name] for name in ("ws", "wss", "http")}
        # The offenders' first visit makes the server import and cache what it needs.
        await run_offenders(urls, 0.3, seed + 1)
        await settled(server, report, "start")
        for when, name in (("alone", "calm"), ("with offenders", "storm")):
            stop = trio.Event()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(talk, server, trust, report.latency_s[when], stop, name)
                if when == "alone":
                    await trio.sleep(seconds / 6)
                else:
                    report.offences = Counter(await run_offenders(urls, seconds / 4, seed + 2))
                    report.look(server, "warmed up")
                    report.offences = Counter(report.offences) + Counter(
                        await run_offenders(urls, seconds * 3 / 4, seed)
                    )
                stop.set()
        await settled(server, report, "end")
    report.log = server.log.read_text()
    report.tracebacks = [line for line in report.log.splitlines() if "Traceback" in line]
    return report


async def settled(server: ServerProcess, report: Report, when: str) -> None:
    """Looks at the server once it has as few descriptors as in the beginning, or after ten seconds."""
    with trio.move_on_after(10):
        while True:
            report.look(server, when)
            known = report.descriptors.get("start", 0) if when == "end" else 0
            await trio.sleep(0.2)
            before = report.descriptors[when]
            report.look(server, when)
            if report.descriptors[when] == before and (not known or before <= known):
                return


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--log", type=Path, help="where to write the server's log")
    parser.add_argument("--urls", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.urls:
        print(json.dumps(trio.run(offend, json.loads(options.urls), options.seconds, options.seed)))
        return 0
    print(f"seed {options.seed}")
    with tempfile.TemporaryDirectory() as directory:
        report = trio.run(fuzz, Path(directory), options.seconds, options.seed)
    report.show()
    if options.log:
        options.log.write_text(report.log)
    return 0 if report.good else 1


if __name__ == "__main__":
    sys.exit(main())
