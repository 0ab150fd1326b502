"""The rules by which `/route` finds addresses."""

import ipaddress
import socket

import pytest

from wukong_trio import Address, Config, Listeners, RouteAddresses
from wukong_trio.api.addresses import Route, RouteTable, private_ipv4

LISTENERS = Listeners(ws=Address("127.0.0.1", 0), wss=Address("127.0.0.1", 0), tcp=Address("127.0.0.1", 5100))
EVERYWHERE = Listeners(ws=Address("0.0.0.0", 0), wss=Address("::", 0), tcp=Address("", 5100))


def external(given: RouteAddresses, listeners: Listeners = LISTENERS, *, wss_port: int | None = 5210) -> Route:
    table = RouteTable(Config(listeners=listeners, external=given), ws_port=5200, wss_port=wss_port)
    assert table.intranet == RouteTable(Config(listeners=listeners), ws_port=5200, wss_port=wss_port).external
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
    off = Listeners(ws=None, wss=None)
    table = RouteTable(Config(listeners=off, external=RouteAddresses(ip="ip")), ws_port=None, wss_port=None)
    assert table.external == Route("ip:5100", "", "")
    # A proxy in front may well offer what this process does not.
    proxied = Config(listeners=off, external=RouteAddresses(ws_addr="ws://proxy", wss_addr="wss://proxy"))
    assert RouteTable(proxied, ws_port=None, wss_port=None).external == Route(
        "127.0.0.1:5100", "ws://proxy", "wss://proxy"
    )


def test_listening_everywhere_gives_this_machines_own_address() -> None:
    here = private_ipv4()
    assert external(RouteAddresses(), EVERYWHERE) == Route(f"{here}:5100", f"ws://{here}:5200", f"wss://{here}:5210")


def test_ipv6_addresses_are_put_in_brackets() -> None:
    six = Listeners(ws=Address("::1", 0), wss=None, tcp=Address("::1", 5100))
    assert external(RouteAddresses(), six, wss_port=None) == Route("[::1]:5100", "ws://[::1]:5200", "")
    assert external(RouteAddresses(ip="fd00::1"), wss_port=None).ws_addr == "ws://[fd00::1]:5200"


def test_internal_and_public_addresses_are_independent() -> None:
    config = Config(listeners=LISTENERS, external=RouteAddresses(ip="out"), intranet=RouteAddresses(ip="in"))
    table = RouteTable(config, ws_port=1, wss_port=2)
    assert table.external == Route("out:5100", "ws://out:1", "wss://out:2")
    assert table.intranet == Route("in:5100", "ws://in:1", "wss://in:2")


def test_the_machines_own_address_is_never_a_public_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ipaddress.ip_address(private_ipv4()).is_private

    class Probe(socket.socket):
        found: str | OSError = ""

        def connect(self, address: object) -> None:
            if isinstance(self.found, OSError):
                raise self.found

        def getsockname(self) -> tuple[object, int]:
            return self.found, 1

    monkeypatch.setattr(socket, "socket", Probe)
    for found, expected in (("10.1.2.3", "10.1.2.3"), ("8.8.8.8", "127.0.0.1"), (OSError(), "127.0.0.1")):
        Probe.found = found
        assert private_ipv4() == expected
