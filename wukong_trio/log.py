"""Logging of the standalone process. A program that embeds a server configures logging itself and never comes here.

How the package logs: with the standard library, so that a host decides what becomes of it.

    log = logging.getLogger(__name__)
    log.info("session closed", extra={"uid": uid, "close_code": code})

The message is a constant sentence without values; the values go into `extra` under the names of the domain (`uid`,
`channel_id`, `channel_type`, `device_flag`, `message_id`, `client_msg_no`, `close_code`, `peer`, `error`). Values a
reader cannot do without even where nobody shows `extra` may be in the message, as `%s` arguments. Unexpected exceptions
are logged once, where they stop, with `log.exception`. What happens for every message is logged as debug or not at all.
Payloads and tokens are never logged; values under the names in `SECRET_NAMES` are masked as a second line of defence.

Logging never waits: a thread writes the lines (`lines.py`). A line of code may log 100 times in ten seconds; what is
beyond that is only counted, and the count is logged when the ten seconds are over.
"""

import json
import logging
import time
import traceback
from collections.abc import Iterator, MutableMapping
from io import FileIO
from typing import Any, Final, Literal, NamedTuple, TextIO

import structlog

from .lines import LineWriter, Sink

SECRET_NAMES: Final = frozenset({"token", "manager_token", "password", "secret", "authorization"})
REPEATS: Final = 100
REPEATS_INTERVAL_S: Final = 10.0
EXIT_S: Final = 1.0
"""How long the end of the process may wait for lines to be written, in all."""

EventDict = MutableMapping[str, Any]


def configure_logging(
    format: Literal["console", "json"],
    level: Literal["debug", "info", "warning", "error"],
    sink: Sink | None = None,
    *,
    colors: bool = False,
) -> "LineHandler":
    """Sends every log record of the process, those of libraries included, to one place as one line each.

    JSON lines have the keys `timestamp` (ISO 8601, UTC), `level`, `logger`, `event`, `exception` where there is one,
    and whatever came in `extra`. Calling it again replaces the earlier configuration.

    Args:
        sink: an unbuffered file; standard error if None, with colours if that is a terminal.

    Returns:
        The handler. Its `flush` waits until everything is written, for EXIT_S at most in all calls together.
    """
    if sink is None:
        sink = standard_error = FileIO(2, "w", closefd=False)
        colors = standard_error.isatty()
    root = logging.getLogger()
    for former in root.handlers:
        if isinstance(former, LineHandler):
            former.close()
    handler = LineHandler(sink, _formatter(_json() if format == "json" else _console(colors=colors)))
    root.handlers = [handler]
    root.setLevel(level.upper())
    # Hypercorn announces its listeners at info; the command line has said that already.
    logging.getLogger("hypercorn").setLevel("DEBUG" if level == "debug" else max(logging.WARNING, root.level))
    return handler


class _Place(NamedTuple):
    """A line of code that logs."""

    logger: str
    level: int
    path: str
    line: int


class LineHandler(logging.Handler):
    """Turns records into lines for a `LineWriter`, and says what it left out."""

    def __init__(self, sink: Sink, formatter: logging.Formatter) -> None:
        super().__init__()
        self.formatter = formatter
        self._repeats = _Repeats()
        self._writer = LineWriter(sink, self._tick)
        self._patience_s = EXIT_S

    def emit(self, record: logging.LogRecord) -> None:
        now = time.monotonic()
        self._say_what_is_missing(now)
        if self._repeats.lets_through(record, now):
            self._write(record)

    def flush(self) -> None:
        """Waits until everything is written, for EXIT_S at most in all calls together: `logging` calls it when the
        process ends, and a second signal once more."""
        if not self._drain():
            return
        self.acquire()
        try:
            self._say_what_is_missing(float("inf"))
        finally:
            self.release()
        self._drain()

    def end_with(self, text: str) -> None:
        """Writes a last line that is no record, for people rather than for programs."""
        self.flush()
        self._writer.write(_escape(" ".join(text.split())))

    def _drain(self) -> bool:
        begin = time.monotonic()
        try:
            return self._writer.drain(self._patience_s)
        finally:
            self._patience_s = max(0.0, self._patience_s - (time.monotonic() - begin))

    def close(self) -> None:
        self._writer.close()
        super().close()

    def _tick(self) -> None:
        # Never waits for the lock: who holds it may be in `flush` and wait for this thread.
        if self.lock is not None and self.lock.acquire(blocking=False):
            try:
                self._say_what_is_missing(time.monotonic())
            finally:
                self.lock.release()

    def _say_what_is_missing(self, now: float) -> None:
        for notice in self._repeats.notices(now):
            self._write(notice, stands_for=notice.__dict__["repetitions"])
        if self._writer.relieved and (lost := self._writer.take_lost()):
            notice = _record(__name__, logging.WARNING, "%d log lines could not be written", lost)
            self._write(notice, stands_for=lost)

    def _write(self, record: logging.LogRecord, *, stands_for: int = 1) -> None:
        if self._writer.full:
            self._writer.refuse(stands_for)
            return
        try:
            line = self.format(record)
        except Exception as error:  # the standard library would print it, and might wait for that
            line = self.format(_unwritable(record, error))
        self._writer.write(line, stands_for=stands_for)


