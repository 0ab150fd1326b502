"""`/message/send` and `/message/sendbatch`: sending on behalf of anybody."""

from typing import Final

from ..contract.messages import BatchAnswer, BatchRequest, SendRequest
from ..errors import InvalidCommandError, SendRefusedError, StoreError, WukongError
from ..model import SETTING_STREAM, SETTING_TOPIC, SYNC_ONCE, SYSTEM_UID, ReasonCode, SendCommand, SendResult
from ..protocol.payload import PayloadError, read_base64
from ..services.arguments import EMPTY, SPECIAL, check_plain, known_key
from .bodies import BodyError, as_list, encode_list
from .checks import BAD_CHANNEL, TYPE_TEXTS, required
from .context import ApiContext
from .table import STORE_FAILS, ApiError, Query, Texts

_NO_MODE: Final = "无法处理发送消息请求！"
SEND_TEXTS: Final[Texts] = {
    ("channel_id", SPECIAL): BAD_CHANNEL,
    **TYPE_TEXTS,
    ("subscribers", EMPTY): _NO_MODE,
}


async def send_message(context: ApiContext, request: SendRequest, _query: Query) -> object:
    """Sends one message to a channel, or a command to a list of users.

    A command (`sync_once`) to a channel goes to its command channel, which is apart from the history. A banned (19) or
    disbanded (24) channel refuses with `reason`; then there is no message.
    """
    payload = _payload(request.payload)
    direct = _is_direct(request)
    if not direct:
        check_plain("channel_id", request.channel_id)
        known_key(request.channel_id, request.channel_type)
    command = _command(request, payload)
    try:
        if direct:
            return _send_answer(await context.commands.send_to(request.subscribers, command))
        if command.flags & SYNC_ONCE:
            result = await context.commands.send(command)
        else:
            result = await context.message_events.send(command, context.sender.send)
    except (InvalidCommandError, SendRefusedError) as error:
        if error.reason_code == ReasonCode.CHANNEL_ID_ERROR:
            raise ApiError(BAD_CHANNEL) from None
        if isinstance(error, InvalidCommandError):
            raise
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
        raise BodyError("payload is no base64") from None


def _is_direct(request: SendRequest) -> bool:
    """Whether it is a command to a list of users; else it goes to a channel."""
    to_channel, to_users = bool(request.channel_id.strip()), bool(request.subscribers)
    if to_channel == to_users or (to_users and not request.flags & SYNC_ONCE):
        raise ApiError(_NO_MODE)
    return to_users


def _command(request: SendRequest, payload: bytes) -> SendCommand:
    from_uid = request.from_uid if request.from_uid.strip() else request.sender_uid
    stream = SETTING_STREAM if request.is_stream == 1 else 0
    topic = SETTING_TOPIC if request.topic else 0
    return SendCommand(
        from_uid=from_uid if from_uid.strip() else SYSTEM_UID,
        channel_id=request.channel_id,
        channel_type=request.channel_type,
        payload=payload,
        client_msg_no=request.client_msg_no if request.client_msg_no.strip() else "",
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
    payload = _payload(request.payload)
    failures = await context.batches.send(request.from_uid, request.subscribers, payload, flags=request.header.flags)
    return BatchAnswer(
        as_list(await encode_list(uid for uid, _ in failures)),
        as_list(await encode_list(why_refused(error) for _, error in failures)),
    )


def why_refused(error: WukongError) -> str:
    """What back-ends are told of a message that was not sent."""
    if isinstance(error, StoreError):
        return STORE_FAILS
    code = error.reason_code if isinstance(error, InvalidCommandError | SendRefusedError) else 0
    return BAD_CHANNEL if code == ReasonCode.CHANNEL_ID_ERROR else str(error)
