"""Random packets of the binary protocol, for tests that compare what two codecs make of them."""

from random import Random

from wukong_trio.model import SETTING_STREAM, SETTING_TOPIC
from wukong_trio.protocol.wkproto import (
    PING,
    PONG,
    Connack,
    Connect,
    Disconnect,
    Event,
    Packet,
    PacketType,
    Recv,
    Recvack,
    Send,
    Sendack,
    Sub,
    Suback,
)

VERSIONS = range(7)
LEGACY_STREAM = 0x04
TEXTS = ("", "u1", "8a1c0ff0b9a94f3e9f5f8f7a2c1d0e003", "é", "群组😀", "\x00", "a@b#c&d", "x" * 127, "长" * 90)


def random_packet(random: Random, version: int) -> Packet:
    """A packet that comes back as it is: what its version does not carry has its default.

    Numbers are often at the ends of their range.
    """

    def number(low: int, high: int) -> int:
        return random.choice((low, high, random.randint(low, high), min(high, max(low, random.randint(0, 300)))))

    def u8() -> int:
        return number(0, 255)

    def i64() -> int:
        return number(-(2**63), 2**63 - 1)

    def seq() -> int:
        return number(0, 2**64 - 1 if version >= 6 else 2**32 - 1)

    def text() -> str:
        return random.choice(TEXTS)

    def data() -> bytes:
        size = random.choice((0, 1, 16, 100, 1000))
        return bytes(random.choice((0, 0x70, 0xFF, random.randint(0, 255))) for _ in range(min(size, 16))) * (
            size // 16 or 1
        )

    old_streams = 2 <= version <= 4
    setting = u8()
    topic = text() if setting & SETTING_TOPIC else ""
    flags = number(0, 15)
    expire = number(0, 2**32 - 1) if version >= 3 else 0
    match random.choice(list(PacketType)):
        case PacketType.CONNECT:
            return Connect(u8(), u8(), text(), text(), text(), i64(), text())
        case PacketType.CONNACK:
            node_id = number(0, 2**64 - 1) if version >= 4 else 0
            return Connack(i64(), u8(), text(), text(), node_id, random.choice((None, u8())))
        case PacketType.SEND:
            if old_streams and not setting & SETTING_STREAM:
                setting &= ~LEGACY_STREAM
            stream_no = text() if old_streams and setting & SETTING_STREAM else ""
            client_seq = number(0, 2**32 - 1)
            return Send(client_seq, text(), u8(), data(), text(), setting, flags, expire, text(), topic, stream_no)
        case PacketType.SENDACK:
            return Sendack(i64(), number(0, 2**32 - 1), seq(), u8(), text())
        case PacketType.RECV:
            stream = (text(), u8(), number(0, 2**64 - 1)) if old_streams and setting & SETTING_STREAM else ("", 0, 0)
            timestamp = number(-(2**31), 2**31 - 1)
            return Recv(
                *(i64(), seq(), text(), text(), u8(), data(), text(), timestamp),
                *(setting, flags, expire, text(), topic, *stream),
            )
        case PacketType.RECVACK:
            return Recvack(i64(), seq(), flags)
        case PacketType.PING:
            return PING
        case PacketType.PONG:
            return PONG
        case PacketType.DISCONNECT:
            return Disconnect(u8(), text())
        case PacketType.SUB:
            return Sub(text(), text(), u8(), u8(), text(), setting)
        case PacketType.SUBACK:
            return Suback(text(), text(), u8(), u8(), u8())
        case _:
            return Event(text(), text(), i64(), data())


def cut(random: Random, data: bytes) -> list[bytes]:
    """The same bytes in pieces."""
    places = sorted(random.randint(0, len(data)) for _ in range(random.choice((0, 1, 3, 20))))
    return [data[start:stop] for start, stop in zip([0, *places], [*places, len(data)], strict=True)]
