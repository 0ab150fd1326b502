"""From the parameters of a `send` to a command: which fields are required, how large they may be."""

from ..model import DUP, NO_PERSIST, RED_DOT, SYNC_ONCE, ReasonCode, SendCommand
from ..protocol.codes import ErrorCode
from ..protocol.payload import PayloadError, read_payload
from ..protocol.requests import Header, SendParams, Setting, fits
from ..services.addressing import MAX_ID_BYTES, is_internal
from ..services.permission import CHANNEL_TYPES

_SURELY_FITS = MAX_ID_BYTES // 4
"""No text of so many characters is too long, whatever the characters."""


class RefusedError(Exception):
    """The parameters cannot be served."""

    def __init__(self, code: ErrorCode, message: str, reason: ReasonCode | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.reason = reason


def read_command(params: SendParams, from_uid: str, *, payload_limit_bytes: int) -> tuple[SendCommand, bool]:
    """What the client wants sent, and whether it wrote the payload as JSON and not as a string.

    Raises:
        RefusedError: a field is missing, too long or out of range, or the payload cannot be decoded or is too large.
    """
    client_msg_no, channel_id, channel_type = params.client_msg_no, params.channel_id, params.channel_type
    if not client_msg_no or not channel_id or channel_type is None or channel_id.isspace():
        raise _invalid("clientMsgNo, channelId and channelType are required")
    if channel_type not in CHANNEL_TYPES:
        raise _invalid(f"unknown channelType {channel_type}", ReasonCode.NOT_SUPPORT_CHANNEL_TYPE)
    if len(client_msg_no) > _SURELY_FITS or len(channel_id) > _SURELY_FITS:
        _check_length("clientMsgNo", client_msg_no)
        _check_length("channelId", channel_id)
    if is_internal(channel_id):
        raise _invalid("this channelId is reserved for the server", ReasonCode.CHANNEL_ID_ERROR)
    header, setting, expire = params.header, params.setting, params.expire
    topic, stream_no = params.topic, params.stream_no
    if expire is not None and not 0 <= expire < 2**32:
        raise _invalid("expire is a number of seconds from 0 to 4294967295")
    if topic:
        _check_length("topic", topic)
    if stream_no:
        _check_length("streamNo", stream_no)
    text = bytes(params.payload)
    command = SendCommand(
        from_uid=from_uid,
        channel_id=channel_id,
        channel_type=channel_type,
        payload=_payload(text, payload_limit_bytes),
        client_msg_no=client_msg_no,
        flags=0 if header is None else _flags(header),
        setting=0 if setting is None else _setting(setting),
        expire=expire or 0,
        topic=topic or "",
        stream_no=stream_no or "",
    )
    return command, text[:1] != b'"'


def _invalid(message: str, reason: ReasonCode | None = None) -> RefusedError:
    return RefusedError(ErrorCode.INVALID_PARAMETERS, message, reason)


def _check_length(name: str, text: str) -> None:
    if not fits(text, MAX_ID_BYTES):
        raise _invalid(f"{name} is longer than {MAX_ID_BYTES} bytes")


def _payload(text: bytes, limit_bytes: int) -> bytes:
    if text == b"null":
        raise _invalid("payload is required")
    try:
        payload = read_payload(text)
    except PayloadError as error:
        raise RefusedError(ErrorCode.INVALID_FORMAT, str(error), ReasonCode.PAYLOAD_DECODE_ERROR) from None
    if len(payload) > limit_bytes:
        raise RefusedError(ErrorCode.TOO_LARGE, f"a payload holds at most {limit_bytes} bytes")
    return payload


def _flags(header: Header) -> int:
    return (
        (NO_PERSIST if header.no_persist else 0)
        | (RED_DOT if header.red_dot else 0)
        | (SYNC_ONCE if header.sync_once else 0)
        | (DUP if header.dup else 0)
    )


def _setting(setting: int | Setting) -> int:
    if isinstance(setting, Setting):
        return setting.bits
    if not 0 <= setting <= 255:
        raise _invalid("setting is an object or a number from 0 to 255")
    return setting
