"""Where the receiver is, taken from the address in the settings."""

from typing import Final, NamedTuple
from urllib.parse import quote, unquote_to_bytes, urlsplit

import idna

from ..errors import ConfigError

_PATH: Final = "/:@!$&'()*+,;=~%[]"
_QUERY: Final = f"{_PATH}?"
"""What stands for itself; a percent sign too, because the address may be encoded already."""


class Address(NamedTuple):
    """Of an http or https URL."""

    host: str
    """As it is resolved and certified."""
    port: int
    tls: bool
    authority: str
    """The host, and the port unless it is the usual one, as the receiver is told."""
    target: str
    """Path and query."""
    userinfo: bytes
    """`user:password`, empty if there is none."""


def parse_address(url: str) -> Address:
    """What a request needs to know.

    Raises:
        ConfigError: there can be no such host.
    """
    parts = urlsplit(url)
    tls = parts.scheme == "https"
    usual = 443 if tls else 80
    port = parts.port or usual
    host = _ascii_host(parts.hostname or "")
    shown = f"[{host}]" if ":" in host else host
    query = f"?{quote(parts.query, _QUERY)}" if parts.query else ""
    return Address(
        host=host,
        port=port,
        tls=tls,
        authority=shown if port == usual else f"{shown}:{port}",
        target=f"{quote(parts.path, _PATH) or '/'}{query}",
        userinfo=unquote_to_bytes(parts.netloc.rpartition("@")[0]),
    )


def event_url(url: str, event: str) -> str:
    """The receiver's address for an event, which joins whatever query there is."""
    parts = urlsplit(url)
    query = f"{parts.query}&event={event}" if parts.query else f"event={event}"
    return parts._replace(query=query).geturl()


def _ascii_host(host: str) -> str:
    if host.isascii():
        return host
    try:
        return idna.encode(host, uts46=True).decode()
    except idna.IDNAError as error:
        raise ConfigError(f"webhook.httpAddr: {host} can be no host: {error}") from None
