"""`/message/send` and `/message/sendbatch`: sending on behalf of anybody."""

from typing import Annotated, Final

from msgspec import Meta, Raw, Struct, field

from ..errors import InvalidCommandError, SendRefusedError, StoreError, WukongError
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
    SendResult,
)
from ..protocol.payload import PayloadError, read_base64
from ..services.addressing import direct_key
from .bodies import encode_list
from .checks import channel_key, clean_uids, plain, required
from .context import ApiContext
from .table import BAD_BODY, STORE_FAILS, ApiError, Query
from .users import Byte

SENDS_AT_ONCE: Final = 512
"""Of a batch; between them others get their turn."""
_BAD_CHANNEL: Final = "频道ID不合法！"
_NO_MODE: Final = "无法处理发送消息请求！"
Seconds = Annotated[int, Meta(ge=0, lt=2**32)]


class SendHeader(Struct):
    """Flags of a message; only 1 means true."""

    no_persist: int = 0
    red_dot: int = 0
    sync_once: int = 0

    @property
    def flags(self) -> int:
        """The same as one number."""
        return (
            (NO_PERSIST if self.no_persist == 1 else 0)
            | (RED_DOT if self.red_dot == 1 else 0)
            | (SYNC_ONCE if self.sync_once == 1 else 0)
        )


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
        """The header as flags, and what stands beside it."""
        return (
            self.header.flags | (NO_PERSIST if self.no_persist == 1 else 0) | (SYNC_ONCE if self.sync_once == 1 else 0)
        )


class BatchRequest(Struct):
    """Body of `/message/sendbatch`."""

    header: SendHeader = field(default_factory=SendHeader)
    from_uid: str = ""
    subscribers: list[str] = []
    payload: str = ""


class BatchAnswer(Struct, frozen=True):
    """Whom a message was not sent to, and why: two lists of the same length."""

    fail_uids: Annotated[Raw, list[str]]
    reason: Annotated[Raw, list[str]]
    status: int = 200


async def send_message(context: ApiContext, request: SendRequest, _query: Query) -> object:
    """Sends one message to a channel, or a command to a list of users.

    A command (`sync_once`) to a channel goes to its command channel, which is apart from the history. A banned (19) or
    disbanded (24) channel refuses with `reason`; then there is no message.
    """
    payload = _payload(request.payload)
    direct = _is_direct(request)
    recipients = await clean_uids(request.subscribers) if direct else []
    if direct and not recipients:
        raise ApiError(_NO_MODE)
    key = direct_key(dict.fromkeys(recipients)) if direct else _channel(request)
    command = _command(request, key, payload)
    try:
        if direct:
            return _send_answer(await context.sender.send(command, direct_to=frozenset(recipients)))
        if command.flags & SYNC_ONCE:
            result = await context.sender.send(command, command_channel=True)
        elif command.setting & SETTING_STREAM:
            result = await context.message_events.send_stream(command, context.sender.send)
        else:
            result = await context.sender.send(command)
    except (InvalidCommandError, SendRefusedError) as error:
        if error.reason_code == ReasonCode.CHANNEL_ID_ERROR:
            raise ApiError(_BAD_CHANNEL) from None
        if isinstance(error, InvalidCommandError):
            raise ApiError(str(error)) from None
        return _with_data(SendResult(reason_code=error.reason_code, client_msg_no=error.client_msg_no))
    return _with_data(result)


def _with_data(result: SendResult) -> object:
    data = {name: getattr(result, name) for name in ("message_id", "message_seq", "client_msg_no")}
    return {"data": data, **_send_answer(result)}


def _send_answer(result: SendResult) -> dict[str, object]:
    return {
        "status": 200,
        "message_id": result.message_id,
        "message_seq": result.message_seq,
        "client_msg_no": result.client_msg_no,
        "message_idstr": str(result.message_id),
        "reason": result.reason_code,
    }


def _payload(text: str) -> bytes:
    required(text, "payload不能为空！")
    try:
        return read_base64(text)
    except PayloadError:
        raise ApiError(BAD_BODY) from None


def _is_direct(request: SendRequest) -> bool:
    """Whether it is a command to a list of users; else it goes to a channel."""
    to_channel, to_users = bool(request.channel_id.strip()), bool(request.subscribers)
    if to_channel == to_users or (to_users and not request.flags & SYNC_ONCE):
        raise ApiError(_NO_MODE)
    return to_users


def _channel(request: SendRequest) -> ChannelKey:
    plain(request.channel_id, _BAD_CHANNEL)
    return channel_key(request.channel_id, request.channel_type)


def _command(request: SendRequest, key: ChannelKey, payload: bytes) -> SendCommand:
    from_uid = request.from_uid if request.from_uid.strip() else request.sender_uid
    stream = SETTING_STREAM if request.is_stream == 1 else 0
    topic = SETTING_TOPIC if request.topic else 0
    given_number = bool(request.client_msg_no.strip()) and not request.subscribers
    return SendCommand(
        from_uid=from_uid if from_uid.strip() else SYSTEM_UID,
        channel_id=key.channel_id,
        channel_type=key.channel_type,
        payload=payload,
        client_msg_no=request.client_msg_no if given_number else "",
        flags=request.flags,
        setting=request.setting & ~SETTING_STREAM | stream | topic,
        expire=request.expire,
        topic=request.topic,
    )


async def send_batch(context: ApiContext, request: BatchRequest, _query: Query) -> object:
    """Sends the same to many users, to each as a message of its own."""
    required(request.from_uid, "from_uid不能为空！")
    if not request.subscribers:
        raise ApiError("subscribers不能为空！")
    payload, flags = _payload(request.payload), request.header.flags
    limit_bytes = context.config.limits.payload_bytes
    if len(payload) > limit_bytes:
        raise ApiError(f"payload is larger than {limit_bytes} bytes")
    failures: list[tuple[str, str]] = []
    for start in range(0, len(request.subscribers), SENDS_AT_ONCE):
        uids = [uid for uid in request.subscribers[start : start + SENDS_AT_ONCE] if uid.strip()]
        outcomes = await context.sender.send_all(
            [_person_message(request.from_uid, uid, payload, flags) for uid in uids],
            command_channel=flags & SYNC_ONCE != 0,
        )
        failures += [
            (uid, _reason(outcome))
            for uid, outcome in zip(uids, outcomes, strict=True)
            if isinstance(outcome, WukongError)
        ]
    return BatchAnswer(
        await encode_list(uid for uid, _ in failures), await encode_list(reason for _, reason in failures)
    )


def _person_message(from_uid: str, uid: str, payload: bytes, flags: int) -> SendCommand:
    return SendCommand(
        from_uid=from_uid, channel_id=uid, channel_type=int(ChannelType.PERSON), payload=payload, flags=flags
    )


def _reason(error: WukongError) -> str:
    if isinstance(error, StoreError):
        return STORE_FAILS
    code = error.reason_code if isinstance(error, InvalidCommandError | SendRefusedError) else 0
    return _BAD_CHANNEL if code == ReasonCode.CHANNEL_ID_ERROR else str(error)
