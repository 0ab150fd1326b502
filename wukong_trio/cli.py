"""The command line: `wukong-trio serve`, `wukong-trio config`, `wukong-trio bench`.

Exit codes: 0 after a clean stop, 1 after a failure, 2 for settings or a database that cannot be used, 128 + n if a
second signal n cut the stop short. Only what parses the command line is imported here; commands import the rest.
"""

import gc
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import __version__
from .errors import ConfigError, StoreOpenError, WukongError
from .settings import DEFAULT_FILE, KEYS, Settings, load, to_mapping

if TYPE_CHECKING:
    import trio

    from .server import Server

SWITCH_INTERVAL_S = 0.0005
GC_THRESHOLDS = (10_000, 5, 100)
STOP_MARGIN_S = 10.0
"""What a stopping server may take beyond its drain timeout before it is cancelled."""


def main() -> None:
    """The entry point of the console script."""
    try:
        code = commands(prog_name="wukong-trio", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
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
    config_file, settings, warnings = _load(config_file, options)

    import logging

    import trio

    from .groups import single_error
    from .log import configure_logging

    configure_logging(settings.log_format, settings.log_level)
    log = logging.getLogger(__name__)
    log.info("starting", extra={"version": __version__, "config": str(config_file) if config_file else None})
    for warning in warnings:
        log.warning(warning)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop_at_once)
    # SQLite's writer thread has to get the interpreter back quickly from a busy event loop.
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    # What was imported stays, and what clients leave behind is hardly ever cyclic: the collector need not come often.
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    try:
        with single_error():
            stopped = trio.run(_serve_until_signalled, settings)
    except (ConfigError, StoreOpenError) as error:
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
    _, settings, warnings = _load(config_file, options)
    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)

    import yaml

    click.echo(yaml.safe_dump(to_mapping(settings), sort_keys=False, allow_unicode=True), nl=False)


class _Unusable(click.ClickException):
    """A configuration or database that cannot be used: one line, exit code 2."""

    exit_code = 2

    def __init__(self, problem: WukongError) -> None:
        super().__init__(" ".join(str(problem).split()))


def _load(config_file: Path | None, options: dict[str, str | None]) -> tuple[Path | None, Settings, list[str]]:
    if config_file is None and Path(DEFAULT_FILE).is_file():
        config_file = Path(DEFAULT_FILE)
    given = {"--" + name.replace("_", "-"): text for name, text in options.items() if text is not None}
    try:
        settings, warnings = load(config_file, os.environ, given)
    except ConfigError as error:
        raise _Unusable(error) from None
    return config_file, settings, warnings


async def _serve_until_signalled(settings: Settings) -> bool:
    """Serves until SIGINT or SIGTERM, or until the server fails. Returns whether it stopped in time.

    Raises:
        ExceptionGroup: with whatever `wukong_trio.server.serve` raised.
    """
    import trio

    from .server import serve

    stopped = False
    async with trio.open_nursery() as supervisor:
        async with trio.open_nursery() as nursery:
            server: Server = await nursery.start(partial(serve, settings))
            await supervisor.start(_stop_on_signal, server, settings.drain_timeout_s, supervisor.cancel_scope)
            _announce(server, settings)
        stopped = True
        supervisor.cancel_scope.cancel()
    return stopped


async def _stop_on_signal(
    server: "Server", drain_timeout_s: float, scope: "trio.CancelScope", *, task_status: "trio.TaskStatus[None]"
) -> None:
    """Asks the server to stop at the first signal; the next one meets `_stop_at_once` again."""
    import logging

    import trio

    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        task_status.started()
        number = await anext(signals)
    logging.getLogger(__name__).info("stopping", extra={"signal": signal.Signals(number).name})
    server.shutdown()
    scope.deadline = trio.current_time() + drain_timeout_s + STOP_MARGIN_S


def _stop_at_once(number: int, frame: object) -> None:
    os._exit(128 + number)


def _announce(server: "Server", settings: Settings) -> None:
    endpoints = server.endpoints
    data = settings.data_dir.absolute() if settings.data_dir else ""
    places = {"http": endpoints.http, "ws": endpoints.ws, "wss": endpoints.wss, "data": data}
    for name, place in places.items():
        if place:
            click.echo(f"{name:<5} {place}")
