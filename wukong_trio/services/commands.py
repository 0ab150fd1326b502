"""What a send may look like, whoever wants it: a client, a back-end, the embedding program or its hook."""

from typing import Final

from ..errors import InvalidCommandError
from ..model import DUP, NO_PERSIST, RED_DOT, SYNC_ONCE, ChannelType, ReasonCode, SendCommand, fits
from .addressing import MAX_ID_BYTES, is_internal
from .arguments import SURELY_FITS, wrong_type
from .permission import CHANNEL_TYPES

_FLAGS: Final = NO_PERSIST | RED_DOT | SYNC_ONCE | DUP
_JOINED: Final = frozenset({int(ChannelType.PERSON), int(ChannelType.AGENT)})
"""Channels whose stored id joins two uids with an @."""
_TYPES: Final[dict[str, type]] = {
    **dict.fromkeys(("from_uid", "channel_id", "client_msg_no", "topic", "stream_no"), str),
    **dict.fromkeys(("channel_type", "flags", "setting", "expire"), int),
    "payload": bytes,
}


def check_command(command: SendCommand, *, payload_limit_bytes: int) -> None:
    """The rules for commands that programs have built, types included.

    Raises:
        InvalidCommandError: it breaks one.
    """
    for field, type_ in _TYPES.items():
        value = getattr(command, field)
        if type(value) is type_ and (not isinstance(value, str) or value.isascii()):
            continue  # as nearly all are, and a call costs more
        if problem := wrong_type(value, type_):
            raise InvalidCommandError(field, problem)
    if not command.from_uid.strip():
        raise InvalidCommandError("from_uid", "is empty")
    if "@" in command.from_uid and command.channel_type in _JOINED:
        raise InvalidCommandError("from_uid", "must not hold @ in a channel of this type", ReasonCode.CHANNEL_ID_ERROR)
    _check_length("from_uid", command.from_uid)
    if not 0 <= command.flags <= _FLAGS:
        raise InvalidCommandError("flags", f"is a number from 0 to {_FLAGS}")
    check_values(command, payload_limit_bytes=payload_limit_bytes)


def check_client_values(command: SendCommand, *, payload_limit_bytes: int) -> None:
    """The rules for commands that clients have sent, with the right types and their own uid.

    Raises:
        InvalidCommandError: it breaks one.
    """
    if is_internal(command.channel_id):
        raise InvalidCommandError("channel_id", "is reserved for the server", ReasonCode.CHANNEL_ID_ERROR)
    check_values(command, payload_limit_bytes=payload_limit_bytes)


def check_values(command: SendCommand, *, payload_limit_bytes: int) -> None:
    """The rules for all commands.

    Raises:
        InvalidCommandError: it breaks one.
    """
    client_msg_no, channel_id = command.client_msg_no, command.channel_id
    if command.channel_type not in CHANNEL_TYPES:
        raise InvalidCommandError(
            "channel_type", f"{command.channel_type} is not known", ReasonCode.NOT_SUPPORT_CHANNEL_TYPE
        )
    if not channel_id or channel_id.isspace():
        raise InvalidCommandError("channel_id", "is empty")
    if len(client_msg_no) > SURELY_FITS or len(channel_id) > SURELY_FITS:
        _check_length("client_msg_no", client_msg_no)
        _check_length("channel_id", channel_id)
    if not 0 <= command.expire < 2**32:
        raise InvalidCommandError("expire", "is a number of seconds from 0 to 4294967295")
    if not 0 <= command.setting <= 255:
        raise InvalidCommandError("setting", "is a number from 0 to 255")
    if command.topic:
        _check_length("topic", command.topic)
    if command.stream_no:
        _check_length("stream_no", command.stream_no)
    if len(command.payload) > payload_limit_bytes:
        raise InvalidCommandError("payload", f"is larger than {payload_limit_bytes} bytes")


def _check_length(field: str, text: str) -> None:
    if not fits(text, MAX_ID_BYTES):
        raise InvalidCommandError(field, f"is longer than {MAX_ID_BYTES} bytes")
