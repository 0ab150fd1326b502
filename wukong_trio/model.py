"""The nouns of the domain: channels, messages, devices. Plain data; nothing here does I/O.

Names and numbers are WuKongIM's. "Channel" always means the IM channel, identified by `ChannelKey`.
"""

from enum import IntEnum, StrEnum
from typing import Final, NamedTuple
from zlib import crc32

from msgspec import Struct


class ChannelType(IntEnum):
    """Kinds of channels, as numbered on the wire."""

    PERSON = 1
    GROUP = 2
    CUSTOMER_SERVICE = 3
    COMMUNITY = 4
    COMMUNITY_TOPIC = 5
    INFO = 6
    DATA = 7
    TEMPORARY = 8
    LIVE = 9
    VISITORS = 10
    AGENT = 11
    AGENT_GROUP = 12


class ReasonCode(IntEnum):
    """Why something was refused (1 = it was not). Clients of the original know these numbers."""

    UNKNOWN = 0
    SUCCESS = 1
    AUTH_FAIL = 2
    SUBSCRIBER_NOT_EXIST = 3
    IN_BLACKLIST = 4
    CHANNEL_NOT_EXIST = 5
    USER_NOT_ON_NODE = 6
    SENDER_OFFLINE = 7
    MSG_KEY_ERROR = 8
    PAYLOAD_DECODE_ERROR = 9
    FORWARD_SEND_PACKET_ERROR = 10
    NOT_ALLOW_SEND = 11
    CONNECT_KICK = 12
    NOT_IN_WHITELIST = 13
    QUERY_TOKEN_ERROR = 14
    SYSTEM_ERROR = 15
    CHANNEL_ID_ERROR = 16
    NODE_MATCH_ERROR = 17
    NODE_NOT_MATCH = 18
    BAN = 19
    NOT_SUPPORT_HEADER = 20
    CLIENT_KEY_IS_EMPTY = 21
    RATE_LIMIT = 22
    NOT_SUPPORT_CHANNEL_TYPE = 23
    DISBAND = 24
    SEND_BAN = 25
    CHANNEL_DELETING = 26
    PROTOCOL_UPGRADE_REQUIRED = 27
    IDEMPOTENCY_CONFLICT = 28
    MESSAGE_SEQ_EXHAUSTED = 29

    @property
    def wire_name(self) -> str:
        """The name in WuKongIM's own spelling, for example `InBlacklist`."""
        return self.name.title().replace("_", "")


class DeviceLevel(IntEnum):
    """A master device is alone on its device flag; slaves share it."""

    SLAVE = 0
    MASTER = 1


class StreamStatus(StrEnum):
    """How far an event key of a message is. Only OPEN is ever left."""

    OPEN = "open"
    CLOSED = "closed"
    ERROR = "error"
    CANCELLED = "cancelled"


# Header flags and setting bits are plain integers: every message is tested for them, and IntFlag is ten times slower.
NO_PERSIST: Final = 1
RED_DOT: Final = 2
SYNC_ONCE: Final = 4
DUP: Final = 8

SETTING_RECEIPT: Final = 128
SETTING_SIGNAL: Final = 32
SETTING_NO_ENCRYPT: Final = 16
SETTING_TOPIC: Final = 8
SETTING_LEGACY_STREAM: Final = 4
"""What some clients of old versions take for SETTING_STREAM."""
SETTING_STREAM: Final = 2

SYSTEM_UID: Final = "____system"
SYSTEM_DEVICE_ID: Final = "____device"
RESERVED_UID_PREFIX: Final = "____"
VISITOR_UID_SUFFIX: Final = "___vstr"
COMMAND_CHANNEL_SUFFIX: Final = "____cmd"
ONLINE_COMMAND_CHANNEL_ID: Final = "systemcmdonline"
SPECIAL_CHARACTERS: Final = frozenset("@#&")
"""Characters that no uid may hold: they join the parts of stored channel ids."""


_EPOCH_MS: Final = 1_577_836_800_000
_IDS_PER_MS: Final = 4096
_STEP_NS: Final = 1_000_000 // _IDS_PER_MS


def first_id_at(time_s: float) -> int:
    """The lowest message id that belongs to a moment (seconds since 1970): an id is the milliseconds since 2020-01-01
    times 4096 plus a counter, so it stays below 2^53 until 2089."""
    return max(int(time_s * 1000) - _EPOCH_MS, 0) * _IDS_PER_MS


def moment_of(message_id: int) -> int:
    """When a message was accepted, in nanoseconds since 1970, a different moment for each id; 0 for no message."""
    if not message_id:
        return 0
    milliseconds, counter = divmod(message_id, _IDS_PER_MS)
    return (milliseconds + _EPOCH_MS) * 1_000_000 + counter * _STEP_NS


class ChannelKey(NamedTuple):
    """A channel as it is stored: for persons both uids (`person_channel_id`), otherwise the id as given."""

    channel_id: str
    channel_type: int


