"""Writing WKProto: packets as they are on the wire.

`encode` writes any packet. What a server writes for every message has functions of its own, which `encode` uses too.
"""

from collections.abc import Callable
from struct import Struct as Packing
from struct import error as PackingError  # noqa: N812 - it is a class
from typing import Any, Final, NamedTuple

from ..model import SETTING_STREAM, SETTING_TOPIC
from .codes import CLOSE_TOO_BIG
from .wkproto import (
    MAX_PACKET_BYTES,
    MAX_STRING_BYTES,
    PING_BYTES,
    PONG_BYTES,
    Connack,
    Connect,
    Disconnect,
    Event,
    Packet,
    PacketError,
    Ping,
    Pong,
    Recv,
    Recvack,
    Send,
    Sendack,
    Sub,
    Suback,
)

_pack_u16 = Packing(">H").pack
_pack_size = Packing(">h").pack
"""Of a string; fails where the size is too large."""
_pack_u8_u16 = Packing(">BH").pack
_pack_u8_u32_u16 = Packing(">BIH").pack
_pack_i64 = Packing(">q").pack
_pack_u64 = Packing(">Q").pack
_pack_connack = Packing(">qB").pack
_pack_send_head = Packing(">BI").pack
_pack_ack = Packing(">BBqIIB").pack
_pack_ack6 = Packing(">BBqIQB").pack
_pack_ack_no = Packing(">qIIBH").pack
_pack_ack6_no = Packing(">qIQBH").pack
_pack_recvack = Packing(">BBqI").pack
_pack_recvack6 = Packing(">BBqQ").pack
_pack_u8x2 = Packing(">BB").pack
_pack_u8x3 = Packing(">BBB").pack
_pack_u8x4 = Packing(">BBBB").pack
_pack_tail = Packing(">qIi").pack
_pack_tail6 = Packing(">qQi").pack


def _has_stream_fields(setting: int, version: int) -> bool:
    """Whether SEND and RECV carry the fields of streams."""
    return setting & SETTING_STREAM != 0 and 2 <= version <= 4


def _head(first: int, size_bytes: int) -> bytes:
    """First byte and remaining length."""
    if size_bytes < 128:
        return _pack_u8x2(first, size_bytes)
    if size_bytes < 16_384:
        return _pack_u8x3(first, size_bytes & 127 | 128, size_bytes >> 7)
    if size_bytes > MAX_PACKET_BYTES:
        raise PacketError(f"a packet has {size_bytes:,} bytes; {MAX_PACKET_BYTES:,} are allowed", CLOSE_TOO_BIG)
    return _pack_u8x4(first, size_bytes & 127 | 128, size_bytes >> 7 & 127 | 128, size_bytes >> 14)


def _first(packet_type: int, flags: int) -> int:
    """The first byte."""
    if not 0 <= flags <= 15:
        raise PacketError(f"flags are four bits, not {flags}")
    return packet_type << 4 | flags


def _string(text: str) -> bytes:
    """A string with its length."""
    raw = text.encode()
    size = len(raw)
    if size > MAX_STRING_BYTES:
        raise _long_string(size)
    return _pack_u16(size) + raw


def _long_string(size_bytes: int) -> PacketError:
    return PacketError(f"a string has {size_bytes:,} bytes; {MAX_STRING_BYTES:,} are allowed")


def _unwritable(error: Exception) -> PacketError:
    """What to raise when a number or a text is not one that the protocol can express."""
    return PacketError(f"a packet cannot be written: {error}")


def encode_sendack(
    message_id: int, client_seq: int, message_seq: int, reason_code: int, client_msg_no: str, version: int
) -> bytes:
    """A whole SENDACK.

    Raises:
        PacketError: a number does not fit, for example a `message_seq` above HIGHEST_SHORT_SEQ before version 6.
    """
    try:
        if not client_msg_no:
            if version < 6:
                return _pack_ack(0x40, 17, message_id, client_seq, message_seq, reason_code)
            return _pack_ack6(0x40, 21, message_id, client_seq, message_seq, reason_code)
        raw = client_msg_no.encode()
        size = len(raw)
        if size > MAX_STRING_BYTES:
            raise _long_string(size)
        if version < 6:
            return _head(0x40, 19 + size) + _pack_ack_no(message_id, client_seq, message_seq, reason_code, size) + raw
        return _head(0x40, 23 + size) + _pack_ack6_no(message_id, client_seq, message_seq, reason_code, size) + raw
    except (PackingError, UnicodeEncodeError) as error:
        raise _unwritable(error) from error


