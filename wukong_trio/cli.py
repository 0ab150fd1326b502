"""The command line: `wukong-trio serve`, `config`, `backup`, `restore`, `bench`.

Exit codes: 0 after a clean stop, 1 after a failure, 2 for settings or a database that cannot be used, 128 + n if a
second signal n cut the stop short. Only what parses the command line is imported here; commands import the rest.
"""

import errno
import gc
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import __version__
from .errors import ConfigError, StoreError, StoreOpenError, WukongError
from .settings import DEFAULT_FILE, KEYS, Loaded, Settings, differences, load, to_mapping

if TYPE_CHECKING:
    import trio

    from .server import Server
    from .store.backup import Copy

SWITCH_INTERVAL_S = 0.0005
GC_THRESHOLDS = (10_000, 5, 100)
STOP_MARGIN_S = 10.0
"""What a stopping server may take beyond its drain timeout before it is cancelled."""


def main() -> None:
    """The entry point of the console script."""
    try:
        code = commands(prog_name="wukong-trio", standalone_mode=False)
    except click.ClickException as error:
        with suppress(OSError):
            error.show()
        sys.exit(error.exit_code)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        # What is left of the output must not be tried once more at the exit. (click does the same for broken pipes.)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(f"Error: the output cannot be written: {error.strerror}")
    except (click.Abort, KeyboardInterrupt):
        sys.exit(128 + signal.SIGINT)
    sys.exit(code)


class _Commands(click.Group):
    """With `bench`, which is imported when somebody asks for it: a server needs none of it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), "bench"])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name != "bench":
            return super().get_command(ctx, cmd_name)
        from .bench.commands import bench

        return bench


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(__version__, message="%(prog)s %(version)s")
def commands() -> None:
    """An instant-messaging server that speaks WuKongIM's protocols."""


