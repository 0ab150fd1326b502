"""From the parameters of a `send` to a command: which fields are required, and the protocol's errors."""

from ..errors import InvalidCommandError
from ..model import DUP, NO_PERSIST, RED_DOT, SYNC_ONCE, ReasonCode, SendCommand
from ..protocol.codes import ErrorCode
from ..protocol.payload import PayloadError, read_payload
from ..protocol.requests import Header, SendParams, Setting
from ..services.commands import check_client_values


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
    if not client_msg_no or not channel_id or channel_type is None:
        raise _invalid("clientMsgNo, channelId and channelType are required")
    header, setting = params.header, params.setting
    text = bytes(params.payload)
    command = SendCommand(
        from_uid=from_uid,
        channel_id=channel_id,
        channel_type=channel_type,
        payload=_payload(text),
        client_msg_no=client_msg_no,
        flags=0 if header is None else _flags(header),
        setting=0 if setting is None else setting.bits if isinstance(setting, Setting) else setting,
        expire=params.expire or 0,
        topic=params.topic or "",
        stream_no=params.stream_no or "",
    )
    try:
        check_client_values(command, payload_limit_bytes=payload_limit_bytes)
    except InvalidCommandError as wrong:
        code = ErrorCode.TOO_LARGE if wrong.field == "payload" else ErrorCode.INVALID_PARAMETERS
        reason = ReasonCode(wrong.reason_code) if wrong.reason_code else None
        raise RefusedError(code, f"{_camel(wrong.field)} {wrong.problem}", reason) from None
    return command, text[:1] != b'"'


def _invalid(message: str, reason: ReasonCode | None = None) -> RefusedError:
    return RefusedError(ErrorCode.INVALID_PARAMETERS, message, reason)


def _camel(field: str) -> str:
    first, *rest = field.split("_")
    return first + "".join(map(str.title, rest))


def _payload(text: bytes) -> bytes:
    if text == b"null":
        raise _invalid("payload is required")
    try:
        return read_payload(text)
    except PayloadError as error:
        raise RefusedError(ErrorCode.INVALID_FORMAT, str(error), ReasonCode.PAYLOAD_DECODE_ERROR) from None


def _flags(header: Header) -> int:
    return (
        (NO_PERSIST if header.no_persist else 0)
        | (RED_DOT if header.red_dot else 0)
        | (SYNC_ONCE if header.sync_once else 0)
        | (DUP if header.dup else 0)
    )
