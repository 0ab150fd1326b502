"""Names and addresses of machines, as text."""

import re
from ipaddress import ip_address
from typing import Final

_AUTHORITY: Final = re.compile(r"(?:\[(?P<address>[0-9a-f:.]+)\]|(?P<name>[^\[\]:@%/\\\s]*))(?::[0-9]{0,5})?")
"""No user before the host, no zone in an address, and no port but a number."""


def is_address(host: str) -> bool:
    """Whether this is an IP address, of either version."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether a listener on this host is out of reach for other machines. In doubt it is not."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def host_name(authority: str) -> str:
    """The host of `host`, `host:port`, `[address]` or `[address]:port`, in lower case; empty if it is none of these."""
    match = _AUTHORITY.fullmatch(authority.lower())
    return (match["address"] or match["name"].removesuffix(".")) if match is not None else ""
