"""The PROXY protocol: a header in front of a connection, in which a proxy says whose connection it is.

Both versions of the public specification are read: a line of text, and a block of bytes whose additions (TLVs) are
skipped. Only what comes from a proxy that is trusted may be read like this: anybody can write such a header.
"""

import re
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address
from typing import Final, NamedTuple, TypeAlias

from ..errors import WukongError

TcpAddress: TypeAlias = tuple[str, int]
"""An IP address as text, and a port."""

LINE_BYTES: Final = 107
"""The longest line of version 1, its end included."""
BLOCK_BYTES: Final = 4096
"""What may follow the first 16 bytes in version 2. The protocol could say 65,535; proxies send some hundred."""
MAX_HEADER_BYTES: Final = 16 + BLOCK_BYTES

_SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
_LOCAL, _PROXY = 0, 1
_UNSPEC, _INET, _INET6, _UNIX = 0, 1, 2, 3
_STREAM, _DATAGRAM = 1, 2
_ADDRESSES_BYTES: Final = {_UNSPEC: 0, _INET: 12, _INET6: 36, _UNIX: 216}

_UNKNOWN: Final = b"PROXY UNKNOWN"
_PORT: Final = re.compile(rb"0|[1-9][0-9]{0,4}")


class ProxyHeaderError(WukongError):
    """A connection does not begin with a PROXY protocol header. Nothing more can be read from it."""


class ProxyHeaderReader:
    """Reads one header, in pieces of any size."""

    def __init__(self) -> None:
        self.done = False
        """Whether the header is complete."""
        self.address: TcpAddress | None = None
        """Whose connection it is, once the header is complete. None: the header does not say, because the proxy speaks
        for itself or its client has no IP address; then the socket's own address counts."""
        self._begun = bytearray()

    def receive(self, data: bytes) -> int:
        """Takes what has come.

        Returns:
            How many of these bytes belong to the header. What is behind them is the client's.

        Raises:
            ProxyHeaderError: this cannot become a header any more. An address or a port is judged at its end, all else
                at once.
        """
        if self.done or not data:
            return 0
        before = len(self._begun)
        self._begun += data[: MAX_HEADER_BYTES - before]
        binary = self._begun[0] == _SIGNATURE[0]
        header = _read_block(self._begun) if binary else _read_line(bytes(self._begun[:LINE_BYTES]))
        if header is None:
            return len(data)
        self.done, self.address = True, header.address
        self._begun.clear()
        return header.size_bytes - before


class _Header(NamedTuple):
    size_bytes: int
    address: TcpAddress | None


class _Form(NamedTuple):
    """A line of version 1 that names addresses."""

    start: bytes
    beginning: re.Pattern[bytes]
    """Matches whatever may become the rest of the line, as far as characters and lengths go."""
    read_host: Callable[[str], IPv4Address | IPv6Address]


def _form(start: bytes, host: bytes, read_host: Callable[[str], IPv4Address | IPv6Address]) -> _Form:
    rest = rb"%b(?: %b(?: [0-9]{0,5}(?: [0-9]{0,5})?)?)?" % (host, host)
    return _Form(start, re.compile(rest), read_host)


_FORMS: Final = (
    _form(b"PROXY TCP4 ", rb"[0-9.]{0,15}", IPv4Address),
    # Proxies write ::ffff:192.0.2.1 as well.
    _form(b"PROXY TCP6 ", rb"[0-9A-Fa-f:.]{0,39}", IPv6Address),
)


def _read_line(begun: bytes) -> _Header | None:
    """Version 1: the header, or None if it is not complete."""
    line, end, _ = begun.partition(b"\r\n")
    if not end and len(begun) >= LINE_BYTES:
        raise _wrong(f"the line does not end within {LINE_BYTES} bytes")
    whole = bool(end) or line.endswith(b"\r")
    if not end:
        line = line.removesuffix(b"\r")
    address = _address_in(line, whole=whole)
    return _Header(len(line) + 2, address) if end else None


def _address_in(line: bytes, *, whole: bool) -> TcpAddress | None:
    """The source in a line; None if it names none, or is not whole."""
    for form in _FORMS:
        if line.startswith(form.start):
            return _source_in(line[len(form.start) :], form, whole=whole)
    if whole or len(line) > len(_UNKNOWN):
        possible = line == _UNKNOWN or line.startswith(_UNKNOWN + b" ")
    else:
        possible = any(start.startswith(line) for start in (_UNKNOWN, *(form.start for form in _FORMS)))
    if not possible:
        raise _wrong("it begins with other bytes")
    return None


def _source_in(rest: bytes, form: _Form, *, whole: bool) -> TcpAddress | None:
    fields = rest.split(b" ")
    complete = fields if whole else fields[:-1]
    if not form.beginning.fullmatch(rest) or (whole and len(fields) != 4):
        raise _wrong("the line has another form")
    try:
        hosts = [form.read_host(host.decode()) for host in complete[:2]]
        ports = [_port(port) for port in complete[2:]]
    except ValueError as error:
        raise _wrong(str(error)) from None
    return (_text(hosts[0]), ports[0]) if whole else None


def _port(digits: bytes) -> int:
    if not _PORT.fullmatch(digits) or int(digits) > 65535:
        raise ValueError(f"{digits.decode()!r} is not a port")
    return int(digits)


def _read_block(begun: bytearray) -> _Header | None:
    """Version 2: the header, or None if it is not complete."""
    if not _SIGNATURE.startswith(begun[:12]):
        raise _wrong("it begins with other bytes")
    version_and_command, family_and_transport, high, low = begun[12:16].ljust(4, b"\0")
    command, family, transport = version_and_command & 15, family_and_transport >> 4, family_and_transport & 15
    if len(begun) > 12 and (version_and_command >> 4 != 2 or command > _PROXY):
        raise _wrong(f"version and command are {version_and_command:#04x}")
    if command == _LOCAL:
        family = transport = _UNSPEC  # and whatever stands there means nothing
    if family not in _ADDRESSES_BYTES or transport > _DATAGRAM:
        raise _wrong(f"family and transport are {family_and_transport:#04x}")
    size = high << 8 | low
    if size > BLOCK_BYTES:
        raise _wrong(f"it has more than {MAX_HEADER_BYTES:,} bytes")
    if len(begun) < 16:
        return None
    if transport and size < _ADDRESSES_BYTES[family]:
        raise _wrong(f"{size} bytes have no room for its addresses")
    if len(begun) < 16 + size:
        return None
    address = _source_of(begun[16:52], family) if transport == _STREAM else None
    return _Header(16 + size, address)


def _source_of(addresses: bytearray, family: int) -> TcpAddress | None:
    if family == _INET:
        return str(IPv4Address(bytes(addresses[:4]))), int.from_bytes(addresses[8:10], "big")
    if family == _INET6:
        return _text(IPv6Address(bytes(addresses[:16]))), int.from_bytes(addresses[32:34], "big")
    return None


def _wrong(problem: str) -> ProxyHeaderError:
    return ProxyHeaderError(f"this is not a PROXY protocol header: {problem}")


def _text(host: IPv4Address | IPv6Address) -> str:
    """A proxy that listens for both versions gives IPv4 clients addresses in the form of IPv6."""
    mapped = host.ipv4_mapped if isinstance(host, IPv6Address) else None
    return str(mapped or host)
