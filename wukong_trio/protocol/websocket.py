"""The data phase of WebSocket (RFC 6455) from the server's side: bytes in, messages out, and frames back.

    FrameReader.receive   a received chunk -> all messages and control frames that it completes
    encode_frame, encode_close   what the server writes

The handshake is not here. No extensions; the limits and rules of the RFC are checked before anything is buffered.
"""

from codecs import IncrementalDecoder, getincrementaldecoder
from enum import IntEnum
from struct import Struct as Packing
from typing import Final, NamedTuple, TypeAlias

from .codes import CLOSE_TOO_BIG, Close

try:
    from websockets.speedups import apply_mask
except ImportError:  # no compiled wheel for this machine
    from websockets.utils import apply_mask


class Opcode(IntEnum):
    """Frame types (RFC 6455, 5.2)."""

    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


class BinaryMessage(bytes):
    """A message that came in binary frames."""


class Control(NamedTuple):
    """A control frame."""

    opcode: Opcode
    payload: bytes


class Failure(NamedTuple):
    """The client broke the protocol; nothing that follows counts."""

    close: Close


Arrival: TypeAlias = bytes | Control | Failure
"""What a client has sent: a message, which is nearly always text and so plain bytes, a control frame, or nonsense."""


FRAGMENT_BYTES: Final = 64
"""A part of a message counts as many bytes at least: empty ones would make a small message cost any amount of time."""

_TEXT = Opcode.TEXT
_FIN: Final = 0x80
_MASKED: Final = 0x80
_CONTROL: Final = 0x08
_WHOLE_TEXT: Final = 0x81
_WHOLE_BINARY: Final = 0x82
"""The first bytes of nearly all frames."""
_MAX_SHORT_BYTES: Final = 125
"""The largest payload whose length fits the second byte; control frames are never larger."""
_SHORT_TEXT: Final = _WHOLE_TEXT << 8 | _MASKED
_LONGEST_SHORT_TEXT: Final = _SHORT_TEXT + _MAX_SHORT_BYTES
_MEDIUM_TEXT: Final = _SHORT_TEXT + 126
"""The first two bytes, as a number, of whole text messages with their length in 7 bits and in 16."""
_OPCODES: Final = {int(opcode): opcode for opcode in Opcode}
_pack16 = Packing(">BBH").pack
_pack64 = Packing(">BBQ").pack
_unpack_head = Packing(">H4s").unpack_from
_Utf8Decoder = getincrementaldecoder("utf-8")


