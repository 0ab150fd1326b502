"""The PROXY protocol's two headers, however they are cut, and what is none."""

import struct
from ipaddress import IPv4Address, IPv6Address, ip_address
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wukong_trio.protocol.proxy import MAX_HEADER_BYTES, ProxyHeaderError, ProxyHeaderReader, TcpAddress

SIGNATURE = bytes.fromhex("0d0a0d0a000d0a515549540a")
V4 = IPv4Address("192.0.2.1").packed + IPv4Address("10.0.0.5").packed + struct.pack("!HH", 56324, 5100)
V6 = IPv6Address("2001:db8::1").packed + IPv6Address("fd00::5").packed + struct.pack("!HH", 56324, 5100)
PATHS = b"/run/a".ljust(108, b"\0") + b"/run/b".ljust(108, b"\0")
TLV = b"\x02\x00\x03abc"
BEHIND = b"\x10\x05PROXY\r\n\r\n\0\r\nQUIT\n"
"""What a client sends next may look like anything."""


def block(command: int, family: int, content: bytes = b"", *, size: int | None = None) -> bytes:
    """A header of version 2."""
    return SIGNATURE + bytes([command, family]) + struct.pack("!H", len(content) if size is None else size) + content


HEADERS: dict[bytes, TcpAddress | None] = {
    b"PROXY TCP4 192.0.2.1 10.0.0.5 56324 5100\r\n": ("192.0.2.1", 56324),
    b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n": ("255.255.255.255", 65535),
    b"PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n": ("0.0.0.0", 0),
    b"PROXY TCP6 2001:db8::1 fd00::5 56324 5100\r\n": ("2001:db8::1", 56324),
    b"PROXY TCP6 2001:0DB8:0000:0000:0000:0000:0000:0001 :: 1 2\r\n": ("2001:db8::1", 1),
    b"PROXY TCP6 ::ffff:192.0.2.1 ::ffff:10.0.0.5 1 2\r\n": ("192.0.2.1", 1),
    b"PROXY TCP6 %b %b 65535 65535\r\n" % ((b"ffff:" * 8)[:-1], (b"ffff:" * 8)[:-1]): (
        "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        65535,
    ),
    b"PROXY UNKNOWN\r\n": None,
    b"PROXY UNKNOWN \r\n": None,
    b"PROXY UNKNOWN some\r thing\n else\r\n": None,
    b"PROXY UNKNOWN %b %b 65535 65535\r\n" % ((b"ffff:" * 8)[:-1], (b"ffff:" * 8)[:-1]): None,
    block(0x21, 0x11, V4): ("192.0.2.1", 56324),
    block(0x21, 0x11, V4 + TLV): ("192.0.2.1", 56324),
    block(0x21, 0x21, V6): ("2001:db8::1", 56324),
    block(0x21, 0x21, V6 + TLV): ("2001:db8::1", 56324),
    block(0x21, 0x21, IPv6Address("::ffff:192.0.2.1").packed + V6[16:]): ("192.0.2.1", 56324),
    block(0x21, 0x31, PATHS): None,
    block(0x21, 0x00): None,
    block(0x21, 0x01, TLV): None,
    block(0x21, 0x10, b"?"): None,
    block(0x21, 0x12, V4): None,
    block(0x21, 0x22, V6): None,
    block(0x20, 0x00): None,
    block(0x20, 0x00, TLV): None,
    block(0x20, 0x11, V4): None,
    block(0x20, 0x11): None,
    block(0x20, 0xFF, b"anything"): None,
    block(0x21, 0x11, V4 + bytes(4096 - len(V4))): ("192.0.2.1", 56324),
}


def read(*pieces: bytes) -> tuple[int, bool, TcpAddress | None]:
    """How many of the bytes belong to the header, whether it is complete, and whose connection it is."""
    reader, size = ProxyHeaderReader(), 0
    for piece in pieces:
        size += reader.receive(piece)
    return size, reader.done, reader.address