def encode_recvack(message_id: int, message_seq: int, flags: int, version: int) -> bytes:
    """A whole RECVACK.

    Raises:
        PacketError: a number does not fit, for example a `message_seq` above HIGHEST_SHORT_SEQ before version 6.
    """
    try:
        if version < 6:
            return _pack_recvack(_first(6, flags), 12, message_id, message_seq)
        return _pack_recvack6(_first(6, flags), 16, message_id, message_seq)
    except PackingError as error:
        raise _unwritable(error) from error


class RecvParts(NamedTuple):
    """What is the same in the RECVs of all who see a message alike and speak the same version."""

    first: int
    """The first byte."""
    setting: int
    middle: bytes
    """What comes between `msg_key` and payload."""
    signed: bytes
    """What `msg_key` signs, up to the payload."""


def recv_parts(
    *,
    version: int,
    message_id: int,
    message_seq: int,
    from_uid: str,
    channel_id: str,
    channel_type: int,
    client_msg_no: str,
    timestamp: int,
    setting: int = 0,
    flags: int = 0,
    expire: int = 0,
    topic: str = "",
    stream_no: str = "",
    stream_flag: int = 0,
    stream_id: int = 0,
) -> RecvParts:
    """Lays out a RECV, except for what differs between sessions. Fields are those of `Recv`.

    Raises:
        PacketError: a string is too long or a number does not fit.
    """
    stream = b""
    try:
        if _has_stream_fields(setting, version):
            stream = bytes((stream_flag,)) + _string(stream_no) + _pack_u64(stream_id)
        middle = recv_middle(
            version,
            from_uid,
            channel_id,
            channel_type,
            expire,
            client_msg_no,
            message_id,
            message_seq,
            timestamp,
            topic if setting & SETTING_TOPIC else None,
            stream,
        )
        signed = f"{message_id}{message_seq}{client_msg_no}{timestamp}{from_uid}{channel_id}{channel_type}"
        return RecvParts(_first(5, flags), setting, middle, signed.encode())
    except (PackingError, ValueError) as error:
        raise _unwritable(error) from error


def recv_parts_of(packet: Recv, version: int) -> RecvParts:
    """The same for a packet.

    Raises:
        PacketError: as `recv_parts`.
    """
    return recv_parts(
        version=version,
        message_id=packet.message_id,
        message_seq=packet.message_seq,
        from_uid=packet.from_uid,
        channel_id=packet.channel_id,
        channel_type=packet.channel_type,
        client_msg_no=packet.client_msg_no,
        timestamp=packet.timestamp,
        setting=packet.setting,
        flags=packet.flags,
        expire=packet.expire,
        topic=packet.topic,
        stream_no=packet.stream_no,
        stream_flag=packet.stream_flag,
        stream_id=packet.stream_id,
    )


def recv_middle(
    version: int,
    from_uid: str,
    channel_id: str,
    channel_type: int,
    expire: int,
    client_msg_no: str,
    message_id: int,
    message_seq: int,
    timestamp: int,
    topic: str | None = None,
    stream: bytes = b"",
) -> bytes:
    """What comes in a RECV between `msg_key` and payload. Nearly everything that is written comes along here.

    Args:
        topic: None where the setting has no topic.
        stream: the stream fields, where the version has them.

    Raises:
        PacketError: a string is too long or a number does not fit.
    """
    try:
        uid, number = from_uid.encode(), client_msg_no.encode()
        # In person channels they are one object.
        channel = uid if channel_id is from_uid else channel_id.encode()
        number_size = len(number)
        if number_size > MAX_STRING_BYTES:
            raise _long_string(number_size)
        if version < 3:
            before_number = _pack_u8_u16(channel_type, number_size)
        else:
            before_number = _pack_u8_u32_u16(channel_type, expire, number_size)
        return b"".join(
            (
                _pack_size(len(uid)),
                uid,
                _pack_size(len(channel)),
                channel,
                before_number,
                number,
                stream,
                (_pack_tail if version < 6 else _pack_tail6)(message_id, message_seq, timestamp),
                b"" if topic is None else _string(topic),
            )
        )
    except (PackingError, UnicodeEncodeError) as error:
        raise _unwritable(error) from error


