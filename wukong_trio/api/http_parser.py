"""Reading HTTP/1.1 requests for the native engine: bytes in, requests out.

Only what is plain and known is read here: a path of the table, a usual method, one Host, at most one length. Anything
else is no error but a case for the reference, which gets the bytes as they came and answers them. So no lenience is
decided here, and none of httptools matters.
"""

import re
from collections.abc import Collection
from typing import Final, NamedTuple

import httptools

from .framing import ChunkedBody, FramingError, is_ambiguous

HEAD_LIMIT_BYTES: Final = 16 * 1024
METHODS: Final = frozenset({b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS"})
_CHUNKED: Final = -1
_NEEDS_REFERENCE: Final = frozenset({b"upgrade", b"expect", b"http2-settings"})
_BLANK_LINE: Final = re.compile(rb"\n\r?\n")
_HOST: Final = re.compile(rb"[a-zA-Z0-9.:_\[\]-]+")
_QUERY: Final = re.compile(rb"[!-~]*")


class Head(NamedTuple):
    """What the head of a request says."""

    method: str
    path: str
    query: str
    token: str
    keep_alive: bool
    body_bytes: int
    """Length of the body; -1 if it comes in chunks."""


class Request(NamedTuple):
    """A complete request."""

    head: Head
    body: bytes


class HandOver(NamedTuple):
    """From here on the connection is the reference's."""

    unread: bytes
    """What it has not read yet."""


class Refusal(NamedTuple):
    """The request cannot be read to its end; nothing after it can be understood."""

    http_status: int


class RequestReader:
    """Reads the requests of one connection. `receive` takes bytes, `take` returns what they were, one by one."""

    __slots__ = (
        "_body",
        "_chunks",
        "_data",
        "_head",
        "_head_bytes",
        "_limit_bytes",
        "_paths",
        "_position",
        "_reading_body",
    )

    def __init__(self, paths: Collection[bytes], body_limit_bytes: int) -> None:
        """A connection that begins.

        Args:
            paths: what is answered natively.
            body_limit_bytes: a longer body is refused with 413, before it is read if its length is known.
        """
        self._paths = paths
        self._limit_bytes = body_limit_bytes
        self._data = b""
        self._position = 0
        # Clients repeat their heads, so the last one is kept with its meaning, which depends on nothing else.
        self._head_bytes = b""
        self._head: Head | None = None
        self._reading_body = False
        self._body: bytearray | None = None
        self._chunks: ChunkedBody | None = None

    @property
    def between_requests(self) -> bool:
        """Nothing of a next request has come."""
        return not self._reading_body and self._position == len(self._data)

    @property
    def reading_body(self) -> bool:
        """The head is complete, the body is not."""
        return self._reading_body

    def receive(self, data: bytes) -> None:
        """Takes bytes as they come from the socket."""
        self._data = data if self._position == len(self._data) else self._data[self._position :] + data
        self._position = 0

    def take(self) -> Request | HandOver | Refusal | None:
        """The next request, None until more bytes come. After anything but a request the reader is of no more use."""
        if not self._reading_body:
            outcome = self._take_head()
            if outcome is not None or not self._reading_body:
                return outcome
        return self._take_body()

    def _take_head(self) -> Request | HandOver | Refusal | None:
        data, start = self._data, self._position
        if start == len(data):
            self._data, self._position = b"", 0
            return None
        end = data.find(b"\r\n\r\n", start) + 4
        if end == 3:
            return HandOver(data[start:]) if _is_hopeless(data[start:]) else None
        head_bytes = data[start:end]
        if head_bytes != self._head_bytes:
            self._head = read_head(head_bytes, self._paths)
            self._head_bytes = head_bytes
        head = self._head
        if head is None:
            return HandOver(data[start:])
        if head.body_bytes > self._limit_bytes:
            return Refusal(413)
        self._position = end
        if head.body_bytes == 0:
            return Request(head, b"")
        self._reading_body = True
        if head.body_bytes == _CHUNKED:
            self._chunks = ChunkedBody(limit_bytes=self._limit_bytes)
        return None

    def _take_body(self) -> Request | Refusal | None:
        assert self._head is not None
        if self._chunks is not None:
            return self._take_chunks(self._head, self._chunks)
        wanted = self._head.body_bytes - len(self._body or b"")
        part = self._data[self._position : self._position + wanted]
        self._position += len(part)
        if len(part) < wanted:
            # In one growing buffer, because adding to bytes again and again would copy them again and again.
            self._body = self._body or bytearray()
            self._body += part
            return None
        body = part if self._body is None else bytes(self._body + part)
        self._reading_body, self._body = False, None
        return Request(self._head, body)

    def _take_chunks(self, head: Head, chunks: ChunkedBody) -> Request | Refusal | None:
        try:
            self._position = chunks.receive(self._data, self._position)
        except FramingError as error:
            return Refusal(error.http_status)
        if not chunks.complete:
            return None
        self._reading_body, self._chunks = False, None
        return Request(head, bytes(chunks.data))


def _is_hopeless(part: bytes) -> bool:
    """Whether the beginning of a head, without its end, is enough to know that the reference has to answer."""
    return len(part) > HEAD_LIMIT_BYTES or not part[:1].isupper() or _BLANK_LINE.search(part) is not None


def read_head(data: bytes, paths: Collection[bytes]) -> Head | None:
    """What a head says, given up to and with its blank line; None if it is a case for the reference."""
    if len(data) > HEAD_LIMIT_BYTES or is_ambiguous(data):
        return None
    collector = _Headers()
    parser = httptools.HttpRequestParser(collector)
    try:
        parser.feed_data(data)
    except (httptools.HttpParserError, httptools.HttpParserUpgrade):
        return None
    return collector.meaning(parser, paths)


class _Headers:
    """What httptools finds in one head."""

    def __init__(self) -> None:
        self._target = b""
        self._headers: dict[bytes, list[bytes]] = {}

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.setdefault(name.lower(), []).append(value.strip(b" \t"))

    def meaning(self, parser: httptools.HttpRequestParser, paths: Collection[bytes]) -> Head | None:
        """The head, if it is one for the native engine."""
        headers = self._headers
        method = parser.get_method()
        path, _, query = self._target.partition(b"?")
        body_bytes = self._body_bytes()
        known = method in METHODS and path in paths and parser.get_http_version() == "1.1"
        hosts = headers.get(b"host", [])
        if not known or body_bytes is None or not _NEEDS_REFERENCE.isdisjoint(headers):
            return None
        if len(hosts) != 1 or _HOST.fullmatch(hosts[0]) is None or _QUERY.fullmatch(query) is None:
            return None
        connection = b",".join(headers.get(b"connection", [])).lower()
        return Head(
            method.decode(),
            path.decode(),
            query.decode(),
            headers.get(b"token", [b""])[0].decode("latin-1"),
            b"close" not in [token.strip() for token in connection.split(b",")],
            body_bytes,
        )

    def _body_bytes(self) -> int | None:
        codings, lengths = self._headers.get(b"transfer-encoding"), self._headers.get(b"content-length")
        if codings is not None:
            return _CHUNKED if lengths is None and codings[0].lower() == b"chunked" else None
        if lengths is None:
            return 0
        return int(lengths[0]) if lengths[0].isdigit() and len(lengths[0]) < 19 else None
