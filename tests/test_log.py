import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator

import pytest

from wukong_trio.log import configure_logging

log = logging.getLogger("wukong_trio.some_module")


@pytest.fixture
def stream() -> Iterator[io.BytesIO]:
    """Where the lines of the test go; the configuration found before is put back."""
    root, hypercorn = logging.getLogger(), logging.getLogger("hypercorn")
    before = root.handlers, root.level, hypercorn.level
    yield io.BytesIO()
    root.handlers = before[0]
    root.setLevel(before[1])
    hypercorn.setLevel(before[2])


def written(stream: io.BytesIO) -> str:
    """What has been logged so far."""
    for handler in logging.getLogger().handlers:
        handler.flush()
    return stream.getvalue().decode()


def test_json_lines_hold_the_event_and_its_values(stream: io.BytesIO) -> None:
    configure_logging("json", "info", stream)
    log.warning("webhook %s failed", "msg.notify", extra={"uid": "u1", "close_code": 4001})
    line = json.loads(written(stream))
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "webhook msg.notify failed",
        "level": "warning",
        "logger": "wukong_trio.some_module",
        "uid": "u1",
        "close_code": 4001,
    }


def test_json_takes_values_that_are_not_json_and_exceptions(stream: io.BytesIO) -> None:
    configure_logging("json", "info", stream)
    try:
        raise ValueError("no good")
    except ValueError:
        log.exception("hook raised", extra={"peer": object})
    lines = written(stream).splitlines()
    assert len(lines) == 1
    line = json.loads(lines[0])
    assert "no good" in line["exception"]
    assert "object" in line["peer"]


def test_console_lines_are_plain_without_a_terminal(stream: io.BytesIO) -> None:
    configure_logging("console", "info", stream)
    log.info("session closed", extra={"uid": "u1"})
    line = written(stream)
    assert "session closed" in line
    assert "uid=u1" in line
    assert "\x1b" not in line


@pytest.mark.parametrize("format", ["console", "json"])
def test_a_client_cannot_forge_lines(stream: io.BytesIO, format: str) -> None:
    configure_logging("json" if format == "json" else "console", "info", stream)
    log.info("from %s", "a\nb\x1b[2J", extra={"uid": "u\r\n\x9b1用户"})
    assert len(written(stream).splitlines()) == 1
    assert "\x1b" not in written(stream)
    assert "\x9b" not in written(stream)


@pytest.mark.parametrize("format", ["console", "json"])
def test_secrets_are_masked(stream: io.BytesIO, format: str) -> None:
    configure_logging("json" if format == "json" else "console", "info", stream)
    log.info("hello", extra={"token": "s3cret", "manager_token": "s3cret", "uid": "u1"})
    assert "s3cret" not in written(stream)
    assert "******" in written(stream)


def test_the_level_has_two_sides(stream: io.BytesIO) -> None:
    configure_logging("console", "warning", stream)
    log.info("below")
    log.warning("at")
    assert "below" not in written(stream)
    assert "at" in written(stream)


def test_hypercorn_logs_the_same_way_but_does_not_announce_itself(stream: io.BytesIO) -> None:
    configure_logging("json", "info", stream)
    logging.getLogger("hypercorn.error").info("Running on http://127.0.0.1:1")
    assert written(stream) == ""
    logging.getLogger("hypercorn.error").error("ASGI Framework Lifespan errored")
    assert json.loads(written(stream))["logger"] == "hypercorn.error"


def test_configuring_twice_does_not_log_twice(stream: io.BytesIO) -> None:
    configure_logging("json", "info", io.BytesIO())
    configure_logging("json", "info", stream)
    log.info("once")
    assert len(written(stream).splitlines()) == 1


def test_an_import_configures_nothing() -> None:
    code = "import logging, wukong_trio, wukong_trio.log; print(logging.getLogger().handlers, logging.root.level)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert answer.stdout.split() == ["[]", str(logging.WARNING)]
