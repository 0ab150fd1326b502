"""What a receiver answers: its status, and where it ends. Its headers and its body are thrown away."""

from typing import Final

import httptools

from ..errors import WukongError

HEAD_BYTES: Final = 64 * 1024
"""Of an answer up to the end of its head, with whatever provisional ones come before it."""
_FIRST_FINAL: Final = 200


class AnswerError(WukongError):
    """It is no answer of HTTP."""


class AnswerReader:
    """Reads the answers of one connection, one after another. httptools calls the methods that its documentation names.

    Attributes:
        status: of the answer; 0 until its head has been read.
        complete: its end has been read.
        reusable: after it the connection is as good as new.
    """

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        # Receivers may be small scripts, and whatever looks like an answer serves its purpose.
        self._parser.set_dangerous_leniencies(lenient_optional_cr_before_lf=True, lenient_data_after_close=True)
        self.begin()

    def begin(self) -> None:
        """A request was sent, so an answer will come."""
        self.status = 0
        self.complete = self.reusable = False
        self._head_bytes = 0

    def feed(self, data: bytes) -> None:
        """Reads a piece; it may be the end of the connection.

        Raises:
            AnswerError: it is no answer, or has ended too early, before its status was known. What is wrong behind that
                does not matter; the connection cannot be used again.
        """
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if not self.status:
                raise AnswerError(f"no answer of HTTP: {error}") from None
            data = b""
        if not self.status:
            self._head_bytes += len(data)
            if not data:
                raise AnswerError("the connection was closed without an answer")
            if self._head_bytes > HEAD_BYTES:
                raise AnswerError(f"the head of the answer has more than {HEAD_BYTES:,} bytes")
        elif not data:
            self.complete, self.reusable = True, False

    def on_message_begin(self) -> None:
        if self.complete:
            # Nobody has asked for another answer.
            self.reusable = False

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if not self.complete and status >= _FIRST_FINAL:
            self.status = status

    def on_message_complete(self) -> None:
        if self.status and not self.complete:
            self.complete = True
            self.reusable = self._parser.should_keep_alive()
