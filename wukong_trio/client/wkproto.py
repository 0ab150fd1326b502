"""WKProto, the binary protocol, as a client of the latest version speaks it."""

import time
import uuid
from collections.abc import Iterator
from hmac import compare_digest
from itertools import count
from typing import Any, Final

from msgspec.structs import replace

from ..errors import ConfigError, ConnectionClosed, RequestError
from ..model import DUP, SETTING_TOPIC, Message, MessageEvent, ReasonCode, SendCommand, SendResult
from ..protocol.codes import (
    CLOSE_KICKED,
    CLOSE_PROTOCOL_ERROR,
    CLOSE_TOO_BIG,
    Close,
    ErrorCode,
    error_of_reason,
)
from ..protocol.wkproto import (
    LATEST_VERSION,
    PING_BYTES,
    Connack,
    Connect,
    Disconnect,
    Event,
    Packet,
    PacketError,
    PacketType,
    Pong,
    Recv,
    Send,
    Sendack,
    Suback,
)
from ..protocol.wkproto_keys import (
    CiphertextError,
    ClientExchange,
    KeyExchangeError,
    SessionKeys,
    recv_sign_text,
    send_sign_text,
)
from ..protocol.wkproto_reader import PacketReader
from ..protocol.wkproto_writer import encode, encode_recvack
from .speech import Answer, Incoming, Login, Push, Request, Speech

_FIRST: Final = (PacketType.CONNACK, PacketType.DISCONNECT)
"""What a server may begin with."""


class WkProtoSpeech(Speech):
    """Packets of one connection. Answers have what they answer as key: the type of the packet, and a number."""

    text = False

    def __init__(self, *, encryption: bool) -> None:
        self._exchange = ClientExchange() if encryption else None
        self._keys: SessionKeys | None = None
        self._reader = PacketReader()
        self._entered = False
        """CONNECT has been accepted."""
        self._sends = count(1)
        self._pings = self._pongs = 0

    def connect(self, login: Login) -> Request:
        packet = Connect(
            version=LATEST_VERSION,
            device_flag=login.device_flag,
            device_id=login.device_id or str(uuid.uuid4()),
            uid=login.uid,
            token=login.token,
            client_timestamp=int(time.time() * 1000),
            client_key="" if self._exchange is None else self._exchange.client_key,
        )
        return Request(PacketType.CONNECT, self._encode(packet))

    def send(self, command: SendCommand) -> Request:
        keys, payload = self._keys, command.payload
        packet = Send(
            client_seq=next(self._sends),
            channel_id=command.channel_id,
            channel_type=command.channel_type,
            payload=payload if keys is None else keys.encrypt(payload),
            client_msg_no=command.client_msg_no,
            setting=SETTING_TOPIC if command.topic else 0,
            flags=command.flags,
            topic=command.topic,
        )
        if keys is not None:
            packet = replace(packet, msg_key=keys.sign(send_sign_text(packet)).decode())
        return Request((PacketType.SEND, packet.client_seq), self._encode(packet))

    def sent(self, command: SendCommand, result: Any) -> SendResult:
        return SendResult(
            reason_code=ReasonCode.SUCCESS,
            message_id=result.message_id,
            message_seq=result.message_seq,
            client_msg_no=command.client_msg_no,
        )

    def ping(self) -> Request:
        self._pings += 1
        return Request((PacketType.PING, self._pings), PING_BYTES)

    def request(self, method: str, params: dict[str, object]) -> Request:
        raise ConfigError(f"request({method!r}): WKProto has no methods; open the client with protocol='jsonrpc'")

    def read(self, data: bytes) -> Iterator[Incoming]:
        reader = self._reader
        if not self._entered and reader.at_start and data and data[0] >> 4 not in _FIRST:
            # Nothing else can become right, so there is no need to wait for the rest of it.
            raise _nonsense(f"it begins with {data[:16]!r}")
        # One by one: what CONNACK says is needed to read the next.
        while packets := reader.receive(data, most=1):
            data = b""
            incoming = self._hear(packets[0]) if self._entered else self._enter(packets[0])
            if incoming is not None:
                yield incoming
        if reader.failure is not None:
            raise _nonsense(str(reader.failure), reader.failure.close)

    def _enter(self, packet: Packet) -> Incoming:
        """What comes until CONNECT is accepted: one packet."""
        if isinstance(packet, Disconnect):
            raise _end(packet)
        if not isinstance(packet, Connack):
            raise _misplaced(packet)
        error = _refusal(packet.reason_code)
        if error is None:
            version = packet.server_version
            if version is None or version > LATEST_VERSION:
                raise _nonsense(f"CONNACK names version {version}")
            self._reader.version = version
            self._keys = _agree(self._exchange, packet)
            self._entered = True
        return Answer(PacketType.CONNECT, None, error)

    def _hear(self, packet: Packet) -> Incoming | None:
        match packet:
            case Recv():
                return self._push(packet)
            case Sendack():
                return Answer((PacketType.SEND, packet.client_seq), packet, _refusal(packet.reason_code))
            case Pong():
                if self._pongs == self._pings:
                    return None
                self._pongs += 1
                return Answer((PacketType.PING, self._pongs), None, None)
            case Disconnect():
                raise _end(packet)
            case Event():
                return MessageEvent(packet.event_id, packet.type, packet.timestamp, packet.data)
            case Suback():
                return None
        raise _misplaced(packet)

    def _push(self, packet: Recv) -> Push:
        message = Message(
            message_id=packet.message_id,
            message_seq=packet.message_seq,
            channel_id=packet.channel_id,
            channel_type=packet.channel_type,
            from_uid=packet.from_uid,
            client_msg_no=packet.client_msg_no,
            timestamp=packet.timestamp,
            payload=packet.payload if self._keys is None else _unseal(self._keys, packet),
            flags=packet.flags & ~DUP,
            setting=packet.setting,
            expire=packet.expire,
            topic=packet.topic,
            stream_no=packet.stream_no,
        )
        receipt = encode_recvack(packet.message_id, packet.message_seq, message.flags, self._reader.version)
        return Push(message, receipt)

    def _encode(self, packet: Packet) -> bytes:
        try:
            return encode(packet, self._reader.version)
        except PacketError as error:
            code = ErrorCode.TOO_LARGE if error.close is CLOSE_TOO_BIG else ErrorCode.INVALID_PARAMETERS
            raise RequestError(code, str(error)) from error