def setting_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds `--config` and every option of the table of settings; the command gets them as keyword arguments."""
    for key in reversed(KEYS):
        if key.option:
            command = click.option(key.option, metavar=key.kind.metavar, help=key.help)(command)
    return _config_option(command)


def _config_option(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--config",
        "config_file",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help=f"Settings in YAML (default: {DEFAULT_FILE} in the current directory, if there is one).",
    )(command)


@commands.command()
@setting_options
def serve(config_file: Path | None, **options: str | None) -> int:
    """Run the server until it is interrupted."""
    _hold_standard_descriptors()
    config_file, read_settings = _reader(config_file, options)
    settings, warnings = _usable(read_settings)

    import logging

    import trio

    from .groups import single_error
    from .log import configure_logging
    from .net import raise_descriptor_limit

    handler = configure_logging(settings.log_format, settings.log_level)
    log = logging.getLogger(__name__)
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
    # SQLite's writer thread has to get the interpreter back quickly from a busy event loop.
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    # What was imported stays, and what clients leave behind is hardly ever cyclic: the collector need not come often.
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    try:
        with single_error():
            stopped = trio.run(_serve_until_signalled, settings, read_settings)
    except (ConfigError, StoreOpenError) as error:
        handler.flush()  # the error is the last line
        raise _Unusable(error) from None
    except Exception:
        log.exception("the server failed")
        return 1
    if not stopped:
        log.error("the server did not stop in time and was cancelled")
    return 0 if stopped else 1


@commands.command()
@setting_options
def config(config_file: Path | None, **options: str | None) -> None:
    """Print the settings in effect, as a file for --config; secrets are masked."""
    _, read_settings = _reader(config_file, options)
    settings, warnings = _usable(read_settings)
    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)

    import yaml

    click.echo(yaml.safe_dump(to_mapping(settings), sort_keys=False, allow_unicode=True), nl=False)


def _place_options(command: Callable[..., Any]) -> Callable[..., Any]:
    command = click.option("--overwrite", is_flag=True, help="Replace what is there.")(command)
    command = click.option("--data-dir", metavar="DIR", help="The server's data directory (default: as configured).")(
        command
    )
    return _config_option(command)


@commands.command()
@click.argument("target", type=click.Path(path_type=Path))
@_place_options
def backup(target: Path, config_file: Path | None, data_dir: str | None, overwrite: bool) -> None:
    """Copy the database to the file TARGET while the server runs, and check the copy.

    Everything acknowledged before the command began is in it.
    """
    from .store.backup import back_up

    _copy(partial(back_up, _data_dir(config_file, data_dir), target, overwrite=overwrite), target)


@commands.command()
@click.argument("backup", type=click.Path(path_type=Path))
@_place_options
def restore(backup: Path, config_file: Path | None, data_dir: str | None, overwrite: bool) -> None:
    """Make the file BACKUP the database of a server that does not run."""
    from .store.backup import restore as put_back

    directory = _data_dir(config_file, data_dir)
    _copy(partial(put_back, backup, directory, overwrite=overwrite), directory)


def _data_dir(config_file: Path | None, data_dir: str | None) -> Path:
    _, read_settings = _reader(config_file, {"data_dir": data_dir})
    settings, _ = _usable(read_settings)
    assert settings.data_dir is not None
    return settings.data_dir


def _copy(work: Callable[[], "Copy"], place: Path) -> None:
    try:
        copy = work()
    except StoreError as error:
        raise _Unusable(error) from None
    click.echo(f"{place}: {copy.messages:,} messages, {copy.size_bytes / 1e6:,.1f} MB")


class _Unusable(click.ClickException):
    """A configuration or database that cannot be used: one line, exit code 2."""

    exit_code = 2

    def __init__(self, problem: WukongError) -> None:
        super().__init__(" ".join(str(problem).split()))


def _reader(config_file: Path | None, options: dict[str, str | None]) -> tuple[Path | None, Callable[[], Loaded]]:
    """The file with the settings, if there is one, and what reads all settings, now and later."""
    if config_file is None and Path(DEFAULT_FILE).is_file():
        config_file = Path(DEFAULT_FILE)
    given = {"--" + name.replace("_", "-"): text for name, text in options.items() if text is not None}
    return config_file, partial(load, config_file, os.environ, given)


def _usable(read_settings: Callable[[], Loaded]) -> Loaded:
    try:
        return read_settings()
    except ConfigError as error:
        raise _Unusable(error) from None


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
    import logging

    import trio

    from .server import serve

    log = logging.getLogger(__name__)
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
    server: "Server",
    reload: Callable[[], None],
    drain_timeout_s: float,
    scope: "trio.CancelScope",
    *,
    task_status: "trio.TaskStatus[None]",
) -> None:
    """Asks the server to stop at the first SIGINT or SIGTERM; the next one meets `_stop_at_once` again."""
    import logging

    import trio

    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
        task_status.started()
        while (number := await anext(signals)) == signal.SIGHUP:
            reload()
    logging.getLogger(__name__).info("stopping", extra={"signal": signal.Signals(number).name})
    server.shutdown()
    scope.deadline = trio.current_time() + drain_timeout_s + STOP_MARGIN_S


def _reload(server: "Server", settings: Settings, read_settings: Callable[[], Loaded]) -> None:
    """Puts new certificates in force, and names the other settings that have changed."""
    import logging

    log = logging.getLogger(__name__)
    if settings.listeners.wss is None:
        log.info("SIGHUP: there is no certificate to read again, because wssAddr is off")
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
    import logging

    logging.shutdown()  # takes a second at most, if nobody reads the log
    os._exit(128 + number)


def _places(server: "Server", settings: Settings) -> dict[str, str]:
    endpoints = server.endpoints
    data = str(settings.data_dir.absolute()) if settings.data_dir else ""
    places = {"http": endpoints.http, "ws": endpoints.ws, "wss": endpoints.wss, "data": data}
    return {name: place for name, place in places.items() if place}


def _announce(places: dict[str, str]) -> None:
    """Prints where the server is. It is in the log as well, so nothing is done about output that nobody takes."""
    from io import FileIO

    from .lines import LineWriter

    output = LineWriter(FileIO(1, "w", closefd=False))
    for name, place in places.items():
        output.write(f"{name:<5} {place}")
    output.close()