@pytest.mark.parametrize(("header", "address"), HEADERS.items())
def test_headers_are_read_at_once_with_what_follows_left_alone(header: bytes, address: TcpAddress | None) -> None:
    for behind in (b"", b"\n", BEHIND, bytes(MAX_HEADER_BYTES)):
        assert read(header + behind) == (len(header), True, address)


@pytest.mark.parametrize(("header", "address"), HEADERS.items())
def test_headers_are_read_however_they_are_cut(header: bytes, address: TcpAddress | None) -> None:
    for cut in range(len(header)):
        assert read(header[:cut]) == (cut, False, None)
        assert read(header[:cut], header[cut:] + BEHIND) == (len(header), True, address)
    assert read(*(bytes([byte]) for byte in header + BEHIND)) == (len(header), True, address)


WRONG = [
    # The first wrong byte of each is the last one.
    b"X",
    b"{",
    b"\x10",
    b"\x16",
    b"\n",
    b"p",
    b"PROXY\t",
    b"PROXY  ",
    b"PROXY TCP5",
    b"PROXY TCP4\r",
    b"PROXY UD",
    b"PROXY \r",
    b"PROXY\r",
    b"PROXY\n",
    b"PROXY UNKNOWN\n",
    b"PROXY UNKNOWNX",
    b"PROXY UNKNOWN\r\r",
    b"PROXY UNKNOWN\rX",
    b"PROXY UNKNOWN " + bytes(93),
    b"PROXY TCP4 \r",
    b"PROXY TCP4 a",
    b"PROXY TCP4 :",
    b"PROXY TCP4  ",
    b"PROXY TCP4 192.0.2 ",
    b"PROXY TCP4 192.0.2.256 ",
    b"PROXY TCP4 192.0.2.01 ",
    b"PROXY TCP4 192.0.2.1\r",
    b"PROXY TCP4 192.0.2.1\t",
    b"PROXY TCP4 255.255.255.2555",
    b"PROXY TCP4 192.0.2.1 10.0.0.5 1\r",
    b"PROXY TCP4 192.0.2.1 10.0.0.5 a",
    b"PROXY TCP4 192.0.2.1 10.0.0.5 -",
    b"PROXY TCP4 192.0.2.1 10.0.0.5  ",
    b"PROXY TCP4 192.0.2.1 10.0.0.5 65536 ",
    b"PROXY TCP4 192.0.2.1 10.0.0.5 01 ",
    b"PROXY TCP4 192.0.2.1 10.0.0.5 100000",
    b"PROXY TCP4 192.0.2.1 10.0.0.5 1 65536\r",
    b"PROXY TCP4 192.0.2.1 10.0.0.5 1 2\n",
    b"PROXY TCP4 192.0.2.1 10.0.0.5 1 2 ",
    b"PROXY TCP4 192.0.2.1 10.0.0.5 1 2\r\r",
    b"PROXY TCP4 192.0.2.1 10.0.0.5 1 2\rX",
    b"PROXY TCP6 192.0.2.1 ",
    b"PROXY TCP6 g",
    b"PROXY TCP6 ::%",
    b"PROXY TCP6 ::: ",
    b"PROXY TCP6 ::1::1 ",
    b"PROXY TCP6 1:2:3:4:5:6:7 ",
    b"PROXY TCP6 00001:: ",
    b"PROXY TCP6 " + b"0" * 40,
    b"\r\n\r\n\r",
    SIGNATURE[:11] + b"\r",
    SIGNATURE + b"\x11",
    SIGNATURE + b"\x31",
    SIGNATURE + b"\x01",
    SIGNATURE + b"\x22",
    SIGNATURE + b"\x2f",
    SIGNATURE + b"\x21\x41",
    SIGNATURE + b"\x21\x13",
    SIGNATURE + b"\x21\xff",
    SIGNATURE + b"\x21\x11\x11",
    SIGNATURE + b"\x21\x11\xff",
    block(0x21, 0x11, size=4097),
    block(0x20, 0x00, size=4097),
    block(0x21, 0x11, size=11),
    block(0x21, 0x11, size=0),
    block(0x21, 0x12, size=11),
    block(0x21, 0x21, size=35),
    block(0x21, 0x31, size=215),
]


