"""WebSocket from the client's side, and the JSON-RPC of a load generator. Bytes only, no I/O.

Masker.text        a JSON text -> a masked frame
FrameReader.feed   what arrived -> messages and control frames
decode             a message -> Incoming
Stamp              sender, number and due time, carried in the payload of every message
"""

import base64
import hashlib
import os
from binascii import b2a_base64
from typing import Final, NamedTuple

import msgspec
from msgspec import Struct

CONTINUATION: Final = 0
TEXT: Final = 1
BINARY: Final = 2
CLOSE: Final = 8
PING: Final = 9
PONG: Final = 10

_KEY: Final = base64.b64encode(b"wukong-trio-bench")[:22] + b"=="
_ACCEPT: Final = base64.b64encode(hashlib.sha1(_KEY + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())


class ProtocolError(Exception):
    """The server sent what a client cannot read."""


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


def server_frame(payload: memoryview) -> bytes:
    """The frame in which a server sends a text, if it writes the length as briefly as it should."""
    size = len(payload)
    if size < 126:
        return bytes((0x81, size)) + payload
    if size < 65536:
        return b"\x81\x7e" + size.to_bytes(2, "big") + payload
    return b"\x81\x7f" + size.to_bytes(8, "big") + payload


class Masker:
    """Makes the frames of one process, all with the same random key.

    RFC 6455 wants keys that scripts in browsers cannot predict; there is no browser here. The key is never zero, so
    that no server can save itself the unmasking.
    """

    def __init__(self, key: bytes | None = None) -> None:
        self._key = key or bytes(byte | 1 for byte in os.urandom(4))
        self._known: dict[int, tuple[bytes, int]] = {}

    def text(self, payload: bytes) -> bytes:
        """A whole text frame."""
        size = len(payload)
        try:
            head, mask = self._known[size]
        except KeyError:
            head, mask = self._known[size] = self._head(TEXT, size), self._mask(size)
        return head + (int.from_bytes(payload, "little") ^ mask).to_bytes(size, "little")

    def control(self, opcode: int, payload: bytes) -> bytes:
        """A whole control frame; `payload` is at most 125 bytes."""
        size = len(payload)
        masked = int.from_bytes(payload, "little") ^ self._mask(size)
        return self._head(opcode, size) + masked.to_bytes(size, "little")

    def _head(self, opcode: int, size: int) -> bytes:
        first = 0x80 | opcode
        if size < 126:
            return bytes((first, 0x80 | size)) + self._key
        if size < 65536:
            return bytes((first, 0xFE)) + size.to_bytes(2, "big") + self._key
        return bytes((first, 0xFF)) + size.to_bytes(8, "big") + self._key

    def _mask(self, size: int) -> int:
        return int.from_bytes((self._key * (size // 4 + 1))[:size], "little")


class FrameReader:
    """Finds the messages in what one server sends. Keeps only what is incomplete."""

    __slots__ = ("_parts", "rest")

    def __init__(self) -> None:
        self.rest = b""
        """The beginning of a frame. Whoever reads puts it before the bytes that arrive next."""
        self._parts: list[bytes] | None = None

    def feed(self, data: memoryview) -> list[tuple[int, memoryview]]:
        """What `data`, which begins with `rest`, holds completely: pairs of opcode and payload, in order.

        The payloads are views into `data`.

        Raises:
            ProtocolError: a frame is masked, or a fragment is out of place.
        """
        found: list[tuple[int, memoryview]] = []
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
            if first == 0x81:
                found.append((TEXT, data[payload:stop]))
            else:
                self._other(first, data[payload:stop], found)
            start = stop
        self.rest = bytes(data[start:])
        return found

    def _other(self, first: int, payload: memoryview, found: list[tuple[int, memoryview]]) -> None:
        opcode = first & 0x0F
        if opcode >= CLOSE:
            found.append((opcode, payload))
            return
        if (opcode == CONTINUATION) != (self._parts is not None):
            raise ProtocolError("a fragment is out of place")
        parts = self._parts = self._parts or []
        parts.append(bytes(payload))
        if first & 0x80:
            self._parts = None
            found.append((TEXT, memoryview(b"".join(parts))))


class _Header(Struct, frozen=True, gc=False):
    dup: bool = False


_PLAIN: Final = _Header()


class Push(Struct, gc=False, rename="camel"):
    """The parameters of a push. The defaults are for other notifications."""

    header: _Header = _PLAIN
    message_id: int | str = ""
    message_seq: int = 0
    payload: bytes = b""


class _Result(Struct, gc=False, rename="camel"):
    reason_code: int = 1
    server_version: int = 0


class _Error(Struct, gc=False):
    code: int
    message: str = ""


class Incoming(Struct, gc=False):
    """A message of the server, as far as a load generator looks at it."""

    id: int | str | None = None
    method: str = ""
    params: Push | None = None
    result: _Result | None = None
    error: _Error | None = None

    @property
    def succeeded(self) -> bool:
        """It is a result, and says so in the way of servers that report failures as results, too."""
        return self.result is not None and self.result.reason_code == 1


decode: Final = msgspec.json.Decoder(Incoming).decode
"""Raises `msgspec.MsgspecError` for anything that is not JSON-RPC."""


def connect_request(uid: str, token: str, device_id: str, *, acknowledges: bool = True) -> bytes:
    """As the SDKs send it: with these parameters servers answer in the SDKs' dialect, and wait for `recvack`s.

    Args:
        acknowledges: False leaves out what makes a client an SDK, so that servers do not wait.
    """
    params = {"uid": uid, "token": token, "deviceId": device_id, "deviceFlag": 1}
    if acknowledges:
        params["clientTimestamp"] = 0
    return msgspec.json.encode({"jsonrpc": "2.0", "method": "connect", "params": params, "id": "0"})


def ping_request(number: int) -> bytes:
    """A ping whose answer carries `number` as id."""
    return b'{"jsonrpc":"2.0","method":"ping","params":{},"id":"%d"}' % number


def recvack(params: Push) -> bytes:
    """The receipt for a push."""
    id_ = params.message_id
    text = b'"%b"' % id_.encode() if isinstance(id_, str) else b"%d" % id_
    return b'{"jsonrpc":"2.0","method":"recvack","params":{"header":{},"messageId":%b,"messageSeq":%d}}' % (
        text,
        params.message_seq,
    )


class Stamp(NamedTuple):
    """What tells a message from all others."""

    sender: int
    number: int
    """Counts from 1 for each sender."""
    due_us: int
    """When it should have been sent, on the monotonic clock, which all processes of a machine share."""


_OPENING: Final = b'{"type":1,"content":"'
_STAMP_BYTES: Final = 33
"""Like the opening a multiple of three, so that base64 of the parts can be joined."""
_STAMP_END: Final = len(_OPENING) + _STAMP_BYTES
MIN_PAYLOAD_BYTES: Final = _STAMP_END + 2
_OPENING_BASE64: Final = base64.b64encode(_OPENING)


def stamp_base64(sender: int, number: int, due_us: int) -> bytes:
    """The part of a payload that changes, in base64."""
    return b2a_base64(b"%08d%010d%015d" % (sender, number, due_us), newline=False)


def read_stamp(payload: bytes) -> Stamp:
    """What a received payload says.

    Raises:
        ValueError: it is none of ours.
    """
    if payload[: len(_OPENING)] != _OPENING:
        raise ValueError("a payload without a stamp")
    digits = payload[len(_OPENING) : _STAMP_END]
    return Stamp(int(digits[:8]), int(digits[8:18]), int(digits[18:]))


def padding_base64(payload_bytes: int) -> bytes:
    """What ends a payload of that size, in base64."""
    return base64.b64encode(b"x" * (payload_bytes - MIN_PAYLOAD_BYTES) + b'"}')


def send_template(prefix: str, sender: int, channel_id: str, channel_type: int) -> bytes:
    """A `send` for `%`: number, stamp, padding, number."""
    number = f"{prefix}-{sender}-%d"
    payload = f"{_OPENING_BASE64.decode()}%b%b"
    return (
        f'{{"jsonrpc":"2.0","method":"send","params":{{"clientMsgNo":"{number}","channelId":"{channel_id}",'
        f'"channelType":{channel_type:d},"header":{{"redDot":true}},"payload":"{payload}"}},"id":"%d"}}'
    ).encode()


def close_code(payload: memoryview) -> int:
    """The code of a close frame, 1005 if it has none."""
    return int.from_bytes(payload[:2], "big") if len(payload) >= 2 else 1005
