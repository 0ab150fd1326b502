"""The life of one connection, the same for every engine.

open: handshake and authentication, each in time ─► carry: the engine feeds the session ─► finish: flush and close
"""

import re
import time
from logging import DEBUG, INFO, getLogger

import trio

from ..errors import StoreError
from ..model import SPECIAL_CHARACTERS, SYSTEM_DEVICE_ID, ReasonCode
from ..protocol.answers import encode_connect_result, encode_error, encode_refusal
from ..protocol.codes import (
    CLOSE_AUTH_FAILED,
    CLOSE_AUTH_TIMEOUT,
    CLOSE_BYE,
    CLOSE_SHUTDOWN,
    CLOSE_UNSUPPORTED,
    ErrorCode,
)
from ..protocol.requests import Connect, ConnectParams, Invalid, decode_first, fits
from ..services.addressing import MAX_ID_BYTES
from ..services.auth import ConnectInfo
from . import profile
from .gateway import Gateway
from .session import Session
from .transport import DisconnectedError, Transport

log = getLogger(__name__)

MAX_TOKEN_BYTES = 4096
_CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f]")
_PEACEFUL = frozenset({CLOSE_BYE.code, CLOSE_SHUTDOWN.code})


async def run_connection(gateway: Gateway, transport: Transport) -> None:
    """Serves one client until it is gone or sent away. Whatever goes wrong ends here, in one log line."""
    session = None
    try:
        # One scope for the whole opening: its deadline moves on once, when the handshake is done.
        with trio.move_on_after(gateway.config.limits.handshake_timeout_s) as transport.waiting:
            session = await _open(gateway, transport)
        if session is not None:
            gateway.greeting.discard(transport)
            await transport.carry(session)
        elif transport.waiting.cancelled_caught:
            _time_is_up(gateway, transport)
    except DisconnectedError as gone:
        log.log(INFO if gone.violation else DEBUG, "%s: %s", transport.remote_address, gone)
    except Exception:
        log.exception("%s: connection dropped", transport.remote_address)
    finally:
        if transport.closing is not None and transport.closing.code not in _PEACEFUL:
            log.info("%s: closed, %s (%d)", transport.remote_address, transport.closing.reason, transport.closing.code)
        gateway.greeting.discard(transport)
        if session is not None:
            gateway.leave(session, transport)
            transport.forget_session()
        # Not shielded: connections are cancelled only when the server's own time to stop is over.
        with trio.move_on_after(gateway.config.limits.close_timeout_s):
            await transport.finish()


async def _open(gateway: Gateway, transport: Transport) -> Session | None:
    """Handshake and authentication; None if the client was sent away."""
    try:
        target = await transport.open()
    except DisconnectedError as refused:
        raise DisconnectedError(f"closed, no WebSocket handshake: {refused}", violation=True) from None
    gateway.statistics.connections += 1
    gateway.greeting.add(transport)
    assert transport.waiting is not None
    transport.waiting.deadline = trio.current_time() + gateway.config.auth.auth_timeout_s
    return await _authenticate(gateway, transport, target)


def _time_is_up(gateway: Gateway, transport: Transport) -> None:
    if transport in gateway.greeting:
        transport.close(CLOSE_AUTH_TIMEOUT)
    else:
        log.info("%s: closed, no WebSocket handshake: not in time", transport.remote_address)


async def _authenticate(gateway: Gateway, transport: Transport, target: str) -> Session | None:
    """Turns the first message into a session; None if the client was sent away."""
    message, binary = b"", False
    while not message.strip():
        message, binary = await transport.receive()
    if message.lstrip()[:1] not in (b"{", b"["):
        transport.close(CLOSE_UNSUPPORTED)
        return None
    connect = decode_first(message)
    if isinstance(connect, Connect):
        connect = _check(connect)
    if isinstance(connect, Connect):
        refusal = await _admit(gateway, transport, connect, binary, target)
        if isinstance(refusal, Session):
            return refusal
        transport.offer(refusal)
    elif isinstance(connect, Invalid):
        transport.offer(encode_error(connect.id, connect.code, connect.message))
    transport.close(CLOSE_AUTH_FAILED)
    return None


def _check(connect: Connect) -> Connect | Invalid:
    """The rules for the fields of `connect` that types cannot express."""
    wrong = _wrong_field(connect.params)
    return Invalid(connect.id, ErrorCode.INVALID_PARAMETERS, wrong) if wrong else connect


def _wrong_field(params: ConnectParams) -> str:
    uid = params.uid
    if not uid.strip() or not SPECIAL_CHARACTERS.isdisjoint(uid) or _CONTROL_CHARACTER.search(uid):
        return "uid is blank or holds @, #, & or control characters"
    if not fits(uid, MAX_ID_BYTES) or not fits(params.device_id or "", MAX_ID_BYTES):
        return f"uid or deviceId is longer than {MAX_ID_BYTES} bytes"
    if not fits(params.token, MAX_TOKEN_BYTES):
        return f"token is longer than {MAX_TOKEN_BYTES} bytes"
    if not 0 <= (params.device_flag or 0) <= 255:
        return "deviceFlag is a number from 0 to 255"
    return ""


async def _admit(
    gateway: Gateway, transport: Transport, connect: Connect, binary: bool, target: str
) -> Session | bytes:
    """The session, or the answer that refuses it."""
    params = connect.params
    device_id = params.device_id or ""
    info = ConnectInfo(
        uid=params.uid,
        token=params.token,
        device_id="" if device_id == SYSTEM_DEVICE_ID else device_id,
        device_flag=params.device_flag or 0,
        remote_address=transport.remote_address,
    )
    try:
        verdict = await gateway.authentication.check(info)
    except StoreError as error:
        log.warning("%s could not connect: %s", info.uid, error)
        return encode_refusal(connect.id, ReasonCode.SYSTEM_ERROR)
    if verdict.reason is not ReasonCode.SUCCESS:
        log.info("%s: %r was refused: %s", transport.remote_address, info.uid, verdict.reason.wire_name)
        return encode_refusal(connect.id, verdict.reason)
    default = gateway.config.notification_profile
    dialect, objects = profile.choose(connect, binary=binary, target=target, default=default)
    session = Session(
        gateway,
        transport,
        dialect,
        objects=objects,
        uid=info.uid,
        device_flag=info.device_flag,
        device_id=info.device_id,
        level=verdict.level,
    )
    client_timestamp = params.client_timestamp or 0
    welcome = encode_connect_result(
        connect.id,
        time_diff=int(time.time() * 1000) - client_timestamp if client_timestamp else 0,
        node_id=gateway.config.node_id,
        version=params.version or 0,
        snake=dialect.snake,
    )
    gateway.enter(session, transport, welcome)
    return session
