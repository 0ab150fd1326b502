"""Which addresses `/route` gives to clients: those of the settings, else derived from the listeners."""

import ipaddress
import socket

from msgspec import Struct

from ..config import Address, Config, RouteAddresses


class Route(Struct, frozen=True):
    """Where clients connect. Empty where there is no such listener."""

    tcp_addr: str
    """`host:port`"""
    ws_addr: str
    """`ws://host:port`"""
    wss_addr: str
    """`wss://host:port`"""


class RouteTable:
    """The two answers of `/route`."""

    def __init__(self, config: Config, *, ws_port: int | None, wss_port: int | None) -> None:
        """Derives the addresses.

        Args:
            ws_port, wss_port: where the listeners are really bound; None where there is none.
        """
        self._config = config
        self._ws_port = ws_port
        self._wss_port = wss_port
        self.external = self._route(config.external)
        self.intranet = self._route(config.intranet)

    def _route(self, given: RouteAddresses) -> Route:
        listeners = self._config.listeners
        return Route(
            given.tcp_addr or _join(given.ip, listeners.tcp, listeners.tcp.port),
            given.ws_addr or _url("ws", given.ip, listeners.ws, self._ws_port),
            given.wss_addr or _url("wss", given.ip, listeners.wss, self._wss_port),
        )


def _url(scheme: str, host: str, listener: Address | None, port: int | None) -> str:
    if listener is None or port is None:
        return ""
    return f"{scheme}://{_join(host, listener, port)}"


def _join(host: str, listener: Address, port: int) -> str:
    return str(Address(host or _reachable_host(listener.host), port))


def _reachable_host(bound: str) -> str:
    """The host under which a listener can be reached: its own, or one of this machine if it listens everywhere."""
    return private_ipv4() if bound in ("", "0.0.0.0", "::") else bound


def private_ipv4() -> str:
    """The machine's address in its own network, loopback if it has none."""
    # Connecting a datagram socket sends nothing; it only asks the kernel which address it would use.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("10.255.255.255", 9))
            host = str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"
    return host if ipaddress.ip_address(host).is_private else "127.0.0.1"
