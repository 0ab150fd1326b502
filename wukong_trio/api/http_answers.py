"""Answers as bytes, for the native engine."""

from email.utils import formatdate
from http import HTTPStatus
from typing import Final

from .table import CORS_HEADERS, HttpAnswer

_CORS: Final = b"".join(b"%b: %b\r\n" % (name.encode(), value.encode()) for name, value in CORS_HEADERS)
_CLOSE: Final = b"Connection: close\r\n"


class AnswerWriter:
    """Writes answers. What many have in common is put together once: all but date, length and body."""

    def __init__(self) -> None:
        self._heads: dict[tuple[int, str, bool, str], bytes] = {}
        self._date = b""
        self.set_date()

    def set_date(self) -> None:
        """Reads the clock for the `Date` of the following answers."""
        self._date = b"Date: %b\r\n" % formatdate(usegmt=True).encode()

    def encode(self, answer: HttpAnswer, *, keep_alive: bool, with_body: bool = True) -> bytes:
        """An answer of the table. Without the body, that has to follow."""
        status, body, content_type, _, _, policy = answer
        head = self._heads.get((status, content_type, keep_alive, policy))
        if head is None:
            # As many as there are statuses and types of content.
            head = self._heads[status, content_type, keep_alive, policy] = _head(
                status, content_type, keep_alive, policy
            )
        if status == HTTPStatus.NO_CONTENT:
            return b"%b%b\r\n" % (head, self._date)
        return b"%b%bContent-Length: %d\r\n\r\n%b" % (head, self._date, len(body), body if with_body else b"")

    def refusal(self, http_status: int) -> bytes:
        """The last answer to a client that does not speak HTTP as it should."""
        return b"%b%b%bContent-Length: 0\r\n\r\n" % (_status_line(http_status), _CLOSE, self._date)


def _head(status: int, content_type: str, keep_alive: bool, policy: str) -> bytes:
    type_line = b"Content-Type: %b\r\n" % content_type.encode() if content_type else b""
    policy_line = b"Content-Security-Policy: %b\r\n" % policy.encode() if policy else b""
    return b"".join([_status_line(status), _CORS, type_line, policy_line, b"" if keep_alive else _CLOSE])


def _status_line(status: int) -> bytes:
    return b"HTTP/1.1 %d %b\r\n" % (status, HTTPStatus(status).phrase.encode())