def person_channel_id(uid: str, other_uid: str) -> str:
    """The stored id of the conversation of two users; the same from both sides.

    The uid with the larger CRC-32 (IEEE) of its UTF-8 comes first; equal hashes: the lexically larger uid.
    """
    if (crc32(uid.encode()), uid) >= (crc32(other_uid.encode()), other_uid):
        return f"{uid}@{other_uid}"
    return f"{other_uid}@{uid}"


def parties(key: ChannelKey) -> tuple[str, ...]:
    """The uids that belong to a channel by its id alone, whoever else subscribes to it."""
    match key.channel_type:
        case ChannelType.PERSON | ChannelType.AGENT:
            first, _, second = key.channel_id.partition("@")
            return (first, second) if first != second else (first,)
        case ChannelType.CUSTOMER_SERVICE:
            return (key.channel_id.partition("|")[0],)
        case ChannelType.VISITORS:
            return (key.channel_id,)
    return ()


def command_key(key: ChannelKey) -> ChannelKey:
    """The channel in which the commands of a channel are stored."""
    return ChannelKey(key.channel_id + COMMAND_CHANNEL_SUFFIX, key.channel_type)


def plain_key(channel_id: str, channel_type: int) -> ChannelKey:
    """The channel whose commands are stored in this one; the channel itself if it is none for commands."""
    return ChannelKey(channel_id.removesuffix(COMMAND_CHANNEL_SUFFIX), channel_type)


def fits(text: str, limit_bytes: int) -> bool:
    """Whether the UTF-8 of a text is within a limit; encodes only where the length leaves it open."""
    return len(text) <= limit_bytes // 4 or (len(text) <= limit_bytes and len(text.encode()) <= limit_bytes)


class Message(Struct, frozen=True, kw_only=True, gc=False):
    """A message that was accepted. Stored ones have a `message_seq` from 1 on, others 0."""

    message_id: int
    message_seq: int
    channel_id: str
    """The stored id of the channel."""
    channel_type: int
    from_uid: str
    client_msg_no: str
    timestamp: int
    """Seconds since 1970, the moment of acceptance."""
    payload: bytes
    flags: int = 0
    """Header flags: NO_PERSIST, RED_DOT, SYNC_ONCE."""
    setting: int = 0
    """Setting bits: SETTING_*."""
    expire: int = 0
    """Seconds after `timestamp` at which nobody reads it any more; 0 = never."""
    topic: str = ""
    stream_no: str = ""


class MessageEvent(Struct, frozen=True, gc=False):
    """What happens to a message after it was sent, for those who are online: a piece of its text, for example."""

    event_id: str
    type: str
    """For example `stream.delta`."""
    timestamp: int
    """Milliseconds since 1970, as whoever appended it says."""
    data: bytes
    """A JSON text; from the docs form `/event` whatever the back-end gave."""


class SendCommand(Struct, frozen=True, kw_only=True, gc=False):
    """What somebody wants sent: the input of `Server.send` and of the `before_send` hook."""

    from_uid: str
    """Who sends; he need not exist. Ids are up to 512 bytes of UTF-8."""
    channel_id: str
    """As a client writes it: for persons the peer's uid, otherwise the id of the channel."""
    channel_type: int
    """A `ChannelType`."""
    payload: bytes
    """Up to `Limits.payload_bytes`."""
    client_msg_no: str = ""
    """Empty: the server makes one up."""
    flags: int = 0
    """Header flags of `wukong_trio.model`: NO_PERSIST, RED_DOT, SYNC_ONCE."""
    setting: int = 0
    """Setting bits of `wukong_trio.model`: SETTING_*, 0 to 255."""
    expire: int = 0
    """Seconds, below 2**32, after which nobody reads it any more; 0 = never."""
    topic: str = ""
    """Carried for the clients, up to 512 bytes; so is `stream_no`."""
    stream_no: str = ""


class SendResult(Struct, frozen=True, kw_only=True, gc=False):
    """A message that was sent. What was refused is an error, not a result."""

    reason_code: int
    """Always SUCCESS."""
    message_id: int = 0
    message_seq: int = 0
    """0 if it was sent with NO_PERSIST."""
    client_msg_no: str = ""
    timestamp: int = 0
    """Seconds since 1970, the moment of acceptance."""


class ChannelFlags(Struct, frozen=True, kw_only=True):
    """The switches of a channel record. The record of (uid, person) holds the flags of a user."""

    large: bool = False
    ban: bool = False
    disband: bool = False
    send_ban: bool = False
    allow_stranger: bool = False


class Device(Struct, frozen=True, kw_only=True):
    """What `POST /user/token` stored for one device flag of a user. An empty token never authenticates."""

    uid: str
    device_flag: int
    token: str
    level: DeviceLevel = DeviceLevel.SLAVE
