"""Which addresses `/route` gives to clients: those of the settings, else derived from the listeners."""

from logging import getLogger

from ..config import Address, Config, RouteAddresses
from ..contract.connections import Route
from ..hosts import host_name, is_local_only, is_loopback
from .machine import own_address

log = getLogger(__name__)


class RouteTable:
    """The two answers of `/route`."""

    def __init__(self, config: Config, *, tcp_port: int | None, ws_port: int | None, wss_port: int | None) -> None:
        """Derives the addresses, and warns of those that nobody will reach.

        Args:
            tcp_port, ws_port, wss_port: where the listeners are really bound; None where there is none.
        """
        self._config = config
        self._tcp_port = tcp_port
        self._ws_port = ws_port
        self._wss_port = wss_port
        self.external = self._route(config.external)
        self.intranet = self._route(config.intranet)
        self._warn()

    def _route(self, given: RouteAddresses) -> Route:
        listeners = self._config.listeners
        return Route(
            given.tcp_addr or _join("", given.ip, listeners.tcp, self._tcp_port),
            given.ws_addr or _join("ws://", given.ip, listeners.ws, self._ws_port),
            given.wss_addr or _join("wss://", given.ip, listeners.wss, self._wss_port),
        )

    def _warn(self) -> None:
        listeners, route = self._config.listeners, self.external
        serves_others = any(
            address is not None and not is_loopback(address.host)
            for address in (listeners.http, listeners.tcp, listeners.tls, listeners.ws, listeners.wss)
        )
        for setting, url in (("addr", route.tcp_addr), ("wsAddr", route.ws_addr), ("wssAddr", route.wss_addr)):
            if serves_others and url and is_local_only(_host_of(url)):
                log.warning(
                    "GET /route gives out %s, which other machines cannot reach; change %s, or set external.ip",
                    url,
                    setting,
                )


def _host_of(url: str) -> str:
    return host_name(url.rpartition("://")[2].partition("/")[0])


def _join(prefix: str, host: str, listener: Address | None, port: int | None) -> str:
    if listener is None or port is None:
        return ""
    return prefix + str(Address(host or _reachable_host(listener.host), port))


def _reachable_host(bound: str) -> str:
    """The host under which a listener can be reached: its own, or one of this machine if it listens everywhere."""
    if bound == "::":
        return own_address(6)
    return own_address(4) if bound in ("", "0.0.0.0") else bound
