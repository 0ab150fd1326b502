"""`wukong-trio bench` as people use it: every scenario against a real server."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from functools import partial
from pathlib import Path
from subprocess import DEVNULL
from typing import Any

import pytest
import trio
import trustme
from click.testing import CliRunner

from wukong_trio import Address, ChannelKey, Event, MessageAccepted, ReasonCode, SendCommand, Server
from wukong_trio.bench.plan import SCHEMES
from wukong_trio.cli import commands
from wukong_trio.protocol.wkproto import LATEST_VERSION
from wukong_trio.store import MemoryStore
from wukong_trio.testing import open_test_server

SECONDS = ("--seconds", "0.4")
ANY_PORT = Address("127.0.0.1", 0)
MIXED = ("mixed", "--connections", "60", "--groups", "1")


async def bench(*options: str) -> tuple[int, str, str]:
    """Runs it; returns the exit code, its output and its complaints."""
    with trio.fail_after(30):
        process = await trio.run_process(
            [sys.executable, "-m", "wukong_trio", "bench", *options],
            check=False,
            capture_stdout=True,
            capture_stderr=True,
            env={**os.environ, "COLUMNS": "100"},
        )
    return process.returncode, process.stdout.decode(), process.stderr.decode()


def where(server: Server, scenario: str) -> list[str]:
    if scenario in ("http", "group", "mixed"):
        return ["--route", server.endpoints.http]
    return ["--url", server.endpoints.ws]


@pytest.mark.parametrize(
    "options",
    [
        ("send", "--connections", "10", "--processes", "2"),
        ("send", "--connections", "10", "--rate", "200", "--payload-bytes", "5000"),
        ("group", "--members", "12", "--online", "6", "--senders", "2", "--processes", "2", "--messages", "60"),
        ("group", "--members", "12", "--online", "6", "--senders", "2", "--no-recvack", "--messages", "60"),
        ("connect", "--connections", "4", "--messages", "40"),
        ("idle", "--connections", "30", "--ping-seconds", "1"),
        ("ping", "--connections", "5", "--rate", "200"),
        ("http", "--connections", "3"),
        ("http", "--path", "/message/send", "--connections", "2", "--rate", "50"),
        (*MIXED, "--slow", "0", "--rate", "100"),
    ],
    ids=" ".join,
)
async def test_scenarios_pass_and_say_so(options: tuple[str, ...], tmp_path: Path) -> None:
    result = tmp_path / "result.json"
    async with open_test_server() as server:
        code, output, errors = await bench(*options, *where(server, options[0]), *SECONDS, "--json", str(result))
    assert code == 0, output + errors
    assert errors == ""
    assert output.split()[0] == "passed"
    outcome: dict[str, Any] = json.loads(result.read_text())
    assert outcome["scenario"] == options[0]
    assert outcome["passed"]
    assert outcome["answered"] == outcome["sent"]
    assert not any(outcome["faults"].values())
    if options[0] == "send":
        assert outcome["delivered"] == outcome["sent"] > 0
        assert outcome["delivery"]["count"] == outcome["sent"]
    if options[0] == "group":
        assert (outcome["sent"], outcome["delivered"]) == (60, 60 * 5)


async def test_the_lines_of_a_file_are_posted_in_turn(tmp_path: Path) -> None:
    bodies, store = tmp_path / "bodies", MemoryStore()
    line = '{"from_uid":"ann","channel_id":"group%d","channel_type":2,"payload":"aGk="}\n'
    bodies.write_text("".join(line % n for n in range(3)))
    async with open_test_server(store=store) as server:
        load = ("http", "--path", "/message/send", "--bodies", str(bodies), "--connections", "2", "--messages", "7")
        code, output, errors = await bench(*load, *where(server, "http"), "--seconds", "30")
    assert code == 0, output + errors
    assert [await store.last_seq(ChannelKey(f"group{n}", 2)) for n in range(3)] == [3, 2, 2]


@pytest.fixture(scope="module")
def listeners(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """All of them."""
    pem = tmp_path_factory.mktemp("tls") / "server.pem"
    trustme.CA().issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(pem)
    return {"tls": ANY_PORT, "wss": ANY_PORT, "cert_file": pem, "key_file": pem}


SPOKEN = [("jsonrpc", True, "wss")]
SPOKEN += [("wkproto", encryption, scheme) for encryption in (True, False) for scheme in SCHEMES["wkproto"]]
LOADS = (
    ("send", "--connections", "6", "--in-flight", "4", "--payload-bytes", "20000", "--messages", "60"),
    ("group", "--members", "8", "--senders", "2", "--messages", "60"),
    ("connect", "--connections", "4", "--messages", "20"),
    ("idle", "--connections", "10"),
    ("ping", "--connections", "4", "--messages", "500"),
    (*MIXED, "--slow", "0", "--rate", "100"),
)


@pytest.mark.parametrize(("protocol", "encryption", "scheme"), SPOKEN)
async def test_every_pipe_framing_and_speech_passes(
    protocol: str, encryption: bool, scheme: str, listeners: dict[str, Any], tmp_path: Path
) -> None:
    # Most of a run is the start of its processes, and most machines have two cores.
    at_once = trio.CapacityLimiter(2)
    how = ["--protocol", protocol, *([] if encryption else ["--no-encryption"])]

    async def passes(server: Server, load: tuple[str, ...]) -> None:
        result = tmp_path / f"{load[0]}.json"
        where = ["--url", getattr(server.endpoints, scheme)]
        if load[0] in ("group", "mixed"):
            where += ["--route", server.endpoints.http]
        async with at_once:
            code, output, errors = await bench(*load, *where, *how, *SECONDS, "--json", str(result))
        assert code == 0, output + errors
        outcome = json.loads(result.read_text())
        assert outcome["passed"]
        assert outcome["answered"] == outcome["sent"]
        assert f"over {scheme}" in output
        assert outcome["identity"]["protocol"] == (LATEST_VERSION if protocol == "wkproto" else 5)
        if load[0] in ("send", "group"):
            assert outcome["delivered"] == outcome["sent"] * (7 if load[0] == "group" else 1)

    async with open_test_server(listeners=listeners, encryption=encryption) as server, trio.open_nursery() as nursery:
        for load in LOADS:
            nursery.start_soon(passes, server, load)


async def test_where_clients_connect_is_asked_for_by_protocol() -> None:
    async with open_test_server() as server:
        for protocol, scheme in (("jsonrpc", ""), ("wkproto", "over tcp")):
            options = ("--protocol", protocol, "--route", server.endpoints.http, "--messages", "10")
            code, output, errors = await bench("ping", *options, *SECONDS)
            assert code == 0, output + errors
            assert scheme in output


async def test_encryption_is_what_was_asked_for() -> None:
    async with open_test_server() as server:
        options = ("--protocol", "wkproto", "--no-encryption", "--url", server.endpoints.tcp)
        code, _, errors = await bench("idle", *options, *SECONDS)
        assert code == 1
        assert "it wants encryption" in errors
    async with open_test_server(encryption=False) as server:
        code, _, errors = await bench("idle", "--protocol", "wkproto", "--url", server.endpoints.tcp, *SECONDS)
        assert code == 1
        assert "say --no-encryption" in errors


@pytest.mark.parametrize("scheme", ["tls", "wss"])
async def test_a_server_without_tls_is_named(scheme: str) -> None:
    async with open_test_server() as server:
        port = server.endpoints.ws.rpartition(":")[2]
        options = ("--protocol", "wkproto", "--url", f"{scheme}://127.0.0.1:{port}")
        code, _, errors = await bench("idle", *options, *SECONDS)
    assert code == 1
    assert "TLS: " in errors


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((*MIXED, "--slow", "1", "--rate", "20"), "no slow reader was closed"),
        (("send", "--rate", "0.5"), "nothing was due"),
        (("http", "--rate", "0.5"), "nothing was due"),
    ],
)
async def test_a_run_whose_event_did_not_happen_is_not_green(
    options: tuple[str, ...], words: str, tmp_path: Path
) -> None:
    result = tmp_path / "result.json"
    async with open_test_server() as server:
        extra = (*SECONDS, "--json", str(result), "--report", str(tmp_path))
        code, output, errors = await bench(*options, *where(server, options[0]), *extra)
    assert code == 3, output + errors
    assert output.strip().startswith("NOTHING SHOWN")
    assert words in " ".join(output.split())
    assert not json.loads(result.read_text())["passed"]
    page = (tmp_path / "index.html").read_text()
    assert '<span class="badge warn">' in page
    assert '<li class="good">' not in page


@pytest.mark.parametrize(("protocol", "scheme"), [("jsonrpc", "ws"), ("wkproto", "tcp"), ("wkproto", "tls")])
async def test_a_slow_reader_who_was_closed_is_what_mixed_is_about(
    protocol: str, scheme: str, listeners: dict[str, Any]
) -> None:
    # 32 MiB for each member: more than a server and two sockets keep for somebody who does not read.
    options = (*MIXED, "--slow", "1", "--payload-bytes", "50000", "--messages", "500", "--seconds", "20")
    async with open_test_server(listeners=listeners) as server:
        url = ("--protocol", protocol, "--url", getattr(server.endpoints, scheme))
        code, output, errors = await bench(*options, *where(server, "mixed"), *url)
    assert code == 0, output + errors
    assert "of 1 slow readers the server closed: 1 (" in " ".join(output.split())


async def test_the_table_names_its_units_and_fits_a_terminal() -> None:
    async with open_test_server() as server:
        process = await trio.run_process(
            [sys.executable, "-m", "wukong_trio", "bench", "send", "--url", server.endpoints.ws, *SECONDS],
            capture_stdout=True,
            env={**os.environ, "COLUMNS": "80"},
        )
    lines = process.stdout.decode().splitlines()
    (header,) = (line for line in lines if "count" in line)
    assert " ".join(header.split()) == "count per s p50 ms p90 ms p99 ms p99.9 ms max ms"
    assert "…" not in process.stdout.decode()


async def test_the_server_is_named_as_far_as_it_is_known(tmp_path: Path) -> None:
    result = tmp_path / "result.json"
    async with open_test_server(data_dir=tmp_path) as server:
        options = ("--url", server.endpoints.ws, "--pid", str(os.getpid()), "--json", str(result))
        code, output, errors = await bench("ping", *options, *SECONDS)
    assert code == 0, output + errors
    identity = json.loads(result.read_text())["identity"]
    assert identity["protocol"] == 5
    assert identity["version"] == "unknown"
    assert "wukong.db" in identity["durability"]
    assert "version unknown, protocol 5" in " ".join(output.split())


async def test_what_a_run_leaves_behind_begins_with_its_prefix_and_can_be_removed(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "benchmarking.md").read_text()
    statements = [line.strip() for line in page.splitlines() if line.startswith("    DELETE FROM ")]
    async with open_test_server(data_dir=tmp_path) as server:
        for scenario in ("group", "send"):
            options = (*where(server, scenario), "--messages", "10", *SECONDS)
            code, output, errors = await bench(scenario, *options)
            assert code == 0, output + errors
            assert "every id begins with bench-" in " ".join(output.split())
            await server.send(SendCommand(from_uid="ann", channel_id="bob", channel_type=1, payload=b"{}"))
    database = sqlite3.connect(tmp_path / "wukong.db")
    channels = {name for (name,) in database.execute("SELECT channel_id FROM channel")}
    assert {name.startswith("bench-") for name in channels} == {True, False}
    prefix = next(name for name in channels if name.startswith("bench-"))[: len("bench-1a2b3c4d-")]
    prefixes = {name[: len(prefix)] for name in channels if name.startswith("bench-")}
    assert len(prefixes) == 2
    with database:
        for statement in statements:
            database.execute(statement.replace("bench-1a2b3c4d-*", "bench-*"))
    tables = ("channel", "member", "message", "message_index")
    left = [database.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables]
    assert left[0] == len(channels) - sum(1 for name in channels if name.startswith("bench-"))
    assert left[1:3] == [0, 2]
    database.close()
    async with open_test_server(data_dir=tmp_path) as server:
        again = await server.send(SendCommand(from_uid="ann", channel_id="bob", channel_type=1, payload=b"{}"))
        assert again.message_seq == 3


async def test_the_servers_process_is_watched(tmp_path: Path) -> None:
    result = tmp_path / "result.json"
    async with open_test_server() as server:
        options = ("--connections", "20", "--pid", str(os.getpid()), "--json", str(result))
        code, output, errors = await bench("idle", "--url", server.endpoints.ws, *SECONDS, *options)
    assert code == 0, output + errors
    use = json.loads(result.read_text())["server"]
    assert use["pid"] == os.getpid()
    assert use["rss_open_bytes"] > 1_000_000
    assert use["samples"]


async def test_refused_messages_fail_the_run() -> None:
    async with open_test_server(before_send=_refuse) as server:
        code, output, _ = await bench("send", "--url", server.endpoints.ws, "--messages", "4", *SECONDS)
    assert code == 1
    assert output.split()[0] == "FAILED"
    assert "4 requests were refused" in output


async def _refuse(command: SendCommand) -> ReasonCode:
    return ReasonCode.NOT_ALLOW_SEND


async def test_a_report_is_one_page_without_the_network(tmp_path: Path) -> None:
    async with open_test_server() as server:
        code, output, errors = await bench(
            *("send", "--url", server.endpoints.ws, *SECONDS, "--token", "secret", "--report", str(tmp_path / "new"))
        )
    assert code == 0, output + errors
    page = (tmp_path / "new" / "index.html").read_text()
    assert "all in order" in page
    assert "Distribution of latency" in page
    assert "<script src" not in page
    assert "--token &#x27;***&#x27;" in page
    assert "secret" not in page.partition("<script>")[0]
    plots = json.loads(page.partition("const plots = ")[2].partition(";\n")[0])
    assert len(plots) >= 4
    # Without --pid there may be one line only: the legend says whose time it is.
    (cpu,) = (plot for plot in plots if plot["layout"]["title"]["text"] == "CPU")
    assert cpu["layout"]["showlegend"]
    assert "|| plot.layout.showlegend" in page
    for plot in plots:
        lines = plot["data"]
        for looks in (
            {line["line"]["color"] for line in lines},
            {line["line"]["dash"] for line in lines},
            {line["marker"]["symbol"] for line in lines},
        ):
            assert len(looks) == len(lines), f"curves of {plot['layout']['title']} look alike"
    assert "every id begins with bench-" in page
    assert "version unknown, protocol 5" in page
    assert "@media (max-width: 560px)" in page


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("send", "--url", "ws://192.0.2.1:5200"), "--allow-remote"),
        (("http", "--route", "http://192.0.2.1:5001"), "--allow-remote"),
        (("send", "--connections", "3"), "must be even"),
        (("send", "--seconds", "0"), "--seconds"),
        (("group", "--online", "1"), "--online"),
        (("mixed", "--connections", "20"), "--slow"),
        (("idle", "--ping-seconds", "300"), "--ping-seconds"),
        (("ping", "--json", "/nowhere/result.json"), "/nowhere"),
        (("http", "--path", "route"), "--path"),
        (("http", "--bodies", os.devnull), "--bodies"),
        (("send", "--no-encryption"), "--protocol wkproto"),
        (("group", "--protocol", "wkproto", "--no-recvack", "--url", "tcp://127.0.0.1:1"), "--no-recvack"),
        (("send", "--url", "tls://127.0.0.1:1"), "--protocol wkproto"),
    ],
)
def test_unusable_options_are_one_line_and_exit_code_2(options: tuple[str, ...], words: str) -> None:
    result = CliRunner().invoke(commands, ["bench", *options])
    assert result.exit_code == 2
    assert words in result.output
    assert len(result.output.splitlines()) == 1


async def test_without_a_server_it_fails_with_one_line() -> None:
    code, _, errors = await bench("send", "--url", "ws://127.0.0.1:1")
    assert code == 1
    assert "could not be opened" in errors
    assert len(errors.splitlines()) == 1


def test_the_command_line_leaves_the_heavy_libraries_alone() -> None:
    code = (
        "import sys, wukong_trio.cli; print(*{'rich', 'plotly', 'http.client', 'wukong_trio.bench'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == []


@pytest.mark.parametrize(
    ("missing", "options"),
    [("rich", ["send"]), ("plotly", ["send", "--report", "unused"])],
)
def test_a_missing_library_is_one_line_and_help_works_without(missing: str, options: list[str], tmp_path: Path) -> None:
    code = f"import sys; sys.modules[{missing!r}] = None; from wukong_trio.cli import main; main()"

    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-c", code, "bench", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)

    done = run(*options)
    assert done.returncode == 2
    assert f"pip install {missing}" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())
    assert "Messages between pairs" in run("--help").stdout


async def test_an_unknown_process_is_named() -> None:
    code, _, errors = await bench("send", "--pid", "999999999")
    assert code == 2
    assert "--pid 999999999" in errors


async def test_an_interrupt_shows_what_was_measured(tmp_path: Path) -> None:
    result = tmp_path / "result.json"
    enough = trio.Event()
    accepted = 0

    async def count(event: Event) -> None:
        nonlocal accepted
        accepted += isinstance(event, MessageAccepted)
        if accepted == 100:
            enough.set()

    async with open_test_server(on_event=count) as server, trio.open_nursery() as nursery:
        options = ["send", "--url", server.endpoints.ws, "--seconds", "3600", "--connections", "4"]
        command = [sys.executable, "-m", "wukong_trio", "bench", *options, "--json", str(result)]
        with trio.fail_after(30):
            process = await nursery.start(
                partial(trio.run_process, command, check=False, stdout=DEVNULL, stderr=DEVNULL)
            )
            await enough.wait()
            process.send_signal(signal.SIGINT)
            assert await process.wait() == 0
    outcome = json.loads(result.read_text())
    assert outcome["interrupted"]
    assert outcome["passed"]
    assert outcome["answered"] == outcome["sent"] >= 100
