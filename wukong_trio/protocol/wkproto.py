"""WKProto, WuKongIM's binary protocol: its packets.

    first byte: type << 4 | flags    remaining length: 1 to 4 bytes    body

PING and PONG are one byte. Some bodies depend on the version agreed upon in CONNECT and CONNACK, so whoever reads
(`wkproto_reader.py`) or writes (`wkproto_writer.py`) names it. `wkproto_keys.py` encrypts what is in packets.

All integers are big-endian; a string is its length in two bytes and UTF-8.
"""

from enum import IntEnum
from typing import Final, TypeAlias

from msgspec import Struct

from ..errors import WukongError
from .codes import CLOSE_PROTOCOL_ERROR, Close

LATEST_VERSION: Final = 6
MAX_PACKET_BYTES: Final = 1_048_576
"""The largest remaining length."""
MAX_STRING_BYTES: Final = 32_767
HIGHEST_SHORT_SEQ: Final = 2**32 - 1
"""The largest `message_seq` that versions below 6 can express."""
PING_BYTES: Final = b"\x70"
PONG_BYTES: Final = b"\x80"


class PacketType(IntEnum):
    """The upper half of the first byte."""

    CONNECT = 1
    CONNACK = 2
    SEND = 3
    SENDACK = 4
    RECV = 5
    RECVACK = 6
    PING = 7
    PONG = 8
    DISCONNECT = 9
    SUB = 10
    SUBACK = 11
    EVENT = 12


class PacketError(WukongError):
    """A packet that cannot be read, or cannot be written.

    Attributes:
        close: how a connection that sent it is ended.
    """

    def __init__(self, problem: str, close: Close = CLOSE_PROTOCOL_ERROR) -> None:
        super().__init__(problem)
        self.close = close


class Connect(Struct, frozen=True, gc=False):
    """The first packet of a client; the same in all versions."""

    version: int
    """What the client wants to speak."""
    device_flag: int
    device_id: str = ""
    uid: str = ""
    token: str = ""
    client_timestamp: int = 0
    """Milliseconds since 1970, by the client's clock. Some clients write seconds."""
    client_key: str = ""
    """Base64 of the client's X25519 public key; empty without encryption."""


class Connack(Struct, frozen=True, gc=False):
    """The answer to CONNECT."""

    time_diff: int
    """Milliseconds by which the server's clock is ahead of `client_timestamp`."""
    reason_code: int
    server_key: str = ""
    """Base64 of the server's X25519 public key. Like `salt` empty when refused and without encryption."""
    salt: str = ""
    """16 ASCII characters."""
    node_id: int = 0
    """Only in versions from 4 on."""
    server_version: int | None = None
    """The agreed version, for clients that asked for more than 3. Others cannot read a CONNACK that has it: None."""


class Send(Struct, frozen=True, gc=False):
    """A message of a client."""

    client_seq: int
    channel_id: str
    channel_type: int
    payload: bytes
    """As on the wire: base64 of the ciphertext in an encrypted session."""
    client_msg_no: str = ""
    setting: int = 0
    flags: int = 0
    expire: int = 0
    """Seconds. Only in versions from 3 on."""
    msg_key: str = ""
    topic: str = ""
    """Only with SETTING_TOPIC."""
    stream_no: str = ""
    """Only with SETTING_STREAM in versions 2 to 4."""


class Sendack(Struct, frozen=True, gc=False):
    """The answer to SEND."""

    message_id: int
    client_seq: int
    message_seq: int
    reason_code: int
    client_msg_no: str = ""


class Recv(Struct, frozen=True, gc=False):
    """A message for a client."""

    message_id: int
    message_seq: int
    from_uid: str
    channel_id: str
    """As the receiver sees it."""
    channel_type: int
    payload: bytes
    """As on the wire, like that of `Send`."""
    client_msg_no: str
    timestamp: int
    """Seconds since 1970, 32 bits signed."""
    setting: int = 0
    flags: int = 0
    expire: int = 0
    """Seconds. Only in versions from 3 on."""
    msg_key: str = ""
    topic: str = ""
    """Only with SETTING_TOPIC."""
    stream_no: str = ""
    """Like `stream_flag` and `stream_id` only with SETTING_STREAM in versions 2 to 4."""
    stream_flag: int = 0
    stream_id: int = 0


class Recvack(Struct, frozen=True, gc=False):
    """The answer to RECV."""

    message_id: int
    message_seq: int
    flags: int = 0


class Ping(Struct, frozen=True, gc=False):
    """Asks for a PONG."""


class Pong(Struct, frozen=True, gc=False):
    """The answer to PING."""


class Disconnect(Struct, frozen=True, gc=False):
    """The last packet of a server that ends a session."""

    reason_code: int
    reason: str = ""
    """For people."""


class Sub(Struct, frozen=True, gc=False):
    """A subscription; servers do nothing with it."""

    sub_no: str
    channel_id: str
    channel_type: int
    action: int
    """0 subscribe, 1 unsubscribe."""
    param: str = ""
    setting: int = 0


class Suback(Struct, frozen=True, gc=False):
    """The answer to SUB."""

    sub_no: str
    channel_id: str
    channel_type: int
    action: int
    reason_code: int


class Event(Struct, frozen=True, gc=False):
    """Something that is no message, for clients of version 5 on."""

    event_id: str
    type: str
    timestamp: int
    """Milliseconds since 1970."""
    data: bytes
    """JSON; never encrypted."""


Packet: TypeAlias = (
    Connect | Connack | Send | Sendack | Recv | Recvack | Ping | Pong | Disconnect | Sub | Suback | Event
)
PING: Final = Ping()
PONG: Final = Pong()
