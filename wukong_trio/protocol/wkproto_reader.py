"""Reading WKProto: a stream of bytes, cut anywhere, into packets.

The decoders read from a chunk at offsets, without cutting bodies out first. A length that lies can take them past the
end of the body, but not past the chunk without an exception; where they have got to is checked once, at the end.
"""

from collections.abc import Callable
from itertools import repeat
from struct import Struct as Packing
from struct import error as PackingError  # noqa: N812 - it is a class
from sys import maxsize
from typing import Final

from ..model import SETTING_LEGACY_STREAM, SETTING_STREAM, SETTING_TOPIC
from .codes import CLOSE_TOO_BIG
from .wkproto import (
    LATEST_VERSION,
    MAX_PACKET_BYTES,
    MAX_STRING_BYTES,
    PING,
    PONG,
    Connack,
    Connect,
    Disconnect,
    Event,
    Packet,
    PacketError,
    PacketType,
    Recv,
    Recvack,
    Send,
    Sendack,
    Sub,
    Suback,
)

PIECE_BYTES: Final = 64 * 1024
"""Where only so many packets are wanted at once, they are not to be too large either."""
_FEWEST_BYTES: Final = 2
"""First byte and one byte of length."""

_unpack_u64 = Packing(">Q").unpack_from
_unpack_i64 = Packing(">q").unpack_from
_unpack_u8_u16 = Packing(">BH").unpack_from
_unpack_u8_u32_u16 = Packing(">BIH").unpack_from
_unpack_connack = Packing(">qB").unpack_from
_unpack_ack = Packing(">qIIB").unpack_from
_unpack_ack6 = Packing(">qIQB").unpack_from
_unpack_recvack = Packing(">qI").unpack_from
_unpack_recvack6 = Packing(">qQ").unpack_from
_unpack_tail = Packing(">qIi").unpack_from
_unpack_tail6 = Packing(">qQi").unpack_from


class PacketReader:
    """Reads what one peer sends. Feed it every chunk in order; after a failure it ignores the rest."""

    __slots__ = ("_chunk", "_held", "_position", "_wanted", "failure", "limit_bytes", "unserved", "version")

    def __init__(self, version: int = LATEST_VERSION, *, limit_bytes: int = MAX_PACKET_BYTES) -> None:
        """Args:
        version: how the peer lays out its packets.
        limit_bytes: the largest remaining length.
        """
        self.version = version
        """May be set between packets, when it has been agreed upon."""
        self.limit_bytes = limit_bytes
        """May be raised."""
        self.unserved = False
        """`most` has stopped the reader: more packets, or a failure, may be there without further bytes."""
        self.failure: PacketError | None = None
        """What the peer did wrong. Nothing that follows counts."""
        self._chunk = b""
        """What is unserved, from `_position` on."""
        self._position = 0
        self._held: bytearray | None = None
        """The beginning of a packet that is not complete."""
        self._wanted = 0
        """How much must be held before it is worth looking at it again."""

    @property
    def at_start(self) -> bool:
        """Whether no byte is held back: the next one is the first of a packet."""
        return self._held is None and not self.unserved

    def receive(self, data: bytes, *, most: int = maxsize) -> list[Packet]:
        """The packets that a chunk completes, in order.

        Args:
            data: the next bytes; empty to go on with what is unserved, which is better done before more is read.
            most: how many packets are returned at the most, and then not many more bytes than PIECE_BYTES. When there
                may be more, `unserved` is set.

        Nothing is raised: `failure` is set when all packets before it have been returned.
        """
        position = 0
        if self.failure is not None:
            return []
        if self._held is not None:
            self._held += data
            if len(self._held) < self._wanted:
                return []
            data = bytes(self._held)
            self._held = None
        elif self.unserved:
            self.unserved = False
            if data:
                data = self._chunk[self._position :] + data
            else:
                data, position = self._chunk, self._position
            self._chunk = b""
        packets: list[Packet] = []
        try:
            self._take(data, position, most, packets)
        except PacketError as error:
            self.failure = error
        return packets

    def _take(self, data: bytes, position: int, most: int, packets: list[Packet]) -> None:
        """Takes packets from a chunk and keeps what is left of it."""
        end, version, limit_bytes = len(data), self.version, self.limit_bytes
        enough = end if most == maxsize else min(end, position + PIECE_BYTES)
        first = 0
        try:
            for _ in repeat(None, most):
                if position >= enough:
                    if position == end:
                        return
                    break
                first = data[position]
                decode = _DECODERS[first >> 4]
                if decode is None:
                    if not 0x70 <= first < 0x90:
                        raise PacketError(f"packets of type {first >> 4} do not exist")
                    packets.append(PING if first < 0x80 else PONG)
                    position += 1
                    continue
                body = position + 2
                if body > end:
                    self._hold(data, position, _FEWEST_BYTES)
                    return
                size = data[body - 1]
                if size > 127:
                    size, body = _long_size(data, position, end)
                    if size < 0:
                        self._hold(data, position, body - position)
                        return
                if size > limit_bytes:
                    raise PacketError(f"a packet has {size:,} bytes; {limit_bytes:,} are allowed", CLOSE_TOO_BIG)
                stop = body + size
                if stop > end:
                    self._hold(data, position, stop - position)
                    return
                packets.append(decode(data, body, stop, first, version))
                position = stop
        except (PackingError, IndexError):
            raise _cut(first) from None
        except UnicodeDecodeError:
            raise PacketError(f"a string in {PacketType(first >> 4).name} is not UTF-8") from None
        if position < end:
            self.unserved = True
            self._chunk, self._position = data, position

    def _hold(self, data: bytes, position: int, wanted: int) -> None:
        """Keeps what is left until there are so many bytes."""
        self._held = bytearray(memoryview(data)[position:])
        self._wanted = wanted


