"""Reading HTTP/1.1 requests for the native engine: bytes in, requests out.

Only what is plain and known is read here: a path of the table, a usual method, one Host, at most one length. Anything
else is no error but a case for the reference, which gets the bytes as they came and answers them. So no lenience is
decided here, and none of httptools matters.

Whether a request is admitted, and how long its body may be, is asked as soon as its head is there.
"""

import re
from collections.abc import Callable, Collection
from typing import Final, NamedTuple

import httptools

from .framing import ChunkedBody, FramingError, has_too_many_lines, is_ambiguous
from .guard import Head
from .table import BodyBudget, HttpAnswer

HEAD_LIMIT_BYTES: Final = 16 * 1024
METHODS: Final = frozenset({b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS"})
_CHUNKED: Final = -1
_NEEDS_REFERENCE: Final = frozenset({b"upgrade", b"expect", b"http2-settings"})
_TLS: Final = b"\x16\x03"
"""A client that greets in TLS."""
_HOST: Final = re.compile(rb"[a-zA-Z0-9.:_\[\]-]+")
_REQUEST_LINE: Final = re.compile(rb"(?P<method>[A-Z]+) (?P<path>/[!->@-~]*)(?:\?(?P<query>[!-~]*))? HTTP/1\.1\r\n")


class ParsedHead(NamedTuple):
    """A head, and what follows it."""

    head: Head
    keep_alive: bool
    body_bytes: int
    """Length of the body; -1 if it comes in chunks."""


class Request(NamedTuple):
    """A complete request, or one that is answered by its head."""

    parsed: ParsedHead
    body: bytes | bytearray
    answer: HttpAnswer | None = None
    """Given if the request was not admitted; then the body has not been read."""


class HandOver(NamedTuple):
    """From here on the connection is the reference's."""

    unread: bytes
    """What it has not read yet."""


class Refusal(NamedTuple):
    """The request cannot be read to its end; nothing after it can be understood."""

    http_status: int
    limit_bytes: int = 0
    """What a body may have, if that is the reason."""
    is_tls: bool = False
    """The client means another port."""


Admit = Callable[[Head], int | HttpAnswer]
"""Says how many bytes the body of a request may have, or answers it."""


class RequestReader:
    """Reads the requests of one connection. `receive` takes bytes, `take` returns what they were, one by one."""

    __slots__ = (
        "_admit",
        "_body",
        "_budget",
        "_chunks",
        "_data",
        "_head_bytes",
        "_held_bytes",
        "_limit_bytes",
        "_parsed",
        "_paths",
        "_peer",
        "_position",
        "_reading_body",
        "_searched",
    )

    def __init__(self, paths: Collection[bytes], admit: Admit, budget: BodyBudget, peer: str) -> None:
        """A connection that begins.

        Args:
            paths: what is answered natively.
            admit: asked about every head.
            budget: what the bodies of all connections may take, as long as they do not come with their heads.
            peer: the address of the other side.
        """
        self._paths = paths
        self._admit = admit
        self._budget = budget
        self._peer = peer
        self._data = b""
        self._position = 0
        self._searched = 0
        # Clients repeat their heads, so the last one that was admitted is kept with its meaning, which depends on
        # nothing else.
        self._head_bytes = b""
        self._parsed: ParsedHead | None = None
        self._limit_bytes = 0
        self._reading_body = False
        self._body: bytearray | None = None
        self._held_bytes = 0
        self._chunks: ChunkedBody | None = None

    @property
    def between_requests(self) -> bool:
        """Nothing of a next request has come."""
        return not self._reading_body and self._position == len(self._data)

    @property
    def reading_body(self) -> bool:
        """The head is complete, the body is not."""
        return self._reading_body

    @property
    def path(self) -> str:
        """Of the last head that could be read; empty if there was none."""
        return self._parsed.head.path if self._parsed is not None else ""

    def receive(self, data: bytes) -> None:
        """Takes bytes as they come from the socket, once `take` has returned None."""
        if self._position == len(self._data):
            self._data, self._searched = data, 0
        else:
            left = self._data[self._position :]
            self._data = left + data
            # No head has ended in what was left; its last bytes may begin the end.
            self._searched = max(0, len(left) - 3)
        self._position = 0

    def release(self) -> None:
        """The last body, or what has come of it, is not held any more."""
        if self._held_bytes:
            self._budget.give_back(self._held_bytes)
            self._held_bytes = 0
            self._body = self._chunks = None

    def take(self) -> Request | HandOver | Refusal | None:
        """The next request, None until more bytes come. After a hand-over or a refusal the reader is of no more use."""
        if not self._reading_body:
            if self._held_bytes:
                self.release()
            outcome = self._take_head()
            if outcome is not None or not self._reading_body:
                return outcome
        return self._take_body()

    def _take_head(self) -> Request | HandOver | Refusal | None:
        data, start = self._data, self._position
        if start == len(data):
            self._data, self._position = b"", 0
            return None
        unsearched = start if start > self._searched else self._searched
        end = data.find(b"\r\n\r\n", unsearched) + 4
        if end == 3:
            return _hopeless(data, start, unsearched)
        head_bytes = data[start:end]
        if head_bytes != self._head_bytes:
            if has_too_many_lines(head_bytes):
                return Refusal(431)
            refused = self._read_head(head_bytes)
            if refused is not None:
                self._position = end
                return refused
        parsed = self._parsed
        if parsed is None:
            return HandOver(data[start:])
        if parsed.body_bytes > self._limit_bytes:
            return Refusal(413, self._limit_bytes)
        self._position = end
        if parsed.body_bytes == 0:
            return Request(parsed, b"", None)
        self._reading_body = True
        if parsed.body_bytes == _CHUNKED:
            self._chunks = ChunkedBody(limit_bytes=self._limit_bytes)
        return None

    def _read_head(self, data: bytes) -> Request | None:
        """Reads a new head; a request if it is not admitted."""
        self._head_bytes = b""
        self._parsed = parsed = read_head(data, self._paths, self._peer)
        if parsed is None:
            return None
        admitted = self._admit(parsed.head)
        if isinstance(admitted, HttpAnswer):
            return Request(parsed, b"", admitted._replace(close=parsed.body_bytes != 0))
        self._head_bytes = data
        self._limit_bytes = admitted
        return None

    def _take_body(self) -> Request | Refusal | None:
        assert self._parsed is not None
        if self._chunks is not None:
            taken = self._take_chunks(self._parsed, self._chunks)
        else:
            taken = self._take_counted(self._parsed)
        if self._position == len(self._data):
            # While the rest of a body is awaited nothing is kept beside it.
            self._data, self._position = b"", 0
        return taken

    def _take_counted(self, parsed: ParsedHead) -> Request | Refusal | None:
        wanted = parsed.body_bytes - len(self._body or b"")
        part = self._data[self._position : self._position + wanted]
        self._position += len(part)
        if self._body is None and len(part) == wanted:
            self._reading_body = False
            return Request(parsed, part)
        if not self._hold(len(part)):
            return Refusal(503)
        # In one growing buffer, because adding to bytes again and again would copy them again and again.
        body = self._body = self._body if self._body is not None else bytearray()
        body += part
        if len(part) < wanted:
            return None
        self._reading_body, self._body = False, None
        return Request(parsed, body)

    def _take_chunks(self, parsed: ParsedHead, chunks: ChunkedBody) -> Request | Refusal | None:
        try:
            self._position = chunks.receive(self._data, self._position)
        except FramingError as error:
            return Refusal(error.http_status, self._limit_bytes)
        if not self._hold(len(chunks.data) - self._held_bytes):
            return Refusal(503)
        if not chunks.complete:
            return None
        self._reading_body, self._chunks = False, None
        return Request(parsed, chunks.data)

    def _hold(self, more_bytes: int) -> bool:
        """Counts what has come of a body; False if there is no room for it."""
        held = self._budget.take(more_bytes)
        if held:
            self._held_bytes += more_bytes
        return held


def _hopeless(data: bytes, start: int, unsearched: int) -> HandOver | Refusal | None:
    """What the beginning of a head, without its end, is already known to be; None if it may become a request."""
    if data.startswith(_TLS, start):
        return Refusal(400, is_tls=True)
    is_long = len(data) - start > HEAD_LIMIT_BYTES
    ends_oddly = data.find(b"\n\n", unsearched) >= 0 or data.find(b"\n\r\n", unsearched) >= 0
    if is_long or ends_oddly or not data[start : start + 1].isupper():
        return HandOver(data[start:])
    return None


def read_head(data: bytes, paths: Collection[bytes], peer: str) -> ParsedHead | None:
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
    head = Head(
        line["method"].decode(),
        line["path"].decode(),
        (line["query"] or b"").decode(),
        headers.first(b"token"),
        headers.first(b"host").decode("latin-1"),
        headers.all(b"origin").decode("latin-1"),
        peer,
        headers.first(b"authorization"),
    )
    return ParsedHead(head, b"close" not in headers.tokens(b"connection"), body_bytes)


class _Headers:
    """Collects the headers that httptools finds."""

    def __init__(self) -> None:
        self._values: dict[bytes, list[bytes]] = {}

    def on_header(self, name: bytes, value: bytes) -> None:
        self._values.setdefault(name.lower(), []).append(value.strip(b" \t"))

    def first(self, name: bytes) -> bytes:
        """The first value, empty if there is none."""
        return self._values.get(name, [b""])[0]

    def all(self, name: bytes) -> bytes:
        """All values, as one list."""
        return b", ".join(self._values.get(name, []))

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
