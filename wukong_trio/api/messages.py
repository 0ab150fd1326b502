"""`/message/send` and `/channel/messagesync`."""

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
    ChannelKey,
    ChannelType,
    ReasonCode,
    SendCommand,
    person_channel_id,
)
from ..protocol.payload import PayloadError, read_base64
from ..services.history import PullMode
from .bodies import encode_list
from .checks import channel_key, plain, required, within_limit
from .context import ApiContext
from .records import Records, record_of
from .table import BAD_BODY, ApiError, Query
from .users import Byte, Int64

_BAD_CHANNEL = "频道ID不合法！"
Seq = Annotated[int, Meta(ge=0, le=2**62)]
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


class SyncRequest(Struct):
    """Body of `/channel/messagesync`."""

    login_uid: str = ""
    channel_id: str = ""
    channel_type: Byte = 0
    start_message_seq: Seq = 0
    end_message_seq: Seq = 0
    limit: Int64 = 0
    pull_mode: Int64 = 0


class SyncAnswer(Struct, frozen=True):
    """A page of history."""

    start_message_seq: int
    end_message_seq: int
    pull_mode: int
    more: int
    messages: Records


async def send_message(context: ApiContext, request: SendRequest, _query: Query) -> object:
    """Sends one message to a channel.

    A command (`sync_once`) goes to the command channel, which is apart from the history. A banned (19) or disbanded
    (24) channel refuses with `reason`; then there is no message.
    """
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


async def sync_messages(context: ApiContext, request: SyncRequest, _query: Query) -> object:
    """A page of a channel's history.

    Ascending. Without `start_message_seq` and `end_message_seq` it is the newest page.
    """
    required(request.channel_id, "channel_id不能为空！")
    required(request.login_uid, "login_uid不能为空！")
    within_limit("channel_id or login_uid", request.channel_id, request.login_uid)
    key = ChannelKey(request.channel_id, request.channel_type)
    if key.channel_type == ChannelType.PERSON:
        key = ChannelKey(person_channel_id(request.login_uid, request.channel_id), key.channel_type)
    page = await context.history.page(
        key,
        start=request.start_message_seq,
        end=request.end_message_seq,
        limit=request.limit,
        mode=PullMode.UP if request.pull_mode == 1 else PullMode.DOWN,
    )
    return SyncAnswer(
        request.start_message_seq,
        request.end_message_seq,
        request.pull_mode,
        int(page.more),
        await encode_list(map(record_of, page.messages)),
    )
