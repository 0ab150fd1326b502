"""What a run shall do: the plan that every load process gets, and who talks to whom in it."""

import ipaddress
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from msgspec import Struct

from ..errors import WukongError
from ..model import ChannelType
from .stamps import MIN_PAYLOAD_BYTES

Scenario = Literal["send", "group", "connect", "idle", "ping", "http", "mixed"]
Protocol = Literal["jsonrpc", "wkproto"]
Scheme = Literal["http", "ws", "wss", "tcp", "tls"]
SCHEMES: dict[Protocol, tuple[Scheme, ...]] = {"jsonrpc": ("ws", "wss"), "wkproto": ("tcp", "tls", "ws", "wss")}
"""What each protocol is spoken over."""
_PORTS: dict[Scheme, int] = {"http": 80, "ws": 80, "wss": 443, "tcp": 5100, "tls": 5110}

MAX_SECONDS = 3600.0
MAX_CONNECTIONS = 60_000
MAX_PROCESSES = 64
MAX_PAYLOAD_BYTES = 64 * 1024
CONNECTIONS_PER_SOURCE = 10_000
"""An address has some 28,000 ports, and those of closed connections stay in use for a while."""
SPARE_FILES = 64


class PlanError(WukongError):
    """A plan that cannot be carried out. The text says what would be right."""