class _ViolationError(Exception):
    """Ends the parsing; becomes a Failure."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.close = Close(code, reason)


class FrameReader:
    """Reads what one client sends. Feed it every chunk in order; after a Failure or a CLOSE it ignores the rest."""

    __slots__ = (
        "_buffer",
        "_checked",
        "_decoder",
        "_done",
        "_limit_is_low",
        "_opcode",
        "_parts",
        "_size",
        "_wanted",
        "failed",
        "limit_bytes",
    )

    def __init__(self, *, limit_bytes: int, will_rise: bool = False) -> None:
        """Args:
        limit_bytes: the largest message, all its fragments together; each counts FRAGMENT_BYTES at least.
        will_rise: `raise_limit` may be called when something that came before is served. So what is too large is
            judged only in a call of `receive` that completes nothing before it.
        """
        self.limit_bytes = limit_bytes
        """May be changed at any time, and then holds for every frame that is not complete."""
        self._limit_is_low = will_rise
        self._buffer: bytearray | None = None
        self._wanted = 0
        """How much the buffer must hold before it is worth looking at it again."""
        self._opcode: Opcode | None = None
        """Type of the message whose fragments are being collected."""
        self._parts: bytearray | None = None
        self._size = 0
        self._decoder: IncrementalDecoder | None = None
        """Checks the UTF-8 of a text message that comes in parts."""
        self._checked = 0
        """Payload bytes of the unfinished frame in the buffer that the decoder has seen."""
        self._done = False
        self.failed = False
        """The client broke the protocol."""

    @property
    def missing_bytes(self) -> int:
        """How much is known to be missing of the frame that is not complete."""
        return 0 if self._buffer is None else self._wanted - len(self._buffer)

    def raise_limit(self, limit_bytes: int) -> list[Arrival]:
        """From now on messages may be so large. Returns what has waited for this and is complete."""
        self.limit_bytes = limit_bytes
        self._limit_is_low = False
        return self.receive(b"")

    def receive(self, data: bytes) -> list[Arrival]:
        """What a chunk completes, in order."""
        arrivals: list[Arrival] = []
        if self._done:
            return arrivals
        if self._buffer is not None:
            self._buffer += data
            if len(self._buffer) < self._wanted:
                data = b""
            else:
                data, self._buffer = bytes(self._buffer), None
        start, end = 0, len(data)
        try:
            while start < end:
                if data[start] == _WHOLE_TEXT and self._parts is None and not self._checked:
                    start = _take_plain_texts(data, start, self.limit_bytes, arrivals)
                    if start == end:
                        break
                start = self._take_frame(data, start, end, arrivals)
            if self._buffer is not None and len(self._buffer) < self._wanted:
                self._check_unfinished(self._buffer)
        except _ViolationError as violation:
            self._done = self.failed = True
            arrivals.append(Failure(violation.close))
        return arrivals

    def _take_frame(self, data: bytes, start: int, end: int, arrivals: list[Arrival]) -> int:
        """Takes one frame of any kind; returns where the next begins, the end if nothing more can be taken."""
        head = end - start
        if head < 2:
            return self._wait(data, start, 2)
        first, second = data[start], data[start + 1]
        length, payload_at = second & 0x7F, start + 6
        if length > _MAX_SHORT_BYTES:
            size = 2 if length == 126 else 8
            if head < 2 + size:
                self._check_head(first, second)
                return self._wait(data, start, 2 + size)
            if size == 2:
                length = data[start + 2] << 8 | data[start + 3]
            else:
                length = int.from_bytes(data[start + 2 : start + 10], "big")
            if length <= _MAX_SHORT_BYTES or (size == 8 and not 0xFFFF < length < 2**63):
                raise _ViolationError(1002, "length is not written the shortest way")
            payload_at += size
        if first != _WHOLE_TEXT or second < _MASKED or self._parts is not None:
            self._check_head(first, second)
        if length > self.limit_bytes - self._size and not first & _CONTROL:
            if self._limit_is_low and arrivals:
                return self._wait(data, start, head)
            raise _ViolationError(CLOSE_TOO_BIG.code, CLOSE_TOO_BIG.reason)
        stop = payload_at + length
        if stop > end:
            return self._wait(data, start, stop - start)
        payload = apply_mask(data[payload_at:stop], data[payload_at - 4 : payload_at])
        if first == _WHOLE_TEXT:
            self._check_text(payload, final=True)
            self._decoder = None
            arrivals.append(payload)
        elif first == _WHOLE_BINARY:
            arrivals.append(BinaryMessage(payload))
        elif first & _CONTROL:
            arrivals.append(_control(_OPCODES[first & 0x0F], payload))
            if first & 0x0F == Opcode.CLOSE:
                self._done = True
                return end
        else:
            self._add_part(first, payload, arrivals)
        self._checked = 0
        return stop

    def _wait(self, data: bytes, start: int, wanted: int) -> int:
        """Keeps what is left until there are so many bytes."""
        self._buffer = bytearray(memoryview(data)[start:])
        self._wanted = wanted
        return len(data)

    def _check_head(self, first: int, second: int) -> None:
        """The rules for a frame's first two bytes."""
        opcode = first & 0x0F
        if first & 0x70 or opcode not in _OPCODES:
            raise _ViolationError(1002, "reserved bits or opcode")
        if not second & _MASKED:
            raise _ViolationError(1002, "frame is not masked")
        if opcode & _CONTROL:
            if not first & _FIN or second & 0x7F > _MAX_SHORT_BYTES:
                raise _ViolationError(1002, "control frame is fragmented or too long")
            return
        if (opcode == Opcode.CONTINUATION) != (self._parts is not None):
            raise _ViolationError(1002, "continuation out of place")

    def _add_part(self, first: int, payload: bytes, arrivals: list[Arrival]) -> None:
        """A frame of a message in parts, or a whole binary message."""
        if self._parts is None:
            # Not a list: parts may be many and small.
            self._opcode, self._parts = _OPCODES[first & 0x0F], bytearray()
        final = first & _FIN != 0
        if self._opcode is _TEXT:
            self._check_text(payload, final=final)
        self._parts += payload
        size = len(payload)
        self._size += size if size > FRAGMENT_BYTES else FRAGMENT_BYTES
        if final:
            arrivals.append(bytes(self._parts) if self._opcode is _TEXT else BinaryMessage(self._parts))
            self._opcode = self._parts = self._decoder = None
            self._size = 0

    def _check_text(self, payload: bytes, *, final: bool) -> None:
        """Checks the rest of a frame's text, after what was checked while it was incomplete."""
        self._decode(payload[self._checked :], final=final)

    def _decode(self, text: bytes, *, final: bool) -> None:
        """Checks the next piece of a text; characters may be cut anywhere."""
        if self._decoder is None:
            if text.isascii():
                return
            self._decoder = _Utf8Decoder()
        try:
            self._decoder.decode(text, final)
        except UnicodeDecodeError:
            raise _ViolationError(1007, "text is not UTF-8") from None

    def _check_unfinished(self, frame: bytearray) -> None:
        """Checks as much text as has arrived of a frame that is not complete, so that bad text is refused at once."""
        opcode = _OPCODES.get(frame[0] & 0x0F)
        if opcode is not _TEXT and not (opcode is Opcode.CONTINUATION and self._opcode is _TEXT):
            return
        if len(frame) < 2:
            return
        payload_at = 6 + {126: 2, 127: 8}.get(frame[1] & 0x7F, 0)
        arrived = len(frame) - payload_at
        if arrived <= self._checked:
            return
        mask = bytes(frame[payload_at - 4 : payload_at])
        turn = self._checked % 4
        fresh = apply_mask(bytes(frame[payload_at + self._checked :]), mask[turn:] + mask[:turn])
        self._decode(fresh, final=False)
        self._checked = arrived


