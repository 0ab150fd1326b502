"""How messages lie in the bytes of a connection: in WebSocket frames, or bare. Plain code over bytes.

A framing takes what has arrived and gives messages; a wire says how a finished message is written. What the messages
mean is the business of a speech (speech.py), where the bytes come from that of a pipe (pipes.py).
"""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol

from ..protocol.codes import Close
from ..protocol.websocket import (
    Arrival,
    FrameReader,
    Opcode,
    binary_frame,
    encode_close,
    encode_frame,
    text_frame,
)


class Wire(NamedTuple):
    """How messages are written."""

    frame: Callable[[bytes], bytes]
    """Puts a message into a frame."""
    joinable: bool
    """Several frames may be handed on in one piece."""


def _as_it_is(message: bytes) -> bytes:
    return message


TEXT_FRAMES: Final = Wire(text_frame, joinable=True)
BINARY_FRAMES: Final = Wire(binary_frame, joinable=True)
BARE: Final = Wire(_as_it_is, joinable=True)
ONE_BY_ONE: Final = Wire(_as_it_is, joinable=False)
"""Whoever writes makes the frames."""
WIRES: Final = (TEXT_FRAMES, BINARY_FRAMES, BARE, ONE_BY_ONE)


class Framing(Protocol):
    """The messages of one connection, once there is no handshake to come."""

    failed: bool
    """The client broke the rules: nothing more is to be expected of it."""

    @property
    def missing_bytes(self) -> int:
        """How much is known to be missing of what is not complete."""

    def receive(self, data: bytes, /) -> Sequence[Arrival]:
        """What a chunk completes, in order."""

    def raise_limit(self, limit_bytes: int, /) -> Sequence[Arrival]:
        """From now on messages may be so large. Returns what has waited for this and is complete."""

    def wire(self, *, text: bool) -> Wire:
        """How messages are written that are text, or are not."""

    def pong(self, payload: bytes) -> bytes:
        """The frame that answers a ping."""

    def goodbye(self, close: Close) -> bytes:
        """The last frame."""


class WebSocketFraming(FrameReader):
    """WebSocket, after its handshake."""

    __slots__ = ()

    def wire(self, *, text: bool) -> Wire:
        return TEXT_FRAMES if text else BINARY_FRAMES

    def pong(self, payload: bytes) -> bytes:
        return encode_frame(Opcode.PONG, payload)

    def goodbye(self, close: Close) -> bytes:
        return encode_close(close)


class BareFraming:
    """No frames: whatever arrives is passed on, and the speech finds its messages by itself. Keeps nothing."""

    __slots__ = ()

    failed = False
    missing_bytes = 0

    def receive(self, data: bytes) -> Sequence[Arrival]:
        return (data,) if data else ()

    def raise_limit(self, _limit_bytes: int) -> Sequence[Arrival]:
        return ()

    def wire(self, *, text: bool) -> Wire:
        return BARE

    def pong(self, payload: bytes) -> bytes:
        return b""

    def goodbye(self, close: Close) -> bytes:
        return b""
