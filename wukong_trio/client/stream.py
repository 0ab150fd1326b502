"""A stream over TCP or TLS, the reason in plain words when there is none, and a wire that is nothing else."""

import ssl
from contextlib import suppress
from typing import Final, TypeAlias

import trio

from ..errors import ConnectionClosed
from .place import CLOSE_ABNORMAL, Place
from .wire import CLOSE_TIMEOUT_S, Wire

Stream: TypeAlias = trio.SocketStream | trio.SSLStream[trio.SocketStream]
CLOSE_NO_TLS: Final = 1015
"""RFC 6455 keeps it for this: never sent, it tells a program that TLS could not be had."""
_TLS_RECORDS: Final = (b"\x15", b"\x16")
"""How the answer begins of who wanted TLS."""


async def open_stream(place: Place, ssl_context: ssl.SSLContext | None, steps: list[str]) -> Stream:
    """Connects.

    Args:
        steps: what is being waited for is appended here, for the error of whoever gives up.

    Raises:
        ConnectionClosed: there is no connection.
    """
    steps.append("nothing answers there")
    try:
        stream = await trio.open_tcp_stream(place.host, place.port)
    except (OSError, ValueError) as error:
        raise place.closed(str(error)) from error
    if not place.scheme.secure:
        return stream
    steps.append(f"the TLS handshake is not answered; perhaps {_no_tls_there(place)}")
    context = ssl_context or ssl.create_default_context()
    secured = trio.SSLStream(stream, context, server_hostname=place.host, https_compatible=True)
    try:
        await secured.do_handshake()
    except trio.BrokenResourceError as error:
        await trio.aclose_forcefully(stream)
        raise place.closed(_why_no_tls(place, error.__cause__), CLOSE_NO_TLS) from error
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    return secured


def _no_tls_there(place: Place) -> str:
    return f"this port does not speak TLS; a plain one wants {place.scheme.with_or_without_tls}://"


def _why_no_tls(place: Place, error: BaseException | None) -> str:
    match error:
        case ssl.SSLCertVerificationError():
            return (
                f"its certificate is not trusted, {error.verify_message}; to trust the one who signed it, give "
                "ssl_context=ssl.create_default_context(cafile=...)"
            )
        case ssl.SSLEOFError() | ConnectionError() | None:
            return f"it ended the TLS handshake without a word; perhaps {_no_tls_there(place)}"
        case ssl.SSLError(reason="WRONG_VERSION_NUMBER" | "RECORD_LAYER_FAILURE" | "PACKET_LENGTH_TOO_LONG"):
            return _no_tls_there(place)
    return f"the TLS handshake failed: {error}"


def wrong_beginning(place: Place, first: bytes) -> str:
    """Why the first that arrives comes from no server that was meant, whatever was awaited; empty if it may."""
    if not first:
        return f"it ended the connection without a word{place.other_ports()}"
    if first.startswith(_TLS_RECORDS):
        return f"this port speaks TLS: use {place.scheme.with_or_without_tls}://"
    return ""


class StreamWire(Wire):
    """A stream whose bytes say themselves where a frame ends."""

    def __init__(self, stream: Stream, place: Place) -> None:
        self._stream = stream
        self._place = place
        self._heard = False
        """Something has arrived."""
        self.closed = trio.Event()

    async def read(self) -> bytes:
        try:
            data = bytes(await self._stream.receive_some())
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            data = b""
        if self._heard:
            if not data:
                raise ConnectionClosed(CLOSE_ABNORMAL, "the server has ended the connection")
        elif problem := self._problem(data):
            raise self._place.closed(problem)
        self._heard = True
        return data

    def _problem(self, first: bytes) -> str:
        """Why the first that arrives is none of a server that was meant; empty if it may be."""
        if first.startswith(b"HTTP/"):
            return f"it speaks HTTP; for a WebSocket use {self._place.scheme.with_or_without_websocket}://"
        return wrong_beginning(self._place, first)

    async def write(self, frame: bytes) -> None:
        try:
            await self._stream.send_all(frame)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            # The last words of the server may be on the way. Who reads finds them, and the end behind them.
            await trio.sleep_forever()

    async def aclose(self) -> None:
        stream = self._stream
        socket = stream.transport_stream if isinstance(stream, trio.SSLStream) else stream
        try:
            with trio.move_on_after(CLOSE_TIMEOUT_S), suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                # To close with something unread would be a reset, which can overtake what was just written.
                await socket.send_eof()
                while await socket.receive_some():
                    pass
        finally:
            self.closed.set()
            await trio.aclose_forcefully(stream)