class Target(Struct, frozen=True):
    """Where to connect: a server and a path on it."""

    host: str
    port: int
    path: str
    scheme: Scheme = "ws"

    @property
    def is_tls(self) -> bool:
        """Whether TLS lies below everything."""
        return self.scheme in ("wss", "tls")

    @property
    def is_web_socket(self) -> bool:
        """Whether messages lie in WebSocket frames."""
        return self.scheme in ("ws", "wss")

    @property
    def netloc(self) -> str:
        """For the `Host` header."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Crowd(Struct, frozen=True):
    """Who talks to whom. Members are numbered from 0; each room has `room_size` of them in a row, the others idle."""

    members: int
    """Who are online."""
    rooms: int = 0
    room_size: int = 0
    senders: int = 0
    """The first so many of a room send; everybody else in it receives."""
    slow: int = 0
    """The last so many of a room stop reading."""

    def room_of(self, member: int) -> int | None:
        """The room of a member, None if it has none."""
        room = member // self.room_size if self.room_size else self.rooms
        return room if room < self.rooms else None

    def is_sender(self, member: int) -> bool:
        """Whether it sends."""
        return self.room_of(member) is not None and member % self.room_size < self.senders

    def is_slow(self, member: int) -> bool:
        """Whether it stops reading."""
        return self.room_of(member) is not None and member % self.room_size >= self.room_size - self.slow

    def senders_in(self, room: int) -> frozenset[int]:
        """Who sends in a room."""
        return frozenset(range(room * self.room_size, room * self.room_size + self.senders))

    @property
    def all_senders(self) -> int:
        """How many send."""
        return self.rooms * self.senders

    @property
    def receivers_of_each(self) -> int:
        """How many should get each message."""
        return self.room_size - self.slow - 1 if self.rooms else 0


class Plan(Struct, frozen=True, kw_only=True):
    """A run. All load processes get the same one, except for `worker`."""

    scenario: Scenario
    target: Target
    worker: int = 0
    processes: int = 1
    connections: int
    crowd: Crowd
    prefix: str
    """Every uid is this and a number, every group this and `room` and a number."""
    protocol: Protocol = "jsonrpc"
    encryption: bool = True
    """Of WKProto."""
    token: str = ""
    in_flight: int = 1
    """Closed loop: requests of each sender that wait for an answer."""
    rate_per_s: float | None = None
    """Open loop: requests per second, all senders and processes together; None = closed loop."""
    seconds: float
    messages: int | None = None
    """No more requests than this, all processes together."""
    settle_s: float = 5.0
    """How long to wait at the end for what is missing."""
    payload_bytes: int = 64
    recvack: bool = True
    """Whether those who receive acknowledge."""
    members: int = 0
    """Of a group: all members, online or not."""
    http_path: str = ""
    """Of `http`: what is requested."""
    bodies_file: str | None = None
    """Of `http`: a file with bodies to be posted in turn, one on each line."""
    manager_token: str = ""
    """For the HTTP API."""
    ping_s: float = 60.0
    """Connections without traffic send a ping so often."""
    tick_s: float = 0.5
    """How often processes report."""

    def own_members(self) -> Iterator[int]:
        """The members whose connections this process holds."""
        return iter(range(self.worker, self.connections, self.processes))

    def uid(self, member: int) -> str:
        """The name of a member."""
        return f"{self.prefix}{member}"

    def channel(self, member: int) -> tuple[str, ChannelType]:
        """Where a member sends to."""
        room = self.crowd.room_of(member)
        if self.scenario == "send":
            return self.uid(member ^ 1), ChannelType.PERSON
        return f"{self.prefix}room{room}", ChannelType.GROUP

    def own_share(self, whole: int) -> int:
        """This process's part of a number that all processes share."""
        return len(range(self.worker, whole, self.processes))

    def source_address(self, serial: int) -> str | None:
        """The address from which this process makes its nth connection: one of many on loopback, None = any."""
        if not self.target.host.startswith("127."):
            return None
        block = serial // CONNECTIONS_PER_SOURCE
        return f"127.0.1.{1 + (self.worker + self.processes * block) % 250}"

    def check(self) -> None:
        """Raises:
        PlanError: it asks for too much, or for what cannot be.
        """
        self._check_range("--seconds", self.seconds, 0.1, MAX_SECONDS)
        self._check_range("--connections", self.connections, 1, MAX_CONNECTIONS)
        self._check_range("--processes", self.processes, 1, MAX_PROCESSES)
        self._check_range("--payload-bytes", self.payload_bytes, MIN_PAYLOAD_BYTES, MAX_PAYLOAD_BYTES)
        self._check_range("--in-flight", self.in_flight, 1, 4096)
        if self.rate_per_s is not None:
            self._check_range("--rate", self.rate_per_s, 0.1, 1_000_000)
        if self.messages is not None:
            self._check_range("--messages", self.messages, 1, 1_000_000_000)
        if not (self.prefix.isascii() and self.prefix.replace("-", "").replace("_", "").isalnum()):
            raise PlanError(f"--prefix {self.prefix!r} must consist of letters, digits, '-' and '_'")
        if self.http_path and not self.http_path.startswith("/"):
            raise PlanError(f"--path {self.http_path!r} must begin with '/'")
        if self.bodies_file and not Path(self.bodies_file).read_bytes().strip():
            raise PlanError(f"--bodies {self.bodies_file}: the file is empty")
        if self.protocol == "jsonrpc" and not self.encryption:
            raise PlanError("--no-encryption goes with --protocol wkproto: JSON-RPC is never encrypted")
        if self.protocol == "wkproto" and not self.recvack:
            raise PlanError("--no-recvack goes with --protocol jsonrpc: all clients of WKProto acknowledge")
        if self.processes > self.connections:
            raise PlanError(f"--processes {self.processes} is more than --connections {self.connections}")
        needed = -(-self.connections // self.processes) + SPARE_FILES
        allowed = open_files_allowed()
        if needed > allowed:
            raise PlanError(
                f"--connections {self.connections} in {self.processes} process(es) need {needed} open files each, and "
                f"{allowed} are allowed; add --processes or raise the hard limit (ulimit -Hn)"
            )

    @staticmethod
    def _check_range(option: str, value: float, low: float, high: float) -> None:
        if not low <= value <= high:
            raise PlanError(f"{option} {value:g} must lie between {low:g} and {high:g}")


def open_files_allowed() -> int:
    """How many files a process may have open once it has raised its limit."""
    import resource

    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def read_target(url: str, *schemes: Scheme, allow_remote: bool) -> Target:
    """The target that a URL names, its host as a number.

    Raises:
        PlanError: it is no URL with one of the schemes, the host is unknown, or another machine although `allow_remote`
            is not set.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    scheme = next((scheme for scheme in schemes if parts.scheme == scheme), None) if host else None
    if host is None or scheme is None:
        hint = "; --protocol wkproto takes it" if host and parts.scheme in ("tcp", "tls") else ""
        raise PlanError(f"{url!r} is no {' or '.join(f'{scheme}://' for scheme in schemes)} URL{hint}")
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    if scheme in ("tcp", "tls") and path.strip("/"):
        raise PlanError(f"{url!r} has a path, which {scheme}:// knows nothing of")
    port = port or _PORTS[scheme]
    try:
        address = str(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][4][0])
    except OSError as error:
        raise PlanError(f"{host}: {error.strerror}") from None
    if not allow_remote and not ipaddress.ip_address(address).is_loopback:
        raise PlanError(f"{host} is another machine; a load test there needs its owner's consent and --allow-remote")
    if scheme == "http":
        return Target(address, port, parts.path.rstrip("/"), scheme)
    return Target(address, port, path if path.startswith("/") else f"/{path}", scheme)


def random_prefix() -> str:
    """The beginning of uids and groups that no other run uses, and that tells where they come from."""
    return f"bench-{os.urandom(4).hex()}-"
