"""Names and addresses of machines, as text."""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

_AUTHORITY: Final = re.compile(r"(?:\[(?P<address>[0-9a-f:.]+)\]|(?P<name>[^\[\]:@%/\\\s]*))(?::[0-9]{0,5})?")
"""No user before the host, no zone in an address, and no port but a number."""


def is_address(host: str) -> bool:
    """Whether this is an IP address, of either version."""
    return _address(host) is not None


def is_loopback(host: str) -> bool:
    """Whether a listener on this host is out of reach for other machines. In doubt it is not."""
    address = _address(host)
    return host.lower() == "localhost" if address is None else address.is_loopback


def is_local_only(host: str) -> bool:
    """Whether this leads other machines nowhere, or to themselves."""
    address = _address(host)
    if address is None:
        return host.lower() == "localhost"
    return address.is_loopback or address.is_unspecified or address.is_link_local or address.is_multicast


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def host_name(authority: str) -> str:
    """The host of `host`, `host:port`, `[address]` or `[address]:port`, in lower case; empty if it is none of these."""
    match = _AUTHORITY.fullmatch(authority.lower())
    return (match["address"] or match["name"].removesuffix(".")) if match is not None else ""
