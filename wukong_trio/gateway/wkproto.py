"""WKProto, the binary protocol, as clients on TCP and on WebSockets speak it."""

import time
from collections.abc import Callable
from hmac import compare_digest
from typing import Final

from ..delivery.event_push import EventForm
from ..delivery.push import Form, Push
from ..delivery.registry import Notice
from ..delivery.submission import Errand
from ..errors import InvalidCommandError
from ..model import (
    DUP,
    NO_PERSIST,
    RED_DOT,
    SETTING_LEGACY_STREAM,
    SETTING_NO_ENCRYPT,
    SETTING_STREAM,
    SETTING_TOPIC,
    SYSTEM_UID,
    Message,
    ReasonCode,
    SendCommand,
)
from ..protocol.codes import CLOSE_AUTH_FAILED, CLOSE_BYE, CLOSE_PROTOCOL_ERROR
from ..protocol.wkproto import (
    LATEST_VERSION,
    MAX_PACKET_BYTES,
    MAX_STRING_BYTES,
    PONG_BYTES,
    Connack,
    Connect,
    Disconnect,
    Event,
    Packet,
    PacketError,
    PacketType,
    Ping,
    Pong,
    Recvack,
    Send,
    Sub,
)
from ..protocol.wkproto_keys import (
    BLOCK_BYTES,
    CiphertextError,
    KeyExchangeError,
    SessionKeys,
    agree,
    is_prepared,
    prepare,
    send_sign_text,
)
from ..protocol.wkproto_reader import PacketReader
from ..protocol.wkproto_writer import RecvParts, encode, encode_sendack, recv_middle, recv_parts, write_recv
from ..services.auth import InvalidConnectError, check_connect
from ..services.commands import check_client_values
from .event_forms import EVENT_VERSION, PACKET_EVENTS
from .framing import WIRES, Wire
from .speech import ClientSend, Conversation, Entered, Opening, Refusal, Speech

PING_BYTES: Final = 1
PACKETS_AT_ONCE: Final = 128
"""Packets are small, and one message may hold any number: others are served in between."""
MAX_PAYLOAD_BYTES: Final = 780_000
"""What still fits into a packet when it is encrypted for a receiver, with the longest ids around it."""
_VERSIONS: Final = range(LATEST_VERSION + 1)


class PlainForm(Form):
    """Pushes as RECV packets, not encrypted."""

    __slots__ = ("_frame", "_hidden", "_version", "joinable")

    def __init__(self, version: int, wire: Wire) -> None:
        self._version = version
        self._hidden = _hidden_settings(version)
        self._frame = wire.frame
        self.joinable = wire.joinable

    def encode(self, push: Push, *, dup: bool = False) -> bytes:
        # `dup` is left out: a repetition has the same bytes, as clients know it.
        message, setting = push.message, 0
        if message.setting or message.topic:
            setting = _setting(message, self._hidden)
        try:
            middle = recv_middle(
                self._version,
                "" if message.from_uid == SYSTEM_UID else message.from_uid,
                push.channel_id,
                message.channel_type,
                message.expire,
                message.client_msg_no,
                message.message_id,
                message.message_seq,
                message.timestamp,
                message.topic if setting & SETTING_TOPIC else None,
            )
            return self._frame(write_recv(_first(push), setting, middle, b"", message.payload))
        except PacketError:
            return b""


class SealedForm(Form):
    """RECV packets for one session, encrypted with its keys."""

    __slots__ = ("_frame", "_keys", "_version", "joinable")

    shared = False

    def __init__(self, version: int, wire: Wire, keys: SessionKeys) -> None:
        self._version = version
        self._frame = wire.frame
        self.joinable = wire.joinable
        self._keys = keys

    def encode(self, push: Push, *, dup: bool = False) -> bytes:
        keys, key = self._keys, _SEALED[self._version]
        try:
            # All but the encryption is the same for everybody.
            parts: RecvParts = push.made.get(key) or _parts(push, self._version)
            if not dup:
                push.made[key] = parts
            payload = keys.encrypt(push.message.payload)
            msg_key = keys.sign(parts.signed + payload)
            return self._frame(write_recv(parts.first, parts.setting, parts.middle, msg_key, payload))
        except PacketError:
            return b""


def _hidden_settings(version: int) -> int:
    """Setting bits that clients of a version must not see: they take them for fields that are not there."""
    return SETTING_LEGACY_STREAM | (SETTING_STREAM if version < 5 else 0)


def _setting(message: Message, hidden: int) -> int:
    return (message.setting | (SETTING_TOPIC if message.topic else 0)) & ~hidden


def _first(push: Push) -> int:
    return _RECV | push.message.flags & ~(DUP if push.red_dot else DUP | RED_DOT)