def write_recv(first: int, setting: int, middle: bytes, msg_key: bytes, payload: bytes) -> bytes:
    """A whole RECV for one session.

    Args:
        first: the first byte.
        middle: see `recv_middle`.
        msg_key: what `SessionKeys.sign` made of `RecvParts.signed` and the payload, empty without encryption.
        payload: as on the wire.

    Raises:
        PacketError: the packet is too large.
    """
    key_size = len(msg_key)
    size = 3 + key_size + len(middle) + len(payload)
    try:
        return b"".join((_head(first, size), _pack_u8_u16(setting, key_size), msg_key, middle, payload))
    except PackingError as error:
        raise _unwritable(error) from error


def encode(packet: Packet, version: int) -> bytes:
    """Any packet as it is on the wire.

    Raises:
        PacketError: a string or the whole is too long, or a number does not fit its field.
    """
    try:
        return _ENCODERS[type(packet)](packet, version)
    except (PackingError, OverflowError, ValueError) as error:
        raise _unwritable(error) from error


def _packet(first: int, *fields: bytes) -> bytes:
    body = b"".join(fields)
    return _head(first, len(body)) + body


def _encode_connect(packet: Connect, version: int) -> bytes:
    return _packet(
        0x10,
        _pack_u8x2(packet.version, packet.device_flag),
        _string(packet.device_id),
        _string(packet.uid),
        _string(packet.token),
        _pack_i64(packet.client_timestamp),
        _string(packet.client_key),
    )


def _encode_connack(packet: Connack, version: int) -> bytes:
    flag = packet.server_version is not None
    return _packet(
        0x20 | flag,
        b"" if packet.server_version is None else bytes((packet.server_version,)),
        _pack_connack(packet.time_diff, packet.reason_code),
        _string(packet.server_key),
        _string(packet.salt),
        _pack_u64(packet.node_id) if version >= 4 else b"",
    )


def _encode_send(packet: Send, version: int) -> bytes:
    setting = packet.setting
    return _packet(
        _first(3, packet.flags),
        _pack_send_head(setting, packet.client_seq),
        _string(packet.client_msg_no),
        _string(packet.stream_no) if _has_stream_fields(setting, version) else b"",
        _string(packet.channel_id),
        bytes((packet.channel_type,)),
        packet.expire.to_bytes(4, "big") if version >= 3 else b"",
        _string(packet.msg_key),
        _string(packet.topic) if setting & SETTING_TOPIC else b"",
        packet.payload,
    )


def _encode_sendack(packet: Sendack, version: int) -> bytes:
    return encode_sendack(
        packet.message_id,
        packet.client_seq,
        packet.message_seq,
        packet.reason_code,
        packet.client_msg_no,
        version,
    )


def _encode_recv(packet: Recv, version: int) -> bytes:
    parts = recv_parts_of(packet, version)
    return write_recv(parts.first, parts.setting, parts.middle, _string(packet.msg_key)[2:], packet.payload)


def _encode_recvack(packet: Recvack, version: int) -> bytes:
    return encode_recvack(packet.message_id, packet.message_seq, packet.flags, version)


def _encode_disconnect(packet: Disconnect, version: int) -> bytes:
    return _packet(0x90, bytes((packet.reason_code,)), _string(packet.reason))


def _encode_sub(packet: Sub, version: int) -> bytes:
    return _packet(
        0xA0,
        bytes((packet.setting,)),
        _string(packet.sub_no),
        _string(packet.channel_id),
        _pack_u8x2(packet.channel_type, packet.action),
        _string(packet.param),
    )


def _encode_suback(packet: Suback, version: int) -> bytes:
    return _packet(
        0xB0,
        _string(packet.sub_no),
        _string(packet.channel_id),
        bytes((packet.channel_type, packet.action, packet.reason_code)),
    )


def _encode_event(packet: Event, version: int) -> bytes:
    return _packet(0xC0, _string(packet.event_id), _string(packet.type), _pack_i64(packet.timestamp), packet.data)


_ENCODERS: Final[dict[type[Packet], Callable[[Any, int], bytes]]] = {
    Connect: _encode_connect,
    Connack: _encode_connack,
    Send: _encode_send,
    Sendack: _encode_sendack,
    Recv: _encode_recv,
    Recvack: _encode_recvack,
    Ping: lambda packet, version: PING_BYTES,
    Pong: lambda packet, version: PONG_BYTES,
    Disconnect: _encode_disconnect,
    Sub: _encode_sub,
    Suback: _encode_suback,
    Event: _encode_event,
}
