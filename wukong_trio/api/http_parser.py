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
_REQUEST_LINE: Final = re.compile(rb"(?P<method>[A-Z]+) (?P<path>/[!->@-~]*)(?:\?(?P<query>[!-~]*))? HTTP/1\.1\r\n")


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
        if self._body is not None:
            self._body += part
            part = bytes(self._body)
        self._reading_body, self._body = False, None
        return Request(self._head, part)

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
    # httptools would take more than one space, and other versions.
    line = _REQUEST_LINE.match(data)
    if line is None or line["method"] not in METHODS or line["path"] not in paths:
        return None
    headers = _Headers()
    try:
        httptools.HttpRequestParser(headers).feed_data(data)
    except (httptools.HttpParserError, httptools.HttpParserUpgrade):
        return None
    body_bytes = headers.body_bytes()
    if body_bytes is None or not headers.are_plain():
        return None
    return Head(
        line["method"].decode(),
        line["path"].decode(),
        (line["query"] or b"").decode(),
        headers.first(b"token").decode("latin-1"),
        b"close" not in headers.tokens(b"connection"),
        body_bytes,
    )


class _Headers:
    """Collects the headers that httptools finds."""

    def __init__(self) -> None:
        self._values: dict[bytes, list[bytes]] = {}

    def on_header(self, name: bytes, value: bytes) -> None:
        self._values.setdefault(name.lower(), []).append(value.strip(b" \t"))

    def first(self, name: bytes) -> bytes:
        """The first value, empty if there is none."""
        return self._values.get(name, [b""])[0]

    def tokens(self, name: bytes) -> list[bytes]:
        """The words of a list, in lower case."""
        return [token.strip() for token in b",".join(self._values.get(name, [])).lower().split(b",")]

    def are_plain(self) -> bool:
        """Whether there is one usual Host, and nothing that changes the protocol."""
        hosts = self._values.get(b"host", [])
        usual = len(hosts) == 1 and _HOST.fullmatch(hosts[0]) is not None
        return usual and _NEEDS_REFERENCE.isdisjoint(self._values)

    def body_bytes(self) -> int | None:
        """The length of the body, -1 for chunks; None if it is unclear."""
        coding, length = self.first(b"transfer-encoding"), self.first(b"content-length")
        if b"transfer-encoding" in self._values:
            return _CHUNKED if coding.lower() == b"chunked" and b"content-length" not in self._values else None
        if b"content-length" not in self._values:
            return 0
        return int(length) if length.isdigit() and len(length) < 19 else None