def _take_plain_texts(data: bytes, start: int, limit_bytes: int, arrivals: list[Arrival]) -> int:
    """Takes whole text messages below 64 KiB, as long as one follows another; returns where something else begins.

    Nearly everything that is ever read goes along here.
    """
    end = len(data)
    while end - start >= 8:
        length, mask = _unpack_head(data, start)
        if _SHORT_TEXT <= length <= _LONGEST_SHORT_TEXT:
            length -= _SHORT_TEXT
            payload_at = start + 6
        elif length == _MEDIUM_TEXT:
            length, mask = _unpack_head(data, start + 2)
            if length <= _MAX_SHORT_BYTES:
                break
            payload_at = start + 8
        else:
            break
        stop = payload_at + length
        if stop > end or length > limit_bytes:
            break
        payload = apply_mask(data[payload_at:stop], mask)
        if not payload.isascii():
            try:
                payload.decode()
            except UnicodeDecodeError:
                raise _ViolationError(1007, "text is not UTF-8") from None
        arrivals.append(payload)
        start = stop
    return start


def _control(opcode: Opcode, payload: bytes) -> Control:
    """Checks a control frame that has arrived."""
    if opcode is Opcode.CLOSE and payload:
        if len(payload) == 1:
            raise _ViolationError(1002, "close frame of one byte")
        code = int.from_bytes(payload[:2], "big")
        if not (1000 <= code <= 1014 and code not in (1004, 1005, 1006)) and not 3000 <= code <= 4999:
            raise _ViolationError(1002, "close code out of range")
        try:
            payload[2:].decode()
        except UnicodeDecodeError:
            raise _ViolationError(1007, "close reason is not UTF-8") from None
    return Control(opcode, payload)


def frame_head(opcode: int, size: int) -> bytes:
    """The head of an unmasked, unfragmented frame."""
    if size < 126:
        return bytes((_FIN | opcode, size))
    if size < 65536:
        return _pack16(_FIN | opcode, 126, size)
    return _pack64(_FIN | opcode, 127, size)


_SHORT_HEADS: Final = tuple(frame_head(Opcode.TEXT, size) for size in range(126))
_SHORT_BINARY_HEADS: Final = tuple(frame_head(Opcode.BINARY, size) for size in range(126))
"""The heads of frames by their size, as far as that fits the second byte."""


def text_frame(text: bytes) -> bytes:
    """A whole text frame; nearly everything that is written comes along here."""
    size = len(text)
    if size < 126:
        return _SHORT_HEADS[size] + text
    return (_pack16(_WHOLE_TEXT, 126, size) if size < 65536 else _pack64(_WHOLE_TEXT, 127, size)) + text


def binary_frame(data: bytes) -> bytes:
    """A whole binary frame."""
    size = len(data)
    return (_SHORT_BINARY_HEADS[size] if size < 126 else frame_head(Opcode.BINARY, size)) + data


def encode_frame(opcode: int, payload: bytes) -> bytes:
    """A whole frame."""
    return frame_head(opcode, len(payload)) + payload


def encode_close(close: Close) -> bytes:
    """A close frame."""
    return encode_frame(Opcode.CLOSE, close.code.to_bytes(2, "big") + close.reason.encode())
