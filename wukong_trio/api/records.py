"""A stored message as back-ends read it."""

from typing import Annotated, TypeAlias

from msgspec import Raw, Struct

from ..model import (
    COMMAND_CHANNEL_SUFFIX,
    NO_PERSIST,
    RED_DOT,
    SYNC_ONCE,
    SYSTEM_UID,
    ChannelType,
    Message,
)
from ..services.addressing import peer_of


class RecordHeader(Struct, frozen=True):
    """Flags of a message as 0 or 1."""

    no_persist: int
    red_dot: int
    sync_once: int


class MessageRecord(Struct, frozen=True, omit_defaults=True):
    """One message; `payload` is base64 on the wire."""

    header: RecordHeader
    setting: int
    message_id: int
    message_idstr: str
    client_msg_no: str
    message_seq: int
    from_uid: str
    channel_id: str
    channel_type: int
    expire: int
    timestamp: int
    payload: bytes
    topic: str = ""


Records: TypeAlias = Annotated[Raw, list[MessageRecord]]
"""Encoded already."""


def record_of(message: Message) -> MessageRecord:
    """The record of a message. A person channel is shown as its receiver, the system sender as nobody."""
    flags = message.flags
    return MessageRecord(
        header=RecordHeader(
            no_persist=int(flags & NO_PERSIST != 0),
            red_dot=int(flags & RED_DOT != 0),
            sync_once=int(flags & SYNC_ONCE != 0),
        ),
        setting=message.setting,
        message_id=message.message_id,
        message_idstr=str(message.message_id),
        client_msg_no=message.client_msg_no,
        message_seq=message.message_seq,
        from_uid="" if message.from_uid == SYSTEM_UID else message.from_uid,
        channel_id=_shown_channel(message),
        channel_type=message.channel_type,
        expire=message.expire,
        timestamp=message.timestamp,
        payload=message.payload,
        topic=message.topic,
    )


def _shown_channel(message: Message) -> str:
    if message.channel_type != ChannelType.PERSON:
        return message.channel_id
    return peer_of(message.from_uid, message.channel_id.removesuffix(COMMAND_CHANNEL_SUFFIX))