def _parts(push: Push, version: int) -> RecvParts:
    """A push as an encrypted RECV, except for what is encrypted.

    Raises:
        PacketError: the version cannot express it.
    """
    message = push.message
    return recv_parts(
        version=version,
        message_id=message.message_id,
        message_seq=message.message_seq,
        from_uid="" if message.from_uid == SYSTEM_UID else message.from_uid,
        channel_id=push.channel_id,
        channel_type=message.channel_type,
        client_msg_no=message.client_msg_no,
        timestamp=message.timestamp,
        setting=_setting(message, _hidden_settings(version) | SETTING_NO_ENCRYPT),
        flags=_first(push) & 15,
        expire=message.expire,
        topic=message.topic,
    )


_RECV: Final = PacketType.RECV << 4
_SEALED: Final = tuple(f"sealed {version}" for version in _VERSIONS)
"""Under which a push keeps what all sealed forms of a version share."""
_RECVACK_BYTES: Final = tuple(len(encode(Recvack(0, 0), version)) for version in _VERSIONS)
_PLAIN: Final = {(version, wire): (PlainForm(version, wire),) for version in _VERSIONS for wire in WIRES}


class WkProtoSend(ClientSend, eq=False, gc=False, kw_only=True):
    """A SEND."""

    client_seq: int
    client_msg_no: str
    """As the client gave it, which may be not at all."""
    version: int

    def answer(self) -> bytes:
        message, reason = self.message, self.reason
        if message is not None:
            try:
                return encode_sendack(
                    message.message_id,
                    self.client_seq,
                    message.message_seq,
                    ReasonCode.SUCCESS,
                    self.client_msg_no,
                    self.version,
                )
            except PacketError:
                reason = ReasonCode.PROTOCOL_UPGRADE_REQUIRED
        return encode_sendack(0, self.client_seq, 0, reason, self.client_msg_no, self.version)


class WkProtoSpeech(Speech):
    """One client's packets."""

    __slots__ = ("_event_form", "_forms", "_keys", "_reader", "version")

    name = "wkproto"

    def __init__(self, reader: PacketReader, wire: Wire, keys: SessionKeys | None) -> None:
        """Args:
        keys: None without encryption.
        """
        self._reader = reader
        self.version = version = reader.version
        self._keys = keys
        self._event_form = PACKET_EVENTS[wire] if version >= EVENT_VERSION else None
        self._forms = _PLAIN[version, wire] if keys is None else (SealedForm(version, wire, keys),)

    @property
    def event_form(self) -> EventForm | None:
        return self._event_form

    @property
    def forms(self) -> tuple[Form, ...]:
        return self._forms

    def receive(self, session: Conversation, message: bytes, errands: list[Errand]) -> int:
        reader = self._reader
        packets = reader.receive(message, most=PACKETS_AT_ONCE)
        recvack_bytes = _RECVACK_BYTES[self.version]
        for packet in packets:
            if isinstance(packet, Send):
                self._send(session, packet, errands)
            elif isinstance(packet, Recvack):
                if not packet.flags & NO_PERSIST:
                    session.acknowledge(packet.message_id, recvack_bytes, packet.message_seq)
            elif isinstance(packet, Ping):
                session.reply(session.count_ping(PING_BYTES, PONG_BYTES), errands)
            else:
                self._serve_rare(session, packet, errands)
                if not session.is_open:
                    return len(packets)
        if reader.failure is not None:
            self._part(session, reader.failure, errands)
        else:
            session.unserved = reader.unserved
        return len(packets)

    def _serve_rare(self, session: Conversation, packet: Packet, errands: list[Errand]) -> None:
        if isinstance(packet, Disconnect):
            session.part(CLOSE_BYE)
            session.reply(None, errands)
        elif not isinstance(packet, Pong | Sub | Event):
            self._part(session, PacketError("a packet that only servers send, or a second CONNECT"), errands)

    @staticmethod
    def _part(session: Conversation, error: PacketError, errands: list[Errand]) -> None:
        """There is no answer to what is wrong: only the end, after the answers to what came before."""
        session.part(error.close)
        session.reply(None, errands)

    def _send(self, session: Conversation, packet: Send, errands: list[Errand]) -> None:
        if session.draining:
            # Clients give a message up that was refused. They send it again when they come back without an answer.
            return
        payload, reason = packet.payload, ReasonCode.SUCCESS
        limit_bytes = min(session.payload_limit_bytes, MAX_PAYLOAD_BYTES)
        if self._keys is not None and not packet.setting & SETTING_NO_ENCRYPT:
            if len(payload) > 4 * (limit_bytes + BLOCK_BYTES + 2) // 3:
                reason = ReasonCode.PAYLOAD_DECODE_ERROR  # not worth the work
            else:
                payload, reason = _unseal(self._keys, packet)
        if reason is ReasonCode.SUCCESS:
            command = SendCommand(
                from_uid=session.uid,
                channel_id=packet.channel_id,
                channel_type=packet.channel_type,
                payload=payload,
                client_msg_no=packet.client_msg_no,
                flags=packet.flags,
                setting=packet.setting,
                expire=packet.expire,
                topic=packet.topic,
                stream_no=packet.stream_no,
            )
            try:
                check_client_values(command, payload_limit_bytes=limit_bytes)
            except InvalidCommandError as wrong:
                reason = ReasonCode(wrong.reason_code or ReasonCode.PAYLOAD_DECODE_ERROR)
            else:
                send = WkProtoSend(
                    session,
                    command,
                    session=session,
                    client_seq=packet.client_seq,
                    client_msg_no=packet.client_msg_no,
                    version=self.version,
                )
                session.submit(send, errands)
                return
        answer = encode_sendack(0, packet.client_seq, 0, reason, packet.client_msg_no, self.version)
        session.reply(session.count_refused(reason, answer), errands)

    def encode_notice(self, notice: Notice) -> bytes:
        # Whatever a program has to say, the client is sent away.
        reason = notice.reason.encode(errors="replace")[:MAX_STRING_BYTES].decode(errors="ignore")
        return encode(Disconnect(notice.reason_code, reason), self.version)


