"""The command line of `wukong-trio bench`. Imports little; what carries out a run is imported when there is one.

Exit codes: 0 if everything was as it should be, 1 if something was lost, doubled, out of order or broke, or if the run
could not be carried out, 2 for unusable options, 3 if nothing went wrong, but what the scenario is about did not
happen.
"""

import shlex
import signal
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import WukongError
from .plan import SCHEMES, Crowd, Plan, PlanError, Protocol, Scenario, Target, random_prefix, read_target

if TYPE_CHECKING:
    import trio

    from .coordinator import Run
    from .identity import Identity
    from .outcome import Outcome

DEFAULT_URLS: dict[Protocol, str] = {"jsonrpc": "ws://127.0.0.1:5200", "wkproto": "tcp://127.0.0.1:5100"}
DEFAULT_API = "http://127.0.0.1:5001"
_SECRETS = ("--token", "--manager-token")
_Command = Callable[..., Any]


class _Unusable(click.ClickException):
    """Options that cannot work: one line, exit code 2."""

    exit_code = 2


@click.group()
def bench() -> None:
    """Put load on a server and check that it loses nothing.

    Without --rate a run is a closed loop: whoever has an answer asks again at once, which shows the highest throughput.
    With --rate it is an open loop: requests are due at fixed times, and their latency counts from then.
    """


def _options(*options: _Command) -> _Command:
    def add(command: _Command) -> _Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def _connections(default: int, text: str = "Connections.") -> _Command:
    return click.option("--connections", type=int, default=default, show_default=True, help=text)


def _in_flight(default: int) -> _Command:
    text = "Closed loop: requests of each sender that wait for an answer."
    return click.option("--in-flight", type=int, default=default, show_default=True, help=text)


_url = click.option(
    "--url",
    help="Where clients connect, with ws:// or wss://, for wkproto with tcp:// or tls://, too.  "
    f"[default: what --route tells, else {' or '.join(DEFAULT_URLS.values())}]",
)
_protocol = _options(
    click.option("--protocol", type=click.Choice(list(SCHEMES)), default="jsonrpc", show_default=True),
    click.option("--encryption/--no-encryption", default=True, show_default=True, help="Of wkproto."),
)
_route = click.option("--route", "api", help="The server's HTTP API, to ask it where clients connect.")
_api = click.option(
    "--route", "api", default=DEFAULT_API, show_default=True, help="The server's HTTP API, asked for --url, too."
)
_http = click.option("--route", "api", default=DEFAULT_API, show_default=True, help="The server's HTTP API.")
_manager_token = click.option("--manager-token", default="", metavar="TEXT", help="For the HTTP API, if it wants one.")
_token = click.option("--token", default="", metavar="TEXT", help="With which clients connect.")
_prefix = click.option("--prefix", help="Of every uid and group.  [default: bench-RANDOM-]")
_rate = click.option(
    "--rate", "rate_per_s", type=float, metavar="PER_SECOND", help="Open loop: requests per second, of all together."
)
_messages = click.option("--messages", type=int, help="End after so many requests.")
_payload = click.option("--payload-bytes", type=int, default=64, show_default=True, help="Of each message.")
_run = _options(
    click.option("--seconds", type=float, default=10.0, show_default=True, help="How long to measure."),
    click.option("--processes", type=int, default=1, show_default=True, help="Load processes; each can use one core."),
    click.option(
        "--settle", "settle_s", type=float, default=5.0, show_default=True, help="Seconds to wait for stragglers."
    ),
    click.option("--pid", type=int, help="The server's process on this machine, to see its CPU time and memory."),
    click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the result to this file."),
    click.option(
        "--report", "report_dir", type=click.Path(path_type=Path), help="Write a page of plots into this directory."
    ),
    click.option("--allow-remote", is_flag=True, help="Load another machine than this one."),
)


