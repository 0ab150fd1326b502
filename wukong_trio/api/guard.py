"""Who may call: judged by the head of a request, before any of its body is read.

With a manager token, everything but what clients and probes ask needs it. Without one, the danger is the operator's own
browser, in which any page may send requests to this machine. Browsers name the page in `Origin`, and a page that has
had its own name point here (DNS rebinding) gives itself away by the `Host`. Programs send no `Origin`.
"""

from hmac import compare_digest
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from ..config import ANY, Config, RouteAddresses
from ..hosts import host_name, is_address, is_loopback

PROBES: Final = frozenset({"/health", "/healthz", "/readyz"})
METRICS: Final = "/metrics"


class Head(NamedTuple):
    """What the head of a request says, and who sent it."""

    method: str
    path: str
    query: str
    """What follows the `?`, undecoded."""
    token: bytes
    """The header of that name as it came; empty if it is missing. So are the next two."""
    host: str
    origin: str
    """Several are one list, which is nobody's origin."""
    peer: str
    """The address of the caller."""
    authorization: bytes = b""
    """The header; empty if it is missing."""


class Refused(NamedTuple):
    """Why a request goes no further."""

    http_status: int
    message: str
    """Empty: the caller gets none."""


class Guard:
    """The rules of one server."""

    def __init__(self, config: Config) -> None:
        auth = config.auth
        self._tokens = _forms(auth.manager_token)
        self._origins = frozenset(origin.lower().rstrip("/") for origin in auth.allowed_origins)
        http = config.listeners.http
        own = {http.host} if http is not None else set()
        self._hosts = frozenset(
            name.lower() for name in {*auth.allowed_hosts, *own, *_names(config.external), *_names(config.intranet)}
        )

    @staticmethod
    def is_open(method: str, path: str) -> bool:
        """Whether this is for everybody: preflights, probes, and where to connect, which clients ask themselves."""
        return method == "OPTIONS" or path in PROBES or (path == "/route" and method == "GET")

    def has_token(self, head: Head) -> bool:
        """Whether the caller has the manager token; False if none is configured."""
        given = (head.token, _bearer(head.authorization)) if head.path == METRICS else (head.token,)
        # Not `any`: how long it takes must say nothing.
        return True in [compare_digest(said, token) for said in given for token in self._tokens]

    def refusal(self, head: Head) -> Refused | None:
        """Why this request is not for its caller; None if he may go on."""
        if self.is_open(head.method, head.path):
            return None
        if self._tokens:
            return None if self.has_token(head) else Refused(401, "")
        if head.origin and not self._is_known_origin(head):
            return Refused(403, "pages of other origins may not use this API; set allowedOrigins or a managerToken")
        if head.host and not self._is_known_host(head.host):
            return Refused(403, "this API is not known by this Host; set allowedHosts or a managerToken")
        return None

    def _is_known_origin(self, head: Head) -> bool:
        origin = head.origin.lower()
        if origin in self._origins or ANY in self._origins:
            return True
        try:
            parts = urlsplit(origin)
            # The page came from here itself: its Host is looked at next.
            return is_loopback(host_name(parts.netloc)) or (bool(parts.netloc) and parts.netloc == head.host.lower())
        except ValueError:
            return False

    def _is_known_host(self, host: str) -> bool:
        name = host_name(host)
        return name == "localhost" or name in self._hosts or ANY in self._hosts or is_address(name)


def _bearer(authorization: bytes) -> bytes:
    """The token in such a header, which is all that Prometheus can send; empty if there is none."""
    scheme, _, token = authorization.partition(b" ")
    return token.strip(b" ") if scheme.lower() == b"bearer" else b""


def _forms(token: str) -> tuple[bytes, ...]:
    """The bytes with which programs write a token in a header: UTF-8, but some take Latin-1 where that is possible."""
    if not token:
        return ()
    try:
        return (token.encode(), token.encode("latin-1"))
    except UnicodeEncodeError:
        return (token.encode(),)


def _names(addresses: RouteAddresses) -> set[str]:
    """The hosts of configured addresses."""
    urls = (addresses.tcp_addr, addresses.ws_addr, addresses.wss_addr)
    names = {host_name(url.rpartition("//")[2].partition("/")[0]) for url in urls}
    return (names | {addresses.ip}) - {""}
