"""Logging of the standalone process. A program that embeds a server configures logging itself and never comes here.

How the package logs: with the standard library, so that a host decides what becomes of it.

    log = logging.getLogger(__name__)
    log.info("session closed", extra={"uid": uid, "close_code": code})

The message is a constant sentence without values; the values go into `extra` under the names of the domain (`uid`,
`channel_id`, `channel_type`, `device_flag`, `message_id`, `client_msg_no`, `close_code`, `peer`, `error`). Values a
reader cannot do without even where nobody shows `extra` may be in the message, as `%s` arguments. Unexpected exceptions
are logged once, where they stop, with `log.exception`. What happens for every message is logged as debug or not at all.
Payloads and tokens are never logged; values under the names in `SECRET_NAMES` are masked as a second line of defence.
"""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Final, Literal, TextIO

import structlog

SECRET_NAMES: Final = frozenset({"token", "manager_token", "password", "secret", "authorization"})

EventDict = MutableMapping[str, Any]


def configure_logging(
    format: Literal["console", "json"],
    level: Literal["debug", "info", "warning", "error"],
    stream: TextIO | None = None,
) -> None:
    """Sends every log record of the process, those of libraries included, to one stream as one line each.

    JSON lines have the keys `timestamp` (ISO 8601, UTC), `level`, `logger`, `event`, `exception` where there is one,
    and whatever came in `extra`. Calling it again replaces the earlier configuration.

    Args:
        stream: standard error if None.
    """
    stream = stream or sys.stderr
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                structlog.stdlib.add_log_level,
                structlog.stdlib.add_logger_name,
                structlog.stdlib.ExtraAdder(),
                structlog.processors.TimeStamper(fmt="iso", utc=True),
            ],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _mask_secrets,
                *(_json() if format == "json" else _console(colors=stream.isatty())),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    # Hypercorn announces its listeners at info; the command line has said that already.
    logging.getLogger("hypercorn").setLevel("DEBUG" if level == "debug" else max(logging.WARNING, root.level))


def _console(*, colors: bool) -> list[structlog.typing.Processor]:
    plain = structlog.dev.plain_traceback
    return [_escape_controls, structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=plain)]


def _json() -> list[structlog.typing.Processor]:
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=str)]


def _mask_secrets(logger: object, method: str, event: EventDict) -> EventDict:
    for name in event.keys() & SECRET_NAMES:
        event[name] = "******"
    return event


def _escape_controls(logger: object, method: str, event: EventDict) -> EventDict:
    """A client's text must not forge lines or move the cursor of the operator's terminal."""
    for name, value in event.items():
        if isinstance(value, str) and not value.isprintable():
            event[name] = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in value)
    return event
