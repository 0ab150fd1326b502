"""`/message/send`: sending on behalf of anybody."""

from typing import Annotated

from msgspec import Meta, Struct, field

from ..errors import InvalidCommandError, SendRefusedError
from ..model import (
    NO_PERSIST,
    RED_DOT,
    SETTING_STREAM,
    SETTING_TOPIC,
    SYNC_ONCE,
    SYSTEM_UID,
    ReasonCode,
    SendCommand,
)
from ..protocol.payload import PayloadError, read_base64
from .checks import channel_key, plain, required
from .context import ApiContext
from .table import BAD_BODY, ApiError, Query
from .users import Byte

_BAD_CHANNEL = "频道ID不合法！"
Seconds = Annotated[int, Meta(ge=0, lt=2**32)]


class SendHeader(Struct):
    """Flags of a message; only 1 means true."""

    no_persist: int = 0
    red_dot: int = 0
    sync_once: int = 0


class SendRequest(Struct):
    """Body of `/message/send`."""

    header: SendHeader = field(default_factory=SendHeader)
    from_uid: str = ""
    sender_uid: str = ""
    channel_id: str = ""
    channel_type: Byte = 0
    subscribers: list[str] = []
    payload: str = ""
    client_msg_no: str = ""
    expire: Seconds = 0
    is_stream: int = 0
    setting: Byte = 0
    topic: str = ""
    no_persist: int = 0
    sync_once: int = 0

    @property
    def flags(self) -> int:
        """The header as flags."""
        return (
            (NO_PERSIST if 1 in (self.header.no_persist, self.no_persist) else 0)
            | (RED_DOT if self.header.red_dot == 1 else 0)
            | (SYNC_ONCE if 1 in (self.header.sync_once, self.sync_once) else 0)
        )


async def send_message(context: ApiContext, request: SendRequest, _query: Query) -> object:
    """Sends one message to a channel; a command (`sync_once`) goes to its command channel."""
    command = _command(request)
    try:
        result = await context.send(command, command_channel=command.flags & SYNC_ONCE != 0)
    except InvalidCommandError as wrong:
        raise ApiError(_BAD_CHANNEL if wrong.reason_code == ReasonCode.CHANNEL_ID_ERROR else str(wrong)) from None
    except SendRefusedError as refused:
        if refused.reason_code == ReasonCode.CHANNEL_ID_ERROR:
            raise ApiError(_BAD_CHANNEL) from None
        return _send_answer(refused.reason_code, client_msg_no=refused.client_msg_no)
    return _send_answer(
        result.reason_code,
        message_id=result.message_id,
        message_seq=result.message_seq,
        client_msg_no=result.client_msg_no,
    )


def _send_answer(reason: int, *, client_msg_no: str, message_id: int = 0, message_seq: int = 0) -> object:
    data = {"message_id": message_id, "message_seq": message_seq, "client_msg_no": client_msg_no}
    more = {"message_idstr": str(message_id), "reason": reason}
    return {"status": 200, "data": data, **data, **more}


def _command(request: SendRequest) -> SendCommand:
    required(request.payload, "payload不能为空！")
    try:
        payload = read_base64(request.payload)
    except PayloadError:
        raise ApiError(BAD_BODY) from None
    _check_mode(request)
    plain(request.channel_id, _BAD_CHANNEL)
    key = channel_key(request.channel_id, request.channel_type)
    from_uid = request.from_uid if request.from_uid.strip() else request.sender_uid
    stream = SETTING_STREAM if request.is_stream == 1 else 0
    topic = SETTING_TOPIC if request.topic else 0
    return SendCommand(
        from_uid=from_uid if from_uid.strip() else SYSTEM_UID,
        channel_id=key.channel_id,
        channel_type=key.channel_type,
        payload=payload,
        client_msg_no=request.client_msg_no if request.client_msg_no.strip() else "",
        flags=request.flags,
        setting=request.setting & ~SETTING_STREAM | stream | topic,
        expire=request.expire,
        topic=request.topic,
    )


def _check_mode(request: SendRequest) -> None:
    """A message goes to a channel, or as a command to a list of users."""
    to_channel, to_users = bool(request.channel_id.strip()), bool(request.subscribers)
    if to_channel and not to_users:
        return
    if to_users and not to_channel and request.flags & SYNC_ONCE:
        raise ApiError("commands to a list of subscribers are not supported yet; send to a channel")
    raise ApiError("无法处理发送消息请求！")
