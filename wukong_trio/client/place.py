"""What a URL names: a server, and what may be spoken with it."""

from typing import Final, Literal, NamedTuple, TypeAlias
from urllib.parse import urlsplit

from ..errors import ConfigError, ConnectionClosed

Protocol: TypeAlias = Literal["jsonrpc", "wkproto"]
CLOSE_ABNORMAL: Final = 1006


class Scheme(NamedTuple):
    """What the beginning of a URL says."""

    secure: bool
    websocket: bool
    """Otherwise packets travel on the bare stream."""
    port: int | None
    """Of URLs that name none; None: they have to."""
    protocols: tuple[Protocol, ...]
    """What may be spoken there. The first is for those who do not choose."""
    with_or_without_tls: str
    """The scheme that differs in TLS only."""
    with_or_without_websocket: str
    """The scheme that differs in the WebSocket only."""


SCHEMES: Final = {
    "ws": Scheme(False, True, 80, ("jsonrpc", "wkproto"), "wss", "tcp"),
    "wss": Scheme(True, True, 443, ("jsonrpc", "wkproto"), "ws", "tls"),
    "tcp": Scheme(False, False, None, ("wkproto",), "tls", "ws"),
    "tls": Scheme(True, False, None, ("wkproto",), "tcp", "wss"),
}


class Place(NamedTuple):
    """A URL, taken apart."""

    url: str
    scheme: Scheme
    host: str
    port: int
    target: str
    """Path and query of a WebSocket."""

    @property
    def netloc(self) -> str:
        """For the `Host` header."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def closed(self, why: str, code: int = CLOSE_ABNORMAL) -> ConnectionClosed:
        """The error for a connection that did not come about."""
        return ConnectionClosed(code, f"no connection to {self.url}: {why}")

    def other_ports(self) -> str:
        """What somebody may have meant whose connection was ended without a word."""
        scheme = self.scheme
        there = "WKProto without a WebSocket" if scheme.websocket else "WebSocket"
        tls = "" if scheme.secure else f"; if the port speaks TLS, use {scheme.with_or_without_tls}://"
        return f"{tls}; if it speaks {there}, use {scheme.with_or_without_websocket}://"


def read_url(url: str) -> Place:
    """Takes a URL apart.

    Raises:
        ConfigError: it names no server that a client could speak with.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigError(f"url = {url!r}: {error}") from None
    scheme = SCHEMES.get(parts.scheme)
    if scheme is None or not host:
        hint = "; the HTTP API's GET /route names the one of a server" if parts.scheme in ("http", "https") else ""
        raise ConfigError(f"url = {url!r}: give ws://HOST:PORT or tcp://HOST:PORT, for TLS wss:// or tls://{hint}")
    port = port or scheme.port
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if port is None or (target != "/" and not scheme.websocket):
        raise ConfigError(f"url = {url!r}: give {parts.scheme}://HOST:PORT, and nothing behind the port")
    return Place(url, scheme, host, port, target)
