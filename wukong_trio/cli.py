"""The command line: `wukong-trio serve`, `config`, `backup`, `restore`, `bench`.

Exit codes: 0 after a clean stop, 1 after a failure, 2 for settings or a database that cannot be used, 128 + n if a
second signal n cut the stop short. Only what parses the command line is imported here; commands import the rest.
"""

import errno
import os
import signal
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .errors import ConfigError, StoreError, WukongError
from .setting_keys import KEYS
from .settings import DEFAULT_FILE, Loaded, load, to_mapping
from .version import __version__

if TYPE_CHECKING:
    from .store.backup import Copy


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
    config_file, read_settings = _reader(config_file, options)
    loaded = _usable(read_settings)

    from .process import run

    return run(config_file, loaded, read_settings)


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
    except OSError as error:
        raise _Unusable(_denied(error, place)) from None
    click.echo(f"{place}: {copy.messages:,} messages, {copy.size_bytes / 1e6:,.1f} MB")


def _denied(error: OSError, place: Path) -> WukongError:
    """What is the matter with a place that this user cannot even look at."""
    return WukongError(f"{error.filename or place}: {error.strerror}; run this as a user who may read and write there")


class _Unusable(click.ClickException):
    """A configuration or database that cannot be used: one line, exit code 2."""

    exit_code = 2

    def __init__(self, problem: WukongError) -> None:
        super().__init__(" ".join(str(problem).split()))


def _reader(config_file: Path | None, options: dict[str, str | None]) -> tuple[Path | None, Callable[[], Loaded]]:
    """The file with the settings, if there is one, and what reads all settings, now and later."""
    if config_file is None and _is_file(Path(DEFAULT_FILE)):
        config_file = Path(DEFAULT_FILE)
    given = {"--" + name.replace("_", "-"): text for name, text in options.items() if text is not None}
    return config_file, partial(load, config_file, os.environ, given)


def _is_file(path: Path) -> bool:
    # `Path.is_file` says no from Python 3.14 on where this cannot be told, and settings would be left out silently.
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise _Unusable(
            WukongError(f"{path}: {error.strerror}; start in a directory that this user may read, or give --config")
        ) from None


def _usable(read_settings: Callable[[], Loaded]) -> Loaded:
    try:
        return read_settings()
    except ConfigError as error:
        raise _Unusable(error) from None
