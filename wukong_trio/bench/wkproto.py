"""The WKProto of a load generator.

Packets and encryption are those of `protocol`, which the server uses, too: a fault in it could hide itself. What keeps
both honest are the tests of `protocol` against recorded bytes of foreign codecs.

A message is known by its `client_msg_no`: the run's prefix and the digits of a stamp. So what is encrypted need not be
decrypted to be counted. Payload and signature are checked in a sample, the first message of each connection and every
`CHECK_EVERY`th; without encryption the payload of each is checked.
"""

import time
from collections import deque
from collections.abc import Callable
from typing import Final

from ..model import DUP, RED_DOT
from ..protocol.wkproto import (
    LATEST_VERSION,
    PING_BYTES,
    Connack,
    Connect,
    Disconnect,
    Event,
    Packet,
    Pong,
    Recv,
    Send,
    Sendack,
)
from ..protocol.wkproto_keys import CiphertextError, ClientExchange, KeyExchangeError, SessionKeys, recv_sign_text
from ..protocol.wkproto_reader import PacketReader
from ..protocol.wkproto_writer import encode, encode_recvack
from . import stamps
from .plan import Plan
from .speech import Delivery, Ear, ProtocolError
from .stamps import read_digits

CHECK_EVERY: Final = 16
_DEVICE_FLAG: Final = 1
_SUCCESS: Final = 1
_SEQ_BYTES: Final = 4
_MARK: Final = "\x7f"
"""Occurs nowhere in a packet where it was not put."""
_CLIENT_KEY_IS_EMPTY: Final = 21
_ALIVE: Final = 0
"""Stands among the numbers of pings for a keep-alive."""


