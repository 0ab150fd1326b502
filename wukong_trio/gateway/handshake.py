"""The opening handshake (RFC 6455, 4.2), as the native engine answers it: the head of a request in, an answer out."""

import hashlib
from base64 import b64encode
from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Collection
from http import HTTPStatus
from typing import Final, NamedTuple

import httptools

HEAD_LIMIT_BYTES: Final = 16 * 1024
_END_OF_HEAD: Final = b"\r\n\r\n"
_BLANKS: Final = b" \t"
_HEADERS: Final = frozenset(
    {
        b"host",
        b"content-length",
        b"transfer-encoding",
        b"upgrade",
        b"connection",
        b"origin",
        b"sec-websocket-version",
        b"sec-websocket-key",
    }
)
_JUDGED_AS_LISTS: Final = frozenset({b"upgrade", b"connection", b"origin", b"sec-websocket-version"})
"""Those that are no mistake if they are there several times."""
_TLS_HANDSHAKE: Final = b"\x16"
"""The first byte of a TLS connection; no HTTP method begins with it."""
_MAGIC: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Upgrade(NamedTuple):
    """A request that becomes a WebSocket."""

    target: str
    """Path and query."""
    answer: bytes
    rest: bytes
    """What the client has sent after the head."""
    key: bytes
    """Its Sec-WebSocket-Key."""


class RefusedUpgrade(NamedTuple):
    """A request that does not."""

    answer: bytes
    reason: str


class _Head:
    """What httptools finds in a head."""

    __slots__ = ("complete", "headers", "repeated", "target")

    def __init__(self) -> None:
        self.target = b""
        self.headers: dict[bytes, bytes] = {}
        """Those that matter, by their names in lower case; what is there several times, joined by commas."""
        self.repeated: list[bytes] = []
        self.complete = False

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name not in _HEADERS:
            return
        value = value.strip(_BLANKS)
        if name in self.headers:
            self.repeated.append(name)
            value = self.headers[name] + b"," + value
        self.headers[name] = value

    def on_headers_complete(self) -> None:
        self.complete = True

    def has(self, name: bytes, token: bytes) -> bool:
        """Whether a list, which may be spread over several headers, has a member."""
        values = self.headers.get(name, b"").lower()
        return values == token or token in [part.strip(_BLANKS) for part in values.split(b",")]


class HandshakeReader:
    """Collects the head of one request.

    Every byte goes through the parser once, in whatever pieces it arrives, and what cannot become HTTP is refused at
    its first wrong byte.
    """

    def __init__(self, *, allowed_origins: Collection[str] = ()) -> None:
        """Args:
        allowed_origins: what browsers may say in `Origin`; empty: anything. Who sends no Origin is no browser.
        """
        self._allowed_origins = allowed_origins
        self._head = _Head()
        self._parser = httptools.HttpRequestParser(self._head)
        self._size = 0
        self._tail = b""
        """The last bytes: the end of the head may be cut anywhere."""

    def receive(self, data: bytes) -> Upgrade | RefusedUpgrade | None:
        """The outcome, None while the head is not complete."""
        if not self._size and data[:1] == _TLS_HANDSHAKE:
            # Clients are known to report a plain answer as a "wrong version number", which leads to the cause.
            return _refusal(HTTPStatus.BAD_REQUEST, "TLS on the plain port; use ws:// here, or the port for wss://")
        window = self._tail + data
        end = window.find(_END_OF_HEAD)
        size = len(data) if end < 0 else end + len(_END_OF_HEAD) - len(self._tail)
        self._size += size
        if self._size > HEAD_LIMIT_BYTES + len(_END_OF_HEAD):
            return _refusal(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the request head is too large")
        self._tail = window[-len(_END_OF_HEAD) + 1 :]
        try:
            self._parser.feed_data(memoryview(data)[:size])
        except httptools.HttpParserUpgrade:
            pass
        except httptools.HttpParserError:
            return _refusal(HTTPStatus.BAD_REQUEST, "this is not HTTP/1.1")
        complete = self._head.complete
        if end < 0 and not complete:
            return None
        if end < 0 or not complete:
            return _refusal(HTTPStatus.BAD_REQUEST, "the request head does not end where it should")
        return self._judge(data[size:])

    def _judge(self, rest: bytes) -> Upgrade | RefusedUpgrade:
        head, headers = self._head, self._head.headers
        if self._parser.get_method() != b"GET":
            return _refusal(HTTPStatus.METHOD_NOT_ALLOWED, "a WebSocket begins with GET", ("Allow", "GET"))
        if self._parser.get_http_version() != "1.1" or b"host" not in headers:
            return _refusal(HTTPStatus.BAD_REQUEST, "a WebSocket needs HTTP/1.1 and one Host")
        if head.repeated and not _JUDGED_AS_LISTS.issuperset(head.repeated):
            return _refusal(HTTPStatus.BAD_REQUEST, "a header is there twice that may be there once")
        if headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers:
            return _refusal(HTTPStatus.BAD_REQUEST, "a WebSocket begins without a body")
        if not head.has(b"upgrade", b"websocket") or not head.has(b"connection", b"upgrade"):
            return _refusal(HTTPStatus.UPGRADE_REQUIRED, "this port speaks WebSocket only", ("Upgrade", "websocket"))
        if headers.get(b"sec-websocket-version") != b"13":
            wanted = ("Sec-WebSocket-Version", "13")
            return _refusal(HTTPStatus.UPGRADE_REQUIRED, "only version 13 is spoken here", wanted)
        key = headers.get(b"sec-websocket-key", b"")
        if not _is_key(key):
            return _refusal(HTTPStatus.BAD_REQUEST, "Sec-WebSocket-Key is missing or wrong")
        if not self._is_allowed_origin():
            return _refusal(HTTPStatus.FORBIDDEN, "this Origin is not among allowedOrigins")
        accept = b64encode(hashlib.sha1(key + _MAGIC, usedforsecurity=False).digest())
        # A subprotocol that was offered is not chosen: there is none by which messages would be other ones.
        answer = (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: %b\r\n\r\n" % accept
        )
        return Upgrade(head.target.decode("latin-1"), answer, rest, key)

    def _is_allowed_origin(self) -> bool:
        origin = self._head.headers.get(b"origin")
        return not self._allowed_origins or origin is None or origin.decode("latin-1") in self._allowed_origins


def _is_key(key: bytes) -> bool:
    try:
        return len(a2b_base64(key, strict_mode=True)) == 16
    except Base64Error:
        return False


def _refusal(status: HTTPStatus, text: str, *headers: tuple[str, str]) -> RefusedUpgrade:
    body = f"{text}\n"
    lines = [
        f"HTTP/1.1 {status.value} {status.phrase}",
        *(f"{name}: {value}" for name, value in headers),
        "Content-Type: text/plain",
        f"Content-Length: {len(body)}",
        "Connection: close",
    ]
    return RefusedUpgrade("\r\n".join([*lines, "", body]).encode(), text)
