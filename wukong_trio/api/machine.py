"""The addresses of this machine, as others see them."""

import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import IPv6Address, ip_address, ip_network
from pathlib import Path
from typing import Final, Literal

from ..hosts import is_local_only

_PRIVATE: Final = tuple(map(ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")))
_LOOPBACK: Final = {4: "127.0.0.1", 6: "::1"}
_SOMEWHERE: Final = {4: ("10.255.255.255", "192.0.2.1"), 6: ("2001:db8::1", "fd00::1")}
_FAMILIES: Final = {4: socket.AF_INET, 6: socket.AF_INET6}
_SIOCGIFADDR: Final = 0x8915
_IPV6_INTERFACES: Final = Path("/proc/net/if_inet6")


def own_address(version: Literal[4, 6]) -> str:
    """The first private address of this machine, else any that is not only its own, else loopback.

    First is the one that it uses itself to reach others.
    """
    addresses = [ip_address(text) for text in (*_routed(version), *_of_interfaces(version))]
    usable = [address for address in addresses if not is_local_only(str(address))]
    private = [address for address in usable if any(address in network for network in _PRIVATE)]
    return str(next(iter(private or usable), _LOOPBACK[version]))


def _routed(version: Literal[4, 6]) -> Iterator[str]:
    """The addresses from which this machine would send."""
    for target in _SOMEWHERE[version]:
        # Connecting a datagram socket sends nothing; it only asks the kernel which address it would use.
        with suppress(OSError), socket.socket(_FAMILIES[version], socket.SOCK_DGRAM) as probe:
            probe.connect((target, 9))
            yield str(probe.getsockname()[0])


def _of_interfaces(version: Literal[4, 6]) -> Iterator[str]:
    """What its interfaces have; without a route to others there is nothing else to ask. Linux only."""
    if sys.platform != "linux":
        return
    if version == 6:
        with suppress(OSError):
            for line in _IPV6_INTERFACES.read_text().splitlines():
                yield str(IPv6Address(int(line.split()[0], 16)))
        return
    import fcntl

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            with suppress(OSError):  # an interface without an address
                found = fcntl.ioctl(probe, _SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
                yield socket.inet_ntoa(found[20:24])
