"""A WebSocket over TCP or TLS, and the reason in plain words when there is none."""

import ssl
from typing import Final, NamedTuple, TypeAlias
from urllib.parse import urlsplit

import trio
from trio_websocket import ConnectionClosed as WebSocketClosed
from trio_websocket import ConnectionRejected, HandshakeError, WebSocketConnection, wrap_client_stream
from wsproto.utilities import LocalProtocolError

from ..errors import ConfigError, ConnectionClosed
from ..groups import single_error

CLOSE_TIMEOUT_S: Final = 1.0
QUEUED_FRAMES: Final = 64
CLOSE_ABNORMAL: Final = 1006
CLOSE_NO_TLS: Final = 1015
"""RFC 6455 keeps it for this: never sent, it tells a program that TLS could not be had."""
_TLS_RECORDS: Final = (b"\x15", b"\x16")
_NO_TLS_THERE: Final = "this port does not speak TLS; a plain one wants ws://"
_Stream: TypeAlias = trio.SocketStream | trio.SSLStream[trio.SocketStream]


class Place(NamedTuple):
    """What a URL names."""

    url: str
    secure: bool
    host: str
    port: int
    target: str

    @property
    def netloc(self) -> str:
        """For the `Host` header."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def closed(self, why: str, code: int = CLOSE_ABNORMAL) -> ConnectionClosed:
        """The error for a connection that did not come about."""
        return ConnectionClosed(code, f"no connection to {self.url}: {why}")


def read_url(url: str) -> Place:
    """Takes a URL apart.

    Raises:
        ConfigError: it names no WebSocket.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigError(f"url = {url!r}: {error}") from None
    if parts.scheme not in ("ws", "wss") or not host:
        hint = "; the HTTP API's GET /route names the one of a server" if parts.scheme in ("http", "https") else ""
        raise ConfigError(f"url = {url!r}: give ws://HOST:PORT, or wss://HOST:PORT for TLS{hint}")
    secure = parts.scheme == "wss"
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Place(url, secure, host, port or (443 if secure else 80), target)


class Wire:
    """An open WebSocket: whole frames in and out."""

    def __init__(self, websocket: WebSocketConnection, stream: _Stream) -> None:
        self._websocket = websocket
        self._stream = stream

    async def read(self) -> str | bytes:
        """The next frame.

        Raises:
            ConnectionClosed: there is none.
        """
        try:
            return await self._websocket.get_message()
        except WebSocketClosed as closed:
            raise _closed(closed) from None

    async def write(self, frame: str) -> None:
        """Writes a frame. If cancelled, the connection is of no more use.

        Raises:
            ConnectionClosed: it could not be written.
        """
        try:
            await self._websocket.send_message(frame)
        except WebSocketClosed as closed:
            raise _closed(closed) from None
        except LocalProtocolError:
            raise ConnectionClosed(CLOSE_ABNORMAL, "the WebSocket is being closed") from None

    async def aclose(self) -> None:
        """Says goodbye, waits a moment for the answer, and closes; cancelled, it closes at once."""
        try:
            with trio.move_on_after(CLOSE_TIMEOUT_S):
                await self._websocket.aclose()
        finally:
            await trio.aclose_forcefully(self._stream)


def _closed(closed: WebSocketClosed) -> ConnectionClosed:
    reason = closed.reason
    return ConnectionClosed(reason.code, reason.reason or "") if reason else ConnectionClosed(CLOSE_ABNORMAL)


async def run_wire(
    place: Place,
    ssl_context: ssl.SSLContext | None,
    steps: list[str],
    *,
    task_status: trio.TaskStatus[Wire] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Opens a `Wire` and carries it until it is closed.

    Args:
        steps: what is being waited for is appended here, for the error of whoever gives up.

    Raises:
        ConnectionClosed: it could not be opened.
    """
    stream = await _open_stream(place, ssl_context, steps)
    try:
        steps.append("the port answers no WebSocket handshake")
        opening = _Opening(stream, place)
        with single_error():
            async with trio.open_nursery() as nursery:
                websocket = await wrap_client_stream(
                    nursery,
                    opening,  # type: ignore[arg-type]  # any stream will do
                    place.netloc,
                    place.target,
                    message_queue_size=QUEUED_FRAMES,
                )
                opening.done = True
                task_status.started(Wire(websocket, stream))
    except HandshakeError as error:
        raise place.closed(_rejected(error)) from error
    finally:
        await trio.aclose_forcefully(stream)


async def _open_stream(place: Place, ssl_context: ssl.SSLContext | None, steps: list[str]) -> _Stream:
    steps.append("nothing answers there")
    try:
        stream = await trio.open_tcp_stream(place.host, place.port)
    except (OSError, ValueError) as error:
        raise place.closed(str(error)) from error
    if not place.secure:
        return stream
    steps.append(f"the TLS handshake is not answered; perhaps {_NO_TLS_THERE}")
    context = ssl_context or ssl.create_default_context()
    secured = trio.SSLStream(stream, context, server_hostname=place.host, https_compatible=True)
    try:
        await secured.do_handshake()
    except trio.BrokenResourceError as error:
        await trio.aclose_forcefully(stream)
        raise place.closed(_why_no_tls(error.__cause__), CLOSE_NO_TLS) from error
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    return secured


def _why_no_tls(error: BaseException | None) -> str:
    match error:
        case ssl.SSLCertVerificationError():
            return (
                f"its certificate is not trusted, {error.verify_message}; to trust the one who signed it, give "
                "ssl_context=ssl.create_default_context(cafile=...)"
            )
        case ssl.SSLEOFError() | ConnectionError() | None:
            return f"it ended the TLS handshake without a word; perhaps {_NO_TLS_THERE}"
        case ssl.SSLError(reason="WRONG_VERSION_NUMBER" | "RECORD_LAYER_FAILURE" | "PACKET_LENGTH_TOO_LONG"):
            return _NO_TLS_THERE
    return f"the TLS handshake failed: {error}"


def _rejected(error: HandshakeError) -> str:
    if not isinstance(error, ConnectionRejected):
        return str(error) or type(error).__name__
    words = " ".join((error.body or b"").decode(errors="replace").split())[:200]
    said = f"{error.status_code} {words}".strip()
    return f"it answered {said!r} and no WebSocket; is this the port of the HTTP API?"


class _Opening(trio.abc.Stream):
    """The bytes of a WebSocket. When they end before its handshake, this says why.

    trio-websocket itself would wait for ever.
    """

    def __init__(self, stream: _Stream, place: Place) -> None:
        self._stream = stream
        self._place = place
        self._begin = b""
        self.done = False
        """The handshake is complete."""

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        if self.done:
            return await self._stream.receive_some(max_bytes)
        try:
            data = await self._stream.receive_some(max_bytes)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            data = b""
        self._begin = self._begin or bytes(data[:1])
        if data and self._begin not in _TLS_RECORDS:
            return data
        raise self._place.closed(self._why())

    async def aclose(self) -> None:
        await self._stream.aclose()

    def _why(self) -> str:
        if self._begin in _TLS_RECORDS:
            return "this port speaks TLS: use wss://"
        if self._begin:
            return "it does not speak HTTP"
        return "it ended the connection without a word" + (
            "" if self._place.secure else "; if the port speaks TLS, use wss://"
        )