class _Repeats:
    """Counts what each line of code logs within an interval."""

    def __init__(self) -> None:
        self._counts: dict[_Place, int] = {}
        self._held_back: dict[_Place, object] = {}
        """What these lines say, without their values."""
        self._end = 0.0

    def lets_through(self, record: logging.LogRecord, now: float) -> bool:
        """Counts it. False if it is a repetition too many."""
        if not self._counts:
            self._end = now + REPEATS_INTERVAL_S
        place = _Place(record.name, record.levelno, record.pathname, record.lineno)
        count = self._counts[place] = self._counts.get(place, 0) + 1
        if count <= REPEATS:
            return True
        self._held_back[place] = record.msg
        return False

    def notices(self, now: float) -> Iterator[logging.LogRecord]:
        """Once after an interval, how much was not let through in it."""
        if not self._counts or now < self._end:
            return
        counts, held_back = self._counts, self._held_back
        self._counts, self._held_back = {}, {}
        for place, text in held_back.items():
            repetitions = counts[place] - REPEATS
            notice = _record(place.logger, place.level, "%d more lines like this: %s", repetitions, text)
            notice.__dict__["repetitions"] = repetitions
            yield notice


def _record(logger: str, level: int, text: str, *values: object) -> logging.LogRecord:
    return logging.LogRecord(logger, level, __file__, 0, text, values, None)


def _unwritable(record: logging.LogRecord, error: Exception) -> logging.LogRecord:
    place = f"{record.pathname}:{record.lineno}"
    return _record(
        record.name, logging.ERROR, "a log line of %s has values that cannot be shown: %s", place, type(error)
    )


def _formatter(rendering: list[structlog.typing.Processor]) -> logging.Formatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.ExtraAdder(),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
        ],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _mask_secrets, *rendering],
    )


def _console(*, colors: bool) -> list[structlog.typing.Processor]:
    return [_escape_values, structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=_write_traceback)]


def _json() -> list[structlog.typing.Processor]:
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(_to_json)]


def _to_json(event: EventDict, **_: object) -> str:
    # Everything beyond ASCII is escaped, and so are control characters, but for DEL.
    return json.dumps(event, default=str).replace("\x7f", "\\u007f")


def _mask_secrets(logger: object, method: str, event: EventDict) -> EventDict:
    for name in event.keys() & SECRET_NAMES:
        event[name] = "******"
    return event


def _escape_values(logger: object, method: str, event: EventDict) -> EventDict:
    """A client's text must not forge lines or move the cursor of the operator's terminal."""
    for name, value in event.items():
        if name != "exc_info":
            event[name] = _escape(value if isinstance(value, str) else repr(value))
    return event


def _write_traceback(sio: TextIO, exc_info: structlog.typing.ExcInfo) -> None:
    """Indented: what an exception says may have lines of its own, which must not look like ours."""
    for line in "".join(traceback.format_exception(*exc_info)).rstrip("\n").split("\n"):
        sio.write(f"\n    {_escape(line)}")


def _escape(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
