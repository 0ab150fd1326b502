import errno
import io
import json
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from wukong_trio.lines import QUEUE_BYTES
from wukong_trio.log import REPEATS, REPEATS_INTERVAL_S, configure_logging

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
def test_an_exception_cannot_forge_lines(stream: io.BytesIO, format: str) -> None:
    configure_logging("json" if format == "json" else "console", "info", stream)
    forged = "2026-01-01T00:00:00Z [info] forged"
    try:
        raise ValueError(f"x\n{forged}\r{forged}\x1b[2J\x9b\x7f\u2028{forged}")
    except ValueError as error:
        log.exception("hook raised", extra={"values": [error, b"\x1b", "\x7f"], "error": error})
    text = written(stream)
    assert "hook raised" in text
    assert "ValueError" in text
    assert not set(text) & set("\r\x1b\x9b\x7f\u2028")
    for line in text.splitlines()[1:]:
        assert line.startswith("    "), "what does not begin a record is indented"


@pytest.mark.parametrize("format", ["console", "json"])
def test_values_that_cannot_be_shown_are_a_line_too(stream: io.BytesIO, format: str) -> None:
    class Broken:
        def __repr__(self) -> str:
            raise ZeroDivisionError

    configure_logging("json" if format == "json" else "console", "info", stream)
    log.info("%s", Broken())
    log.info("%d", "no number")
    log.info("value", extra={"value": Broken()})
    log.info("\ud800", extra={"uid": "\udcff"})
    lines = written(stream).splitlines()
    assert len(lines) == 4
    for line in lines[:3]:
        assert "test_log.py" in line


def repeat(count: int) -> None:
    for number in range(count):
        log.info("number %d", number, extra={"uid": number})


def test_repetitions_are_counted_beyond_a_hundred(stream: io.BytesIO, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("wukong_trio.log.time.monotonic", lambda: now)
    configure_logging("json", "info", stream)
    repeat(REPEATS)
    now = REPEATS_INTERVAL_S
    repeat(REPEATS + 1)
    log.info("another line")
    now = 2 * REPEATS_INTERVAL_S
    log.info("another line")
    events = [json.loads(line) for line in written(stream).splitlines()]
    numbers = [event["uid"] for event in events if "uid" in event]
    assert numbers == [*range(REPEATS), *range(REPEATS)]
    rest = [(event["event"], event.get("repetitions")) for event in events if "uid" not in event]
    assert rest == [("another line", None), ("1 more lines like this: number %d", 1), ("another line", None)]


def test_repetitions_are_told_when_nothing_else_is_logged(stream: io.BytesIO) -> None:
    configure_logging("console", "info", stream)
    repeat(REPEATS + 7)
    assert "7 more lines like this: number %d" in written(stream), "the end of the process does not lose the count"


class Clogged:
    """A file that takes nothing until it is told to."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.text = b""

    def write(self, data: memoryview) -> int:
        self.open.wait(20)
        self.text += data
        return len(data)


def test_what_does_not_fit_is_counted_and_said_later(stream: io.BytesIO) -> None:
    del stream  # puts the configuration back
    clogged = Clogged()
    configure_logging("console", "debug", clogged)
    for logger in (logging.getLogger(f"test.{number}") for number in range(QUEUE_BYTES // 20_000 + 20)):
        logger.info("x" * 20_000)
    clogged.open.set()
    for handler in logging.getLogger().handlers:
        handler.flush()
    log.info("free again")
    logging.getLogger().handlers[0].flush()
    lines = clogged.text.decode().splitlines()
    kept = sum("xxx" in line for line in lines)
    assert len(clogged.text) < QUEUE_BYTES + 2000
    lost = QUEUE_BYTES // 20_000 + 20 - kept
    assert lost > 10
    assert sum(f"{lost} log lines could not be written" in line for line in lines) == 1
    assert "free again" in lines[-1]


def test_a_flush_is_bounded(stream: io.BytesIO, monkeypatch: pytest.MonkeyPatch) -> None:
    del stream
    monkeypatch.setattr("wukong_trio.log.EXIT_S", 0.05)
    clogged = Clogged()
    configure_logging("console", "debug", clogged)
    log.info("stuck")
    logging.getLogger().handlers[0].flush()
    assert clogged.text == b""
    clogged.open.set()


def test_all_flushes_together_wait_no_longer_than_one(stream: io.BytesIO, monkeypatch: pytest.MonkeyPatch) -> None:
    del stream
    monkeypatch.setattr("wukong_trio.log.EXIT_S", 0.2)
    clogged = Clogged()
    handler = configure_logging("console", "debug", clogged)
    log.info("stuck")
    took_s = []
    for _ in range(5):
        begin = time.monotonic()
        handler.flush()
        took_s.append(time.monotonic() - begin)
    assert sum(took_s[1:]) < took_s[0]
    clogged.open.set()


class Full:
    """A disk that is full for a while; it takes half of the line at which it fills up."""

    def __init__(self) -> None:
        self.full = True
        self.text = b""

    def write(self, data: memoryview) -> int:
        if self.full and self.text:
            raise OSError(errno.ENOSPC, "No space left on device")
        taken = 10 if self.full else len(data)
        self.text += data[:taken]
        return taken


def test_a_full_disk_is_counted_and_said_later(stream: io.BytesIO) -> None:
    del stream
    disk = Full()
    handler = configure_logging("json", "info", disk)
    for number in range(3):
        log.info("lost", extra={"number": number})
    handler.flush()
    handler.flush()
    disk.full = False
    handler.flush()
    log.info("there is room")
    handler.flush()
    torn, *lines = disk.text.decode().splitlines()
    assert len(torn) == 10
    assert [json.loads(line)["event"] for line in lines] == ["3 log lines could not be written", "there is room"]


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
