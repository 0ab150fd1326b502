"""h11 without its lenience about where a message begins and ends; see `framing`."""

import re
from typing import Final

import h11

from .framing import ChunkedBody, FramingError, is_ambiguous

_BLANK_LINE: Final = re.compile(rb"\n\r?\n")
"""The end of a head as h11 finds it, whatever ends its lines."""


class StrictConnection(h11.Connection):
    """A server's side of a connection that refuses ambiguous requests as it refuses broken ones."""

    def __init__(self, max_incomplete_event_size: int) -> None:
        super().__init__(h11.SERVER, max_incomplete_event_size)
        self._chunks: ChunkedBody | None = None
        self._refused = 0
        """The HTTP status with which it refuses the client, 0 if it does not."""

    def receive_data(self, data: bytes) -> None:
        super().receive_data(data)
        self._check_chunks(data)

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        """The next event.

        Raises:
            h11.RemoteProtocolError: the request is broken or ambiguous.
        """
        if self.their_state is h11.IDLE:
            data, _ = self.trailing_data
            blank = _BLANK_LINE.search(data)
            if blank is not None and is_ambiguous(data[: blank.end()]):
                self._refused = 400
        if self._refused:
            raise h11.RemoteProtocolError("ambiguous request", error_status_hint=self._refused)
        event = super().next_event()
        if isinstance(event, h11.Request):
            if (b"transfer-encoding", b"chunked") in event.headers:
                self._chunks = ChunkedBody(limit_bytes=None)
                self._check_chunks(self.trailing_data[0])
        elif isinstance(event, h11.EndOfMessage):
            self._chunks = None
        return event

    def _check_chunks(self, data: bytes) -> None:
        if self._chunks is not None:
            try:
                self._chunks.receive(data)
            except FramingError as error:
                self._refused = error.http_status
