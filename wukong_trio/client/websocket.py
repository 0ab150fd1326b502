"""A WebSocket on a stream, and the reason in plain words when there is none."""

from typing import Final

import trio
from trio_websocket import ConnectionClosed as WebSocketClosed
from trio_websocket import ConnectionRejected, HandshakeError, WebSocketConnection, wrap_client_stream
from wsproto.utilities import LocalProtocolError

from ..errors import ConnectionClosed
from ..groups import single_error
from ..protocol.wkproto import MAX_PACKET_BYTES
from .place import CLOSE_ABNORMAL, Place
from .stream import Stream, wrong_beginning
from .wire import CLOSE_TIMEOUT_S, Wire

QUEUED_FRAMES: Final = 64
MESSAGE_BYTES: Final = MAX_PACKET_BYTES + 5
"""The largest message: a packet of the largest length, with its first byte and four of length."""


class WebSocketWire(Wire):
    """An open WebSocket."""

    def __init__(self, websocket: WebSocketConnection, stream: Stream, *, text: bool) -> None:
        """Args:
        text: whether frames are written as text.
        """
        self._websocket = websocket
        self._stream = stream
        self._text = text

    async def read(self) -> bytes:
        try:
            message = await self._websocket.get_message()
        except WebSocketClosed as closed:
            raise _closed(closed) from None
        return message.encode() if isinstance(message, str) else message

    async def write(self, frame: bytes) -> None:
        try:
            await self._websocket.send_message(frame.decode() if self._text else frame)
        except WebSocketClosed as closed:
            raise _closed(closed) from None
        except LocalProtocolError:
            raise ConnectionClosed(CLOSE_ABNORMAL, "the WebSocket is being closed") from None

    async def aclose(self) -> None:
        try:
            with trio.move_on_after(CLOSE_TIMEOUT_S):
                await self._websocket.aclose()
        finally:
            await trio.aclose_forcefully(self._stream)


def _closed(closed: WebSocketClosed) -> ConnectionClosed:
    reason = closed.reason
    return ConnectionClosed(reason.code, reason.reason or "") if reason else ConnectionClosed(CLOSE_ABNORMAL)


async def run_websocket(
    stream: Stream,
    place: Place,
    steps: list[str],
    *,
    text: bool,
    task_status: trio.TaskStatus[Wire],
) -> None:
    """Opens a `WebSocketWire` and carries it until it is closed.

    Args:
        steps: as in `open_stream`.
        text: as in `WebSocketWire`.

    Raises:
        ConnectionClosed: it could not be opened.
    """
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
                    max_message_size=MESSAGE_BYTES,
                )
                opening.done = True
                task_status.started(WebSocketWire(websocket, stream, text=text))
    except HandshakeError as error:
        raise place.closed(_rejected(error)) from error


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

    def __init__(self, stream: Stream, place: Place) -> None:
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
        problem = wrong_beginning(self._place, self._begin)
        if not problem and not data:
            problem = "it does not speak HTTP"
        if problem:
            raise self._place.closed(problem)
        return data

    async def aclose(self) -> None:
        await self._stream.aclose()