def _agree(exchange: ClientExchange | None, packet: Connack) -> SessionKeys | None:
    """The keys of a session; None without encryption."""
    if exchange is None:
        if packet.server_key:
            raise _nonsense("CONNACK has a key, although encryption=False asked for none")
        return None
    if not packet.server_key:
        problem = "the server does not encrypt; if that is all right, give encryption=False"
        raise ConnectionClosed(CLOSE_PROTOCOL_ERROR.code, problem)
    try:
        return exchange.finish(packet.server_key, packet.salt)
    except KeyExchangeError as error:
        raise _nonsense(f"CONNACK: {error}") from error


def _unseal(keys: SessionKeys, packet: Recv) -> bytes:
    """The payload of an encrypted RECV."""
    if not compare_digest(keys.sign(recv_sign_text(packet)), packet.msg_key.encode()):
        raise _nonsense(f"the msg_key of message {packet.message_id} is wrong")
    try:
        return keys.decrypt(packet.payload)
    except CiphertextError as error:
        raise _nonsense(f"message {packet.message_id}: {error}") from error


def _refusal(reason_code: int) -> RequestError | None:
    """What a reason other than success is to the caller."""
    if reason_code == ReasonCode.SUCCESS:
        return None
    try:
        reason = ReasonCode(reason_code)
    except ValueError:
        return RequestError(ErrorCode.INTERNAL_ERROR, "refused for an unknown reason", reason_code)
    code = error_of_reason(reason)
    hint = "; the server wants encryption=True" if reason is ReasonCode.CLIENT_KEY_IS_EMPTY else ""
    return RequestError(code, f"{code.text}: {reason.wire_name}{hint}", reason_code)


def _end(packet: Disconnect) -> ConnectionClosed:
    return ConnectionClosed(CLOSE_KICKED.code, packet.reason, packet.reason_code)


def _misplaced(packet: Packet) -> ConnectionClosed:
    return _nonsense(f"{type(packet).__name__.upper()} at this moment")


def _nonsense(problem: str, close: Close = CLOSE_PROTOCOL_ERROR) -> ConnectionClosed:
    return ConnectionClosed(close.code, f"the server sent no WKProto: {problem}")
