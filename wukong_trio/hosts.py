"""Names and addresses of machines, as text."""

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, TypeAlias

_AUTHORITY: Final = re.compile(r"(?:\[(?P<address>[0-9a-f:.]+)\]|(?P<name>[^\[\]:@%/\\\s]*))(?::[0-9]{0,5})?")
"""No user before the host, no zone in an address, and no port but a number."""

_MAPPED: Final = IPv6Network("::ffff:0:0/96")

Networks: TypeAlias = tuple[IPv4Network | IPv6Network, ...]


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


def parse_networks(texts: Iterable[str]) -> Networks:
    """Networks such as `10.0.0.0/8`, and single addresses. IPv4 addresses in the form of IPv6 count as IPv4.

    Raises:
        ValueError: a text is none, or has bits beyond its prefix.
    """
    return tuple(map(_network, texts))


def is_from(networks: Networks, host: str) -> bool:
    """Whether a machine is in one of the networks.

    Args:
        host: the address of a socket's other side; what is no IP address is in no network.
    """
    address = _address(host)
    if isinstance(address, IPv6Address):
        address = address.ipv4_mapped or address
    return address is not None and any(address in network for network in networks)


def _network(text: str) -> IPv4Network | IPv6Network:
    network = ip_network(text)
    if isinstance(network, IPv4Network):
        return network
    if network.network_address.scope_id is not None:
        raise ValueError(text)  # which of the interfaces it is would be ignored
    if network.subnet_of(_MAPPED):
        return IPv4Network((int(network.network_address) & 0xFFFFFFFF, network.prefixlen - 96))
    return network


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def host_name(authority: str) -> str:
    """The host of `host`, `host:port`, `[address]` or `[address]:port`, in lower case; empty if it is none of these."""
    match = _AUTHORITY.fullmatch(authority.lower())
    return (match["address"] or match["name"].removesuffix(".")) if match is not None else ""
