"""How messages lie in the bytes of a connection, from the client's side: in WebSocket frames, or bare. No I/O.

Masker.frame          a message -> a masked WebSocket frame
FrameReader.feed      what arrived -> messages
PacketSplitter.feed   the same for WKProto without WebSocket
"""

import base64
import hashlib
import os
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol

CONTINUATION: Final = 0
TEXT: Final = 1
BINARY: Final = 2
CLOSE: Final = 8
PING: Final = 9
PONG: Final = 10

_FINAL: Final = 0x80
_KEY: Final = base64.b64encode(b"wukong-trio-bench")[:22] + b"=="
_ACCEPT: Final = base64.b64encode(hashlib.sha1(_KEY + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())


class ProtocolError(Exception):
    """The server sent what a client cannot read."""


class Framing(Protocol):
    """Finds the messages in what one server sends. Keeps only what is incomplete."""

    rest: bytes
    """The beginning of what is not complete. Whoever reads puts it before the bytes that arrive next."""

    def feed(self, data: memoryview, /) -> list[memoryview]:
        """The messages that `data`, which begins with `rest`, holds completely, in order: views into it.

        Raises:
            ProtocolError: no client could read this.
        """

    def take_controls(self) -> Sequence[tuple[int, bytes]]:
        """What has come beside the messages since the last call: opcodes and payloads."""


class Wire(NamedTuple):
    """What all connections of a process do alike with their messages."""

    frame: Callable[[bytes], bytes]
    """Puts a message into a frame."""
    server_frame: Callable[[memoryview], bytes]
    """A message as the server frames it, if it writes lengths as briefly as it should."""
    framing: Callable[[], Framing]
    """For one connection."""


def upgrade_request(host: str, target: str) -> bytes:
    """The opening handshake. One key serves all: it guards against caches, and there are none."""
    lines = [
        f"GET {target} HTTP/1.1",
        f"Host: {host}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {_KEY.decode()}",
        "Sec-WebSocket-Version: 13",
    ]
    return "\r\n".join((*lines, "", "")).encode()


def check_upgrade(head: bytes) -> None:
    """Reads the answer to `upgrade_request`.

    Raises:
        ProtocolError: the server did not agree; carries its first line.
    """
    status, _, headers = head.partition(b"\r\n")
    if status.split(b" ")[1:2] != [b"101"] or _ACCEPT not in headers:
        raise ProtocolError(f"the server refused the WebSocket: {status.decode(errors='replace')}")


class Masker:
    """Makes the frames of one process, all with the same random key.

    RFC 6455 wants keys that scripts in browsers cannot predict; there is no browser here. The key is never zero, so
    that no server can save itself the unmasking.
    """

    def __init__(self, opcode: int, key: bytes | None = None) -> None:
        """Args:
        opcode: of messages.
        """
        self._opcode = opcode
        self._key = key or bytes(byte | 1 for byte in os.urandom(4))
        self._known: dict[int, tuple[bytes, int]] = {}

    def frame(self, payload: bytes) -> bytes:
        """A whole message."""
        size = len(payload)
        try:
            head, mask = self._known[size]
        except KeyError:
            head, mask = self._known[size] = self._head(self._opcode, size), self._mask(size)
        return head + (int.from_bytes(payload, "little") ^ mask).to_bytes(size, "little")

    def control(self, opcode: int, payload: bytes) -> bytes:
        """A whole control frame; `payload` is at most 125 bytes."""
        size = len(payload)
        masked = int.from_bytes(payload, "little") ^ self._mask(size)
        return self._head(opcode, size) + masked.to_bytes(size, "little")

    def _head(self, opcode: int, size: int) -> bytes:
        first = _FINAL | opcode
        if size < 126:
            return bytes((first, 0x80 | size)) + self._key
        if size < 65536:
            return bytes((first, 0xFE)) + size.to_bytes(2, "big") + self._key
        return bytes((first, 0xFF)) + size.to_bytes(8, "big") + self._key

    def _mask(self, size: int) -> int:
        return int.from_bytes((self._key * (size // 4 + 1))[:size], "little")


class FrameReader:
    """A `Framing` of WebSocket frames."""

    __slots__ = ("_controls", "_opcode", "_parts", "rest")

    def __init__(self, opcode: int) -> None:
        """Args:
        opcode: of messages; others are not understood.
        """
        self._opcode = opcode
        self.rest = b""
        self._controls: list[tuple[int, bytes]] = []
        self._parts: list[bytes] | None = None

    def feed(self, data: memoryview) -> list[memoryview]:
        """Part of `Framing`."""
        found: list[memoryview] = []
        whole = _FINAL | self._opcode
        start, end = 0, len(data)
        while end - start >= 2:
            first, size = data[start], data[start + 1]
            payload = start + 2
            if size == 126:
                payload = start + 4
                size = int.from_bytes(data[start + 2 : payload], "big")
            elif size == 127:
                payload = start + 10
                size = int.from_bytes(data[start + 2 : payload], "big")
            elif size > 127:
                raise ProtocolError("the server masks its frames")
            stop = payload + size
            if stop > end or payload > end:
                break
            if first == whole:
                found.append(data[payload:stop])
            else:
                self._other(first, data[payload:stop], found)
            start = stop
        self.rest = bytes(data[start:])
        return found

    def _other(self, first: int, payload: memoryview, found: list[memoryview]) -> None:
        opcode = first & 0x0F
        if opcode >= CLOSE:
            self._controls.append((opcode, bytes(payload)))
            return
        if (opcode == CONTINUATION) != (self._parts is not None):
            raise ProtocolError("a fragment is out of place")
        if opcode not in (CONTINUATION, self._opcode):
            raise ProtocolError("a text where a binary message belongs, or the other way round")
        parts = self._parts = self._parts or []
        parts.append(bytes(payload))
        if first & _FINAL:
            self._parts = None
            found.append(memoryview(b"".join(parts)))

    def take_controls(self) -> Sequence[tuple[int, bytes]]:
        """Part of `Framing`."""
        if not self._controls:
            return ()
        controls, self._controls = self._controls, []
        return controls


class PacketSplitter:
    """A `Framing` of the packets of WKProto: each one, with its head, is a message."""

    __slots__ = ("rest",)

    def __init__(self) -> None:
        self.rest = b""

    def feed(self, data: memoryview) -> list[memoryview]:
        """Part of `Framing`."""
        found: list[memoryview] = []
        start, end = 0, len(data)
        while start < end:
            stop = start + 1
            if data[start] >> 4 not in _BODILESS:
                if stop == end:
                    break
                size = data[stop]
                stop += 1
                if size > 127:
                    size, stop = _long_size(data, stop, end, size & 127)
                stop += size
                if stop > end:
                    break
            found.append(data[start:stop])
            start = stop
        self.rest = bytes(data[start:])
        return found

    def take_controls(self) -> Sequence[tuple[int, bytes]]:
        """Part of `Framing`."""
        return ()


_BODILESS: Final = (7, 8)
"""PING and PONG are a single byte."""
_ENDLESS: Final = 1 << 62
_LENGTH_BYTES: Final = 4


def _long_size(data: memoryview, position: int, end: int, size: int) -> tuple[int, int]:
    """The rest of a length: it, and where the body begins. Endless if it is not complete."""
    for index in range(1, _LENGTH_BYTES):
        if position == end:
            return _ENDLESS, end
        byte = data[position]
        position += 1
        size |= (byte & 127) << 7 * index
        if byte < 128:
            return size, position
    raise ProtocolError("a length has more than four bytes")


def server_frame(opcode: int) -> Callable[[memoryview], bytes]:
    """How a server puts a message into a WebSocket frame."""
    first = _FINAL | opcode

    def frame(payload: memoryview) -> bytes:
        size = len(payload)
        if size < 126:
            return bytes((first, size)) + payload
        if size < 65536:
            return bytes((first, 126)) + size.to_bytes(2, "big") + payload
        return bytes((first, 127)) + size.to_bytes(8, "big") + payload

    return frame


def _as_it_is(message: bytes) -> bytes:
    return message


BARE: Final = Wire(_as_it_is, bytes, PacketSplitter)


def web_socket(masker: Masker, opcode: int) -> Wire:
    """The wire of a WebSocket."""
    return Wire(masker.frame, server_frame(opcode), lambda: FrameReader(opcode))


def close_code(payload: bytes) -> int:
    """The code of a close frame, 1005 if it has none."""
    return int.from_bytes(payload[:2], "big") if len(payload) >= 2 else 1005
