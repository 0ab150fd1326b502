"""The opening handshake of the native engine."""

import ssl
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wukong_trio.gateway.handshake import HEAD_LIMIT_BYTES, HandshakeReader, RefusedUpgrade, Upgrade

# The example of RFC 6455, 1.3.
GOOD = {
    "Host": "server.example.com",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
}


def request(line: str = "GET /chat?x=1 HTTP/1.1", **changes: str | None) -> bytes:
    headers = {**GOOD, **{name.replace("_", "-"): value for name, value in changes.items()}}
    lines = [line, *(f"{name}: {value}" for name, value in headers.items() if value is not None)]
    return "\r\n".join([*lines, "", ""]).encode()


def status(outcome: object) -> int:
    assert isinstance(outcome, RefusedUpgrade), outcome
    return int(outcome.answer.split()[1])


def test_the_example_of_the_rfc() -> None:
    upgrade = HandshakeReader().receive(request() + b"\x81")
    assert isinstance(upgrade, Upgrade)
    assert upgrade.target == "/chat?x=1"
    assert upgrade.rest == b"\x81"
    assert b"\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in upgrade.answer
    assert upgrade.answer.startswith(b"HTTP/1.1 101 ")


@pytest.mark.parametrize(
    "changes",
    [
        {"Upgrade": "WebSocket"},
        {"Connection": "keep-alive, Upgrade"},
        {"Upgrade": "h2c, websocket"},
        {"Origin": "http://elsewhere"},
        {"Sec-WebSocket-Protocol": "foo"},
        {"Sec-WebSocket-Version": "13 "},
        {"Sec-WebSocket-Version": "\t 13\t "},
        {"Sec-WebSocket-Key": f"  {GOOD['Sec-WebSocket-Key']} \t"},
        {"Host": " server.example.com "},
        {"Upgrade": "websocket\t"},
        {"Connection": "keep-alive\r\nConnection: Upgrade"},
        {"Connection": "Upgrade \r\nConnection:\t keep-alive"},
        {"Content-Length": "0"},
    ],
)
def test_what_is_accepted(changes: dict[str, str]) -> None:
    upgrade = HandshakeReader().receive(request(**changes))
    assert isinstance(upgrade, Upgrade)
    assert b"foo" not in upgrade.answer


@pytest.mark.parametrize(
    ("line", "changes", "expected"),
    [
        ("POST / HTTP/1.1", {}, 405),
        ("HEAD / HTTP/1.1", {}, 405),
        ("GET / HTTP/1.0", {}, 400),
        ("GET /", {}, 400),
        ("nonsense", {}, 400),
        ("GET / HTTP/1.1", {"Host": None}, 400),
        ("GET / HTTP/1.1", {"Host": "a\r\nHost: a"}, 400),
        ("GET / HTTP/1.1", {"Content-Length": "5"}, 400),
        ("GET / HTTP/1.1", {"Transfer-Encoding": "chunked"}, 400),
        ("GET / HTTP/1.1", {"Sec-WebSocket-Version ": "13"}, 400),
        ("GET / HTTP/1.1", {"Sec-WebSocket-Version": "13\r\nSec-WebSocket-Version: 13"}, 426),
        (
            "GET / HTTP/1.1",
            {"Sec-WebSocket-Key": "{0}\r\nSec-WebSocket-Key: {0}".format(GOOD["Sec-WebSocket-Key"])},
            400,
        ),
        ("GET / HTTP/1.1", {"Upgrade": None}, 426),
        ("GET / HTTP/1.1", {"Upgrade": "h2c"}, 426),
        ("GET / HTTP/1.1", {"Connection": "keep-alive"}, 426),
        ("GET / HTTP/1.1", {"Sec-WebSocket-Version": "8"}, 426),
        ("GET / HTTP/1.1", {"Sec-WebSocket-Version": None}, 426),
        ("GET / HTTP/1.1", {"Sec-WebSocket-Key": None}, 400),
        ("GET / HTTP/1.1", {"Sec-WebSocket-Key": "c2hvcnQ="}, 400),
        ("GET / HTTP/1.1", {"Sec-WebSocket-Key": "***"}, 400),
    ],
)
def test_what_is_refused(line: str, changes: dict[str, str | None], expected: int) -> None:
    outcome = HandshakeReader().receive(request(line, **changes))
    assert status(outcome) == expected
    assert isinstance(outcome, RefusedUpgrade)
    assert b"Connection: close" in outcome.answer
    if changes.get("Sec-WebSocket-Version") == "8":
        assert b"Sec-WebSocket-Version: 13" in outcome.answer