@bench.command()
@_options(_url, _protocol, _route, _token, _prefix, _connections(100), _in_flight(8), _rate, _messages, _payload, _run)
def send(connections: int, **options: Any) -> int:
    """Messages between pairs of users who are both online."""
    if connections % 2:
        raise _Unusable(f"--connections {connections} must be even: users talk in pairs")
    crowd = Crowd(connections, rooms=connections // 2, room_size=2, senders=2)
    return _conduct("send", crowd, connections=connections, **options)


@bench.command()
@_options(
    _url,
    _protocol,
    _api,
    _manager_token,
    _token,
    _prefix,
    click.option("--members", type=int, default=100, show_default=True, help="Of the group."),
    click.option("--online", type=int, help="How many of them are connected.  [default: all]"),
    click.option("--senders", type=int, default=1, show_default=True, help="How many of those send."),
    click.option("--recvack/--no-recvack", default=True, show_default=True, help="Acknowledge what is received."),
    _in_flight(8),
    _rate,
    _messages,
    _payload,
    _run,
)
def group(members: int, online: int | None, senders: int, **options: Any) -> int:
    """Messages to a group, which every member who is online gets."""
    online = members if online is None else online
    if not 2 <= online <= members:
        raise _Unusable(f"--online {online} must lie between 2 and --members {members}")
    if not 1 <= senders <= online:
        raise _Unusable(f"--senders {senders} must lie between 1 and the {online} who are online")
    if members > 1_000_000:
        raise _Unusable(f"--members {members} must be at most 1000000")
    crowd = Crowd(online, rooms=1, room_size=online, senders=senders)
    return _conduct("group", crowd, connections=online, members=members, **options)


@bench.command()
@_options(
    _url, _protocol, _route, _token, _prefix, _connections(32, "Attempts at the same time."), _rate, _messages, _run
)
def connect(connections: int, **options: Any) -> int:
    """Connections that are opened, authenticated and closed, over and over."""
    return _conduct("connect", Crowd(connections), connections=connections, **options)


@bench.command()
@_options(
    _url,
    _protocol,
    _route,
    _token,
    _prefix,
    _connections(1000),
    click.option(
        "--ping-seconds", "ping_s", type=float, default=60.0, show_default=True, help="Each one pings so often."
    ),
    _run,
)
def idle(connections: int, ping_s: float, **options: Any) -> int:
    """Connections that do nothing: with --pid, the memory that each one takes. Use a fresh server."""
    if not 1 <= ping_s <= 170:
        raise _Unusable(f"--ping-seconds {ping_s:g} must lie between 1 and 170: after 180 s servers give up")
    return _conduct("idle", Crowd(connections), connections=connections, ping_s=ping_s, **options)


@bench.command()
@_options(_url, _protocol, _route, _token, _prefix, _connections(100), _in_flight(16), _rate, _messages, _run)
def ping(connections: int, **options: Any) -> int:
    """The smallest request there is."""
    crowd = Crowd(connections, rooms=connections, room_size=1, senders=1)
    return _conduct("ping", crowd, connections=connections, **options)


@bench.command()
@_options(
    _http,
    _manager_token,
    _prefix,
    click.option(
        "--path", "http_path", default="/route", show_default=True, help="/message/send, or what is to be got."
    ),
    click.option(
        "--bodies",
        "bodies_file",
        type=click.Path(exists=True, dir_okay=False),
        help="Post the lines of this file to --path, in turn.",
    ),
    _connections(16, "Connections, each with one request at a time."),
    _rate,
    _messages,
    _payload,
    _run,
)
def http(connections: int, **options: Any) -> int:
    """Requests to the HTTP API."""
    return _conduct("http", Crowd(connections), connections=connections, **options)


@bench.command()
@_options(
    _url,
    _protocol,
    _api,
    _manager_token,
    _token,
    _prefix,
    _connections(500, "Connections; nine of ten are idle."),
    click.option("--groups", type=int, default=5, show_default=True, help="Busy groups, with one sender each."),
    click.option("--slow", type=int, default=1, show_default=True, help="Members of each group who stop reading."),
    _in_flight(4),
    _rate,
    _messages,
    _payload,
    _run,
)
def mixed(connections: int, groups: int, slow: int, **options: Any) -> int:
    """Many idle connections, a few busy groups, and members who do not read: the others must not suffer."""
    size = connections // 10 // groups if groups > 0 else 0
    if size < slow + 2 or slow < 0:
        raise _Unusable(
            f"a tenth of --connections {connections} in --groups {groups} is {size} members each; there must be at "
            f"least a sender, a reader and --slow {slow}"
        )
    crowd = Crowd(connections, rooms=groups, room_size=size, senders=1, slow=slow)
    return _conduct("mixed", crowd, connections=connections, **options)


def _conduct(
    scenario: Scenario,
    crowd: Crowd,
    *,
    api: str | None,
    url: str | None = None,
    protocol: Protocol = "jsonrpc",
    prefix: str | None,
    pid: int | None,
    json_file: Path | None,
    report_dir: Path | None,
    allow_remote: bool,
    **options: Any,
) -> int:
    """Carries out a run and shows what it gave; returns the exit code."""
    from . import words
    from .identity import identify
    from .preparation import make_groups

    try:
        api_target = read_target(api, "http", allow_remote=allow_remote) if api else None
        target = api_target if scenario == "http" else None
        target = target or _clients_target(url, protocol, api_target, allow_remote=allow_remote)
        prefix = prefix or random_prefix()
        plan = Plan(scenario=scenario, target=target, protocol=protocol, crowd=crowd, prefix=prefix, **options)
        plan.check()
        _check_libraries(report_dir)
        _check_output(json_file, report_dir)
        if scenario in ("group", "mixed") and api_target is not None:
            make_groups(plan, api_target)
        outcome = _run_shown(plan, pid, identify(api_target, plan.manager_token, pid))
    except PlanError as error:
        raise _Unusable(str(error)) from None
    except WukongError as error:
        raise click.ClickException(str(error)) from None
    _write(outcome, json_file, report_dir)
    return {"good": 0, "bad": 1, "warn": 3}[words.mood(outcome)]


def _clients_target(url: str | None, protocol: Protocol, api: Target | None, *, allow_remote: bool) -> Target:
    from .preparation import discover

    url = url or (discover(api, protocol) if api else DEFAULT_URLS[protocol])
    return read_target(url, *SCHEMES[protocol], allow_remote=allow_remote)


def _check_libraries(report_dir: Path | None) -> None:
    """Finds out before a long run whether what shows its result is installed.

    Raises:
        PlanError: it is not.
    """
    for needed, name, user in ((True, "rich", "bench"), (report_dir is not None, "plotly", "--report")):
        if needed and find_spec(name) is None:
            raise PlanError(f"{user} needs {name}: pip install {name}")


def _check_output(json_file: Path | None, report_dir: Path | None) -> None:
    """Finds out before a long run whether its result can be written.

    Raises:
        PlanError: it cannot.
    """
    try:
        if json_file is not None:
            json_file.open("a").close()
        if report_dir is not None:
            report_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PlanError(
            f"{error.filename}: {error.strerror}; --json and --report need a place that you may write to"
        ) from None


def _run_shown(plan: Plan, pid: int | None, identity: "Identity") -> "Outcome":
    import trio
    from rich.console import Console

    from ..groups import single_error
    from .coordinator import Run
    from .terminal import Bars, show

    with Bars(Console(stderr=True), plan.seconds) as bars, single_error():
        run = Run(plan, bars, identity=identity, pid=pid, command=_command_line(sys.argv[1:]))
        outcome = trio.run(_run_interruptibly, run)
    show(outcome, Console())
    return outcome


async def _run_interruptibly(run: "Run") -> "Outcome":
    """The first SIGINT or SIGTERM ends the measurement, the second one everything."""
    import trio

    async with trio.open_nursery() as nursery:
        await nursery.start(_stop_on_signal, run)
        outcome = await run.run()
        nursery.cancel_scope.cancel()
    return outcome


async def _stop_on_signal(run: "Run", *, task_status: "trio.TaskStatus[None]") -> None:
    import trio

    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        task_status.started()
        await anext(signals)
    run.stop()


def _command_line(arguments: list[str]) -> str:
    """What was typed, without secrets."""
    shown = list(arguments)
    for index, argument in enumerate(arguments):
        name, mark, _ = argument.partition("=")
        if name in _SECRETS:
            if mark:
                shown[index] = f"{name}=***"
            elif index + 1 < len(shown):
                shown[index + 1] = "***"
    return shlex.join(["wukong-trio", *shown])


def _write(outcome: "Outcome", json_file: Path | None, report_dir: Path | None) -> None:
    import msgspec

    if json_file is not None:
        json_file.write_bytes(msgspec.json.format(msgspec.json.encode(outcome), indent=2) + b"\n")
        click.echo(f"result {json_file}")
    if report_dir is not None:
        from .report import write_report

        click.echo(f"report {write_report(outcome, report_dir)}")
