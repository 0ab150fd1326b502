"""Names and addresses of machines, as text."""

from ipaddress import ip_address


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
    """The host of `host`, `host:port`, `[address]` or `[address]:port`, in lower case."""
    host, colon, port = authority.lower().rpartition(":")
    if not colon or "]" in port:
        host = authority.lower()
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host.removesuffix(".")
