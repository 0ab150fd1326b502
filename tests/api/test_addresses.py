"""The rules by which `/route` finds addresses."""

import logging
import socket
import struct
from ipaddress import ip_address

import pytest

from wukong_trio import Address, Config, Listeners, RouteAddresses
from wukong_trio.api import machine
from wukong_trio.api.addresses import Route, RouteTable
from wukong_trio.api.machine import own_address

LISTENERS = Listeners(tcp=Address("127.0.0.1", 0), ws=Address("127.0.0.1", 0), wss=Address("127.0.0.1", 0))
EVERYWHERE = Listeners(tcp=Address("0.0.0.0", 0), ws=Address("0.0.0.0", 0), wss=Address("0.0.0.0", 0))


def external(given: RouteAddresses, listeners: Listeners = LISTENERS, *, wss_port: int | None = 5210) -> Route:
    table = RouteTable(Config(listeners=listeners, external=given), tcp_port=5100, ws_port=5200, wss_port=wss_port)
    underived = RouteTable(Config(listeners=listeners), tcp_port=5100, ws_port=5200, wss_port=wss_port)
    assert table.intranet == underived.external
    return table.external


def test_unset_addresses_are_those_really_bound() -> None:
    assert external(RouteAddresses()) == Route("127.0.0.1:5100", "ws://127.0.0.1:5200", "wss://127.0.0.1:5210")


def test_an_ip_replaces_the_host_and_keeps_the_ports() -> None:
    expected = Route("im.example.org:5100", "ws://im.example.org:5200", "wss://im.example.org:5210")
    assert external(RouteAddresses(ip="im.example.org")) == expected
    assert external(RouteAddresses(ip="im.example.org"), EVERYWHERE) == expected


@pytest.mark.parametrize("given", [{"tcp_addr": "x:1"}, {"ws_addr": "ws://x:2"}, {"wss_addr": "wss://x:3/path"}])
def test_a_set_address_is_given_verbatim_and_the_others_are_derived(given: dict[str, str]) -> None:
    route = external(RouteAddresses(ip="ip", **given))
    derived = {"tcp_addr": "ip:5100", "ws_addr": "ws://ip:5200", "wss_addr": "wss://ip:5210"}
    assert route == Route(**(derived | given))


def test_without_a_listener_the_address_is_empty_unless_set() -> None:
    off = Listeners(tcp=None, ws=None, wss=None)
    table = RouteTable(
        Config(listeners=off, external=RouteAddresses(ip="ip")), tcp_port=None, ws_port=None, wss_port=None
    )
    assert table.external == Route("", "", "")
    # A proxy in front may well offer what this process does not.
    given = RouteAddresses(tcp_addr="proxy:1", ws_addr="ws://proxy", wss_addr="wss://proxy")
    proxied = RouteTable(Config(listeners=off, external=given), tcp_port=None, ws_port=None, wss_port=None)
    assert proxied.external == Route("proxy:1", "ws://proxy", "wss://proxy")


def test_listening_everywhere_gives_this_machines_own_address() -> None:
    here = own_address(4)
    assert external(RouteAddresses(), EVERYWHERE) == Route(f"{here}:5100", f"ws://{here}:5200", f"wss://{here}:5210")


def test_ipv6_addresses_are_put_in_brackets() -> None:
    six = Listeners(tcp=Address("::1", 0), ws=Address("::1", 0), wss=None)
    assert external(RouteAddresses(), six, wss_port=None) == Route("[::1]:5100", "ws://[::1]:5200", "")
    assert external(RouteAddresses(ip="fd00::1"), wss_port=None).ws_addr == "ws://[fd00::1]:5200"


def test_internal_and_public_addresses_are_independent() -> None:
    config = Config(listeners=LISTENERS, external=RouteAddresses(ip="out"), intranet=RouteAddresses(ip="in"))
    table = RouteTable(config, tcp_port=0, ws_port=1, wss_port=2)
    assert table.external == Route("out:0", "ws://out:1", "wss://out:2")
    assert table.intranet == Route("in:0", "ws://in:1", "wss://in:2")


def test_a_listener_for_ipv6_is_reported_with_an_ipv6_address() -> None:
    six = Listeners(tcp=Address("::", 0), ws=Address("::", 0), wss=Address("0.0.0.0", 0))
    here, there = own_address(6), own_address(4)
    assert external(RouteAddresses(), six) == Route(f"[{here}]:5100", f"ws://[{here}]:5200", f"wss://{there}:5210")