class WkProto:
    """A `Speech`: WKProto in its latest version."""

    __slots__ = (
        "_channel",
        "_exchange",
        "_frame",
        "_keys",
        "_member",
        "_padding",
        "_pings",
        "_plan",
        "_prefix",
        "_reader",
        "_template",
        "_unchecked",
        "server_version",
    )

    def __init__(
        self,
        plan: Plan,
        member: int,
        frame: Callable[[bytes], bytes],
        padding: bytes,
        exchange: ClientExchange | None,
    ) -> None:
        """Args:
        frame: puts a receipt into a frame.
        padding: the end of every payload.
        exchange: for encryption. One serves all connections of a process: the salt of each makes its keys its own.
        """
        self._plan = plan
        self._member = member
        self._frame = frame
        self._padding = padding
        self._exchange = exchange
        self._keys: SessionKeys | None = None
        self._reader = PacketReader()
        self._prefix = plan.prefix.encode()
        channel_id, channel_type = plan.channel(member)
        self._channel = f"{channel_id}{channel_type:d}".encode()
        """As it is signed."""
        self._template: tuple[bytes, bytes, bytes] | None = None
        self._pings: deque[int] = deque()
        """What each ping was for that has no answer yet: they come in order and name nothing."""
        self._unchecked = 0
        """So many messages need no closer look."""
        self.server_version = 0

    def connect(self) -> bytes:
        """Part of `Speech`."""
        plan, exchange = self._plan, self._exchange
        packet = Connect(
            LATEST_VERSION,
            _DEVICE_FLAG,
            f"d{self._member}",
            plan.uid(self._member),
            plan.token,
            int(time.time() * 1000),
            exchange.client_key if exchange is not None else "",
        )
        return encode(packet, LATEST_VERSION)

    def welcome(self, message: memoryview) -> None:
        """Part of `Speech`."""
        (answer,) = self._read([message])
        if not isinstance(answer, Connack):
            raise ProtocolError("the server answers CONNECT with something else than CONNACK")
        if answer.reason_code != _SUCCESS:
            hint = "; it wants encryption" if answer.reason_code == _CLIENT_KEY_IS_EMPTY else ""
            uid = self._plan.uid(self._member)
            raise ProtocolError(f"the server refused {uid}: reason {int(answer.reason_code)}{hint}")
        self.server_version = self._reader.version = answer.server_version or LATEST_VERSION
        if self._exchange is not None:
            if not answer.server_key:
                raise ProtocolError("the server does not encrypt; say --no-encryption")
            try:
                self._keys = self._exchange.finish(answer.server_key, answer.salt)
            except KeyExchangeError as error:
                raise ProtocolError(f"the server's part of the encryption is no use: {error}") from None

    def send(self, number: int, due_us: int) -> bytes:
        """Part of `Speech`."""
        digits = stamps.digits(self._member, number, due_us)
        payload, msg_key = stamps.OPENING + digits + self._padding, b""
        if self._keys is not None:
            payload = self._keys.encrypt(payload)
            signed = b"%d%b%b%b%b" % (number, self._prefix, digits, self._channel, payload)
            msg_key = self._keys.sign(signed)
        if self._template is None:
            self._template = self._send_template(len(payload), len(msg_key))
        head, before_digits, before_key = self._template
        client_seq = number.to_bytes(_SEQ_BYTES, "big")
        return b"".join((head, client_seq, before_digits, digits, before_key, msg_key, payload))

    def _send_template(self, payload_bytes: int, key_bytes: int) -> tuple[bytes, bytes, bytes]:
        """A SEND without what changes: all of a connection have the same size. Cut from one with marks in these places.

        Returns:
            What stands before the number, before the digits, and before the key, which the payload follows.
        """
        client_msg_no = f"{self._plan.prefix}{_MARK * stamps.DIGITS}"
        channel_id, channel_type = self._plan.channel(self._member)
        mark = _MARK.encode()
        packet = Send(
            int.from_bytes(mark * _SEQ_BYTES, "big"),
            channel_id,
            channel_type,
            mark * payload_bytes,
            client_msg_no,
            flags=RED_DOT,
            msg_key=_MARK * key_bytes,
        )
        head, rest = encode(packet, self._reader.version).split(mark * _SEQ_BYTES, 1)
        before_digits, rest = rest.split(mark * stamps.DIGITS, 1)
        return head, before_digits, rest.removesuffix(mark * (key_bytes + payload_bytes))

    def ping(self, number: int) -> bytes:
        """Part of `Speech`."""
        self._pings.append(number)
        return PING_BYTES

    def keep_alive(self) -> bytes:
        """Part of `Speech`."""
        return self.ping(_ALIVE)

    def hear(self, messages: list[memoryview], ear: Ear, at_us: int) -> None:
        """Part of `Speech`."""
        for packet, message in zip(self._read(messages), messages, strict=True):
            if isinstance(packet, Recv):
                self._deliver(packet, message, ear, at_us)
            elif isinstance(packet, Sendack):
                reason = packet.reason_code
                ear.on_answer(packet.client_seq, "" if reason == _SUCCESS else f"reason {int(reason)}", at_us)
            elif isinstance(packet, Pong):
                number = self._pings.popleft() if self._pings else None
                if number == _ALIVE:
                    ear.on_alive()
                else:
                    ear.on_answer(number, "", at_us)
            elif isinstance(packet, Disconnect):
                raise ProtocolError(f"DISCONNECT, reason {int(packet.reason_code)} {packet.reason}".rstrip())
            elif not isinstance(packet, Event):
                raise ProtocolError(f"the server sends {type(packet).__name__.upper()}")

    def _read(self, messages: list[memoryview]) -> list[Packet]:
        """The packet in each message.

        Raises:
            ProtocolError: one is none, or a message holds less or more than one.
        """
        packets = self._reader.receive(b"".join(messages))
        if self._reader.failure is not None:
            raise ProtocolError(str(self._reader.failure))
        if len(packets) != len(messages):
            raise ProtocolError("a message of the WebSocket is not one packet")
        return packets

    def _deliver(self, packet: Recv, message: memoryview, ear: Ear, at_us: int) -> None:
        flags = packet.flags
        receipt = self._frame(encode_recvack(packet.message_id, packet.message_seq, flags & ~DUP, self._reader.version))
        number = packet.client_msg_no
        try:
            if number[: -stamps.DIGITS] != self._plan.prefix:
                raise ValueError("another run's")
            stamp = read_digits(number[-stamps.DIGITS :])
        except ValueError:
            ear.on_foreign(receipt, "")
            return
        problem = self._look_at(packet)
        if problem:
            ear.on_foreign(receipt, f"message {packet.message_id} of {packet.from_uid}: {problem}")
        else:
            ear.on_delivery(Delivery(stamp, packet.message_seq, flags & DUP != 0, message, receipt), at_us)

    def _look_at(self, packet: Recv) -> str:
        """What is wrong with a message, if its turn has come to be looked at."""
        keys, payload = self._keys, packet.payload
        if keys is not None:
            if self._unchecked:
                self._unchecked -= 1
                return ""
            self._unchecked = CHECK_EVERY - 1
            if keys.sign(recv_sign_text(packet)).decode() != packet.msg_key:
                return "its msg_key is wrong"
            try:
                payload = keys.decrypt(payload)
            except CiphertextError as error:
                return str(error)
        if not payload.startswith(stamps.OPENING + packet.client_msg_no[-stamps.DIGITS :].encode()):
            return "its payload belongs to another client_msg_no"
        return ""
