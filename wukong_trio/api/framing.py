"""Where an HTTP/1.1 message begins and ends: what both engines insist on.

RFC 9112 leaves room for lenience, and two programs that are lenient in different ways see different requests in the
same bytes. Here everything that can be read in more than one way is refused.
"""

import re
from typing import Final

LINE_LIMIT_BYTES: Final = 16 * 1024
"""Of a chunk's first line, and of all trailers together."""

HEADER_LINES: Final = 128
"""In a head, and among trailers. Each line costs many times its bytes once it is read."""

SMALL_CHUNK_BYTES: Final = 64
"""Each chunk costs time, whatever is in it: what smaller ones lack is limited as well."""
SPARE_BYTES: Final = 16 * 1024
"""What they may lack together however low the limit is."""

_LINE: Final = re.compile(rb"(?:[^\r\n\0]+\r\n)+\r\n")
_LENGTH: Final = re.compile(rb"\r\n(content-length|transfer-encoding)[ \t]*:([^\r]*)", re.IGNORECASE)
_CHUNK: Final = re.compile(rb"([0-9a-fA-F]{1,16})(?:;[^\r\n\0]*)?")
_TRAILER: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9a-zA-Z-]+:[^\r\n\0]*")


class FramingError(Exception):
    """The rest of the connection cannot be understood."""

    def __init__(self, http_status: int) -> None:
        super().__init__(http_status)
        self.http_status = http_status


def is_ambiguous(head: bytes) -> bool:
    """Whether a head, up to and with its blank line, could mean different requests to different readers.

    That is so with a CR or LF alone, a NUL, a line that continues another, more than one length, or a length beside
    chunks.
    """
    if _LINE.fullmatch(head) is None or b"\r\n " in head or b"\r\n\t" in head:
        return True
    lengths = _LENGTH.findall(head)
    return len(lengths) > 1 or b"," in b"".join(value for _, value in lengths)


def has_too_many_lines(head: bytes) -> bool:
    """Whether a head, up to and with its blank line, has more than HEADER_LINES. To be asked before it is read."""
    return head.count(b"\n") > HEADER_LINES + 2


class ChunkedBody:
    """Finds the end of a chunked body, and puts its data together."""

    def __init__(self, *, limit_bytes: int, keep: bool = True) -> None:
        """A body that begins.

        Args:
            limit_bytes: how long the data may get, and how much smaller than SMALL_CHUNK_BYTES all its chunks may be
                together, or SPARE_BYTES if that is more.
            keep: whether the data is put together; somebody else does it and counts it otherwise.
        """
        self.data = bytearray()
        self.complete = False
        self._limit_bytes = limit_bytes
        self._keep = keep
        self._lacking_bytes = 0
        self._left_bytes = 0
        """Of the current chunk, with the CRLF that ends it."""
        self._in_trailers = False
        self._trailer_bytes = 0
        self._trailer_lines = 0
        self._line = b""

    def receive(self, received: bytes, start: int = 0) -> int:
        """Reads on; returns where in `received` the body ends, or its length.

        Raises:
            FramingError: 400, these are not chunks; 413, too much data or too small chunks; 431, a line is too long
                or there are too many trailers.
        """
        position = start
        while position < len(received) and not self.complete:
            read = self._read_chunk if self._left_bytes else self._read_line
            position = read(received, position)
        return position

    def _read_chunk(self, received: bytes, position: int) -> int:
        data_bytes = self._left_bytes - 2
        if data_bytes > 0:
            part = received[position : position + data_bytes]
            if self._keep:
                if len(self.data) + len(part) > self._limit_bytes:
                    raise FramingError(413)
                self.data += part
            self._left_bytes -= len(part)
            return position + len(part)
        part = received[position : position + self._left_bytes]
        if part != b"\r\n"[2 - self._left_bytes :][: len(part)]:
            raise FramingError(400)
        self._left_bytes -= len(part)
        return position + len(part)

    def _read_line(self, received: bytes, position: int) -> int:
        mark = received.find(b"\n", position)
        end = len(received) if mark < 0 else mark + 1
        self._line += received[position:end]
        if len(self._line) + self._trailer_bytes > LINE_LIMIT_BYTES:
            raise FramingError(431)
        if mark >= 0:
            line, self._line = self._line, b""
            if not line.endswith(b"\r\n"):
                raise FramingError(400)
            self._take_line(line[:-2])
        return end

    def _take_line(self, line: bytes) -> None:
        if self._in_trailers:
            self.complete = not line
            self._trailer_bytes += len(line)
            self._trailer_lines += bool(line)
            if self._trailer_lines > HEADER_LINES:
                raise FramingError(431)
            if line and _TRAILER.fullmatch(line) is None:
                raise FramingError(400)
            return
        chunk = _CHUNK.fullmatch(line)
        if chunk is None:
            raise FramingError(400)
        size_bytes = int(chunk[1], 16)
        if 0 < size_bytes < SMALL_CHUNK_BYTES:
            self._lacking_bytes += SMALL_CHUNK_BYTES - size_bytes
            if self._lacking_bytes > max(self._limit_bytes, SPARE_BYTES):
                raise FramingError(413)
        self._in_trailers = size_bytes == 0
        self._left_bytes = size_bytes + 2 if size_bytes else 0
