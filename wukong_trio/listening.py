"""The listening sockets of a server, bound before anything else starts."""

from contextlib import ExitStack
from socket import socket

from msgspec import Struct

from .config import Address, Config
from .net import bind_tcp


class Endpoints(Struct, frozen=True, kw_only=True):
    """The URLs under which a server can really be reached; empty where a listener is off."""

    http: str = ""
    tcp: str = ""
    tls: str = ""
    ws: str = ""
    wss: str = ""


class Sockets:
    """One list of sockets for each listener, empty where it is off."""

    def __init__(self, config: Config, stack: ExitStack) -> None:
        """Binds them; the stack closes them.

        Raises:
            ConfigError: an address cannot be used.
        """
        listeners = config.listeners
        self.http = self._bind(stack, listeners.http, "httpAddr")
        self.tcp = self._bind(stack, listeners.tcp, "addr")
        self.tls = self._bind(stack, listeners.tls, "tlsAddr")
        self.ws = self._bind(stack, listeners.ws, "wsAddr")
        self.wss = self._bind(stack, listeners.wss, "wssAddr")

    @staticmethod
    def _bind(stack: ExitStack, address: Address | None, setting: str) -> list[socket]:
        if address is None:
            return []
        return [stack.enter_context(bind_tcp(address, setting=setting))]

    def endpoints(self) -> Endpoints:
        """The addresses really bound."""
        return Endpoints(
            http=_url("http", self.http),
            tcp=_url("tcp", self.tcp),
            tls=_url("tls", self.tls),
            ws=_url("ws", self.ws),
            wss=_url("wss", self.wss),
        )


def bound_port(sockets: list[socket]) -> int | None:
    """The port of a listener, None if it is off."""
    return int(sockets[0].getsockname()[1]) if sockets else None


def _url(scheme: str, sockets: list[socket]) -> str:
    if not sockets:
        return ""
    host, port, *_ = sockets[0].getsockname()
    return f"{scheme}://{Address(host, port)}"