def _unseal(keys: SessionKeys, packet: Send) -> tuple[bytes, ReasonCode]:
    """The payload of an encrypted SEND, or why it is not to be had."""
    if not compare_digest(keys.sign(send_sign_text(packet)), packet.msg_key.encode()):
        return b"", ReasonCode.MSG_KEY_ERROR
    try:
        return keys.decrypt(packet.payload), ReasonCode.SUCCESS
    except CiphertextError:
        return b"", ReasonCode.PAYLOAD_DECODE_ERROR


class WkProtoOpening(Opening):
    """A client that has to begin with CONNECT."""

    __slots__ = ("_connect", "_encryption", "_node_id", "_reader", "_remote_address")

    text = False
    may_speak_early = False

    def __init__(self, remote_address: str, *, encryption: bool, node_id: int, limit_bytes: int) -> None:
        """Args:
        limit_bytes: the largest CONNECT.
        """
        super().__init__()
        self._remote_address = remote_address
        self._encryption = encryption
        self._node_id = node_id
        self._reader = PacketReader(limit_bytes=limit_bytes)
        self._connect: Connect | None = None

    @property
    def preparation(self) -> Callable[[], None] | None:
        return prepare if self._encryption and not is_prepared() else None

    def hear(self, message: bytes, *, binary: bool) -> Refusal | None:
        reader = self._reader
        if reader.at_start and message[:1] and message[0] >> 4 != PacketType.CONNECT:
            # Nothing else can become right, so there is no need to wait for the rest of it.
            return Refusal(None, CLOSE_PROTOCOL_ERROR)
        packets = reader.receive(message, most=1)
        if not packets:
            return None if reader.failure is None else Refusal(None, reader.failure.close)
        connect = packets[0]
        if not isinstance(connect, Connect) or reader.unserved or not reader.at_start:
            return Refusal(None, CLOSE_PROTOCOL_ERROR)
        self._connect = connect
        reader.version = min(connect.version, LATEST_VERSION)
        try:
            self.info = check_connect(
                uid=connect.uid,
                token=connect.token,
                device_id=connect.device_id,
                device_flag=connect.device_flag,
                remote_address=self._remote_address,
            )
        except InvalidConnectError:
            return Refusal(self._connack(ReasonCode.AUTH_FAIL), CLOSE_AUTH_FAILED)
        return None

    def encode_refusal(self, reason: ReasonCode) -> bytes | None:
        # Whoever gets a CONNACK with a reason stays away for good.
        return None if reason is ReasonCode.SYSTEM_ERROR else self._connack(reason)

    def enter(self, wire: Wire) -> Entered | ReasonCode:
        assert self._connect is not None
        keys, server_key, salt = None, "", ""
        if self._encryption:
            if not self._connect.client_key:
                return ReasonCode.CLIENT_KEY_IS_EMPTY
            try:
                server_key, salt, keys = agree(self._connect.client_key)
            except KeyExchangeError:
                return ReasonCode.AUTH_FAIL
        self._reader.limit_bytes = MAX_PACKET_BYTES
        time_diff = int(time.time() * 1000) - self._connect.client_timestamp
        welcome = self._connack(ReasonCode.SUCCESS, time_diff, server_key, salt)
        return Entered(WkProtoSpeech(self._reader, wire, keys), welcome)

    def _connack(self, reason: ReasonCode, time_diff: int = 0, server_key: str = "", salt: str = "") -> bytes:
        assert self._connect is not None
        version = self._reader.version
        return encode(
            Connack(
                # The client's clock may say anything; what does not fit says nothing either.
                time_diff if -(2**63) <= time_diff < 2**63 else 0,
                reason,
                server_key,
                salt,
                self._node_id,
                # Clients of old versions do not know this field and would read all others wrongly.
                version if self._connect.version > 3 else None,
            ),
            version,
        )