def _long_size(data: bytes, position: int, end: int) -> tuple[int, int]:
    """Reads a remaining length of several bytes.

    Returns:
        The length, and where the body begins. If the next byte is missing: -1, and where that byte ends.
    """
    size = 0
    for index in range(4):
        at = position + 1 + index
        if at == end:
            return -1, at + 1
        size |= (data[at] & 127) << 7 * index
        if data[at] < 128:
            return size, at + 1
    raise PacketError("a length has more than four bytes")


def _cut(first: int) -> PacketError:
    return PacketError(f"{PacketType(first >> 4).name} ends inside a field, or a string is too long")


def _string(data: bytes, position: int) -> tuple[str, int]:
    """A string, and where it ends."""
    position += 2
    size = data[position - 2] << 8 | data[position - 1]
    if size > MAX_STRING_BYTES:
        raise IndexError
    return data[position : position + size].decode(), position + size


def _decode_connect(data: bytes, position: int, stop: int, first: int, version: int) -> Packet:
    wanted_version, device_flag = data[position], data[position + 1]
    device_id, position = _string(data, position + 2)
    uid, position = _string(data, position)
    token, position = _string(data, position)
    (client_timestamp,) = _unpack_i64(data, position)
    client_key, position = _string(data, position + 8)
    if position > stop:
        raise _cut(first)
    return Connect(wanted_version, device_flag, device_id, uid, token, client_timestamp, client_key)


def _decode_connack(data: bytes, position: int, stop: int, first: int, version: int) -> Packet:
    server_version = None
    if first & 1:
        server_version = data[position]
        position += 1
    time_diff, reason_code = _unpack_connack(data, position)
    server_key, position = _string(data, position + 9)
    salt, position = _string(data, position)
    node_id = 0
    if version >= 4:
        (node_id,) = _unpack_u64(data, position)
        position += 8
    if position > stop:
        raise _cut(first)
    return Connack(time_diff, reason_code, server_key, salt, node_id, server_version)


def _decode_send(data: bytes, position: int, stop: int, first: int, version: int) -> Packet:
    setting, client_seq, no_size = _unpack_u8_u32_u16(data, position)
    position += 7
    end = position + no_size
    client_msg_no = data[position:end].decode()
    stream_no = topic = ""
    if setting & (SETTING_STREAM | SETTING_LEGACY_STREAM) and 2 <= version <= 4:
        stream_no, end = _string(data, end)
        if not setting & SETTING_STREAM:
            setting ^= SETTING_LEGACY_STREAM
    position = end + 2
    id_size = data[end] << 8 | data[end + 1]
    end = position + id_size
    channel_id = data[position:end].decode()
    if version >= 3:
        channel_type, expire, key_size = _unpack_u8_u32_u16(data, end)
        position = end + 7
    else:
        channel_type, key_size = _unpack_u8_u16(data, end)
        expire, position = 0, end + 3
    end = position + key_size
    msg_key = data[position:end].decode()
    if setting & SETTING_TOPIC:
        topic, end = _string(data, end)
    if end > stop or no_size | id_size | key_size > MAX_STRING_BYTES:
        raise _cut(first)
    return Send(
        client_seq,
        channel_id,
        channel_type,
        data[end:stop],
        client_msg_no,
        setting,
        first & 15,
        expire,
        msg_key,
        topic,
        stream_no,
    )