@pytest.mark.parametrize(
    "garbage",
    [b"\0", b"SSH-2.0-OpenSSH_9.2\r\n", b"\r\n\r\n", b"hello\r\n", b"GET / HTTP/1.1\nHost: a\n\n", b"\xff" * 300],
)
def test_what_is_not_http_is_refused_at_once(garbage: bytes) -> None:
    assert status(HandshakeReader().receive(garbage)) == 400


def test_tls_on_the_plain_port_is_refused_with_the_reason() -> None:
    client_hello, wire = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(wire, client_hello, server_hostname="x")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    outcome = HandshakeReader().receive(client_hello.read())
    assert isinstance(outcome, RefusedUpgrade)
    assert "TLS on the plain port" in outcome.reason
    wire.write(outcome.answer)
    with pytest.raises(ssl.SSLError, match=r"(?i)wrong.version.number"):
        client.do_handshake()


@pytest.mark.parametrize(
    ("allowed", "origin", "accepted"),
    [
        ((), "https://evil.example", True),
        (("https://chat.example",), "https://chat.example", True),
        (("https://chat.example", "null"), "null", True),
        (("https://chat.example",), None, True),
        (("https://chat.example",), "https://evil.example", False),
        (("https://chat.example",), "http://chat.example", False),
        (("https://chat.example",), "https://chat.example:444", False),
        (("https://chat.example",), "", False),
        (("https://chat.example",), "https://chat.example\r\nOrigin: https://evil.example", False),
    ],
)
def test_allowed_origins(allowed: tuple[str, ...], origin: str | None, accepted: bool) -> None:
    outcome = HandshakeReader(allowed_origins=allowed).receive(request(Origin=origin))
    if accepted:
        assert isinstance(outcome, Upgrade)
    else:
        assert status(outcome) == 403
        assert isinstance(outcome, RefusedUpgrade)
        assert "allowedOrigins" in outcome.reason


def test_the_size_of_the_head_is_limited() -> None:
    padding = HEAD_LIMIT_BYTES - len(request(X_Fill="")) + len("\r\n\r\n")
    assert isinstance(HandshakeReader().receive(request(X_Fill="x" * padding)), Upgrade)
    assert status(HandshakeReader().receive(request(X_Fill="x" * (padding + 1)))) == 431
    assert status(HandshakeReader().receive(b"GET / HTTP/1.1\r\nX: " + b"x" * HEAD_LIMIT_BYTES)) == 431
    reader = HandshakeReader()
    outcomes = [reader.receive(bytes([byte])) for byte in request(X_Fill="x" * (padding + 1))]
    assert outcomes.index(outcomes[-1]) == len(outcomes) - 1, "and not before"
    assert status(outcomes[-1]) == 431


@given(st.lists(st.integers(0, 200), max_size=6))
def test_a_request_in_pieces(cuts: list[int]) -> None:
    data = request()
    edges = sorted({0, len(data), *(cut % len(data) for cut in cuts)})
    reader = HandshakeReader()
    outcomes = [reader.receive(data[a:b]) for a, b in pairwise(edges)]
    assert outcomes[:-1] == [None] * (len(outcomes) - 1)
    assert isinstance(outcomes[-1], Upgrade)


@given(st.binary(max_size=300))
def test_noise_raises_nothing(data: bytes) -> None:
    HandshakeReader().receive(data + b"\r\n\r\n")
