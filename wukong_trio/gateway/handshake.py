"""The opening handshake (RFC 6455, 4.2), as the native engine answers it: the head of a request in, an answer out."""

import hashlib
from base64 import b64encode
from binascii import Error as Base64Error
from binascii import a2b_base64
from http import HTTPStatus
from typing import Final, NamedTuple

import httptools

HEAD_LIMIT_BYTES: Final = 16 * 1024
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


class HandshakeReader:
    """Collects the head of one request."""

    def __init__(self) -> None:
        self._data = b""
        self._headers: dict[bytes, bytes] = {}
        self._target = b""
        self._complete = False

    # httptools calls these

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        self._headers[name] = self._headers[name] + b", " + value if name in self._headers else value

    # and the engine this

    def receive(self, data: bytes) -> Upgrade | RefusedUpgrade | None:
        """The outcome, None while the head is not complete."""
        self._data += data
        head, mark, rest = self._data.partition(b"\r\n\r\n")
        if len(head) > HEAD_LIMIT_BYTES:
            return _refusal(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the request head is too large")
        if not mark:
            return None
        parser = httptools.HttpRequestParser(self)
        try:
            parser.feed_data(head + mark)
        except httptools.HttpParserUpgrade:
            pass
        except httptools.HttpParserError:
            return _refusal(HTTPStatus.BAD_REQUEST, "this is not HTTP/1.1")
        return self._judge(parser.get_method(), parser.get_http_version(), rest)

    def _judge(self, method: bytes, version: str, rest: bytes) -> Upgrade | RefusedUpgrade:
        if method != b"GET":
            return _refusal(HTTPStatus.METHOD_NOT_ALLOWED, "a WebSocket begins with GET", ("Allow", "GET"))
        if version != "1.1" or b"host" not in self._headers:
            return _refusal(HTTPStatus.BAD_REQUEST, "a WebSocket needs HTTP/1.1 and a Host")
        if not self._has(b"upgrade", b"websocket") or not self._has(b"connection", b"upgrade"):
            return _refusal(HTTPStatus.UPGRADE_REQUIRED, "this port speaks WebSocket only", ("Upgrade", "websocket"))
        if self._headers.get(b"sec-websocket-version") != b"13":
            wanted = ("Sec-WebSocket-Version", "13")
            return _refusal(HTTPStatus.UPGRADE_REQUIRED, "only version 13 is spoken here", wanted)
        key = self._headers.get(b"sec-websocket-key", b"")
        if not _is_key(key):
            return _refusal(HTTPStatus.BAD_REQUEST, "Sec-WebSocket-Key is missing or wrong")
        accept = b64encode(hashlib.sha1(key + _MAGIC, usedforsecurity=False).digest())
        answer = (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: %b\r\n\r\n" % accept
        )
        return Upgrade(self._target.decode("latin-1"), answer, rest, key)

    def _has(self, name: bytes, token: bytes) -> bool:
        return token in (part.strip() for part in self._headers.get(name, b"").lower().split(b","))


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
