"""The command line against a stand-in for `wukong_trio.server`: what is tested is signals, exit codes and output."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest
import yaml
from click.testing import CliRunner, Result

from wukong_trio import __version__
from wukong_trio.cli import commands

STAND_IN = """
import logging, sys, time, types
import trio
from wukong_trio.errors import ConfigError, StoreOpenError
from wukong_trio.listening import Endpoints

class Server:
    def __init__(self, config):
        self.stopping = trio.Event()
        self.shutdown = self.stopping.set
        self.endpoints = Endpoints(http="http://127.0.0.1:1", ws="ws://127.0.0.1:2")

async def serve(config, *, task_status=trio.TASK_STATUS_IGNORED):
    server = Server(config)
    async with trio.open_nursery() as nursery:
        if behaviour == "port in use":
            raise ConfigError("httpAddr = '127.0.0.1:1': this address\\nis in use")
        if behaviour == "unwritable":
            raise StoreOpenError("dataDir = '/': cannot be written")
        task_status.started(server)
        if behaviour == "crash":
            raise ZeroDivisionError
        await server.stopping.wait()
        logging.getLogger("wukong_trio.server").info("draining", extra={"switch": sys.getswitchinterval()})
        if behaviour == "drains forever":
            with trio.CancelScope(shield=True):
                await trio.sleep_forever()
        if behaviour == "hangs":
            await trio.sleep_forever()
        if behaviour == "blocks":
            for _ in range(600):
                time.sleep(0.1)  # a signal just before a longer one would come too late

behaviour = sys.argv.pop(1)
module = types.ModuleType("wukong_trio.server")
module.serve, module.Server = serve, Server
sys.modules["wukong_trio.server"] = module
from wukong_trio import cli, process
process.STOP_MARGIN_S = 0.1
cli.main()
"""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings from the directory or the environment of whoever runs the tests."""
    monkeypatch.chdir(tmp_path)
    for name in [*os.environ]:
        if name.startswith("WK_"):
            monkeypatch.delenv(name)