def _decode_sendack(data: bytes, position: int, stop: int, first: int, version: int) -> Packet:
    if version < 6:
        message_id, client_seq, message_seq, reason_code = _unpack_ack(data, position)
        position += 17
    else:
        message_id, client_seq, message_seq, reason_code = _unpack_ack6(data, position)
        position += 21
    client_msg_no = ""
    if position < stop:
        client_msg_no, position = _string(data, position)
    if position > stop:
        raise _cut(first)
    if position < stop:
        raise PacketError("SENDACK goes on after its last field")
    return Sendack(message_id, client_seq, message_seq, reason_code, client_msg_no)


def _decode_recv(data: bytes, position: int, stop: int, first: int, version: int) -> Packet:
    setting = data[position]
    msg_key, position = _string(data, position + 1)
    from_uid, position = _string(data, position)
    channel_id, position = _string(data, position)
    if version >= 3:
        channel_type, expire, no_size = _unpack_u8_u32_u16(data, position)
        position += 7
    else:
        channel_type, no_size = _unpack_u8_u16(data, position)
        expire, position = 0, position + 3
    end = position + no_size
    client_msg_no = data[position:end].decode()
    stream_no, stream_flag, stream_id, topic = "", 0, 0, ""
    if setting & SETTING_STREAM and 2 <= version <= 4:
        stream_flag = data[end]
        stream_no, end = _string(data, end + 1)
        (stream_id,) = _unpack_u64(data, end)
        end += 8
    if version < 6:
        message_id, message_seq, timestamp = _unpack_tail(data, end)
        end += 16
    else:
        message_id, message_seq, timestamp = _unpack_tail6(data, end)
        end += 20
    if setting & SETTING_TOPIC:
        topic, end = _string(data, end)
    if end > stop or no_size > MAX_STRING_BYTES:
        raise _cut(first)
    return Recv(
        message_id,
        message_seq,
        from_uid,
        channel_id,
        channel_type,
        data[end:stop],
        client_msg_no,
        timestamp,
        setting,
        first & 15,
        expire,
        msg_key,
        topic,
        stream_no,
        stream_flag,
        stream_id,
    )


def _decode_recvack(data: bytes, position: int, stop: int, first: int, version: int) -> Packet:
    if version < 6:
        if stop - position < 12:
            raise _cut(first)
        message_id, message_seq = _unpack_recvack(data, position)
    else:
        if stop - position < 16:
            raise _cut(first)
        message_id, message_seq = _unpack_recvack6(data, position)
    return Recvack(message_id, message_seq, first & 15)


def _decode_disconnect(data: bytes, position: int, stop: int, first: int, version: int) -> Packet:
    reason, end = _string(data, position + 1)
    if end > stop:
        raise _cut(first)
    return Disconnect(data[position], reason)


def _decode_sub(data: bytes, position: int, stop: int, first: int, version: int) -> Packet:
    setting = data[position]
    sub_no, position = _string(data, position + 1)
    channel_id, position = _string(data, position)
    channel_type, action = data[position], data[position + 1]
    param, position = _string(data, position + 2)
    if position > stop:
        raise _cut(first)
    return Sub(sub_no, channel_id, channel_type, action, param, setting)


def _decode_suback(data: bytes, position: int, stop: int, first: int, version: int) -> Packet:
    sub_no, position = _string(data, position)
    channel_id, position = _string(data, position)
    if position + 3 > stop:
        raise _cut(first)
    return Suback(sub_no, channel_id, data[position], data[position + 1], data[position + 2])


def _decode_event(data: bytes, position: int, stop: int, first: int, version: int) -> Packet:
    event_id, position = _string(data, position)
    event_type, position = _string(data, position)
    (timestamp,) = _unpack_i64(data, position)
    position += 8
    if position > stop:
        raise _cut(first)
    return Event(event_id, event_type, timestamp, data[position:stop])


_DECODERS: Final[tuple[Callable[[bytes, int, int, int, int], Packet] | None, ...]] = (
    None,
    _decode_connect,
    _decode_connack,
    _decode_send,
    _decode_sendack,
    _decode_recv,
    _decode_recvack,
    None,
    None,
    _decode_disconnect,
    _decode_sub,
    _decode_suback,
    _decode_event,
    None,
    None,
    None,
)
"""By type. PING and PONG have no body."""
