"""h11 without its lenience about where a message begins and ends; see `framing`."""

import re
from collections.abc import Callable
from enum import Enum, auto
from typing import Final

import h11

from .framing import ChunkedBody, FramingError, has_too_many_lines, is_ambiguous

_BLANK_LINE: Final = re.compile(rb"\n\r?\n")
"""The end of a head as h11 finds it, whatever ends its lines."""


class Awaited(Enum):
    """What a client owes next."""

    REQUEST = auto()
    """A request of which nothing has come."""
    HEAD = auto()
    """The rest of a head."""
    BODY = auto()
    """The rest of a body."""
    NOTHING = auto()
    """It is our turn, or the end."""


BodyLimit = Callable[[str, str], int]
"""Says how many bytes the body of a request may have, by its method and path."""


class StrictConnection(h11.Connection):
    """A server's side of an HTTP/1 connection that refuses ambiguous requests as it refuses broken ones.

    There is no way from here to another protocol: an offer to change is ignored or refused.
    """

    def __init__(self, max_incomplete_event_size: int, body_limit: BodyLimit) -> None:
        super().__init__(h11.SERVER, max_incomplete_event_size)
        self._body_limit = body_limit
        self._chunks: ChunkedBody | None = None
        self._refused = 0
        """The HTTP status with which it refuses the client, 0 if it does not."""

    @property
    def awaited(self) -> Awaited:
        """What the client owes next."""
        if self.their_state is h11.IDLE:
            return Awaited.HEAD if self.trailing_data[0] else Awaited.REQUEST
        return Awaited.BODY if self.their_state is h11.SEND_BODY else Awaited.NOTHING

    def receive_data(self, data: bytes) -> None:
        if data and self.their_state is h11.MUST_CLOSE:
            # What follows the last request is no error but nobody's business.
            return
        super().receive_data(data)
        self._check_chunks(data)

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        """The next event.

        Raises:
            h11.RemoteProtocolError: the request is broken or ambiguous.
        """
        if self.their_state is h11.MUST_CLOSE:
            # Of what follows the last request nothing is read, not even what came with it.
            return h11.NEED_DATA
        if self.their_state is h11.IDLE:
            self._check_head()
        self._raise_if_refused()
        event = super().next_event()
        if isinstance(event, h11.Request):
            self._check_request(event)
            self._raise_if_refused()
            event = _without_upgrade(event)
        elif isinstance(event, h11.EndOfMessage):
            self._chunks = None
        return event

    def _raise_if_refused(self) -> None:
        if self._refused:
            # As h11 does it for its own errors; pyproject.toml bounds the versions for the sake of this line.
            self._process_error(self.their_role)
            raise h11.RemoteProtocolError("ambiguous request", error_status_hint=self._refused)

    def _check_request(self, request: h11.Request) -> None:
        if not request.http_version.startswith(b"1."):
            # The preface of HTTP/2 among them, which Hypercorn would take at its word.
            self._refused = 505
        if request.target.startswith(b"?"):
            # No path at all, which Quart does not expect.
            self._refused = 400
        if any(name == b"upgrade" and value.strip().lower() == b"websocket" for name, value in request.headers):
            # Hypercorn would begin a WebSocket, and trip over whatever follows the request.
            self._refused = 400
        if (b"transfer-encoding", b"chunked") in request.headers:
            path = request.target.partition(b"?")[0].decode("latin-1")
            limit_bytes = self._body_limit(request.method.decode(), path)
            self._chunks = ChunkedBody(limit_bytes=limit_bytes, keep=False)
            self._check_chunks(self.trailing_data[0])

    def _check_head(self) -> None:
        data, _ = self.trailing_data
        blank = _BLANK_LINE.search(data)
        if blank is None:
            return
        if has_too_many_lines(data[: blank.end()]):
            self._refused = 431
        elif is_ambiguous(data[: blank.end()]):
            self._refused = 400

    def _check_chunks(self, data: bytes) -> None:
        if self._chunks is not None:
            try:
                self._chunks.receive(data)
            except FramingError as error:
                self._refused = error.http_status


def _without_upgrade(request: h11.Request) -> h11.Request:
    """The request as from a client that offers no other protocol: for one it answers in HTTP/1.1."""
    headers = request.headers
    if all(name != b"upgrade" for name, _ in headers):
        return request
    kept = [(name, value) for name, value in headers if name != b"upgrade"]
    return h11.Request(method=request.method, headers=kept, target=request.target, http_version=request.http_version)