@pytest.mark.parametrize("wrong", WRONG)
def test_what_cannot_become_a_header_is_refused_at_once(wrong: bytes) -> None:
    assert read(wrong[:-1]) == (len(wrong) - 1, False, None)
    for pieces in ([wrong], [wrong[:-1], wrong[-1:]], [wrong + BEHIND]):
        with pytest.raises(ProxyHeaderError, match="this is not a PROXY protocol header: ") as caught:
            read(*pieces)
        assert str(caught.value).isprintable()


def test_a_line_has_at_most_107_bytes() -> None:
    start = b"PROXY UNKNOWN "
    assert read(start.ljust(105, b"f") + b"\r\n") == (107, True, None)
    assert read(start.ljust(105, b"f") + b"\r") == (106, False, None)
    assert read(start.ljust(106, b"f")) == (106, False, None)
    for line in (start.ljust(106, b"f") + b"\r\n", start.ljust(107, b"f"), start.ljust(10_000, b"f") + b"\r\n"):
        with pytest.raises(ProxyHeaderError, match="107 bytes"):
            read(line)
        with pytest.raises(ProxyHeaderError, match="107 bytes"):
            read(*(bytes([byte]) for byte in line))


def test_a_block_has_at_most_4096_bytes_behind_its_first_16() -> None:
    assert read(block(0x21, 0x11, V4 + bytes(4096 - 12)) + b"x") == (4112, True, ("192.0.2.1", 56324))
    assert read(block(0x21, 0x11, V4 + bytes(4096 - 13), size=4096)) == (4111, False, None)
    with pytest.raises(ProxyHeaderError, match="4,112 bytes"):
        read(block(0x21, 0x11, V4 + bytes(4096 - 11)))


def test_after_the_header_nothing_belongs_to_it() -> None:
    header = b"PROXY UNKNOWN\r\n"
    assert read(header, header, b"") == (len(header), True, None)
    assert read(b"", header) == (len(header), True, None)


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=8), st.sampled_from([b"", b"PROXY ", SIGNATURE]))
def test_nonsense_is_refused_or_waits_for_more_whatever_the_pieces(noise: bytes, cuts: list[int], start: bytes) -> None:
    data = start + noise
    edges = [0, *sorted(cuts), len(data)]
    pieces = [data[begin:end] for begin, end in pairwise(edges)]

    def outcome(*parts: bytes) -> object:
        try:
            return read(*parts)
        except ProxyHeaderError as error:
            return type(error)

    whole = outcome(data)
    assert outcome(*pieces) == whole
    if isinstance(whole, tuple):
        size, done, _ = whole
        assert size <= len(data)
        assert done or size == len(data)


@given(st.ip_addresses(), st.integers(0, 65535), st.integers(0, 65535), st.binary(max_size=50), st.binary(max_size=9))
def test_every_address_arrives(
    host: IPv4Address | IPv6Address, port: int, own_port: int, more: bytes, behind: bytes
) -> None:
    family = 0x11 if host.version == 4 else 0x21
    text = f"PROXY TCP{host.version} {host} {host} {port} {own_port}\r\n".encode()
    binary = block(0x21, family, host.packed * 2 + struct.pack("!HH", port, own_port) + more)
    for header in (text, binary):
        size, done, address = read(header + behind)
        assert (size, done) == (len(header), True)
        assert address is not None
        mapped = host.ipv4_mapped if isinstance(host, IPv6Address) else None
        assert (ip_address(address[0]), address[1]) == (mapped or host, port)