class Machine:
    """A machine with these interfaces, and perhaps a route to others."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, interfaces: list[str], routed: str = "") -> None:
        class Probe(socket.socket):
            def connect(self, address: object) -> None:
                if not routed:
                    raise OSError

            def getsockname(self) -> tuple[object, int]:
                return routed, 1

        four = [text for text in interfaces if ":" not in text]
        six = [f"{int(ip_address(text)):032x} 04 40 20 80 eth0" for text in interfaces if ":" in text]

        def ioctl(_sock: socket.socket, _request: int, argument: bytes) -> bytes:
            (name,) = struct.unpack("256s", argument)
            if name.startswith(b"down"):
                raise OSError
            return argument[:20] + socket.inet_aton(four[int(name.rstrip(b"\0"))]) + argument[24:]

        class File:
            def read_text(self) -> str:
                return "\n".join(six)

        import fcntl

        monkeypatch.setattr(socket, "socket", Probe)
        names = [(9, "down"), *((n, str(n)) for n in range(len(four)))]
        monkeypatch.setattr(socket, "if_nameindex", lambda: names)
        monkeypatch.setattr(fcntl, "ioctl", ioctl)
        monkeypatch.setattr(machine, "_IPV6_INTERFACES", File())


@pytest.mark.parametrize(
    ("interfaces", "routed", "four", "six"),
    [
        (["127.0.0.1", "::1"], "", "127.0.0.1", "::1"),
        (["127.0.0.1", "10.1.2.3"], "10.1.2.3", "10.1.2.3", "::1"),
        # Without a route to others, an address of an own network still counts.
        (["127.0.0.1", "192.168.7.1", "10.0.0.1"], "", "192.168.7.1", "::1"),
        # A private address comes before a public one, and a public one before loopback.
        (["127.0.0.1", "8.8.8.8", "172.16.0.1"], "8.8.8.8", "172.16.0.1", "::1"),
        (["127.0.0.1", "8.8.8.8"], "8.8.8.8", "8.8.8.8", "::1"),
        (["127.0.0.1", "169.254.1.1"], "", "127.0.0.1", "::1"),
        # These look private and are not: shared by providers, or beyond the range.
        (["100.64.0.1", "172.32.0.1", "10.0.0.1"], "", "10.0.0.1", "::1"),
        (["::1", "fe80::1", "2a00::1"], "", "127.0.0.1", "2a00::1"),
        (["::1", "fe80::1", "2a00::1", "fd00::1"], "", "127.0.0.1", "fd00::1"),
    ],
)
def test_the_own_address(
    monkeypatch: pytest.MonkeyPatch, interfaces: list[str], routed: str, four: str, six: str
) -> None:
    Machine(monkeypatch, interfaces, routed)
    assert own_address(4) == four
    if not routed:
        assert own_address(6) == six


@pytest.mark.parametrize(
    ("ws", "given", "warned"),
    [
        ("127.0.0.1", {}, False),
        ("localhost", {}, False),
        ("0.0.0.0", {}, True),
        ("0.0.0.0", {"ip": "im.example.org"}, False),
        ("0.0.0.0", {"ip": "localhost"}, True),
        ("0.0.0.0", {"ws_addr": "ws://127.0.0.1:5200/path"}, True),
        ("0.0.0.0", {"ws_addr": "ws://im.example.org"}, False),
        ("192.168.7.1", {}, False),
        ("::", {}, True),
        ("::", {"ip": "::"}, True),
    ],
)
def test_an_address_that_others_cannot_reach_is_warned_of(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, ws: str, given: dict[str, str], warned: bool
) -> None:
    Machine(monkeypatch, ["127.0.0.1", "::1"])
    config = Config(listeners=Listeners(tcp=None, ws=Address(ws, 0)), external=RouteAddresses(**given))
    RouteTable(config, tcp_port=None, ws_port=5200, wss_port=None)
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == warned
    assert all("external.ip" in line and "ws://" in line for line in warnings)


def test_a_loopback_listener_behind_an_open_api_is_warned_of_too(caplog: pytest.LogCaptureFixture) -> None:
    external(RouteAddresses(), Listeners(http=Address("0.0.0.0", 0), ws=Address("127.0.0.1", 0), wss=None))
    assert "ws://127.0.0.1:5200, which other machines cannot reach; change wsAddr, or set external.ip" in caplog.text


@pytest.mark.parametrize(
    ("listeners", "warned"),
    [
        ({"ws": Address("192.168.7.1", 0)}, True),
        ({"tls": Address("192.168.7.1", 0)}, True),
        ({"ws": None}, False),
        ({"ws": Address("192.168.7.1", 0), "tcp": Address("192.168.7.1", 0)}, False),
        ({"ws": None, "tcp": Address("192.168.7.1", 0)}, False),
        ({"ws": Address("192.168.7.1", 0), "tcp": None}, False),
    ],
)
def test_a_binary_listener_for_this_machine_alone_is_warned_of_beside_open_ones(
    caplog: pytest.LogCaptureFixture, listeners: dict[str, Address | None], warned: bool
) -> None:
    config = Config(listeners=Listeners(**listeners), external=RouteAddresses(ws_addr="ws://im.example.org"))
    RouteTable(config, tcp_port=5100, ws_port=5200, wss_port=None)
    line = "GET /route gives out 127.0.0.1:5100, which other machines cannot reach; change addr, or set external.ip"
    assert [record.getMessage() for record in caplog.records] == [line] * warned