@contextmanager
def running(behaviour: str, *options: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", STAND_IN, behaviour, "serve", "--data-dir", "data", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def read_until(stream: IO[str] | None, word: str) -> list[str]:
    assert stream
    lines = []
    for line in stream:
        lines.append(line)
        if word in line:
            return lines
    pytest.fail(f"{word!r} did not come: {lines}")


def invoke(*arguments: str, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(commands, arguments, env=env)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_cleanly(number: signal.Signals, tmp_path: Path) -> None:
    with running("well", "--log-format", "json") as server:
        lines = read_until(server.stdout, "data")
        server.send_signal(number)
        rest, logged = server.communicate(timeout=20)
        assert server.returncode == 0
    assert [line.split() for line in lines] == [
        ["http", "http://127.0.0.1:1"],
        ["ws", "ws://127.0.0.1:2"],
        ["data", str(tmp_path / "data")],
    ]
    assert rest == ""
    events = [json.loads(line) for line in logged.splitlines()]
    assert [event["event"] for event in events] == ["starting", "listening", "stopping", "draining", "stopped"]
    assert events[2]["signal"] == number.name
    assert events[3]["switch"] == pytest.approx(0.0005)
    for event in (events[1], events[4]):
        assert (event["http"], event["data"]) == ("http://127.0.0.1:1", str(tmp_path / "data"))


@pytest.mark.parametrize("behaviour", ["drains forever", "blocks"])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_second_signal_stops_at_once(behaviour: str, number: signal.Signals, code: int) -> None:
    with running(behaviour) as server:
        read_until(server.stdout, "data")
        server.send_signal(signal.SIGINT)
        read_until(server.stderr, "draining")
        server.send_signal(number)
        _, logged = server.communicate(timeout=20)
        assert server.returncode == code
    assert "Traceback" not in logged


def test_a_stop_is_bounded(tmp_path: Path) -> None:
    (tmp_path / "wk.yaml").write_text("drainTimeout: 10ms\n")
    with running("hangs") as server:
        read_until(server.stdout, "data")
        server.send_signal(signal.SIGTERM)
        _, logged = server.communicate(timeout=20)
        assert server.returncode == 1
    assert "did not stop in time" in logged
    assert "Traceback" not in logged


@pytest.mark.parametrize(
    ("behaviour", "line"),
    [
        ("port in use", "Error: httpAddr = '127.0.0.1:1': this address is in use"),
        ("unwritable", "Error: dataDir = '/': cannot be written"),
    ],
)
def test_what_cannot_be_used_is_one_line_and_code_2(behaviour: str, line: str) -> None:
    with running(behaviour, "--log-level", "error") as server:
        announced, logged = server.communicate(timeout=20)
        assert server.returncode == 2
    assert logged.splitlines() == [line]
    assert announced == ""


def test_a_crash_is_logged_and_code_1() -> None:
    with running("crash", "--log-format", "json", "--log-level", "error") as server:
        _, logged = server.communicate(timeout=20)
        assert server.returncode == 1
    (line,) = logged.splitlines()
    assert "ZeroDivisionError" in json.loads(line)["exception"]


def test_warnings_are_logged_after_the_start(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("tokenAuthOnn: true\nmode: debug\n")
    with running("port in use", "--log-format", "json", "--config", "mine.yaml") as server:
        _, logged = server.communicate(timeout=20)
    events = [json.loads(line) for line in logged.splitlines()[:-1]]
    assert events[0]["config"] == "mine.yaml"
    assert [event["level"] for event in events] == ["info", "warning", "warning"]
    assert "mode" in events[1]["event"]
    assert "did you mean tokenAuthOn?" in events[2]["event"]


def test_a_wrong_setting_is_one_line_and_code_2() -> None:
    for command in ("serve", "config"):
        result = invoke(command, "--http", "nonsense")
        assert result.exit_code == 2
        assert result.stdout == ""
        (line,) = result.stderr.splitlines()
        assert "httpAddr = 'nonsense' (from --http)" in line


def test_config_prints_what_a_config_file_needs() -> None:
    first = invoke(
        "config", "--ws", "127.0.0.1:0", "--token-auth", "off", "--data-dir", "/d", env={"WK_CLUSTER_NODEID": "7"}
    )
    assert first.exit_code == 0
    assert first.stderr == ""
    tree = yaml.safe_load(first.stdout)
    assert (tree["wsAddr"], tree["tokenAuth"], tree["cluster"]) == ("127.0.0.1:0", "off", {"nodeId": 7})
    Path("again.yaml").write_text(first.stdout)
    assert invoke("config", "--config", "again.yaml").stdout == first.stdout


def test_config_shows_no_secret() -> None:
    result = invoke("config", "--manager-token", "s3cret")
    assert "s3cret" not in result.output
    assert yaml.safe_load(result.stdout)["managerToken"] == "******"


def test_config_tells_warnings_apart_from_settings() -> None:
    result = invoke("config", env={"WK_MODE": "release"})
    assert result.exit_code == 0
    assert result.stderr.startswith("warning: ")
    assert yaml.safe_load(result.stdout)["httpAddr"] == "127.0.0.1:5001"


def test_wk_yaml_in_the_current_directory_is_the_default_file(tmp_path: Path) -> None:
    (tmp_path / "wk.yaml").write_text("cluster: {nodeId: 3}\n")
    assert yaml.safe_load(invoke("config").stdout)["cluster"]["nodeId"] == 3


def test_every_option_of_serve_is_there() -> None:
    for command in ("serve", "config"):
        text = invoke(command, "--help").output
        for option in ("config", "data-dir", "http", "ws", "wss", "cert", "key", "tcp", "token-auth", "manager-token"):
            assert f"--{option} " in text
        assert "--log-format console|json" in text
        assert "--log-level debug|info|warning|error" in text


def test_version_is_quick_and_module_runs() -> None:
    code = (
        "import sys, runpy\nsys.argv = ['wukong-trio', '--version']\n"
        "try: runpy.run_module('wukong_trio', run_name='__main__')\n"
        "except SystemExit as end: print('code', end.code)\n"
        "print('heavy', sorted({'quart', 'hypercorn', 'structlog', 'yaml', 'sqlite3'} & set(sys.modules)))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert answer.stdout.splitlines() == [f"wukong-trio {__version__}", "code 0", "heavy []"]
