"""The server as a process of its own: its signals, its log, its exit code. `cli` comes here with the settings."""

import gc
import logging
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from io import FileIO
from pathlib import Path

import trio
from msgspec.structs import asdict

from .errors import ConfigError, StoreOpenError
from .groups import single_error
from .lines import LineWriter
from .log import configure_logging
from .net import raise_descriptor_limit
from .server import Server, serve
from .settings import Loaded, Settings, differences
from .version import __version__

SWITCH_INTERVAL_S = 0.0005
"""SQLite's writer thread has to get the interpreter back quickly from a busy event loop."""
GC_THRESHOLDS = (10_000, 5, 100)
"""What clients leave behind is hardly ever cyclic: the collector need not come often."""
STOP_MARGIN_S = 10.0
"""What a stopping server may take beyond its drain timeout before it is cancelled."""

log = logging.getLogger(__name__)


def run(config_file: Path | None, loaded: Loaded, read_settings: Callable[[], Loaded]) -> int:
    """Runs a server until it is interrupted or fails. To be called once, by the main thread of a process of its own:
    it takes over signals, logging, the garbage collector and the standard descriptors.

    Args:
        config_file: where the settings came from; for the log.
        read_settings: reads them again, at a SIGHUP.

    Returns:
        The exit code: 0 after a clean stop, 2 if the settings or the database cannot be used, else 1. What is written
        to standard error says why.
    """
    _hold_standard_descriptors()
    settings, warnings = loaded
    handler = configure_logging(settings.log_format, settings.log_level)
    log.info(
        "starting",
        extra={
            "version": __version__,
            "config": str(config_file) if config_file else None,
            "open_files": raise_descriptor_limit(),
        },
    )
    for warning in warnings:
        log.warning("%s", warning)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop_at_once)
    # Before the certificates are read and after the last client is gone there is nothing to read again.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.freeze()  # what was imported stays
    gc.set_threshold(*GC_THRESHOLDS)
    try:
        with single_error():
            stopped = trio.run(_serve_until_signalled, settings, read_settings)
    except (ConfigError, StoreOpenError) as error:
        handler.end_with(f"Error: {error}")
        return 2
    except Exception:
        log.exception("the server failed")
        return 1
    if not stopped:
        log.error("the server did not stop in time and was cancelled")
    return 0 if stopped else 1


def _hold_standard_descriptors() -> None:
    """Opens those that are closed. A database or a client must not get the number to which errors are written."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


async def _serve_until_signalled(settings: Settings, read_settings: Callable[[], Loaded]) -> bool:
    """Serves until SIGINT or SIGTERM, or until the server fails. Returns whether it stopped in time.

    Raises:
        ExceptionGroup: with whatever `wukong_trio.server.serve` raised.
    """
    stopped = False
    async with trio.open_nursery() as supervisor:
        async with trio.open_nursery() as nursery:
            server: Server = await nursery.start(partial(serve, settings))
            reload = partial(_reload, server, settings, read_settings)
            await supervisor.start(_obey_signals, server, reload, settings.drain_timeout_s, supervisor.cancel_scope)
            places = _places(server, settings)
            log.info("listening", extra=places)
            _announce(places)
        log.info("stopped", extra=places)
        stopped = True
        supervisor.cancel_scope.cancel()
    return stopped


async def _obey_signals(
    server: Server,
    reload: Callable[[], None],
    drain_timeout_s: float,
    scope: trio.CancelScope,
    *,
    task_status: trio.TaskStatus[None],
) -> None:
    """Asks the server to stop at the first SIGINT or SIGTERM; the next one meets `_stop_at_once` again."""
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
        task_status.started()
        while (number := await anext(signals)) == signal.SIGHUP:
            reload()
    log.info("stopping", extra={"signal": signal.Signals(number).name})
    server.shutdown()
    scope.deadline = trio.current_time() + drain_timeout_s + STOP_MARGIN_S


def _reload(server: Server, settings: Settings, read_settings: Callable[[], Loaded]) -> None:
    """Puts new certificates in force, and names the other settings that have changed."""
    if not settings.listeners.need_certificate:
        log.info("SIGHUP: there is no certificate to read again, because wssAddr and tlsAddr are off")
    else:
        try:
            server.reload_certificates()
            log.info("SIGHUP: the certificate was read again; new connections get it")
        except ConfigError as error:
            log.error("SIGHUP: the certificate in use stays: %s", error)
    try:
        changed = differences(settings, read_settings().settings)
    except ConfigError as error:
        log.error("SIGHUP: the settings cannot be read again: %s", error)
        return
    if changed:
        log.warning("SIGHUP: settings that have changed and need a restart: %s", ", ".join(changed))


def _stop_at_once(number: int, frame: object) -> None:
    logging.shutdown()  # takes a second at most, if nobody reads the log
    os._exit(128 + number)


def _places(server: Server, settings: Settings) -> dict[str, str]:
    data = str(settings.data_dir.absolute()) if settings.data_dir else ""
    places = {**asdict(server.endpoints), "data": data}
    return {name: place for name, place in places.items() if place}


def _announce(places: dict[str, str]) -> None:
    """Prints where the server is. It is in the log as well, so nothing is done about output that nobody takes."""
    output = LineWriter(FileIO(1, "w", closefd=False))
    for name, place in places.items():
        output.write(f"{name:<5} {place}")
    output.close()
